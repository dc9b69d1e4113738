import Credits
import Ledger
import Metering

/// Plays the statements of a ledger script on account drafts.
struct LedgerRunner {
    /// One end user: the draft of a batch that never ends, and the books of the auditor beside it.
    fileprivate struct Participant {
        var draft: AccountDraft
        var auditor: Auditor
        var blockNames: [Int32: String] = [:]
    }

    private var clock: Instant
    private var catalogue = Catalogue()
    private var ruleCount: Int32 = 0
    private var participants: [String: Participant] = [:]

    init() throws {
        guard let start = Instant(rfc3339: "2026-04-12T00:00:00Z") else { throw ScriptError("no start") }
        clock = start
        try price("api", .perUnit(unitCost: Millicredits(Int64(1)), perUnits: 1), from: Instant(microseconds: 0))
    }

    /// Runs one statement; what does not hold, in words.
    mutating func run(_ statement: LedgerScript.Statement) throws -> [String] {
        var words = Words(statement.words)
        if statement.outcome != nil, !["grant", "use", "check"].contains(statement.verb) {
            throw ScriptError("only grant, use and check have an outcome")
        }
        switch statement.verb {
        case "at": clock = try words.instant(clock)
        case "feature", "archive":
            let key = try featureKey(words.word("a feature"))
            catalogue.features[key] = Feature(key: key, isArchived: statement.verb == "archive")
        case "price": try price(&words)
        case "grant": return try grant(&words, expecting: statement.outcome ?? ["ok"])
        case "use": return try use(&words, expecting: statement.outcome ?? ["ok"])
        case "check": return try check(&words, expecting: statement.outcome ?? ["allowed"])
        case "advance": return try apply(.advance, to: words.word("an end user")).problems
        default: return try look(statement.verb, &words)
        }
        try words.end()
        return []
    }
}

// MARK: - Commands

extension LedgerRunner {
    private mutating func grant(_ words: inout Words, expecting expected: [String]) throws -> [String] {
        let user = try words.word("an end user")
        var grant = Grant(credits: try Millicredits(words.number("an amount")))
        var name: String?
        while let word = words.next {
            _ = try words.word("an option")
            if word == "as" {
                name = try words.word("a name")
            } else if word == "only" {
                grant.featureKeys = try words.word("features").split(separator: ",").map { try featureKey(String($0)) }
            } else if let source = BlockSource(rawValue: word) {
                grant.source = source
            } else if word.first == "p", let priority = Int16(word.dropFirst()) {
                grant.priority = priority
            } else if let duration = CalendarDuration(iso8601: word) {
                grant.expiry = .after(duration)
            } else if let instant = Words.instant(word, clock: clock) {
                grant.expiry = .at(instant)
            } else {
                throw ScriptError("\(word) is not understood")
            }
        }
        let result = try apply(.grant(grant), to: user)
        if case .granted(let granted, _, _) = result.outcome {
            participants[user]?.blockNames[granted.block.number] = name ?? "\(granted.block.number)"
        }
        return result.problems + differences(outcome: result.outcome, expected: expected)
    }

    private mutating func use(_ words: inout Words, expecting expected: [String]) throws -> [String] {
        let user = try words.word("an end user")
        let units = try words.number("a number of units")
        let feature = try featureKey(words.next == nil || words.next == "occurred" ? "api" : words.word("a feature"))
        let occurredAt = words.take("occurred") ? try words.instant(clock) : nil
        try words.end()
        let result = try apply(.use(UsageEvent(featureKey: feature, units: units, occurredAt: occurredAt)), to: user)
        return result.problems + differences(outcome: result.outcome, expected: expected)
    }

    private func check(_ words: inout Words, expecting expected: [String]) throws -> [String] {
        let user = try words.word("an end user")
        let units = try words.number("a number of units")
        let feature = try featureKey(words.isEmpty ? "api" : words.word("a feature"))
        try words.end()
        let account = try participant(user).draft.account.advanced(to: clock)
        let answer = try Entitlement.decide(
            account: account, catalogue: catalogue, feature: feature, units: units, occurredAt: clock)
        let said = [answer.denial?.rawValue ?? "allowed", "\(answer.affordableUnits)"]
        return said.starts(with: expected) ? [] : ["is \(said.joined(separator: " "))"]
    }

    /// Applies an action, and beside it demands what holds for every action: the check says what the debit does, a
    /// refusal changes nothing but the time, a batch of one gives what a longer batch gives, and the books are right.
    private mutating func apply(
        _ action: AccountAction, to user: String
    ) throws -> (outcome: Outcome, problems: [String]) {
        var participant = try participant(user)
        let before = participant.draft
        var advanced = before
        advanced.advance(to: max(clock, before.account.advancedTo))
        var alone = AccountDraft(account: before.account, profile: before.profile)
        let outcome = participant.draft.apply(action, idempotencyKey: nil, catalogue: catalogue, now: clock)
        var problems: [String] = []
        if case .refused = outcome, participant.draft != advanced { problems.append("a refusal changed something") }
        if case .use(let event) = action, event.occurredAt == nil {
            let answer = try? Entitlement.decide(
                account: advanced.account, catalogue: catalogue, feature: event.featureKey, units: event.units,
                occurredAt: advanced.account.advancedTo)
            if Self.denial(of: outcome) != answer.map({ $0.denial?.rawValue }) ?? "amount_out_of_range" {
                problems.append("the check says \(String(describing: answer?.denial)), the debit \(outcome)")
            }
        }
        let outcomeAlone = alone.apply(action, idempotencyKey: nil, catalogue: catalogue, now: clock)
        if outcomeAlone != outcome || alone.account != participant.draft.account
            || before.entries + alone.entries != participant.draft.entries
        {
            problems.append("a batch of its own gives another result")
        }
        problems += participant.auditor.audit(
            participant.draft.entries.dropFirst(before.entries.count), of: participant.draft)
        participants[user] = participant
        return (outcome, problems)
    }

