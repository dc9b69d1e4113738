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

/// Finds the accounts of which something is due and sends each a command that brings it to the present.
///
/// What is due is decided by the ledger, by the same code as ever: a scheduler that is late, away or there twice changes no
/// balance and no answer, only how soon what happened is written down. One of them works, the others stand by.
package final class Scheduler: Service {
    /// How long the accounts are left alone when nothing is due sooner.
    private static let interval = Duration.seconds(1)
    /// How long an account has to follow a command before it is sent another.
    private static let patience = Duration.seconds(30)
    private static let accountsPerPage = CommandLimits.perMessage
    /// What one round looks at; the rest is found by the next, when these have followed.
    private static let pagesPerRound = 100

    private struct State {
        var lastSeen: ContinuousClock.Instant?
        var broker = BrokerWatch()
        var isActive = false
        /// How long the oldest account has been due.
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

    package init(
        postgres: PostgresConfiguration, amqp: AMQPConfiguration, topology: Topology, metrics: MetricsRegistry,
        logger: Logger
    ) {
        var database = postgres.acting(as: .scheduler)
        database.applicationName = "quotastack-scheduler"
        self.database = database
        var publishing = amqp
        publishing.connectionName = "quotastack-scheduler"
        publisher = AMQPPublisher(configuration: publishing, logger: logger)
        commands = AdvanceCommands(publisher: publisher, topology: topology)
        self.logger = logger
        sentAccounts = metrics.counter(
            "quotastack_scheduler_accounts_total", "Accounts that were due and were sent a command.")
        metrics.gauge("quotastack_scheduler_active", "1 while this scheduler is the one at work.") { [weak self] in
            self.map { $0.state.withLock { $0.isActive } ? 1 : 0 }
        }
        metrics.gauge(
            "quotastack_scheduler_lateness_seconds", "How long the account that is due the longest has been due."
        ) { [weak self] in
            self?.state.withLock { $0.lateness }
        }
    }

    /// When PostgreSQL last answered; nil before the first time.
    package var lastSeen: ContinuousClock.Instant? { state.withLock { $0.lastSeen } }

    /// Whether commands can be sent; a reason when not.
    package var brokerState: AMQPConnectionState { publisher.state }

    /// Works or stands by until a graceful shutdown.
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

    /// Works in one session of the database, for as long as that lasts.
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

    /// A scheduler that cannot reach the broker leaves the work to one that can.
    private func requireBroker() throws {
        let broker = publisher.state
        try state.withLock { (state) throws(BrokerUnreachable) in try state.broker.require(broker) }
    }

    /// Looks at what is due, the longest due first, and sends what was not sent lately.
    ///
    /// - Parameter sent: What was sent lately; afterwards, of the accounts that are still due.
    /// - Returns: How long nothing more is to be done.
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
            // A queue that is full or gone gets what it lacks in the next round, and does not hold up the others.
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
