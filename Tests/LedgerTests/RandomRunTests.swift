import Credits
import Glibc
import Ledger
import Metering
import SeededRandom
import Testing

@Suite("The core and the naive ledger agree on whatever happens")
struct RandomRunTests {
    private static let commandsPerRun = 400

    /// The runs of every build; `QUOTASTACK_TEST_SEED` runs another one in their place.
    private static let seeds: [UInt64] =
        getenv("QUOTASTACK_TEST_SEED").flatMap { UInt64(String(cString: $0)) }.map { [$0] } ?? Array(1...60)

    @Test("Random commands have the same outcomes, entries, blocks and answers in both", arguments: seeds)
    func randomRun(seed: UInt64) throws {
        var run = try RandomRun(seed: seed)
        for _ in 0..<Self.commandsPerRun {
            let problems = try run.step()
            guard !problems.isEmpty else { continue }
            Issue.record(
                """
                \(problems.joined(separator: "\n"))
                after these commands, the last of \(run.history.count) (QUOTASTACK_TEST_SEED=\(seed)):
                \(run.history.suffix(12).joined(separator: "\n"))
                """)
            return
        }
    }

    @Test("The runs meet every outcome, so that their agreement says something")
    func coverage() throws {
        var met: Set<String> = []
        for seed in Self.seeds.prefix(20) {
            var run = try RandomRun(seed: seed)
            for _ in 0..<Self.commandsPerRun { try #require(run.step().isEmpty) }
            met.formUnion(run.met)
        }
        guard Self.seeds.count > 1 else { return }
        #expect(
            met.isSuperset(of: [
                "granted", "used", "used of several blocks", "used nothing", "endUser", "advanced", "expired late",
                "expired together", "occurred_too_long_ago", "occurs_in_the_future", "expires_in_the_past",
                "unknown_end_user", "unknown_feature", "feature_not_priced", "amount_out_of_range",
                "insufficient_credits",
                "used all", "paid after free",
            ]))
    }
}

/// One seeded run: a clock, an account in the core, the same one in the naive ledger, and the auditor beside them.
private struct RandomRun {
    private var random: SeededGenerator
    private var clock: Int64
    private var model = NaiveLedger()
    private let catalogue: Catalogue
    private var draft: AccountDraft
    private var auditor: Auditor
    private(set) var history: [String] = []
    private(set) var met: Set<String> = []

    init(seed: UInt64) throws {
        random = SeededGenerator(seed: seed)
        guard let start = Instant(rfc3339: "2027-12-31T22:00:00.000007Z"), let endUserID = EndUserID("alice") else {
            throw ScriptError("no start")
        }
        clock = start.microseconds
        model.prices = RandomCommand.prices(around: clock)
        model.archived = ["old"]
        catalogue = try RandomCommand.catalogue(of: model)
        // Half of the runs begin with bought blocks, which no command makes yet.
        let opening = seed % 2 == 0 ? try Self.boughtBlocks(in: &model, around: clock, using: &random) : []
        let balance = try Millicredits(model.balance)
        let account = Account(
            id: AccountID(5), environmentID: EnvironmentID(1), endUserID: endUserID, version: 0, revision: 0,
            balance: balance, reserved: .zero, overage: .zero, lifetimeGranted: balance,
            blockCount: Int32(opening.count), lastHash: .zero, advancedTo: Instant(microseconds: .min),
            blocksInBurnOrder: opening)
        draft = AccountDraft(account: account, profile: nil)
        auditor = Auditor(opening: account)
    }

    private static func boughtBlocks(
        in model: inout NaiveLedger, around start: Int64, using random: inout SeededGenerator
    ) throws -> [Block] {
        for number in 1...6 {
            model.blocks.append(
                NaiveLedger.Block(
                    number: number, original: 500, remaining: Int64(number * 70), priority: number < 4 ? 50 : 10,
                    expiresAt: Bool.random(using: &random) ? nil : start + 7_200_000_000 * Int64(number % 3),
                    isPaid: Bool.random(using: &random), features: []))
        }
        model.lifetimeGranted = model.balance
        return try model.blocks.sorted(by: model.precedes).map { block in
            Block(
                number: Int32(block.number), original: try Millicredits(block.original),
                remaining: try Millicredits(block.remaining), held: .zero, priority: Int16(block.priority),
                expiresAt: block.expiresAt.map { Instant(microseconds: $0) }, isPaid: block.isPaid, featureKeys: [])
        }
    }

