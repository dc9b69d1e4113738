import CoreMetrics
package import Logging
package import Postgres
package import Runtime
import ServiceLifecycle
import Storage

/// The duty that deletes the counters of windows that have ended, so that neither the table nor a replica's memory keeps
/// them.
///
/// Every scheduler does it, also one that stands by: they skip the rows that another one deletes. Nothing depends on it
/// except space, because a counter whose window has ended counts for nothing.
///
/// On failure: the statement is rolled back, and tried again after a pause.
package final class CounterSweeper: Service {
    private static let interval = Duration.seconds(10)
    /// The rows of one statement, so that none is long.
    private static let page = 1_000

    private let database: PostgresConfiguration
    private let logger: Logger
    private let deleted: Counter

    package init(postgres: PostgresConfiguration, metrics: MetricsRegistry, logger: Logger) {
        var database = postgres.acting(as: .scheduler)
        database.applicationName = "quotastack-counters"
        self.database = database
        self.logger = logger
        deleted = metrics.counter("quotastack_counters_deleted_total", "Counters of ended windows that were deleted.")
    }

    /// Deletes until a graceful shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            let retry = Retry(
                pause: Self.interval, logger: logger, failure: "no ended counters are deleted at the moment")
            await retry.untilCancelled { try await work($0) }
        }
    }

    private func work(_ onSuccess: () -> Void) async throws {
        let connection = try await PostgresConnection.connect(database, logger: logger)
        defer { connection.close() }
        try await connection.script(EndedCounters.sessionSettings)
        while true {
            let count = try await EndedCounters.delete(upTo: Self.page, on: connection)
            deleted.increment(by: count)
            onSuccess()
            if count < Self.page { try await Task.sleep(for: Self.interval) }
        }
    }
}
