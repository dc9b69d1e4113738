import Answers
import Commands
import CoreMetrics
import Credits
import JSON
package import Logging
import Messaging
package import Postgres
import RabbitMQ
package import Runtime
import ServiceLifecycle
import Storage

/// The duty that moves the subscriptions of variants: it sends each account that a job concerns a command, and counts what
/// the commands have decided.
///
/// The service works on one page of at most `VariantMigrationStore.subscriptionsPerPage` subscriptions at a time in the
/// whole installation, and rests for as long as the page took. The commands go through the queues of their end users, where
/// the ledger workers give each environment its turn. Environments with a job take turns too. A tenant's own commands
/// therefore wait for a page at most.
///
/// Every ledger worker has the service, and the one whose session holds an advisory lock works. It is the ledger's duty
/// because the ledger's role alone reads decided commands and changes the rows of jobs.
///
/// On failure: an error of PostgreSQL ends the session and with it the lock, and so does a broker that is unreachable for 5
/// seconds. The next session sends the commands of the stored page again. A command that is not decided for 30 seconds is
/// sent again too.
package final class VariantMigrator: Service {
    /// The pause while there is no job, while another worker holds the lock, and after a failure.
    private static let interval = Duration.milliseconds(500)
    /// The longest pause between two pages. The server ends a session that is silent for 5 seconds.
    private static let longestRest = Duration.seconds(1)
    /// The pauses between two looks for decisions: the first, which doubles, and the longest.
    private static let pauses = (first: Duration.milliseconds(10), longest: Duration.milliseconds(250))
    /// The time that the service waits for the decision of a command before it sends the command again.
    private static let patience = Duration.seconds(30)
    /// The pause before commands are sent again that a queue has not accepted.
    private static let resendPause = Duration.seconds(1)

    private let database: PostgresConfiguration
    private let publisher: AMQPPublisher
    private let sender: CommandSender
    private let logger: Logger
    private let decided: Counter

    /// - Parameter worker: The ledger worker of this process, through whose connection the commands are sent.
    package init(postgres: PostgresConfiguration, of worker: LedgerWorker, metrics: MetricsRegistry, logger: Logger) {
        var database = postgres.acting(as: .ledger)
        database.applicationName = "quotastack-migrations"
        // Beyond the longest statement, so that the server says that it was too long.
        database.runLimit = .seconds(90)
        self.database = database
        publisher = worker.publisher
        sender = CommandSender(publisher: worker.publisher, topology: worker.topology)
        self.logger = logger
        decided = metrics.counter(
            "quotastack_migrated_subscriptions_total",
            "Subscriptions of migrated variants whose commands were decided.")
    }

    /// Works on jobs, or stands by, until a graceful shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            let retry = Retry(
                pause: Self.interval, longestPause: .seconds(5), logger: logger,
                failure: "no subscriptions of variants are moved at the moment")
            var last: EnvironmentID?
            await retry.untilCancelled { try await work(after: &last, $0) }
        }
    }

    /// Waits for the advisory lock and then works, in one session of PostgreSQL. The lock ends with the session.
    ///
    /// - Parameter last: The environment that had its turn last, also when its page failed.
    private func work(after last: inout EnvironmentID?, _ onSuccess: () -> Void) async throws {
        let connection = try await PostgresConnection.connect(database, logger: logger)
        defer { connection.close() }
        try await connection.script(VariantMigrationStore.sessionSettings)
        while try await !VariantMigrationStore.tryToLead(on: connection) {
            onSuccess()
            try await Task.sleep(for: Self.interval)
        }
        while true {
            let start = ContinuousClock.now
            guard let job = try await VariantMigrationStore.next(after: last, on: connection) else {
                onSuccess()
                // Behind the last environment the first one is next. Without any job there is a pause.
                if last == nil { try await Task.sleep(for: Self.interval) }
                last = nil
                continue
            }
            last = job.environmentID
            do {
                try await advance(job, on: connection)
            } catch {
                // The error of the page says more than one of this statement, which fails when the connection is lost.
                _ = try? await VariantMigrationStore.postpone(job, on: connection)
                throw error
            }
            onSuccess()
            try await Task.sleep(for: min(ContinuousClock.now - start, Self.longestRest))
        }
    }

    /// Moves the next page of a job's subscriptions, or ends the job.
    private func advance(_ job: VariantMigrationRow, on connection: PostgresConnection) async throws {
        try await VariantMigrationStore.count(job, on: connection)
        let page = try await VariantMigrationStore.nextPage(of: job, on: connection)
        guard !page.isEmpty else {
            try await VariantMigrationStore.finish(job, on: connection)
            logger.info("the subscriptions of a variant are moved", metadata: ["job": "\(job.migration.id)"])
            return
        }
        let outcomes = try await move(page, of: job, on: connection)
        try await VariantMigrationStore.finishPage(page, of: job, outcomes, on: connection)
        decided.increment(by: Int64(page.count))
    }

    /// Sends the commands of a page, and waits until all are decided or parked.
    private func move(
        _ page: [SubscriptionPlace], of job: VariantMigrationRow, on connection: PostgresConnection
    ) async throws -> VariantMigration.Progress {
        var undecided = Dictionary(
            uniqueKeysWithValues: page.map { (job.migration.commandID(for: $0), $0) })
        var outcomes = VariantMigration.Progress()
        var broker = BrokerWatch()
        var sendAt = ContinuousClock.now
        var pause = Self.pauses.first
        while true {
            for (id, outcome) in try await outcomesOfDecided(Array(undecided.keys), of: job, on: connection) {
                undecided[id] = nil
                outcomes[keyPath: outcome] += 1
            }
            guard !undecided.isEmpty else { return outcomes }
            try broker.require(publisher.state)
            if ContinuousClock.now >= sendAt {
                let isSent = try await send(Array(undecided.values), of: job, on: connection)
                sendAt = .now + (isSent ? Self.patience : Self.resendPause)
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, Self.pauses.longest)
        }
    }

    /// - Returns: Whether the broker has confirmed all commands.
    private func send(
        _ places: [SubscriptionPlace], of job: VariantMigrationRow, on connection: PostgresConnection
    ) async throws -> Bool {
        let subscriptions = try await VariantMigrationStore.endUsers(
            of: places.sorted(), environmentID: job.environmentID, on: connection)
        let commands = subscriptions.map {
            (environmentID: job.environmentID, command: job.migration.command(for: $0))
        }
        let sent = await sender.send(commands, as: "\(job.migration.id)", now: Instant.now)
        return sent.count == commands.count
    }

    /// The outcomes of those of the commands that are decided or parked.
    private func outcomesOfDecided(
        _ ids: [Bits128], of job: VariantMigrationRow, on connection: PostgresConnection
    ) async throws -> [Bits128: WritableKeyPath<VariantMigration.Progress, Int64>] {
        let keys = ids.map { CommandKey(environmentID: job.environmentID, id: $0) }
        let decided = try await CommandStore.find(keys, on: connection)
        var outcomes = Dictionary(
            uniqueKeysWithValues: decided.map { ($0.key.id, Self.outcome(of: $0.value)) })
        for id in try await CommandStore.parked(ids, environmentID: job.environmentID, on: connection)
        where outcomes[id] == nil {
            outcomes[id] = \.failed
        }
        return outcomes
    }

    private static func outcome(of decision: DecidedCommand) -> WritableKeyPath<VariantMigration.Progress, Int64> {
        if (200..<300).contains(decision.status) { return \.moved }
        // The answer of an erased end user is removed. Its subscriptions were canceled, so they allowed no change.
        guard decision.status == 409, case .body(let body) = decision.content else {
            return decision.content == .erased ? \.skipped : \.failed
        }
        let code = (try? JSONParser.parse(body))?["code"]?.text
        return code == ProblemCode.invalidTransition.rawValue ? \.skipped : \.failed
    }
}
