import CoreMetrics
import Runtime

/// The metrics of a server's connections.
struct ConnectionMetrics: Sendable {
    /// The thing that a connection waited for in vain when it was closed.
    enum Awaited: String, CaseIterable {
        /// The first byte of a request.
        case request
        /// The rest of a head.
        case head
        /// The rest of a body.
        case body
        /// The client, to take its answer.
        case answer
    }

    /// Connections that were told that there are too many.
    let refused: Counter
    /// Idle connections that were closed for new ones.
    let displaced: Counter
    private let timedOut: [Awaited: Counter]
    private let registry: MetricsRegistry

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        refused = registry.counter(
            "quotastack_http_connections_refused_total", "Connections refused because there were too many.")
        displaced = registry.counter(
            "quotastack_http_connections_displaced_total",
            "Idle connections closed because new connections needed their places.")
        registry.describe(
            "quotastack_http_connections_timed_out_total", .counter,
            "Connections closed because the client took too long.")
        registry.describe(
            "quotastack_http_requests_refused_total", .counter,
            "Requests refused before their route, because they are not HTTP as this server speaks it, by code.")
        timedOut = Dictionary(
            uniqueKeysWithValues: Awaited.allCases.map { awaited in
                let labels = [("waiting_for", awaited.rawValue)]
                let name = "quotastack_http_connections_timed_out_total"
                return (awaited, Counter(label: name, dimensions: labels, factory: registry))
            })
    }

    func timedOut(_ awaited: Awaited) {
        timedOut[awaited]?.increment()
    }

    /// - Parameter code: One of a handful of codes.
    func refusedRequest(code: String) {
        Counter(
            label: "quotastack_http_requests_refused_total", dimensions: [("code", code)], factory: registry
        ).increment()
    }
}