    private static func denial(of outcome: Outcome) -> String? {
        if case .refused(let refusal) = outcome { refusal.name } else { nil }
    }

    private func differences(outcome: Outcome, expected: [String]) -> [String] {
        let said: [String] =
            switch outcome {
            case .refused(.insufficientCredits(_, let spendable, let required)):
                ["insufficient_credits", "\(required)", "of", "\(spendable)"]
            case .refused(let refusal): [refusal.name]
            case .used(let entry, _): ["ok", "\(-entry.amount)"]
            default: ["ok"]
            }
        return said.starts(with: expected) ? [] : ["is \(said.joined(separator: " "))"]
    }
}

// MARK: - What is looked at

extension LedgerRunner {
    private func look(_ verb: String, _ words: inout Words) throws -> [String] {
        let participant = try participant(words.word("an end user"))
        let account = participant.draft.account.advanced(to: clock)
        func compare(_ is: Int64, _ expected: Int64) -> [String] { `is` == expected ? [] : ["is \(`is`)"] }
        switch verb {
        case "balance": return try compare(account.balances.balance, words.number("an amount"))
        case "lifetime": return try compare(account.lifetimeGranted.rawValue, words.number("an amount"))
        case "entries": return try compare(account.version, words.number("a count"))
        case "spendable":
            return try compare(account.spendable(for: featureKey(words.word("a feature"))), words.number("an amount"))
        case "blocks":
            let listed = account.blocks.flatMap { [participant.name($0.number), "\($0.remaining.rawValue)"] }
            var expected: [String] = []
            while !words.isEmpty { expected.append(try words.word("a block")) }
            return listed == expected ? [] : ["are \(listed.joined(separator: " "))"]
        case "last": return try lookAtLastEntry(of: participant, &words)
        default: throw ScriptError("\(verb) is not understood")
        }
    }

    /// `last alice use -40 balance 60 effective <instant> recorded <instant> from first 30 second 10`; the parts behind
    /// the amount may be left out.
    private func lookAtLastEntry(of participant: Participant, _ words: inout Words) throws -> [String] {
        guard let entry = participant.draft.entries.last else { return ["there is no entry"] }
        var problems: [String] = []
        func expect(_ condition: Bool) { if !condition { problems = ["is \(entry)"] } }
        expect(try entry.type.rawValue == words.word("a type"))
        expect(try entry.amount == words.number("an amount"))
        while !words.isEmpty {
            switch try words.word("a part") {
            case "balance": expect(try entry.balanceAfter == words.number("an amount"))
            case "effective": expect(try entry.effectiveAt == words.instant(clock))
            case "recorded": expect(try entry.recordedAt == words.instant(clock))
            case "from":
                var expected: [String] = []
                while !words.isEmpty { expected.append(try words.word("an allocation")) }
                expect(expected == entry.allocations.flatMap { [participant.name($0.block), "\(-$0.amount)"] })
            case let word: throw ScriptError("\(word) is not understood")
            }
        }
        return problems
    }

    private func participant(_ user: String) throws -> Participant {
        if let participant = participants[user] { return participant }
        guard let endUserID = EndUserID(user) else { throw ScriptError("\(user) is no end user") }
        let account = Account(id: AccountID(17), environmentID: EnvironmentID(1), endUserID: endUserID)
        return Participant(draft: AccountDraft(account: account, profile: nil), auditor: Auditor(opening: account))
    }

    private func featureKey(_ text: String) throws -> FeatureKey {
        guard let key = FeatureKey(text) else { throw ScriptError("\(text) is no feature") }
        return key
    }

    private mutating func price(_ words: inout Words) throws {
        let feature = try words.word("a feature")
        let model: PricingModel
        if words.take("flat") {
            model = .flat(amount: try Millicredits(words.number("an amount")))
        } else {
            let unitCost = try Millicredits(words.number("an amount"))
            let perUnits = words.take("per") ? try words.number("a number of units") : 1
            model = .perUnit(unitCost: unitCost, perUnits: perUnits)
        }
        try price(feature, model, from: words.take("from") ? words.instant(clock) : Instant(microseconds: 0))
    }

    private mutating func price(_ feature: String, _ model: PricingModel, from effectiveFrom: Instant) throws {
        let key = try featureKey(feature)
        ruleCount += 1
        catalogue.features[key] = Feature(key: key, isArchived: false)
        catalogue.prices[key, default: PriceList()].insert(
            MeteringRule(
                id: PublicID(.rule, Bits128(high: 0, low: UInt64(ruleCount))), featureKey: key, version: ruleCount,
                price: Price(model), effectiveFrom: effectiveFrom))
    }
}

extension LedgerRunner.Participant {
    func name(_ block: Int32) -> String { blockNames[block] ?? "?" }
}

extension Refusal {
    /// The reason as a script and the model name it.
    var name: String {
        switch self {
        case .occurredTooLongAgo: "occurred_too_long_ago"
        case .occursInTheFuture: "occurs_in_the_future"
        case .expiresInThePast: "expires_in_the_past"
        case .unknownEndUser: "unknown_end_user"
        case .unknownFeature: "unknown_feature"
        case .featureNotPriced: "feature_not_priced"
        case .amountOutOfRange: "amount_out_of_range"
        case .insufficientCredits: "insufficient_credits"
        }
    }
}
