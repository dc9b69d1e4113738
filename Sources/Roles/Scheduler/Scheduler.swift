import Commands
import CoreMetrics
import Credits
import Failpoints
package import Logging
package import Messaging
package import Postgres
package import RabbitMQ
package import Runtime
import ServiceLifecycle
import Storage
import Synchronization

/// The role that sends a command to every account of which something is due: the expiry of a block, or the deadline of
/// a reservation.
///
/// A round reads the due accounts from PostgreSQL, page by page, the longest due first (`DueAccounts`). It skips
/// accounts that got a command for the same due instant less than 30 seconds ago. It publishes an `advance` command for
/// each of the others (`AdvanceCommands`). The ledger worker applies the command and writes what was due, which moves
/// the account's due instant on or clears it. The pause after a round lasts until the next account is due, at most 1
/// second.
///
/// `Node` makes the scheduler and runs it as a service. The health check of the node reads `lastSeen` and
/// `brokerState`.
///
/// Invariants:
/// - The scheduler decides nothing. The ledger decides what is due, with the same code for every command. A scheduler
///   that is late, stopped or running twice changes no balance and no answer, only how soon an expiry is written.
/// - One scheduler works at a time: the one whose session holds an advisory lock. The others try to get the lock every
///   second.
/// - The id of a command follows from the account and its due instant, so a parked command is recognised and is not
///   sent again.
///
/// On failure: an error of PostgreSQL ends the session and with it the lock; the scheduler connects and competes for
/// the lock again. When RabbitMQ is unreachable for 5 seconds, it gives the lock up. A message that a queue does not
/// accept is sent again in a later round. A frozen scheduler loses its session, and with it the lock, after 5 seconds.
package final class Scheduler: Service {
    /// The longest pause between two rounds.
    private static let interval = Duration.seconds(1)
    /// How long the scheduler waits for the effect of a command before it sends the account another one.
    private static let patience = Duration.seconds(30)
    private static let accountsPerPage = CommandLimits.perMessage
    /// The pages that one round reads at most. Later rounds find the remaining accounts, when these have advanced.
    private static let pagesPerRound = 100

    private struct State {
        var lastSeen: ContinuousClock.Instant?
        var broker = BrokerWatch()
        var isActive = false
        /// The seconds since the earliest due instant of an account; nil while this scheduler is not at work.
        var lateness: Double?
    }

    private struct Sent {
        let dueAt: Instant
        let at: ContinuousClock.Instant
    }

    private let database: PostgresConfiguration
    private let publisher: AMQPPublisher
    private let commands: AdvanceCommands
    private let logger: Logger
    private let state = Mutex(State())
    private let sentAccounts: Counter

    /// - Throws: When the system has no free descriptor or thread.
    package init(
        postgres: PostgresConfiguration, amqp: AMQPConfiguration, topology: Topology, metrics: MetricsRegistry,
        logger: Logger
    ) throws(AMQPError) {
        var database = postgres.acting(as: .scheduler)
        database.applicationName = "quotastack-scheduler"
        self.database = database
        var publishing = amqp
        publishing.connectionName = "quotastack-scheduler"
        publisher = try AMQPPublisher(configuration: publishing, logger: logger)
        commands = AdvanceCommands(publisher: publisher, topology: topology)
        self.logger = logger
        sentAccounts = metrics.counter(
            "quotastack_scheduler_accounts_total", "Commands sent to accounts that were due.")
        metrics.gauge("quotastack_scheduler_active", "1 while this scheduler works, 0 while it stands by.") {
            [weak self] in
            self.map { $0.state.withLock { $0.isActive } ? 1 : 0 }
        }
        metrics.gauge(
            "quotastack_scheduler_lateness_seconds", "Time since the earliest due instant of an account."
        ) { [weak self] in
            self?.state.withLock { $0.lateness }
        }
    }

    /// The instant of PostgreSQL's last answer; nil before the first one.
    package var lastSeen: ContinuousClock.Instant? { state.withLock { $0.lastSeen } }

    /// Whether commands can be sent, or why not.
    package var brokerState: AMQPConnectionState { publisher.state }

    /// Sends commands, or stands by, until a graceful shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.publisher.run() }
                await self.keepWorking()
                await self.publisher.close()
                group.cancelAll()
            }
        }
        logger.info("the scheduler has stopped")
    }

    private func keepWorking() async {
        let retry = Retry(pause: Self.interval, logger: logger, failure: "the scheduler is interrupted and tries again")
        await retry.untilCancelled {
            try await work($0)
        } afterFailure: {
            state.withLock { state in
                state.isActive = false
                state.lateness = nil
            }
        }
    }

    /// Waits for the advisory lock and then works, in one session of PostgreSQL. The lock ends with the session.
    private func work(_ onRound: () -> Void) async throws {
        try requireBroker()
        let connection = try await PostgresConnection.connect(database, logger: logger)
        defer { connection.close() }
        try await connection.script(DueAccounts.sessionSettings)
        while try await !DueAccounts.tryToLead(on: connection) {
            seen()
            try await Task.sleep(for: Self.interval)
        }
        state.withLock { $0.isActive = true }
        logger.notice("this scheduler is at work")
        var sent: [AccountID: Sent] = [:]
        while true {
            try requireBroker()
            let pause = try await round(&sent, on: connection)
            seen()
            onRound()
            try await Task.sleep(for: pause)
        }
    }

    private func seen() {
        state.withLock { $0.lastSeen = .now }
    }

    /// Throws when RabbitMQ has been unreachable for 5 seconds, so that a scheduler that reaches it takes over.
    private func requireBroker() throws {
        let broker = publisher.state
        try state.withLock { (state) throws(BrokerUnreachable) in try state.broker.require(broker) }
    }

    /// Reads the due accounts, the longest due first, and sends a command to each account that got none lately.
    ///
    /// - Parameter sent: The latest command of each account. The round removes accounts that are no longer due.
    /// - Returns: The pause until the next round.
    private func round(
        _ sent: inout [AccountID: Sent], on connection: PostgresConnection
    ) async throws -> Duration {
        var stillDue: [AccountID: Sent] = [:]
        var last: DueAccount?
        for number in 0..<Self.pagesPerRound {
            let page = try await DueAccounts.page(after: last, limit: Self.accountsPerPage, on: connection)
            Failpoint.schedulerAfterRead.hit()
            if number == 0 {
                let oldest = page.accounts.first.map { page.now.microseconds - $0.dueAt.microseconds }
                state.withLock { $0.lateness = Double(oldest ?? 0) / 1e6 }
            }
            let now = ContinuousClock.now
            let waiting = page.accounts.filter { account in
                guard let earlier = sent[account.accountID], earlier.dueAt == account.dueAt,
                    now - earlier.at < Self.patience
                else { return true }
                stillDue[account.accountID] = earlier
                return false
            }
            let accepted = await commands.send(waiting)
            Failpoint.schedulerAfterPublish.hit()
            for account in accepted { stillDue[account.accountID] = Sent(dueAt: account.dueAt, at: now) }
            sentAccounts.increment(by: Int64(accepted.count))
            // A queue that is full or missing gets its commands in the next round and does not hold up the other
            // queues.
            guard accepted.count == waiting.count || publisher.state == .connected, let end = page.end else {
                sent = stillDue
                return pause(until: page.nextDueAt, from: page.now)
            }
            last = end
        }
        sent = stillDue
        return Self.interval
    }

    private func pause(until next: Instant?, from now: Instant) -> Duration {
        guard let next else { return Self.interval }
        let (microseconds, overflow) = next.microseconds.subtractingReportingOverflow(now.microseconds)
        return overflow ? Self.interval : min(Self.interval, .microseconds(max(microseconds, 0)))
    }
}
