import Failpoints
import Logging
import Messaging
import Postgres
import RabbitMQ
import Runtime
import Storage
import Synchronization

/// Keeps this worker's share of the command queues: consumes the queues of the share and releases the others.
///
/// Every 500 ms it sends a heartbeat to `WorkerRegistry` in PostgreSQL and gets the list of live workers. `share`
/// computes from this list which queues belong to this worker. Every worker computes its share from the same list, so
/// no worker has to assign queues. `adjust` then takes lost queues out of the inbox and closes their channels, and
/// begins to consume new ones.
///
/// `LedgerWorker` makes the keeper and runs it beside the lanes.
///
/// Invariants:
/// - Only workers that read the newest message revision get queues.
/// - A queue that leaves the share is released after the lanes that hold it have finished their transactions, or after
///   5 seconds. The acknowledgements are written before the channel is closed, so the next worker starts with the first
///   message that is not applied.
/// - Correctness does not depend on the shares. During a change two workers may consume the same queue; the broker lets
///   one of them wait, so that order is kept.
///
/// On failure: while PostgreSQL is unreachable, the share stays as it is, and the worker registers again afterwards.
/// When RabbitMQ is unreachable for 5 seconds, the registration ends and the other workers take the queues. A worker
/// that was frozen for 10 seconds is no longer listed and registers again under a new number. At the end of its task
/// the keeper removes the worker from the registry.
final class ShardKeeper: Sendable {
    private static let interval = Duration.milliseconds(500)
    /// How long a queue that goes to another worker waits for the lanes that hold it. Their transactions are short. If
    /// one is not, the row locks keep it and the next worker's transactions in order.
    private static let releasePatience = Duration.seconds(5)
    /// How long this worker does not consume a queue that holds a message of a newer release.
    private static let postponement = Duration.seconds(10)

    private let queues: [String]
    private let consumer: AMQPConsumer
    private let inbox: DeliveryInbox
    private let database: PostgresConfiguration
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var lastBeat: ContinuousClock.Instant?
        var broker = BrokerWatch()
        var held: Set<String> = []
        /// The queues that hold a message of a newer release, and the instants from which they may be consumed again.
        var postponed: [String: ContinuousClock.Instant] = [:]
    }

    init(
        queues: [String], consumer: AMQPConsumer, inbox: DeliveryInbox, database: PostgresConfiguration, logger: Logger
    ) {
        self.queues = queues
        self.consumer = consumer
        self.inbox = inbox
        self.database = database
        self.logger = logger
    }

    /// The instant of the worker's last heartbeat in PostgreSQL; nil before the first one.
    var lastBeat: ContinuousClock.Instant? { state.withLock { $0.lastBeat } }

    /// The number of queues that this worker consumes.
    var heldCount: Int { state.withLock { $0.held.count } }

    /// Adjusts the share until the task is cancelled. While PostgreSQL is unreachable the share stays as it is, because
    /// no worker could apply anything.
    func run() async {
        let retry = Retry(
            pause: Self.interval, logger: logger, level: .error,
            failure: "this ledger worker cannot keep its registration",
            recovery: "this ledger worker is registered again")
        await retry.untilCancelled { try await keep($0) }
    }

    private func keep(_ onBeat: () -> Void) async throws {
        try requireBroker()
        let connection = try await PostgresConnection.connect(database, logger: logger)
        defer { connection.close() }
        try await connection.script(WorkerRegistry.sessionSettings)
        let number = try await WorkerRegistry.register(revision: Int32(MessageRevision.current), on: connection)
        while true {
            try requireBroker()
            let members = try await WorkerRegistry.beat(number, on: connection)
            guard members.contains(where: { $0.number == number }) else { throw WorkerGivenUp() }
            onBeat()
            state.withLock { $0.lastBeat = .now }
            await releaseGivenBack()
            let share = Self.share(of: number, among: members, queues: queues)
            await adjust(to: share.subtracting(postponedQueues()))
            do {
                try await Task.sleep(for: Self.interval)
            } catch {
                // The query runs in a task of its own, because this task is cancelled.
                await Task { try? await WorkerRegistry.leave(number, on: connection) }.value
                throw error
            }
        }
    }

    /// Throws when RabbitMQ has been unreachable for 5 seconds, so that the workers that reach it take over the share.
    private func requireBroker() throws {
        let broker = consumer.state
        try state.withLock { (state) throws(BrokerUnreachable) in try state.broker.require(broker) }
    }

    /// Returns the queues of one worker. Only workers that read the newest message revision get queues, so that during
    /// an update no message reaches a worker that cannot decode it. With n such workers, each gets every nth queue,
    /// beginning at its rank.
    static func share(of number: Int32, among members: [WorkerRegistry.Member], queues: [String]) -> Set<String> {
        let newest = members.map(\.revision).max()
        let sharing = members.filter { $0.revision == newest }.map(\.number)
        guard let rank = sharing.firstIndex(of: number) else { return [] }
        return Set(stride(from: rank, to: queues.count, by: sharing.count).map { queues[$0] })
    }

    /// Closes the channels of the queues that the lanes gave back, and leaves these queues to other workers for
    /// `postponement`.
    private func releaseGivenBack() async {
        for queue in inbox.takeGivenBack().sorted() {
            await consumer.release(queue)
            state.withLock { state in
                state.held.remove(queue)
                state.postponed[queue] = .now + Self.postponement
            }
        }
    }

    private func postponedQueues() -> Set<String> {
        state.withLock { state in
            state.postponed = state.postponed.filter { $0.value > .now }
            return Set(state.postponed.keys)
        }
    }

    private func adjust(to share: Set<String>) async {
        let held = state.withLock { $0.held }
        guard share != held else { return }
        // The queues are released side by side, so that one deadline holds for all of them.
        await withTaskGroup(of: Void.self) { group in
            for queue in held.subtracting(share) {
                group.addTask {
                    Failpoint.workerBeforeRelease.hit()
                    if await !self.inbox.withdraw(queue, within: Self.releasePatience) {
                        self.logger.warning("\(queue) is released while a lane still applies commands of it")
                    }
                    await self.consumer.release(queue)
                    Failpoint.workerAfterRelease.hit()
                }
            }
        }
        for queue in share.subtracting(held).sorted() {
            inbox.admit(queue)
            consumer.consume(queue)
        }
        state.withLock { $0.held = share }
        logger.notice("this ledger worker has \(share.count) of \(queues.count) queues")
    }
}

/// The registry no longer lists this worker, for example because it was frozen.
private struct WorkerGivenUp: Error, CustomStringConvertible {
    var description: String { "the registry no longer lists it" }
}
