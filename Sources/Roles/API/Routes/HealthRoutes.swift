import Hummingbird
import JSON
import Runtime

/// The liveness, the readiness and the metrics of a node. These endpoints require no key.
struct HealthRoutes: Sendable {
    /// These paths are answered also when there are too many connections. They ignore a query.
    static let paths: Set = ["/healthz", "/readyz", "/metrics"]

    let checks: [HealthCheck]
    let metrics: MetricsRegistry

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
        var findings: [(name: StaticString, finding: String?)] = []
        for check in checks { findings.append((check.name, await check.finding())) }
        let isReady = findings.allSatisfy { $0.finding == nil }
        var json = JSONWriter()
        json.beginObject()
        json.member("ready", isReady)
        for (name, finding) in findings { json.member(name, finding ?? "ok") }
        json.endObject()
        return .json(json.bytes, status: isReady ? 200 : 503)
    }
}
