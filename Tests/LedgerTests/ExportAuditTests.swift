import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("An export is verified by itself")
struct ExportAuditTests {
    /// The lines of one end user: a grant that pays off overage, a reservation with progress, a refund, a transfer.
    private static func lines() throws -> [[UInt8]] {
        let feature = try #require(FeatureKey("tokens"))
        var catalogue = Catalogue()
        catalogue.features[feature] = Feature(key: feature)
        catalogue.config.overagePolicy = .allow
        let rule = MeteringRule(
            id: PublicID(.rule, Bits128(high: 1, low: 2)), featureKey: feature, version: 1,
            price: Price(.perUnit(unitCost: try Millicredits(7), perUnits: 2)),
            effectiveFrom: Instant(microseconds: 0))
        catalogue.prices[feature] = PriceList([rule])
        var drafts = try ["ann \u{e9}\"", "bob"].enumerated().map { index, name in
            AccountDraft(
                account: Account(
                    id: AccountID(Int64(index + 1)), environmentID: EnvironmentID(1),
                    endUserID: try #require(EndUserID(name))), profile: nil)
        }
        var now = Instant(microseconds: 1_700_000_000_000_000)
        func apply(_ action: AccountAction) {
            now = now.adding(seconds: 1)
            let outcome = drafts[0].apply(
                action, idempotencyKey: "k/\(now.microseconds)", catalogue: catalogue, now: now)
            if case .refused(let refusal) = outcome { Issue.record("refused: \(refusal)") }
        }
        let attributes = Attributes(["model": .string("large"), "cached": .boolean(true)])
        apply(.use(UsageEvent(featureKey: feature, measure: .units(3), attributes: attributes)))
        apply(.grant(Grant(credits: try Millicredits(1_000), expiry: .at(now.adding(seconds: 100)))))
        let job = Demand.measured(.units(40), attributes)
        apply(.reserve(ReservationRequest(featureKey: feature, estimate: job, ttlSeconds: 50)))
        apply(.reservation(1, .progress(.measured(.units(50), attributes))))
        apply(.reservation(1, .commit(.measured(.units(61), attributes), shortfall: nil)))
        apply(.refund(Refund(account: AccountID(1), charge: drafts[0].account.version, extent: .units(11))))
        apply(.reserve(ReservationRequest(featureKey: feature, estimate: job, ttlSeconds: 5)))
        now = now.adding(seconds: 200)
        apply(
            .grant(
                Grant(
                    credits: try Millicredits(500),
                    metadata: Metadata(canonicalJSON: #"{"a":[-0,0.70,1E+3,{"b":null}],"ü":"ß"}"#))))
        let transfer = Transfer(receiver: drafts[1].account.endUserID, credits: try Millicredits(20), reason: "gift")
        var (sender, receiver) = (drafts[0], drafts[1])
        _ = AccountDraft.transfer(
            transfer, from: &sender, to: &receiver, idempotencyKey: nil, catalogue: catalogue, now: now)
        drafts = [sender, receiver]
        return drafts.flatMap { draft in
            draft.entries.map { $0.json(account: draft.account.id, endUserID: draft.account.endUserID) }
        }
    }

    private static func findings(_ lines: [[UInt8]]) -> [ExportAudit.Finding] {
        var audit = ExportAudit()
        for line in lines { audit.take(line) }
        return audit.findings
    }

    @Test("An export of the ledger is found intact, with its accounts one after another or mixed")
    func whole() throws {
        let lines = try Self.lines()
        #expect(lines.count >= 14)
        #expect(Self.findings(lines) == [])
        #expect(Self.findings([lines[lines.count - 1]] + lines.dropLast()) == [])
    }

    @Test("Any changed byte is found in its line")
    func everyByte() throws {
        let lines = try Self.lines()
        var before = ExportAudit()
        for line in lines {
            for index in line.indices {
                var (audit, changed) = (before, line)
                changed[index] = line[index] == UInt8(ascii: "1") ? UInt8(ascii: "2") : UInt8(ascii: "1")
                audit.take(changed)
                #expect(audit.findings.count == 1, "byte \(index) of \(String(decoding: line, as: UTF8.self))")
            }
            before.take(line)
        }
        #expect(before.findings.isEmpty)
    }

    @Test("A line that is missing, doubled or moved is found")
    func order() throws {
        let lines = try Self.lines()
        #expect(Self.findings(Array(lines.dropFirst())).map(\.line) == [1])
        #expect(Self.findings([lines[0]] + lines).map(\.line) == [2])
        var swapped = lines
        swapped.swapAt(2, 3)
        #expect(Self.findings(swapped).map(\.line) == [3])
    }

    @Test(
        "A line that is not an entry is reported and does not stop the audit",
        arguments: ["", "{", "[]", "{}", "\u{0}", "null"])
    func rubbish(line: String) throws {
        let lines = try Self.lines()
        #expect(Self.findings([Array(line.utf8)] + lines).map(\.line) == [1])
    }
}
