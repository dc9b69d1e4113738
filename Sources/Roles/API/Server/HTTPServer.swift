import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
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

    private let application: Application<RouterResponder<APIContext>>

    /// Makes a server without further routes, for nodes whose work is not HTTP.
    package init(address: Address, checks: [HealthCheck], metrics: MetricsRegistry, logger: Logger) throws {
        try self.init(address: address, checks: checks, metrics: metrics, logger: logger) { _ in }
    }

    init(
        address: Address, checks: [HealthCheck], metrics: MetricsRegistry, logger: Logger,
        addRoutes: (Router<APIContext>) -> Void
    ) throws {
        let router = Router(context: APIContext.self)
        router.add(middleware: RequestBoundary(metrics: metrics, logger: logger))
        HealthRoutes(checks: checks, metrics: metrics).add(to: router)
        addRoutes(router)
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let plain = HTTPServerBuilder.http1(
            configuration: .init(
                idleTimeout: .seconds(60),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 16 << 10, maxHeaderFieldCount: 100)))
        application = Application(
            router: router,
            server: try address.identity.map { try .tls(plain, tlsConfiguration: $0.configuration) } ?? plain,
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
