import Hummingbird
package import Logging
import NIOSSL
package import Runtime
import ServiceLifecycle

/// The HTTP server of a node: `/healthz`, `/readyz`, `/metrics`, and the routes of the node's roles.
package struct HTTPServer: Service {
    /// The address on which a node listens, for HTTPS or plain HTTP.
    package struct Address: Sendable, CustomStringConvertible {
        package let host: String
        package let port: Int
        /// Nil for plain HTTP.
        package let identity: TLSIdentity?

        package init(host: String, port: Int, identity: TLSIdentity?) {
            self.host = host
            self.port = port
            self.identity = identity
        }

        package var description: String {
            "\(identity == nil ? "http" : "https")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        }

        /// Whether API keys and answers cross a network unencrypted.
        package var isExposed: Bool {
            identity == nil && !isLoopback(host)
        }
    }

    private let listener: Listener

    /// Makes a server without further routes, for nodes whose work is not HTTP.
    package init(
        address: Address, limits: ConnectionLimits, checks: [HealthCheck], metrics: MetricsRegistry, logger: Logger
    ) throws {
        try self.init(address: address, limits: limits, checks: checks, metrics: metrics, logger: logger) { _ in }
    }

    /// - Parameter entitlements: Admits the checks that are answered at once; nil without the routes of entitlements.
    init(
        address: Address, limits: ConnectionLimits, checks: [HealthCheck], metrics: MetricsRegistry, logger: Logger,
        entitlements: Admission? = nil, addRoutes: (Router<APIContext>) -> Void
    ) throws {
        let log = SparseLog(logger)
        let methods = AllowedMethods()
        let router = Router(context: APIContext.self)
        let seconds = RouteHistograms(metrics)
        router.add(
            middleware: RequestBoundary(
                methods: methods, seconds: seconds, metrics: metrics, log: log, logger: logger))
        HealthRoutes(checks: checks, metrics: metrics).add(to: router)
        addRoutes(router)
        methods.learn(router.routes.map { ($0.method, $0.path.description) })
        let connectionMetrics = ConnectionMetrics(metrics)
        let connections = OpenConnections(limits, metrics: connectionMetrics, log: log)
        let answers = MemoryShares(ConnectionLimits.answers)
        let service = ExchangeService(
            routes: router.buildResponder(),
            checks: entitlements.map { admission in
                CheckLaneService(
                    admission: admission, answers: answers,
                    seconds: seconds.recorder(method: "GET", route: CheckLane.route), logger: logger)
            }, idle: limits.idle, answers: answers, metrics: connectionMetrics, log: log, logger: logger)
        metrics.gauge("quotastack_http_connections", "Open connections of clients.") { Double(connections.count) }
        metrics.gauge("quotastack_http_body_bytes", "Bytes of requests that are being read or worked on.") {
            Double(service.bodies.used)
        }
        metrics.gauge("quotastack_http_answer_bytes", "Bytes of answers that clients have not taken yet.") {
            Double(service.answers.used)
        }
        listener = Listener(
            host: address.host, port: address.port,
            pipeline: ConnectionPipeline(
                tls: try address.identity.map { try NIOSSLContext(configuration: $0.configuration) },
                connections: connections, service: service),
            log: log)
    }

    /// Serves until a graceful shutdown; requests under way are answered first.
    package func run() async throws {
        try await listener.run()
    }
}
