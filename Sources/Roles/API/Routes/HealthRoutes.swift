import Answers
import Hummingbird
import JSON
import Runtime

/// The liveness, the readiness and the metrics of a node. These endpoints require no key.
struct HealthRoutes: Sendable {
    /// These paths are answered also when there are too many connections. Of a query they read `for` alone, at `/readyz`.
    static let paths: Set = ["/healthz", "/readyz", "/metrics"]

    static let operations: [(path: String, operation: Operation)] = [
        ("/healthz", Operation("getLiveness", "Says that the node is alive.", answers: .ok(.liveness))),
        (
            "/readyz",
            Operation(
                "getReadiness", "Says whether the node can serve, everything or for one purpose.", query: readPurpose,
                answers: [(200, .json(.readiness)), (503, .json(.readiness))])
        ),
        ("/metrics", Operation("getMetrics", "Shows the metrics of the node.", answers: .stream("text/plain"))),
    ]

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

    @Sendable private static func readPurpose(_ query: inout RequestQuery) throws(Problem) -> HealthCheck.Purpose? {
        try query.optional("for", oneOf: HealthCheck.Purpose.self)
    }

    /// Whether the node is ready, for everything or for the purpose that `for` names. A node that has lost the database goes on
    /// answering checks, so a load balancer that sends it checks must ask for those.
    @Sendable private func ready(_ request: Request, context: APIContext) async throws -> Response {
        var query = try RequestQuery(request)
        let purpose = try Self.readPurpose(&query)
        var findings: [(name: StaticString, finding: String?)] = []
        for check in checks {
            if purpose != .checks {
                findings.append((check.name, await check.finding()))
            } else if let finding = check.findingForChecks {
                findings.append((check.name, await finding()))
            }
        }
        if findings.isEmpty { findings = [("checks", "not answered by this process")] }
        let isReady = findings.allSatisfy { $0.finding == nil }
        var json = JSONWriter()
        json.beginObject()
        json.member("ready", isReady)
        for (name, finding) in findings { json.member(name, finding ?? "ok") }
        json.endObject()
        return .json(json.bytes, status: isReady ? 200 : 503)
    }
}
