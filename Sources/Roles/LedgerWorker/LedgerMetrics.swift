import CoreMetrics
import Runtime

/// What an operator sees of the worker.
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
            "quotastack_ledger_batch_seconds", "Time from taking a batch to its commit.",
            buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5])
        commitSeconds = metrics.histogram(
            "quotastack_ledger_commit_seconds", "Time to write a decided batch and commit it.",
            buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5])
        appliedCommands = metrics.counter("quotastack_ledger_commands_total", "Commands decided.")
        repeatedTransactions = metrics.counter(
            "quotastack_ledger_repeated_transactions_total", "Transactions repeated after a lost race or deadlock.")
        parkedCommands = metrics.counter(
            "quotastack_ledger_parked_commands_total", "Commands put aside because they cannot be applied.")
    }

    /// Notes how long a message has waited.
    func observeWait(_ microseconds: Int64) {
        queueSeconds.record(Double(max(0, microseconds)) / 1e6)
    }

    /// Counts a batch that was applied.
    func observeBatch(_ commands: Int, took duration: Duration) {
        batchSeconds.record(duration.seconds)
        batchSize.record(Double(commands))
        appliedCommands.increment(by: commands)
    }
}
