import Failpoints
import Logging
import Messaging
import Postgres
import RabbitMQ
import Runtime
import Storage
import Synchronization

/// Takes this worker's share of the queues and gives back what is another's.
///
/// Who is alive stands in PostgreSQL; the queues are dealt out in the order of the workers' numbers. During a change two
/// workers may both consume a queue: the broker lets one of them wait, and order is kept.
final class ShardKeeper: Sendable {
    private static let interval = Duration.milliseconds(500)
    /// The time for which a queue that holds a message of a newer release is left to others.
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
        /// Queues that hold a message of a newer release, and the instant from which they are tried again.
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

    /// When PostgreSQL last heard from this worker; nil before the first time.
    var lastBeat: ContinuousClock.Instant? { state.withLock { $0.lastBeat } }

    /// How many queues are this worker's.
    var heldCount: Int { state.withLock { $0.held.count } }

    /// Keeps the share until the task is cancelled. While PostgreSQL is away the share stays as it is: nothing could be
    /// applied anyway.
    func run() async {
        let retry = Retry(
            pause: Self.interval, logger: logger, level: .error,
            failure: "the other ledger workers cannot see this one",
            recovery: "the ledger worker is registered among the others again")
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
                // In a task of its own: this one is cancelled.
                await Task { try? await WorkerRegistry.leave(number, on: connection) }.value
                throw error
            }
        }
    }

    /// A worker that cannot reach the broker leaves its share to those who can.
    private func requireBroker() throws {
        let broker = consumer.state
        try state.withLock { (state) throws(BrokerUnreachable) in try state.broker.require(broker) }
    }

    /// The queues of one worker. Only the workers that read the newest message revision get any, so that during an update no
    /// message comes to a worker that is too old for it; each of them gets every nth queue, beginning with its rank.
    static func share(of number: Int32, among members: [WorkerRegistry.Member], queues: [String]) -> Set<String> {
        let newest = members.map(\.revision).max()
        let sharing = members.filter { $0.revision == newest }.map(\.number)
        guard let rank = sharing.firstIndex(of: number) else { return [] }
        return Set(stride(from: rank, to: queues.count, by: sharing.count).map { queues[$0] })
    }

    /// Closes the channels of queues that hold a message of a newer release, and leaves them to others for a while.
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
        for queue in held.subtracting(share).sorted() {
            Failpoint.workerBeforeRelease.hit()
            await inbox.withdraw(queue)
            await consumer.release(queue)
            Failpoint.workerAfterRelease.hit()
        }
        for queue in share.subtracting(held).sorted() {
            inbox.admit(queue)
            consumer.consume(queue)
        }
        state.withLock { $0.held = share }
        logger.notice("this ledger worker has \(share.count) of \(queues.count) queues")
    }
}

/// The others took this worker for dead, for instance because it was frozen.
private struct WorkerGivenUp: Error, CustomStringConvertible {
    var description: String { "the other workers had given it up" }
}
