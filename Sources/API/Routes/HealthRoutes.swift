import Hummingbird
import JSON
import RabbitMQ
import Replica
import Runtime
import Storage

/// Whether the node lives, whether it can serve, and its metrics. No key is asked for.
struct HealthRoutes: Sendable {
    let site: Site
    let metrics: Metrics

    func add(to router: Router<APIContext>) {
        router.get("/healthz") { _, _ in Response.json(Array(#"{"status":"ok"}"#.utf8)) }
        router.get("/readyz", use: ready)
        router.get("/metrics") { [metrics] _, _ in
            var response = Response.json(Array(metrics.text().utf8))
            response.headers[.contentType] = "text/plain; version=0.0.4"
            return response
        }
    }

    @Sendable private func ready(_ request: Request, context: APIContext) async throws -> Response {
        let broker = site.mutations.gateway.brokerState
        let replica = site.replica.state
        let database: String? = await Self.within(.seconds(1)) {
            do {
                try await site.reads.reachDatabase(within: .seconds(1))
                return nil
            } catch {
                return "not reachable"
            }
        }
        let isReady = broker == .connected && replica == .live && database == nil
        var json = JSONWriter()
        json.beginObject()
        json.member("ready", isReady)
        json.member("postgresql", database ?? "ok")
        json.member("rabbitmq", Self.text(broker))
        json.member("replica", Self.text(replica))
        json.endObject()
        return .json(json.bytes, status: isReady ? 200 : 503)
    }

    private static func text(_ state: AMQPConnectionState) -> String {
        switch state {
        case .connected: "ok"
        case .blocked: "blocked by an alarm of the broker"
        case .disconnected: "not connected"
        }
    }

    private static func text(_ state: Replica.State) -> String {
        switch state {
        case .live: "ok"
        case .loading: "loading"
        case .disconnected(let since): "disconnected for \((ContinuousClock.now - since).components.seconds) s"
        }
    }

    private static func within(
        _ limit: Duration, _ body: @escaping @Sendable () async -> String?
    ) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask { await body() }
            group.addTask {
                try? await Task.sleep(for: limit)
                return "no answer within \(limit.components.seconds) s"
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}
