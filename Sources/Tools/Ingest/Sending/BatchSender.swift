import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1

/// Sends batches until the server has answered them.
struct BatchSender: Sendable {
    private let client: HTTPClient
    private let url: String
    private let apiKey: APIKey
    private let retry: RetryPolicy
    private let timeout: TimeAmount
    private let logger: Logger

    init(client: HTTPClient, plan: IngestPlan, logger: Logger) {
        self.client = client
        url = plan.batchURL
        apiKey = plan.apiKey
        retry = plan.retry
        timeout = TimeAmount(plan.requestTimeout)
        self.logger = logger
    }

    /// The configuration of a run's HTTP client. `send` repeats failed requests, so the client must not. The client
    /// follows no redirect, because the request carries the API key.
    static func clientConfiguration(_ plan: IngestPlan) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(10)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = plan.concurrency
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        return configuration
    }

    /// Sends a batch, and repeats it as far as the retry policy allows.
    func send(_ batch: EventBatch) async throws(IngestFailure) -> BatchAnswer {
        var attempts = 0
        while true {
            let verdict = await attempt(batch)
            attempts += 1
            if Task.isCancelled { throw .cancelled }
            switch verdict {
            case .done(let answer): return answer
            case .stop(let failure): throw failure
            case .again(let reason, let retryAfter):
                let delay = retry.delay(
                    afterAttempts: attempts, retryAfter: retryAfter, randomness: .random(in: 0...1))
                guard let delay else { throw .unavailable(reason: reason, attempts: attempts, lines: batch.lines) }
                logger.warning(
                    "A batch will be sent again.",
                    metadata: [
                        "reason": "\(reason)", "attempts": "\(attempts)", "delay": "\(delay)",
                        "lines": "\(batch.lines)",
                    ])
                do {
                    try await Task.sleep(for: delay)
                } catch {
                    throw .cancelled
                }
            }
        }
    }

    private func attempt(_ batch: EventBatch) async -> Verdict {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Authorization", value: "Bearer \(apiKey.secret)")
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Accept", value: "application/json")
        request.headers.add(name: "User-Agent", value: "quotastack-ingest")
        request.body = .bytes(batch.body)
        // 4 KiB per event is far more than the longest refusal of the API.
        let maximumBytes = 64 * 1024 + 4 * 1024 * batch.events.count
        do {
            let response = try await client.execute(request, timeout: timeout)
            let body = try await response.body.collect(upTo: maximumBytes)
            return Verdict(
                status: Int(response.status.code), retryAfter: response.headers.first(name: "Retry-After"),
                body: body.readableBytesView, batch: batch)
        } catch is NIOTooManyBytesError {
            return .stop(.unexpectedAnswer("it is longer than \(maximumBytes.grouped) bytes", lines: batch.lines))
        } catch let error as HTTPClientError {
            return .again(reason: error.shortDescription, retryAfter: nil)
        } catch {
            return .again(reason: "\(error)", retryAfter: nil)
        }
    }
}
