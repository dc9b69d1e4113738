import Runtime
import Synchronization

/// How long requests take, for each route: made when a route is first asked for, since only then is it worth a line.
final class RouteHistograms: Sendable {
    private struct Route: Hashable {
        let method: String
        let path: String
    }

    private let metrics: Metrics
    private let histograms = Mutex<[Route: Histogram]>([:])

    init(_ metrics: Metrics) {
        self.metrics = metrics
    }

    /// - Parameter route: The pattern of the path, such as `/v1/end-users/{id}`; nil when no route takes the request, whose
    ///   path may be anything.
    func observe(_ seconds: Double, method: String, route: String?) {
        let route = route.map { Route(method: method, path: $0) } ?? Route(method: "", path: "none")
        let histogram = histograms.withLock { histograms in
            if let known = histograms[route] { return known }
            let labels = "method=\"\(route.method)\",route=\"\(route.path)\""
            let fresh = metrics.histogram(
                "quotastack_http_request_seconds", "Time from a request's head to its answer.", labels: labels,
                buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 10])
            histograms[route] = fresh
            return fresh
        }
        histogram.observe(seconds)
    }
}
