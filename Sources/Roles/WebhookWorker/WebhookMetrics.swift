import CoreMetrics
import Logging
import Runtime
import Synchronization
import Webhooks

/// The metrics of a webhook worker.
final class WebhookMetrics: Sendable {
    private let succeeded: Counter
    private let failed: Counter
    private let latency: Recorder
    let disabled: Counter
    private let log: SparseLog
    /// The lines that were due when the sweeper last looked, and the seconds that the oldest of them has waited.
    let backlog = Mutex<(lines: Int64, oldestSeconds: Double)>((0, 0))

    init(_ metrics: MetricsRegistry, logger: Logger, endpoints: @escaping @Sendable () -> Int) {
        log = SparseLog(logger)
        succeeded = metrics.counter(
            "quotastack_webhook_attempts_succeeded_total", "Attempts of deliveries that the receiver accepted.")
        failed = metrics.counter(
            "quotastack_webhook_attempts_failed_total", "Attempts of deliveries that failed.")
        disabled = metrics.counter(
            "quotastack_webhook_endpoints_disabled_total",
            "Endpoints that were disabled, by 410 or after days of failures.")
        latency = metrics.histogram(
            "quotastack_webhook_attempt_seconds", "Time of an attempt, from the look-up of the name to the response.",
            buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15])
        metrics.gauge("quotastack_webhook_endpoints_in_hand", "Endpoints on which this worker works.") {
            Double(endpoints())
        }
        metrics.gauge(
            "quotastack_webhook_backlog",
            "End users with a due delivery, summed over the enabled endpoints; 10,000 at most."
        ) { [backlog = Backlog(self)] in backlog.value?.lines.asDouble }
        metrics.gauge(
            "quotastack_webhook_oldest_due_seconds", "The longest time that a due delivery of the backlog has waited."
        ) { [backlog = Backlog(self)] in backlog.value?.oldestSeconds }
    }

    func count(_ attempt: DeliveryAttempt) {
        if attempt.isSuccess { succeeded.increment() } else { failed.increment() }
        latency.record(Double(attempt.latencyMilliseconds) / 1_000)
    }

    /// Logs that a turn ended with an error of the database.
    func noteFailure(_ error: any Error, logger: Logger) {
        if error is CancellationError { return }
        log.write(.warning, "webhooks of an endpoint wait for the database", ": \(error)")
    }

    /// A weak reference, because the registry keeps its gauges for ever.
    private struct Backlog: Sendable {
        private weak let metrics: WebhookMetrics?

        init(_ metrics: WebhookMetrics) {
            self.metrics = metrics
        }

        var value: (lines: Int64, oldestSeconds: Double)? { metrics?.backlog.withLock { $0 } }
    }
}

extension Int64 {
    fileprivate var asDouble: Double { Double(self) }
}
