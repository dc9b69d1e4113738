import Logging
import Postgres
import Runtime
import Storage
import Synchronization

/// The duty that removes finished deliveries after their time and what deleted endpoints have left, and that counts the
/// backlog. Each statement has a bound, so that none is long.
struct WebhookSweeper: Sendable {
    private static let interval = Duration.seconds(10)
    private static let page = 1_000
    /// The lines that the backlog counts at most.
    private static let counted = 10_000

    let database: PostgresConfiguration
    let retentionDays: Int
    let sender: Sender
    let metrics: WebhookMetrics
    let logger: Logger

    func run() async {
        let retry = Retry(
            pause: Self.interval, logger: logger, failure: "no old webhook deliveries are removed at the moment")
        await retry.untilCancelled { try await work($0) }
    }

    private func work(_ onSuccess: () -> Void) async throws {
        let connection = try await PostgresConnection.connect(database, logger: logger)
        defer { connection.close() }
        while true {
            let finished = try await WebhookRemains.deleteFinished(
                olderThanDays: retentionDays, upTo: Self.page, on: connection)
            let removed = try await WebhookRemains.deleteRemoved(upTo: Self.page, on: connection)
            let backlog = try await WebhookRemains.backlog(upTo: Self.counted, on: connection)
            metrics.backlog.withLock { $0 = backlog }
            await sender.closeIdle()
            onSuccess()
            if finished < Self.page, removed == 0 { try await Task.sleep(for: Self.interval) }
        }
    }
}
