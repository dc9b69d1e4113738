import CoreMetrics
package import Logging
package import Postgres
package import Runtime
import ServiceLifecycle
import Storage

/// The duty that makes checkpoints: the sums of an account's entries, which reads of the past begin with.
///
/// The ledger requests a checkpoint when an account has got some thousand new entries (`CheckpointSpacing`). This service
/// serves one account after another, one checkpoint at a time, each in a transaction of its own, so that an account with
/// a long history keeps no other one waiting. It rests for as long as it has worked, and so takes at most half of one
/// processor from the database.
///
/// Every scheduler makes checkpoints, also one that stands by: two of them share the requests. Nothing depends on a
/// checkpoint except the time that a read takes, and no lock is taken on an account.
///
/// On failure: the transaction is rolled back, and the next account has its turn a second later.
package final class Checkpointer: Service {
    /// The pause while there is no request, and after a failure.
    private static let interval = Duration.seconds(1)

    private let database: PostgresConfiguration
    private let logger: Logger
    private let made: Counter
    private let entries: Counter

    package init(postgres: PostgresConfiguration, metrics: MetricsRegistry, logger: Logger) {
        var database = postgres.acting(as: .scheduler)
        database.applicationName = "quotastack-checkpoints"
        // Beyond the longest statement, so that the server says that it was too long.
        database.runLimit = .seconds(90)
        self.database = database
        self.logger = logger
        made = metrics.counter("quotastack_checkpoints_total", "Checkpoints of accounts that were made.")
        entries = metrics.counter(
            "quotastack_checkpoint_entries_total", "Ledger entries that checkpoints have added up.")
    }

    /// Makes checkpoints until a graceful shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var last: CheckpointRequest?
            let retry = Retry(pause: Self.interval, logger: logger, failure: "no checkpoints are made at the moment")
            await retry.untilCancelled { try await work(after: &last, $0) }
        }
    }

    /// - Parameter last: The request that was served last, also when its service failed.
    private func work(after last: inout CheckpointRequest?, _ onSuccess: () -> Void) async throws {
        let connection = try await PostgresConnection.connect(database, logger: logger)
        defer { connection.close() }
        try await connection.script(CheckpointStore.sessionSettings)
        // Whether a checkpoint was made since the first account had its turn.
        var hasAdded = false
        while true {
            let start = ContinuousClock.now
            guard let request = try await CheckpointStore.nextRequest(after: last, on: connection) else {
                onSuccess()
                if !hasAdded { try await Task.sleep(for: Self.interval) }
                (last, hasAdded) = (nil, false)
                continue
            }
            last = request
            let added = try await CheckpointStore.serve(request, on: connection)
            onSuccess()
            if added > 0 {
                hasAdded = true
                made.increment()
                entries.increment(by: Int64(added))
            }
            try await Task.sleep(for: ContinuousClock.now - start)
        }
    }
}
