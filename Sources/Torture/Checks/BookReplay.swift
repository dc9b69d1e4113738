import Credits
import JSON
import LedgerModel

/// Lets the model do every decided operation again, account by account, in the ledger's own order, and compares what it
/// makes of them with the books.
struct BookReplay {
    private let environments: [Environment]
    private let books: Books
    private let records: [Bits128: Record]
    private let setUpCommands: Set<Bits128>
    private let observations: [EndUser: [Observation]]
    private let violations: Violations
    /// Decided commands that the model went through.
    private(set) var replayed = 0
    /// Answers to checks and balances that were compared with the state they name.
    private(set) var observed = 0
    /// Every end user's final state by the model.
    private(set) var models: [EndUser: ModelLedger] = [:]

    init(
        environments: [Environment], books: Books, journals: [ClientJournal], setUpCommands: Set<Bits128>,
        violations: Violations
    ) {
        self.environments = environments
        self.books = books
        self.setUpCommands = setUpCommands
        self.violations = violations
        var records: [Bits128: Record] = [:]
        var observations: [EndUser: [Observation]] = [:]
        for journal in journals {
            for record in journal.records { records[record.operation.commandID(environments)] = record }
            for observation in journal.observations {
                observations[observation.endUser, default: []].append(observation)
            }
        }
        self.records = records
        self.observations = observations
    }

    mutating func run() {
        let numbers = Dictionary(uniqueKeysWithValues: environments.map { ($0.identifier, $0.number) })
        var owners: [Int64: EndUser] = [:]
        for account in books.accounts {
            guard let environment = numbers[account.environment] else { continue }
            owners[account.number] = EndUser(environment: environment, id: account.endUserID)
        }
        var timelines: [EndUser: [Books.Command]] = [:]
        for command in books.commands where !setUpCommands.contains(command.identifier) {
            guard let environment = numbers[command.environment] else { continue }
            let record = records[command.identifier]
            if let record, !record.operation.isOfAnAccount { continue }
            if record == nil {
                violations.add("I11: nobody sent the command \(PublicID(.operation, command.identifier))")
                continue
            }
            let owner = command.account.flatMap { owners[$0] }
            guard let endUser = owner ?? record?.operation.endUser, endUser.environment == environment else {
                violations.add("I22: \(PublicID(.operation, command.identifier)) is not in its own environment")
                continue
            }
            if let record, record.operation.endUser != endUser {
                violations.add("I22: key \(record.operation.key) of \(record.operation.endUser) is with \(endUser)")
            }
            timelines[endUser, default: []].append(command)
        }
        for account in books.accounts {
            guard let endUser = owners[account.number] else { continue }
            do {
                models[endUser] = try replay(account, endUser, timelines.removeValue(forKey: endUser) ?? [])
            } catch {
                violations.add("replay of environment \(endUser.environment), \(endUser.id): \(error)")
            }
        }
        for (endUser, commands) in timelines where !commands.allSatisfy({ $0.status >= 400 || $0.sequence == nil }) {
            violations.add("I12: \(endUser) has decided commands and no account")
        }
    }

    // MARK: - One account

    /// Changes come in the order of the revision that they made; refusals stand behind the change after which they were
    /// decided, or made a revision of their own when something expired before them.
    private mutating func replay(
        _ account: Books.Account, _ endUser: EndUser, _ commands: [Books.Command]
    ) throws -> ModelLedger {
        let entries = books.entries[account.number] ?? []
        let observations = Dictionary(grouping: observations[endUser] ?? [], by: \.revision)
        var model = ModelLedger(features: environments[endUser.environment].features)
        var revision: Int64 = 0
        var now = Instant(microseconds: .min)
        let ordered = commands.sorted { left, right in
            if left.revision != right.revision { return left.revision < right.revision }
            if left.isRefusal != right.isRefusal { return right.isRefusal }
            return left.decidedAt < right.decidedAt
        }
        compare(observations[0] ?? [], with: model)
        for command in ordered {
            guard let operation = records[command.identifier]?.operation else { continue }
            do {
                try advance(&model, &revision, entries, before: time(of: command, entries))
                let before = model.entries.count
                try apply(command, operation, entries, &model, &now)
                let written = model.entries.count - before
                let changes = command.isRefusal ? 0 : 1
                let expired = model.entries[before...].contains { $0.type == "expire" }
                revision += Int64((expired ? 1 : 0) + changes)
                guard revision == command.revision else {
                    throw Difference("it has revision \(command.revision), the model is at \(revision)")
                }
                try compare(model, entries: written, with: entries, now: now)
            } catch {
                throw Difference("\(operation.key), revision \(command.revision): \(error)")
            }
            compare(observations[command.revision] ?? [], with: model)
            replayed += 1
        }
        try advance(&model, &revision, entries, before: nil)
        try compare(account, model, revision: revision)
        return model
    }

