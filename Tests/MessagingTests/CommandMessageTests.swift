import Credits
import Ledger
import Messaging
import Metering
import Testing

@Suite("Command messages")
struct CommandMessageTests {
    @Test("every kind of command comes out as it went in")
    func roundTrip() throws {
        let message = CommandMessage(sentAt: Instant(microseconds: 7), requests: try Self.requests)
        #expect(try CommandMessage(decoding: message.encoded()) == message)
    }

    @Test("a message cut anywhere is refused")
    func truncation() throws {
        let bytes = CommandMessage(sentAt: Instant(microseconds: 7), requests: try Self.requests).encoded()
        for length in bytes.indices {
            #expect(throws: CodingError.self, "cut at \(length)") {
                try CommandMessage(decoding: Array(bytes[..<length]))
            }
        }
    }

    @Test("a message with something behind it is refused")
    func trailingBytes() throws {
        let bytes = CommandMessage(sentAt: Instant(microseconds: 7), requests: try Self.requests).encoded() + [0]
        #expect(throws: CodingError.trailingBytes) { try CommandMessage(decoding: bytes) }
    }

    @Test("another version is refused by its number")
    func version() {
        #expect(throws: CodingError.unsupportedVersion(9)) { try CommandMessage(decoding: [9, 0]) }
    }

    @Test("a message with any one byte changed is read or refused, and what is read can be written again")
    func changedBytes() throws {
        let bytes = CommandMessage(sentAt: Instant(microseconds: 7), requests: try Self.requests).encoded()
        var read = 0
        for index in bytes.indices {
            for mask: UInt8 in [0x01, 0x80, 0xFF] {
                var changed = bytes
                changed[index] ^= mask
                guard let message = try? CommandMessage(decoding: changed) else { continue }
                read += 1
                #expect(try CommandMessage(decoding: message.encoded()) == message)
            }
        }
        #expect(read > 0)
    }

    @Test("replies come out as they went in, and a cut one is refused")
    func replies() throws {
        let reply = ReplyMessage(replies: [
            CommandReply(
                token: .max,
                results: [
                    CommandResult(
                        status: 201, isReplay: true, position: .account(AccountID(7), revision: 9), body: [1, 2, 3]),
                    CommandResult(status: 422, isReplay: false, position: .none, body: []),
                    CommandResult(
                        status: 200, isReplay: false, position: .catalogue(EnvironmentID(-1), version: .max), body: [0]),
                ])
        ])
        let bytes = reply.encoded()
        #expect(try ReplyMessage(decoding: bytes) == reply)
        for length in bytes.indices {
            #expect(throws: CodingError.self) { _ = try ReplyMessage(decoding: Array(bytes[..<length])) }
        }
    }

    private static var requests: [CommandRequest] {
        get throws {
            let key = try #require(FeatureKey("api_calls"))
            let alice = try #require(EndUserID("alice"))
            let package = try #require(PackageKey("small"))
            let metadata = Metadata(canonicalJSON: #"{"model":"large"}"#)
            let month = try #require(CalendarDuration(iso8601: "P1MT5H"))
            let actions: [AccountAction] = [
                .use(
                    UsageEvent(featureKey: key, units: .max, occurredAt: Instant(microseconds: -1), metadata: metadata)),
                .use(UsageEvent(featureKey: key, units: 0)),
                .grant(
                    Grant(
                        credits: .max, source: .compensation, priority: 100, expiry: .at(Instant(microseconds: 5)),
                        featureKeys: [key, key], reason: "sorry", metadata: metadata)),
                .grant(Grant(credits: try Millicredits(Int64(1)), expiry: .after(month))),
                .createEndUser(EndUserChange(name: .set("Alice"), metadata: .set(nil))),
                .updateEndUser(EndUserChange(name: .set(nil), metadata: .set(metadata))),
                .updateEndUser(EndUserChange()),
                .advance,
            ]
            let identity = CommandIdentity(
                id: Bits128(high: 1, low: .max),
                idempotencyKey: IdempotencyKey(text: "é", fingerprint: Bits128(high: 2, low: 3)))
            let account = CommandRequest(
                token: 1, requestID: "req_1", traceParent: "00-ab-cd-01",
                actor: Actor(keyID: Bits128(high: 4, low: 5), address: "192.0.2.1"), environmentID: EnvironmentID(3),
                wantsBodies: true,
                commands: .account(
                    actions.map { AccountCommand(identity: identity, endUserID: alice, action: $0) }))
            let secret = NewKey(hash: Array(repeating: 9, count: 32), hint: "wxyz")
            let rights = KeyRights(scopes: [.read(.credits), .write(.admin)], expiresAt: Instant(microseconds: 7))
            let quota = Quota(limit: 5, window: .duration(month), anchor: .firstUse)
            let catalogue: [CatalogueAction] = [
                .createTenant(name: "Acme", liveKey: secret, testKey: secret),
                .createKey(name: "ci", secret, .all, grantor: .all),
                .createKey(name: "ci", secret, rights, grantor: .all), .revokeKey(id: Bits128(high: 5, low: 6)),
                .rollKey(id: Bits128(high: 5, low: 6), secret, overlapSeconds: 86_400, grantor: rights),
                .createFeature(NewFeature(key: key, name: "Calls", type: .limit)),
                .createFeature(NewFeature(key: key, name: "Calls", type: .metered, unitName: "call", quota: quota)),
                .updateFeature(key: key, FeatureChange(name: nil, unitName: "call", isArchived: true)),
                .updateFeature(key: key, FeatureChange(quota: .set(nil))),
                .updateFeature(key: key, FeatureChange(name: "Calls", quota: .set(quota))),
                .createRule(featureKey: key, price: Price(.flat(amount: .zero)), effectiveFrom: nil),
                .createRule(
                    featureKey: key,
                    price: Price(rows: [
                        Price.Row(
                            match: Attributes(["model": .string("é\"")]),
                            terms: .dimensions(["input": .perUnit(unitCost: .max, perUnits: 1_000)]))
                    ]), effectiveFrom: Instant(microseconds: .max)),
                .createPackage(
                    TopupPackage(
                        key: package, name: "Small", credits: .max, price: 999, currency: "EUR", expiresAfter: month,
                        priority: 7, isArchived: false)),
                .updatePackage(
                    key: package,
                    PackageChange(
                        name: "Big", credits: .max, price: 0, currency: "USD", expiresAfter: .set(nil),
                        priority: .set(100), isArchived: true)),
                .updatePackage(key: package, PackageChange(expiresAfter: .set(month))),
                .updateConfig(ConfigChange(rateLimitPerSecond: .set(5), failClosedOverMilliseconds: .set(nil))),
                .updateConfig(ConfigChange(failClosedOverMilliseconds: .set(0))),
                .updateConfig(
                    ConfigChange(overagePolicy: .set(.notify), overageLimit: .set(.max), timeZone: .set("Asia/Tokyo"))),
                .updateConfig(ConfigChange(overagePolicy: .set(nil), overageLimit: .set(nil), timeZone: .set(nil))),
                .createTestClock(now: Instant(microseconds: -1)),
                .advanceTestClock(id: Bits128(high: 5, low: 6), to: Instant(microseconds: .max)),
            ]
            return [account]
                + catalogue.map { action in
                    CommandRequest(
                        token: 2, requestID: "", traceParent: nil, actor: Actor(keyID: nil, address: nil),
                        environmentID: .installation, wantsBodies: false,
                        commands: .catalogue(
                            CatalogueCommand(
                                identity: CommandIdentity(id: Bits128(high: 0, low: 0), idempotencyKey: nil),
                                action: action)))
                }
        }
    }
}
