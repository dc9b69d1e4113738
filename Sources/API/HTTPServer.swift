import Hummingbird
package import Logging
package import Runtime
import ServiceLifecycle

/// What every node has: an HTTP server with `/healthz`, `/readyz` and `/metrics`, and whatever else it serves.
package struct HTTPServer: Service {
    /// Where a node listens.
    package struct Address: Sendable {
        package let host: String
        package let port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    private let application: Application<RouterResponder<APIContext>>

    /// A server with nothing else: for nodes whose work is not HTTP.
    package init(address: Address, checks: [HealthCheck], metrics: Metrics, logger: Logger) {
        self.init(address: address, checks: checks, metrics: metrics, logger: logger) { _ in }
    }

    init(
        address: Address, checks: [HealthCheck], metrics: Metrics, logger: Logger,
        addRoutes: (Router<APIContext>) -> Void
    ) {
        let router = Router(context: APIContext.self)
        router.add(middleware: RequestBoundary(metrics: metrics, logger: logger))
        HealthRoutes(checks: checks, metrics: metrics).add(to: router)
        addRoutes(router)
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        application = Application(
            router: router,
            server: .http1(
                configuration: .init(
                    idleTimeout: .seconds(60),
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 16 << 10, maxHeaderFieldCount: 100))),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port), serverName: nil, backlog: 1_024,
                reuseAddress: true),
            logger: quiet)
    }

    /// Serves until a graceful shutdown; requests under way are answered first.
    package func run() async throws {
        try await application.run()
    }
}
