import CoreMetrics
import Postgres
import Runtime
import Synchronization

/// The metrics of the stream that a replica follows.
final class ReplicaMetrics: Sendable {
    private let applied = Atomic<UInt64>(0)
    private let known = Atomic<UInt64>(0)
    private let delay: Recorder

    init(_ metrics: MetricsRegistry) {
        delay = metrics.histogram(
            "quotastack_replica_delay_seconds", "Time from a commit in PostgreSQL until this node shows it.",
            buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])
        metrics.gauge("quotastack_replica_wal_position", "Position in the write-ahead log that has been applied.") {
            [weak self] in
            self.map { Double($0.applied.load(ordering: .relaxed)) }
        }
        metrics.gauge("quotastack_replica_wal_lag_bytes", "Write-ahead log that is announced but not applied.") {
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

    /// Records the delay of a transaction that has become visible.
    ///
    /// - Parameters:
    ///   - commitTime: Microseconds since the Unix epoch, by the database's clock.
    ///   - now: Microseconds since the Unix epoch, by this machine's clock.
    func visible(commitTime: Int64, now: Int64) {
        delay.record(Double(max(0, now - commitTime)) / 1e6)
    }
}
