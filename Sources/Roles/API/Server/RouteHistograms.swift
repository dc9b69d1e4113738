import CoreMetrics
import Runtime
import Synchronization

/// The durations of requests, by method and route. The series of a route begins with its first request, or
/// when its recorder is asked for.
final class RouteHistograms: Sendable {
    private static let name = "quotastack_http_request_seconds"

    private struct Route: Hashable {
        let method: String
        let path: String
    }

    private let metrics: MetricsRegistry
    private let recorders = Mutex<[Route: Recorder]>([:])

    init(_ metrics: MetricsRegistry) {
        self.metrics = metrics
        metrics.describe(Self.name, .histogram, "Time from a request's head to its answer.")
    }

    /// - Parameter route: The pattern of the path, such as `/v1/end-users/{id}`; nil when no route takes the request.
    ///   Its path is not recorded, because it could be any text.
    func observe(_ seconds: Double, method: String, route: String?) {
        recorder(route.map { Route(method: method, path: $0) } ?? Route(method: "", path: "none")).record(seconds)
    }

    /// The series of a route.
    func recorder(method: String, route: String) -> Recorder {
        recorder(Route(method: method, path: route))
    }

    private func recorder(_ route: Route) -> Recorder {
        recorders.withLock { recorders in
            if let known = recorders[route] { return known }
            let labels = [("method", route.method), ("route", route.path)]
            let fresh = Recorder(label: Self.name, dimensions: labels, factory: metrics)
            recorders[route] = fresh
            return fresh
        }
    }
}
