import CoreMetrics
import Runtime

/// The metrics of the ledger worker.
struct LedgerMetrics: Sendable {
    private let queueSeconds: Recorder
    let batchSize: Recorder
    let batchSeconds: Recorder
    let commitSeconds: Recorder
    let appliedCommands: Counter
    let repeatedTransactions: Counter
    let parkedCommands: Counter

    init(_ metrics: MetricsRegistry) {
        queueSeconds = metrics.histogram(
            "quotastack_ledger_queue_seconds",
            "Age of a message when it is taken: the time that it waited in its queue.",
            buckets: [0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300])
        batchSize = metrics.histogram(
            "quotastack_ledger_batch_commands", "Commands applied in one transaction.",
            buckets: [1, 4, 16, 64, 256, 1_024, 4_096])
        batchSeconds = metrics.histogram(
            "quotastack_ledger_batch_seconds",
            "Time to apply a batch and commit it, with repetitions of its transaction.",
            buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5])
        commitSeconds = metrics.histogram(
            "quotastack_ledger_commit_seconds", "Time to write a decided batch and commit it.",
            buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5])
        appliedCommands = metrics.counter("quotastack_ledger_commands_total", "Account commands decided.")
        repeatedTransactions = metrics.counter(
            "quotastack_ledger_repeated_transactions_total",
            "Transactions repeated after a lost race, a deadlock or a lost connection.")
        parkedCommands = metrics.counter(
            "quotastack_ledger_parked_commands_total", "Commands parked because they cannot be applied.")
    }

    /// Records how long a message has waited in its queue.
    func observeWait(_ microseconds: Int64) {
        queueSeconds.record(Double(max(0, microseconds)) / 1e6)
    }

    /// Records a batch of account commands that was applied.
    func observeBatch(_ commands: Int, took duration: Duration) {
        batchSeconds.record(duration.seconds)
        batchSize.record(Double(commands))
        appliedCommands.increment(by: commands)
    }
}