    /// Lets some time pass and plays one command on both sides; what differs, in words.
    mutating func step() throws -> [String] {
        passTime()
        if Int.random(in: 0..<4, using: &random) == 0 {
            draft = AccountDraft(account: draft.account, profile: draft.profile)
        }
        let command = RandomCommand.draw(model: model, clock: clock, using: &random)
        history.append("\(Instant(microseconds: clock)) \(command)")
        var problems = try checkInAdvance()
        let (before, linesBefore) = (draft, model.lines.count)
        let outcome = draft.apply(
            try command.action(key: "k\(history.count)"), idempotencyKey: "k\(history.count)", catalogue: catalogue,
            now: Instant(microseconds: clock))
        let expected = command.result(in: &model, clock: clock)
        let entries = draft.entries.dropFirst(before.entries.count)
        if outcome.result != expected { problems.append("the core says \(outcome), the naive ledger \(expected)") }
        if case .refused = outcome {
            var advanced = before
            advanced.advance(to: Instant(microseconds: model.now))
            if draft != advanced { problems.append("a refusal changed something") }
        }
        let isChanged = !entries.isEmpty || draft.profile != before.profile
        if (draft.account.revision > before.account.revision) != isChanged {
            problems.append("the revision must rise exactly when there is something to write")
        }
        problems += auditor.audit(entries, of: draft)
        problems += compareState()
        let lines = entries.map(\.line)
        if lines != Array(model.lines[linesBefore...]) {
            problems.append("the core wrote \(lines), the naive ledger \(model.lines[linesBefore...])")
        }
        note(outcome, expected, entries)
        return problems
    }

    private mutating func passTime() {
        let nextExpiry = model.blocks.filter { $0.remaining > 0 }.compactMap(\.expiresAt).min()
        switch Int.random(in: 0..<24, using: &random) {
        case 0..<8: break
        case 8: clock += 1
        case 9..<13: clock += Int64.random(in: 0...60_000_000, using: &random)
        case 13..<16: clock += Int64.random(in: 0...7_200_000_000, using: &random)
        case 16: clock += Int64.random(in: 0...40 * 86_400_000_000, using: &random)
        case 17: clock -= Int64.random(in: 0...600_000_000, using: &random)
        case 18, 19: clock = nextExpiry ?? clock
        case 20, 21: clock = nextExpiry.map { $0 - 1 } ?? clock
        case 22: clock = nextExpiry.map { $0 + 1 } ?? clock
        default: clock = max(clock, model.now)
        }
    }

    /// Compares the answers to checks and what time alone does, in one step and in many.
    private mutating func checkInAdvance() throws -> [String] {
        var problems: [String] = []
        var advanced = model
        advanced.advance(to: clock)
        let account = draft.account.advanced(to: Instant(microseconds: clock))
        let feature = RandomCommand.features.randomElement(using: &random) ?? "unit"
        let units = Bool.random(using: &random) ? random.magnitude(upTo: .max) : random.magnitude(upTo: 1_000)
        let answer = try? Entitlement.decide(
            account: account, catalogue: catalogue, feature: try RandomCommand.key(feature), units: units,
            occurredAt: Instant(microseconds: advanced.now))
        let expected = advanced.check(feature, units: units, at: advanced.now)
        if answer?.answer != expected {
            problems.append("a check of \(units) \(feature): \(answer as Any), expected \(expected as Any)")
        }
        let due = draft.account.dueAt?.microseconds
        let expectedDue = model.blocks.filter { $0.remaining > 0 }.compactMap(\.expiresAt).min()
        if due != expectedDue {
            problems.append("due at \(due as Any), expected \(expectedDue as Any)")
        }
        guard let due, due <= clock else { return problems }
        var (once, often) = (draft, draft)
        once.advance(to: Instant(microseconds: clock))
        var time = due - 2
        while time < clock {
            often.advance(to: Instant(microseconds: time))
            time += Int64.random(in: 1...max(1, (clock - due) / 3), using: &random)
        }
        often.advance(to: Instant(microseconds: clock))
        if once.entries.map(\.line.whatTimeDecides) != often.entries.map(\.line.whatTimeDecides)
            || once.account.blocks != often.account.blocks || once.account.balances != often.account.balances
        {
            problems.append("one step of time and many differ")
        }
        return problems
    }

