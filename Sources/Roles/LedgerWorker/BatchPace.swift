import Commands
import Credits
import Failpoints

/// The results of the first items of a batch, and what they have cost.
struct AppliedPart: Sendable {
    let results: [CommandResult]
    var pace: BatchPace
}

/// The cost of a transaction, by environment. It decides how the next commands of these environments are taken.
///
/// Costs are estimated from the processor time spent deciding and from the rows read and written. The time that the
/// database takes is not part of them, because it depends on what else the database does.
struct BatchPace: Sendable {
    /// The cost at which a transaction takes no further command.
    static let limit = Duration.milliseconds(100)
    /// The same for a transaction of several environments, each of which waits for all of it.
    static let sharedLimit = limit / 4
    /// The time after which a transaction takes no further command, however little of it its thread could use: the server
    /// ends a transaction that is idle for `LedgerStore.idleLimit`.
    static let longest = Duration.seconds(1)
    /// The number of rows that a transaction loads before it takes its last account.
    static let loadedRows = 20_000
    /// The number of jobs in a transaction whose charges are loaded because a part of them is given back.
    static let jobsGivingBack = 16
    /// A command that costs this much or more is expensive: 20 times as much as a usual use.
    private static let expensive = Duration.milliseconds(1)
    /// The cost in one transaction for which the commands of other environments should not wait: some hundred usual uses.
    private static let heavyCost = limit / 10

    private static let perLoadedRow = Duration.microseconds(3)
    private static let perWrittenRow = Duration.microseconds(15)

    private var costs: [EnvironmentID: (commands: Int, cost: Duration)] = [:]
    private(set) var total = Duration.zero
    /// Whether commands were left because the transaction would have become too long.
    var isPartial = false
    /// Whether the database ended or rejected a larger transaction before.
    var wasCut = false

    mutating func add(
        _ environmentID: EnvironmentID, commands: Int = 0, time: Duration = .zero, loadedRows: Int = 0,
        writtenRows: Int = 0
    ) {
        let cost = time + Self.perLoadedRow * loadedRows + Self.perWrittenRow * writtenRows
        costs[environmentID, default: (0, .zero)].commands += commands
        costs[environmentID, default: (0, .zero)].cost += cost
        total += cost
    }

    /// The environments because of which the transaction was long: the others should not wait for their commands.
    var heavy: Set<EnvironmentID> {
        if KnownBug.unboundedTransactions.isActive { return [] }
        return Set(costs.filter { $0.value.cost >= Self.heavyCost }.keys)
    }

    /// The new allowances, in commands per transaction, of the environments that are slow now or were before.
    ///
    /// The allowance of a slow environment is twice the number of commands that its last transaction could apply, so it
    /// follows the cost of its commands. An environment is slow no longer when its allowance has grown to a full
    /// transaction.
    ///
    /// - Parameters:
    ///   - slow: The slow environment that the batch belonged to; nil for a batch of others.
    ///   - allowed: The allowance of the batch.
    func allowances(after slow: EnvironmentID?, allowed: Int) -> [EnvironmentID: Int?] {
        if KnownBug.unboundedTransactions.isActive { return [:] }
        if let slow {
            if wasCut { return [slow: max(2, costs[slow]?.commands ?? 1)] }
            let next = isPartial ? 2 * (costs[slow]?.commands ?? 1) : 2 * allowed
            return [slow: next < CommandLimits.perTransaction ? max(2, next) : nil]
        }
        guard let (environmentID, most) = costs.max(by: { $0.value.cost < $1.value.cost }) else { return [:] }
        // No environment alone is the cause when a transaction of several ends early.
        let isLong = isPartial && costs.count == 1 || most.cost >= Self.limit / 4
        guard wasCut || isLong && most.cost >= Self.expensive * most.commands else { return [:] }
        return [environmentID: max(2, 2 * most.commands)]
    }
}
