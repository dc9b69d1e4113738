import CoreMetrics
import Postgres
import Runtime
import Synchronization

/// What an operator sees of the replica.
final class ReplicaMetrics: Sendable {
    private let applied = Atomic<UInt64>(0)
    private let known = Atomic<UInt64>(0)
    private let delay: Recorder

    init(_ metrics: MetricsRegistry) {
        delay = metrics.histogram(
            "quotastack_replica_delay_seconds", "Time from a commit in the database to its being visible here.",
            buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])
        metrics.gauge("quotastack_replica_wal_position", "The position in the write-ahead log that has been applied.") {
            [weak self] in
            self.map { Double($0.applied.load(ordering: .relaxed)) }
        }
        metrics.gauge("quotastack_replica_wal_lag_bytes", "Write-ahead log that was announced and is not applied.") {
            [weak self] in
            self.map { metrics in
                let applied = metrics.applied.load(ordering: .relaxed)
                return Double(max(applied, metrics.known.load(ordering: .relaxed)) - applied)
            }
        }
    }

    func announced(_ position: WALPosition) {
        known.max(position.value, ordering: .relaxed)
    }

    func applied(_ position: WALPosition) {
        applied.store(position.value, ordering: .relaxed)
    }

    /// - Parameters: Microseconds since the Unix epoch, by the database's clock and by this machine's.
    func visible(commitTime: Int64, now: Int64) {
        delay.record(Double(max(0, now - commitTime)) / 1e6)
    }
}
