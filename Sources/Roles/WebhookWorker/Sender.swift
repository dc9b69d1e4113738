import AsyncHTTPClient
package import Credits
import NIOCore
import NIOHTTP1
import Runtime
package import Webhooks

/// What an attempt was answered.
package struct Reply: Hashable, Sendable {
    /// Nil without a response.
    package var status: Int?
    /// The seconds of `Retry-After`.
    package var retryAfter: Int64?
    /// The beginning of the response.
    package var excerpt: String?
    /// Why the attempt has failed; nil for a success.
    package var error: String?
}

/// A message to a receiver.
package struct OutgoingMessage: Sendable {
    package let signature: WebhookSignature
    package let body: [UInt8]

    package init(signature: WebhookSignature, body: [UInt8]) {
        self.signature = signature
        self.body = body
    }
}

/// Sends messages to receivers: one POST each, within 15 seconds, without redirects, to an address that was checked.
package final class Sender: Sendable {
    private let rules: TargetRules
    private let resolver: Resolver
    private let clients = PinnedClients()

    package init(rules: TargetRules, resolver: Resolver = Resolver()) {
        self.rules = rules
        self.resolver = resolver
    }

    /// Attempts a delivery. It never throws: everything that can happen is an answer.
    ///
    /// - Parameter limit: The time of the attempt.
    package func send(
        _ message: OutgoingMessage, to url: WebhookURL, of environmentID: EnvironmentID,
        within limit: Duration = .seconds(WebhookLimits.attemptSeconds)
    ) async -> Reply {
        await withTaskGroup(of: Reply?.self) { group in
            group.addTask { await self.exchange(message, url, environmentID) }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
                ?? Reply(error: Task.isCancelled ? "the worker stopped" : "no complete response within \(limit.text)")
        }
    }

    private func exchange(
        _ message: OutgoingMessage, _ url: WebhookURL, _ environmentID: EnvironmentID
    ) async -> Reply {
        do {
            let answers: [IPAddress]
            switch url.host {
            case .address(let address): answers = [address]
            case .name(let name): answers = try await resolver.addresses(of: name, for: environmentID)
            }
            let address = try rules.choose(answers, port: url.port)
            return try await clients.with(url.host, at: address) { try await self.post(message, url, with: $0) }
        } catch let refusal as TargetRules.Refusal {
            return Reply(error: "\(refusal)")
        } catch let error as ResolverError {
            return Reply(error: "\(error)")
        } catch let error as HTTPClientError {
            return Reply(error: "the request failed: \(error.shortDescription)")
        } catch {
            return Reply(error: "the connection failed: \(error)")
        }
    }

    private func post(_ message: OutgoingMessage, _ url: WebhookURL, with client: HTTPClient) async throws -> Reply {
        var request = HTTPClientRequest(url: url.text)
        request.method = .POST
        request.headers = [
            "content-type": "application/json", "user-agent": "QuotaStack-Webhooks/1",
            "webhook-id": message.signature.id, "webhook-timestamp": message.signature.timestamp,
            "webhook-signature": message.signature.signature,
        ]
        request.body = .bytes(ByteBuffer(bytes: message.body))
        let response = try await client.execute(request, timeout: .seconds(WebhookLimits.attemptSeconds))
        var reply = Reply(status: Int(response.status.code))
        reply.retryAfter = response.headers.first(name: "retry-after").flatMap {
            RetrySchedule.seconds(ofRetryAfter: $0, at: .now)
        }
        reply.excerpt = DeliveryAttempt.excerpt(of: try await Self.beginning(of: response.body))
        switch response.status.code {
        case 200..<300: break
        case 300..<400: reply.error = "status \(response.status.code): redirects are not followed"
        default: reply.error = "status \(response.status.code)"
        }
        return reply
    }

    /// Reads a body up to its bound and keeps its beginning. The connection of a longer body is closed.
    private static func beginning(of body: HTTPClientResponse.Body) async throws -> [UInt8] {
        var (kept, read) = ([UInt8](), 0)
        for try await part in body {
            kept += part.readableBytesView.prefix(WebhookLimits.responseBytes - kept.count)
            read += part.readableBytes
            if read >= WebhookLimits.readBytes { break }
        }
        return kept
    }

    func closeIdle() async {
        await clients.closeIdle()
    }

    /// Nobody sends any more.
    package func close() async {
        await clients.close()
        resolver.close()
    }
}

extension Duration {
    fileprivate var text: String { "\(components.seconds) s" }
}
