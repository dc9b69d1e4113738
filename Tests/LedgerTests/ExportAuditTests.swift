import Catalogue
import Credits
import Foundation
import Ledger
import Metering
import OldEntries
import Testing

@Suite("An export is verified by itself")
struct ExportAuditTests {
    /// The lines of one end user: a grant that pays off overage, a reservation with progress, a refund, a transfer.
    private static func lines() throws -> [[UInt8]] {
        try drafts().flatMap { draft in draft.entries.map { $0.exportLine(of: draft.owner, isErased: false) } }
    }

    private static func drafts() throws -> [AccountDraft] {
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
        apply(.reservation(1, .progress(.measured(.units(50), attributes), of: nil)))
        apply(.reservation(1, .commit(.measured(.units(61), attributes), of: nil, shortfall: nil)))
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
        return [sender, receiver]
    }

    /// The lines of the same entries in the form of version 1, in which their hashes cover the clear text.
    ///
    /// - Parameter isErased: Whether an erasure has removed the text of both end users.
    private static func clearLines(isErased: Bool = false) throws -> [[UInt8]] {
        try drafts().flatMap { draft in
            draft.entriesOfVersion1.map { $0.exportLine(of: draft.owner, isErased: isErased) }
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
        #expect(Self.findings(try Self.clearLines()) == [])
    }

    @Test("After an erasure the lines have no text and no salt, and the hashes of before, and are found intact")
    func erased() throws {
        let drafts = try Self.drafts()
        let texts = [
            "ann", "bob", "gift", "k/1700000001000000", #""ü""#, "large", "salt", #""personal""#, "end_user_id",
        ]
        var lines: [[UInt8]] = []
        for draft in drafts {
            for entry in draft.entries {
                let digest = try #require(entry.digest(of: draft.owner))
                let owner = EntryOwner(
                    account: draft.account.id, endUserID: EndUserID(erased: draft.account.id), salt: nil)
                let line = entry.erased(digest).exportLine(of: owner, isErased: true)
                // The line is the same while the text is still being removed.
                #expect(entry.exportLine(of: draft.owner, isErased: true) == line)
                lines.append(line)
            }
        }
        #expect(Self.findings(lines) == [])
        for line in lines {
            let text = String(decoding: line, as: UTF8.self)
            for personal in texts { #expect(!text.contains(personal), "\(personal) in \(text)") }
        }
        // A changed amount, a changed digest and a reason that somebody adds are found.
        var audit = ExportAudit()
        for line in lines.prefix(2) { audit.take(line) }
        for (old, new) in [
            (#""amount":-"#, #""amount":-1"#), (#"digest":""#, #"digest":"0"#), ("}", #","reason":"x"}"#),
        ] {
            var changed = audit
            let text = String(decoding: lines[2], as: UTF8.self)
            let place = try #require(
                new.hasSuffix("}") ? text.range(of: old, options: .backwards) : text.range(of: old))
            changed.take(Array(text.replacingCharacters(in: place, with: new).utf8))
            #expect(changed.findings.count == 1, "\(new)")
        }
    }

    @Test("Of erased entries of version 1 the order and the sums are checked, and their number is told")
    func erasedOfVersion1() throws {
        var audit = ExportAudit()
        var lines = try Self.clearLines(isErased: true)
        for line in lines { audit.take(line) }
        #expect(audit.findings == [])
        #expect(audit.unprovable == lines.count)
        lines.remove(at: 3)
        #expect(Self.findings(lines).map(\.line) == [4])
    }

    @Test("The salt is shown in base64, and another text is no salt")
    func base64() throws {
        let salt = try #require(Salt(bytes: (0..<32).map { UInt8($0 * 7 + 3) }))
        // base64.b64encode(bytes(i * 7 + 3 for i in range(32)))
        #expect(salt.base64 == "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=")
        #expect(Salt(base64: salt.base64) == salt)
        for text in ["", "A", String(salt.base64.dropLast()), salt.base64 + "=", "-" + salt.base64.dropFirst()] {
            #expect(Salt(base64: text) == nil, "\(text)")
        }
        #expect(Salt(base64: salt.base64.replacing("dw=", with: "dx=")) == nil, "bits beyond the last byte")
    }

    @Test("Any changed byte is found in its line", arguments: [true, false])
    func everyByte(ofVersion1: Bool) throws {
        let lines = try ofVersion1 ? Self.clearLines() : Self.lines()
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

extension AccountDraft {
    var owner: EntryOwner { EntryOwner(account: account.id, endUserID: account.endUserID, salt: book.salt) }

    /// The entries of the draft as an earlier release would have written them: their hashes cover the clear text.
    var entriesOfVersion1: [Entry] {
        var old: [Entry] = []
        for entry in entries {
            old.append(
                entry.ofVersion1(
                    after: old.last?.hash ?? .zero, of: owner, counterparty: entry.cause.details.counterparty) ?? entry)
        }
        return old
    }
}
