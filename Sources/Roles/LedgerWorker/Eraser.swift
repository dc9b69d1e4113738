import CoreMetrics
import Credits
package import Logging
package import Postgres
package import Runtime
import ServiceLifecycle
import Storage

/// The duty that removes the clear text of erased end users from the tables.
///
/// The command of an erasure gives the account its opaque id, after which nothing shows the text. This service removes it,
/// one slice of at most 2,000 rows after another, each in a transaction of its own. The environments take turns, so that
/// neither a long history nor many erasures of one tenant keep another one waiting. The service rests for as long as it
/// has worked, and so takes at most half of one processor from the database for each worker.
///
/// Every ledger worker does it: two of them share the erasures. It is the ledger's duty because the ledger's role alone may
/// change books.
///
/// On failure: the slice is rolled back, and the next environment has its turn after a pause. The erasure that failed comes
/// after the others of its environment.
package final class Eraser: Service {
    /// The pause while there is nothing to remove. A request for an erasure waits for the removal.
    private static let interval = Duration.milliseconds(250)

    private let database: PostgresConfiguration
    private let logger: Logger
    private let rows: Counter

    package init(postgres: PostgresConfiguration, metrics: MetricsRegistry, logger: Logger) {
        var database = postgres.acting(as: .ledger)
        database.applicationName = "quotastack-erasures"
        self.database = database
        self.logger = logger
        rows = metrics.counter(
            "quotastack_erased_rows_total", "Rows from which the text of erased end users was removed.")
    }

    /// Removes text until a graceful shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            let retry = Retry(
                pause: .seconds(1), logger: logger, failure: "the text of erased end users stays at the moment")
            var last: EnvironmentID?
            await retry.untilCancelled { try await work(after: &last, $0) }
        }
    }

    /// - Parameter last: The environment that had its turn last, also when its slice failed.
    private func work(after last: inout EnvironmentID?, _ onSuccess: () -> Void) async throws {
        let connection = try await PostgresConnection.connect(database, logger: logger)
        defer { connection.close() }
        try await connection.script(ErasureStore.sessionSettings)
        // Whether text was removed since the first environment had its turn.
        var hasRemoved = false
        while true {
            let start = ContinuousClock.now
            guard let erasure = try await ErasureStore.next(after: last, on: connection) else {
                onSuccess()
                if !hasRemoved { try await Task.sleep(for: Self.interval) }
                (last, hasRemoved) = (nil, false)
                continue
            }
            last = erasure.environmentID
            let removed = try await ErasureStore.removeSlice(of: erasure, on: connection) ?? 0
            onSuccess()
            if removed > 0 { hasRemoved = true }
            rows.increment(by: Int64(removed))
            try await Task.sleep(for: ContinuousClock.now - start)
        }
    }
}