    private func compareState() -> [String] {
        var problems: [String] = []
        func expect<Value: Equatable>(_ core: Value, _ naive: Value, _ what: String) {
            if core != naive { problems.append("\(what): the core has \(core), the naive ledger \(naive)") }
        }
        let account = draft.account
        expect(account.balance.rawValue, model.balance, "balance")
        expect(account.lifetimeGranted.rawValue, model.lifetimeGranted, "lifetime granted")
        expect(Int(account.version), model.lines.count, "version")
        expect(Int(account.blockCount), model.blocks.count, "blocks ever")
        expect(account.advancedTo.microseconds, model.now, "clock of the account")
        expect(draft.profile != nil, model.exists, "existence")
        let open = model.blocks.filter { $0.remaining > 0 }.sorted(by: model.precedes)
        expect(account.blocks.map { Int($0.number) }, open.map(\.number), "burn order")
        expect(account.blocks.map(\.remaining.rawValue), open.map(\.remaining), "remaining")
        for feature in Set(RandomCommand.features) {
            guard let key = FeatureKey(feature) else { continue }
            expect(account.spendable(for: key), model.spendable(feature), "spendable for \(feature)")
        }
        return problems
    }

    private mutating func note(_ outcome: Outcome, _ expected: NaiveLedger.Result, _ entries: ArraySlice<Entry>) {
        switch expected {
        case .granted: met.insert("granted")
        case .used(let cost): met.insert(cost == 0 ? "used nothing" : "used")
        case .endUser: met.insert("endUser")
        case .advanced: met.insert("advanced")
        case .refused(let reason, _): met.insert(reason)
        }
        if case .used(let entry, let balances) = outcome {
            if entry.allocations.count > 2 { met.insert("used of several blocks") }
            if entry.amount < 0, balances.balance == 0 { met.insert("used all") }
            let paid = entry.allocations.compactMap { share in
                model.blocks.first { $0.number == Int(share.block) }?.isPaid
            }
            if paid.first == false, paid.last == true { met.insert("paid after free") }
        }
        let expiries = entries.filter { $0.type == .expire }
        if expiries.contains(where: { $0.effectiveAt < $0.recordedAt }) { met.insert("expired late") }
        if Set(expiries.map(\.effectiveAt)).count < expiries.count { met.insert("expired together") }
    }
}

// MARK: - The core's values in the naive ledger's terms

extension Outcome {
    fileprivate var result: NaiveLedger.Result {
        switch self {
        case .granted(let granted, _, _): .granted(block: Int(granted.block.number))
        case .used(let entry, _): .used(cost: -entry.amount)
        case .endUser(_, let created): .endUser(created: created)
        case .advanced: .advanced
        case .refused(let refusal): .refused(refusal.name, figures: refusal.figures)
        }
    }
}

extension Refusal {
    fileprivate var figures: [Int64] {
        switch self {
        case .occurredTooLongAgo(let instant, let now), .occursInTheFuture(let instant, let now),
            .expiresInThePast(let instant, let now):
            [instant.microseconds, now.microseconds]
        case .insufficientCredits(let effectiveBalance, let spendable, let required):
            [effectiveBalance, spendable, required]
        default: []
        }
    }
}

extension Entitlement {
    fileprivate var answer: NaiveLedger.Answer {
        NaiveLedger.Answer(
            reason: denial?.rawValue, cost: cost?.rawValue, spendable: spendable, affordable: affordableUnits)
    }
}

extension Entry {
    fileprivate var line: NaiveLedger.Line {
        NaiveLedger.Line(
            type: type.rawValue, amount: amount, balanceAfter: balanceAfter,
            allocations: allocations.map { [Int64($0.block), $0.amount] }, effectiveAt: effectiveAt.microseconds,
            recordedAt: recordedAt.microseconds, feature: cause.featureKey?.rawValue, units: cause.units,
            ruleVersion: cause.ruleID.map { Int($0.bits.low) })
    }
}

extension NaiveLedger.Line {
    /// The line without `recordedAt`, which says when the ledger got to it.
    fileprivate var whatTimeDecides: NaiveLedger.Line {
        NaiveLedger.Line(
            type: type, amount: amount, balanceAfter: balanceAfter, allocations: allocations, effectiveAt: effectiveAt,
            recordedAt: effectiveAt, feature: feature, units: units, ruleVersion: ruleVersion)
    }
}
