import Credits
import Ledger
import Messaging
import Metering
import Testing

@Suite("Commands to accounts")
struct AccountActionTests {
    @Test("every action comes out as it went in")
    func roundTrip() throws {
        for action in try Self.actions {
            #expect(try Self.decoded(Self.encoded(action)) == action)
        }
    }

    @Test("an action cut anywhere is refused")
    func truncation() throws {
        for action in try Self.actions {
            let bytes = try Self.encoded(action)
            for length in bytes.indices {
                #expect(throws: CodingError.self, "\(action) cut at \(length)") {
                    try Self.decoded(Array(bytes[..<length]))
                }
            }
        }
    }

    @Test("an action with any one byte changed is read or refused, and what is read can be written again")
    func changedBytes() throws {
        var read = 0
        for action in try Self.actions {
            let bytes = try Self.encoded(action)
            for index in bytes.indices {
                for mask: UInt8 in [0x01, 0x40, 0x80, 0xFF] {
                    var changed = bytes
                    changed[index] ^= mask
                    guard let other = try? Self.decoded(changed) else { continue }
                    read += 1
                    #expect(try Self.decoded(Self.encoded(other)) == other)
                }
            }
        }
        #expect(read > 0)
    }

    @Test("what the edge refuses is refused from a message too")
    func impossible() throws {
        let key = try #require(FeatureKey("calls"))
        let bob = try #require(EndUserID("bob"))
        let minus = try Millicredits(Int64(-1))
        let impossible: [AccountAction] = [
            .use(UsageEvent(featureKey: key, units: -1)),
            .use(UsageEvent(featureKey: key, measure: .quantities(["input": 1, "output": -1]))),
            .grant(Grant(credits: .zero)), .grant(Grant(credits: minus)), .grant(Grant(credits: .max, priority: 101)),
            .grant(Grant(credits: .max, payment: Payment(price: -1))),
            .topUp(TopUp(credits: .amount(.zero))), .topUp(TopUp(credits: .amount(.max), priority: -1)),
            .topUp(TopUp(credits: .amount(.max), payment: Payment(price: Millicredits.limit + 1))),
            .topUp(TopUp(credits: .amount(.max), payment: Payment(externalID: ""))),
            .refund(Refund(account: AccountID(1), charge: 1, extent: .units(0))),
            .refund(Refund(account: AccountID(1), charge: 1, extent: .credits(.zero))),
            .adjust(Adjustment(amount: .zero)),
            .transfer(Transfer(receiver: bob, credits: .zero)),
            .transfer(Transfer(receiver: try Self.alice, credits: .max)),
            .reserve(ReservationRequest(featureKey: key, estimate: .credits(minus))),
            .reserve(ReservationRequest(featureKey: key, estimate: .credits(.max), ttlSeconds: 0)),
            .reserve(ReservationRequest(featureKey: key, estimate: .credits(.max), ttlSeconds: 604_801)),
            .reservation(1, .extend(ttlSeconds: 0)),
            .reservation(1, .progress(.measured(.units(-1), .none))),
            .createSpendCap(NewSpendCap(credits: minus, window: .day)),
            .updateEndUser(EndUserChange(overageLimit: .set(minus))),
        ]
        for action in impossible {
            #expect(throws: CodingError.self, "\(action)") { try Self.decoded(Self.encoded(action)) }
        }
    }

    @Test("every action of somebody's is in the audit log under a name and an area of its own; time is not")
    func auditActions() throws {
        let names = try Self.actions.compactMap { AuditAction($0) }
        let catalogue: Set<AuditAction> = [
            .createFeature, .updateFeature, .createRule, .createPackage, .updatePackage, .createKey, .rollKey,
            .revokeKey, .updateConfig, .createTestClock, .advanceTestClock, .createTenant,
        ]
        #expect(Set(names) == Set(AuditAction.allCases).subtracting(catalogue))
        #expect(AuditAction(.advance) == nil)
        #expect(AuditAction.progressReservation.area == .reservations)
        #expect(AuditAction.createTopUp.area == .credits)
        #expect(AuditAction.createSpendCap.area == .entitlements)
    }

    private static func encoded(_ action: AccountAction) throws -> [UInt8] {
        let command = AccountCommand(
            identity: CommandIdentity(id: Bits128(high: 1, low: 2), idempotencyKey: nil), endUserID: try alice,
            action: action)
        return CommandMessage(
            sentAt: Instant(microseconds: 7),
            requests: [
                CommandRequest(
                    token: 1, requestID: "r", traceParent: nil, actor: Actor(keyID: nil, address: nil),
                    environmentID: EnvironmentID(3), wantsBodies: true, commands: .account([command]))
            ]
        ).encoded()
    }

    /// The only action of a message.
    private static func decoded(_ bytes: [UInt8]) throws -> AccountAction {
        let message = try CommandMessage(decoding: bytes)
        guard message.requests.count == 1, case .account(let commands) = message.requests[0].commands,
            commands.count == 1
        else { throw CodingError.truncated }
        return commands[0].action
    }

    private static var alice: EndUserID {
        get throws { try #require(EndUserID("alice")) }
    }

    private static var actions: [AccountAction] {
        get throws {
            let key = try #require(FeatureKey("api_calls"))
            let bob = try #require(EndUserID("bob"))
            let package = try #require(PackageKey("small"))
            let metadata = Metadata(canonicalJSON: #"{"model":"large"}"#)
            let month = try #require(CalendarDuration(iso8601: "P1MT5H"))
            let attributes = Attributes(["model": .string("é\""), "cached": .boolean(true), "tier": .integer(.min)])
            let payment = Payment(price: Millicredits.limit, currency: "EUR", externalID: "pay_é")
            let quantities = Measure.quantities(["input": .max, "output": 0])
            let quota = Quota(limit: 5, window: .duration(month), anchor: .firstUse)
            return [
                .use(
                    UsageEvent(featureKey: key, units: .max, occurredAt: Instant(microseconds: -1), metadata: metadata)),
                .use(UsageEvent(featureKey: key, measure: quantities, attributes: attributes)),
                .grant(
                    Grant(
                        credits: .max, source: .compensation, priority: 100, expiry: .at(Instant(microseconds: 5)),
                        featureKeys: [key, key], payment: payment, reason: "sorry", metadata: metadata)),
                .grant(Grant(credits: .max, expiry: .after(month))),
                .topUp(
                    TopUp(
                        credits: .amount(.max), payment: payment, fingerprint: Bits128(high: 3, low: .max),
                        priority: 0, expiry: .never, featureKeys: [key], reason: "r", metadata: metadata)),
                .topUp(TopUp(credits: .package(package), expiry: .after(month))),
                .refund(
                    Refund(
                        account: AccountID(-1), charge: .max, extent: .units(.max), compensationExpiry: .never,
                        reason: "r", metadata: metadata)),
                .refund(Refund(account: AccountID(1), charge: 1, extent: .credits(.max))),
                .refund(Refund(account: AccountID(1), charge: 1)),
                .revoke(Revocation(block: .max, reason: "chargeback", metadata: metadata)),
                .adjust(Adjustment(amount: -Millicredits.max, reason: "r", metadata: metadata)),
                .adjust(Adjustment(amount: .max)),
                .transfer(Transfer(receiver: bob, credits: .max, reason: "r", metadata: metadata)),
                .reserve(
                    ReservationRequest(
                        featureKey: key, estimate: .measured(quantities, attributes), ttlSeconds: 604_800,
                        metadata: metadata)),
                .reserve(ReservationRequest(featureKey: key, estimate: .credits(.zero), ttlSeconds: 1)),
                .reservation(1, .commit(.credits(.max), shortfall: .cap)),
                .reservation(1, .commit(.measured(.units(0), .none), shortfall: nil)),
                .reservation(.max, .release), .reservation(2, .extend(ttlSeconds: 300)),
                .reservation(3, .progress(.measured(.units(7), attributes))),
                .createSpendCap(NewSpendCap(featureKey: key, credits: .zero, window: .duration(month))),
                .createSpendCap(NewSpendCap(credits: .max, window: .week)), .deleteSpendCap(.max),
                .createEndUser(
                    EndUserChange(
                        name: .set("Alice"), metadata: .set(nil), overagePolicy: .set(.notify),
                        overageLimit: .set(.max),
                        overrides: .set([key: .quota(quota), try #require(FeatureKey("sso")): .enabled(false)]),
                        testClock: PublicID(.testClock, Bits128(high: 8, low: 9)))),
                .updateEndUser(
                    EndUserChange(
                        name: .set(nil), metadata: .set(metadata), overagePolicy: .set(nil), overageLimit: .set(nil),
                        overrides: .set([:]))),
                .refund(Refund(account: AccountID(1), charge: -1)), .revoke(Revocation(block: .min)),
                .reservation(0, .release),
                .deleteSpendCap(-1), .updateEndUser(EndUserChange(overrides: .set(nil))),
                .updateEndUser(EndUserChange()), .advance,
            ]
        }
    }
}