    /// Lets the model write what was due before an instant and the books wrote for nobody: a read of the ledger has such
    /// things written first.
    private func advance(
        _ model: inout ModelLedger, _ revision: inout Int64, _ entries: [Books.Entry], before instant: Instant?
    ) throws {
        while model.entries.count < entries.count, case let next = entries[model.entries.count], next.type == "expire",
            instant.map({ next.recordedAt < $0 }) ?? true
        {
            let written = model.entries.count
            model.advance(to: next.recordedAt)
            guard model.entries.count > written else {
                throw Difference("entry \(next.sequence) expires what is not due in the model")
            }
            revision += 1
            try compare(model, entries: model.entries.count - written, with: entries, now: next.recordedAt)
        }
    }

    /// When a command was decided, by its entry where it has one: an account's clock never goes back.
    private func time(of command: Books.Command, _ entries: [Books.Entry]) -> Instant {
        guard let sequence = sequence(of: command), entries.indices.contains(Int(sequence) - 1) else {
            return command.decidedAt
        }
        return entries[Int(sequence) - 1].recordedAt
    }

    private func sequence(of command: Books.Command) -> Int64? {
        command.sequence ?? command.json["entry"]?["sequence"]?.integer
    }

    private func apply(
        _ command: Books.Command, _ operation: Operation, _ entries: [Books.Entry], _ model: inout ModelLedger,
        _ now: inout Instant
    ) throws {
        now = max(now, command.decidedAt)
        let response = command.json
        if let sequence = sequence(of: command) {
            guard entries.indices.contains(Int(sequence) - 1) else {
                throw Difference("entry \(sequence) is not there")
            }
            let entry = entries[Int(sequence) - 1]
            guard entry.recordedAt >= command.decidedAt else {
                throw Difference("entry \(sequence) was recorded before it was decided")
            }
            guard entry.key == operation.key else {
                throw Difference("entry \(sequence) has the key \(entry.key ?? "none")")
            }
            now = entry.recordedAt
        }
        do throws(ModelLedger.Refusal) {
            switch operation.action {
            case .use(let feature, let units, let occurredAt):
                try model.use(feature, units, occurredAt: occurredAt, now: now)
            case .grant(let credits, let priority, let expiry, let features):
                try model.grant(
                    credits, priority: priority ?? 50, expiresAt: expiry.instant(now: now), features: features, now: now
                )
            case .create(let name):
                model.advance(to: now)
                guard command.status == (model.exists ? 200 : 201) else { break }
                model.exists = true
                model.name = name
                return
            case .rename(let name):
                model.advance(to: now)
                guard model.exists else { throw ModelLedger.Refusal("unknown_end_user") }
                model.name = name
            case .nameFeature: return
            }
        } catch {
            return try compare(error, command, response)
        }
        let expected = if case .rename = operation.action { 200 } else { 201 }
        guard command.status == expected else {
            throw Difference("it was decided \(command.status), the model accepts it (\(expected))")
        }
    }

