import Credits
import JSON
import LedgerModel

/// Replays every decided operation in the model, environment by environment and in the ledger's own order, and compares
/// the result with the books.
struct BookReplay {
    private let environments: [Environment]
    private let books: Books
    private let records: [Bits128: Record]
    private let setUpCommands: Set<Bits128>
    private var observations: [EndUser: [Int64: [Observation]]]
    private let violations: Violations
    private(set) var counts = ReplayCounts()

    init(
        environments: [Environment], books: Books, journals: [ClientJournal], setUpCommands: Set<Bits128>,
        violations: Violations
    ) {
        self.environments = environments
        self.books = books
        self.setUpCommands = setUpCommands
        self.violations = violations
        var records: [Bits128: Record] = [:]
        var observations: [EndUser: [Int64: [Observation]]] = [:]
        for journal in journals {
            for record in journal.records { records[record.operation.commandID(environments)] = record }
            for observation in journal.observations {
                observations[observation.endUser, default: [:]][observation.revision, default: []].append(observation)
            }
        }
        self.records = records
        self.observations = observations
    }

    mutating func run() {
        for environment in environments {
            var replay = EnvironmentReplay(
                environment: environment, books: books,
                observations: observations.filter {
                    $0.key.environment == environment.number
                }, violations: violations)
            for account in books.accounts where account.environment == environment.identifier {
                replay.add(account)
            }
            let owners = replay.owners
            for command in books.commands
            where command.environment == environment.identifier && !setUpCommands.contains(command.identifier) {
                guard let operation = records[command.identifier]?.operation else {
                    violations.add("I11: no client sent the command \(PublicID(.operation, command.identifier))")
                    continue
                }
                guard operation.command != nil else { continue }
                guard operation.endUser.environment == environment.number,
                    command.account.map({ owners[$0] == operation.endUser.id }) ?? true
                else {
                    violations.add("I22: key \(operation.key) of \(operation.endUser) is decided for another account")
                    continue
                }
                replay.add(DecidedOperation(command: command, operation: operation))
            }
            replay.run()
            counts.add(replay.counts)
        }
        let known = Set(environments.map(\.identifier))
        for command in books.commands
        where !known.contains(command.environment) && !setUpCommands.contains(command.identifier) {
            violations.add("I22: \(PublicID(.operation, command.identifier)) is in an unknown environment")
        }
    }
}

/// The numbers of replayed and compared items.
struct ReplayCounts {
    /// Decided commands that the model replayed.
    var commands = 0
    /// Answers to checks and balances that were compared with the account at their revision.
    var observations = 0
    /// Entries by type. Entries that time alone caused are counted separately.
    var entries: [String: Int] = [:]
    /// Changes that time caused without a client's command, such as those of the scheduler.
    var advances = 0
    /// Events of subscriptions and contracts.
    var events = 0
    var transfers = 0
    /// Top-ups whose payment had been applied before.
    var repeatedPayments = 0

    mutating func add(_ other: ReplayCounts) {
        commands += other.commands
        observations += other.observations
        entries.merge(other.entries, uniquingKeysWith: +)
        advances += other.advances
        events += other.events
        transfers += other.transfers
        repeatedPayments += other.repeatedPayments
    }
}

/// A command as it was decided, together with the operation that its client sent.
struct DecidedOperation {
    let command: Books.Command
    let operation: Operation

    /// The instant of the account when the command was decided. The client of an end user on a test clock sends one
    /// request after another, so its clock shows what the client knows.
    var instant: Instant { operation.clock ?? command.decidedAt }

    /// Whether the operation is a revocation that took credits back.
    var hasRevoked: Bool { command.json["revoked"]?.integer ?? 0 > 0 }

    /// Whether the operation is a transfer that changed both accounts.
    var isTransferDone: Bool { operation.receiver != nil && !command.isRefusal }
}

/// A difference between the books and the model.
struct Difference: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