    private func compare(_ refusal: ModelLedger.Refusal, _ command: Books.Command, _ response: JSONValue) throws {
        let (status, code): (Int, String) =
            switch refusal.code {
            case "occurred_too_long_ago", "occurs_in_the_future", "expires_in_the_past": (400, "invalid_request")
            case "unknown_feature", "unknown_end_user": (404, refusal.code)
            case "feature_not_priced": (409, refusal.code)
            case "insufficient_credits": (402, refusal.code)
            default: (400, refusal.code)
            }
        guard command.status == status, response["code"]?.text == code else {
            throw Difference(
                "it was decided \(command.status) \(response["code"]?.text ?? ""), the model says \(status) \(code)")
        }
        if refusal.code == "insufficient_credits" {
            let named = ["effective_balance", "spendable_balance", "required"].map { response[$0]?.integer }
            guard named == refusal.figures else {
                throw Difference("the refusal names \(named), the model \(refusal.figures)")
            }
        }
    }

    // MARK: - Comparing

    /// The model's latest entries.
    private func compare(
        _ model: ModelLedger, entries count: Int, with entries: [Books.Entry], now: Instant
    ) throws {
        for expected in model.entries.suffix(count) {
            let place = Int(expected.sequence) - 1
            guard entries.indices.contains(place) else { throw Difference("entry \(expected.sequence) is missing") }
            let entry = entries[place]
            let isSame =
                entry.sequence == expected.sequence && entry.type == expected.type && entry.amount == expected.amount
                && entry.balanceAfter == expected.balanceAfter && entry.feature == expected.feature
                && entry.units == expected.units && entry.recordedAt == now
                && entry.blocks.map(Int.init) == expected.allocation.map(\.block)
                && entry.amounts == expected.allocation.map(\.amount)
                && (expected.effectiveAt == nil || entry.effectiveAt == expected.effectiveAt)
            guard isSame else { throw Difference("the model has \(expected), the books \(entry), at \(now)") }
        }
    }

    private func compare(_ account: Books.Account, _ model: ModelLedger, revision: Int64) throws {
        let shown = (
            account.version, account.revision, account.balance, account.lifetime, account.name ?? ""
        )
        let expected = (Int64(model.entries.count), revision, model.balance, model.lifetime, model.name ?? "")
        guard shown == expected else {
            throw Difference("version, revision, balance, lifetime, name are \(shown), the model says \(expected)")
        }
        let entries = books.entries[account.number] ?? []
        guard entries.count == model.entries.count else {
            throw Difference("there are \(entries.count) entries, the model has \(model.entries.count)")
        }
        let blocks = books.blocks[account.number] ?? []
        guard blocks.count == model.blocks.count else {
            throw Difference("there are \(blocks.count) blocks, the model has \(model.blocks.count)")
        }
        for (block, expected) in zip(blocks, model.blocks) {
            let isSame =
                block.number == expected.number && block.original == expected.original
                && block.remaining == expected.remaining && block.priority == expected.priority
                && block.expiresAt == expected.expiresAt && block.features == expected.features
            guard isSame else { throw Difference("the model has \(expected), the books \(block)") }
        }
    }

    /// What nodes showed of this state: the balance once everything that was due when they looked has happened.
    private mutating func compare(_ observations: [Observation], with model: ModelLedger) {
        for observation in observations {
            observed += 1
            let instants =
                [observation.start] + model.expiries(after: observation.start, upTo: observation.end)
                + [observation.end]
            let balances = instants.map { instant in
                var copy = model
                copy.advance(to: instant)
                return copy.balance
            }
            if !balances.contains(observation.balance) {
                violations.add(
                    "I21: \(observation.node) showed \(observation.endUser) at revision \(observation.revision) with "
                        + "\(observation.balance), the model has \(balances)")
            }
        }
    }
}

/// What the books and the model do not agree on.
private struct Difference: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension Books.Command {
    /// Whether it changed nothing.
    fileprivate var isRefusal: Bool { status >= 400 }
}

extension Operation.Expiry {
    fileprivate func instant(now: Instant) -> Instant? {
        switch self {
        case .never: nil
        case .at(let instant): instant
        case .after(let seconds): now.adding(seconds: seconds)
        }
    }
}
