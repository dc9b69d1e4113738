import Hummingbird
package import Logging
package import Messaging
package import Postgres
package import Replica
package import Runtime
import ServiceLifecycle
import Storage

/// The HTTP API. It keeps no business state: it reads from the replica and PostgreSQL and sends every mutation through
/// the queue.
package struct APIServer: Service {
    private let application: Application<RouterResponder<APIContext>>
    private let reads: TenantReads
    private let logger: Logger

    package init(
        host: String, port: Int, rootKey: String, postgres: PostgresConfiguration, readConnections: Int,
        topology: Topology, commandWait: Duration, replica: Replica, gateway: CommandGateway, metrics: Metrics,
        logger: Logger
    ) {
        let reads = TenantReads(postgres: postgres, connections: readConnections, logger: logger)
        let site = Site(
            authenticator: Authenticator(replica: replica, rootKey: rootKey), replica: replica, reads: reads,
            mutations: Mutations(
                gateway: gateway, topology: topology, replica: replica, answers: DecidedAnswers(reads: reads),
                shownOnce: ShownOnce(keys: KeyDerivation(rootKey: rootKey)),
                wait: commandWait))
        let router = Router(context: APIContext.self)
        router.add(middleware: RequestBoundary(metrics: metrics, logger: logger))
        HealthRoutes(site: site, metrics: metrics).add(to: router)
        TenantRoutes(site: site).add(to: router)
        CatalogueRoutes(site: site).add(to: router)
        AccountRoutes(site: site).add(to: router)
        EntitlementRoutes(site: site).add(to: router)
        UsageRoutes(site: site).add(to: router)
        OperationRoutes(site: site).add(to: router)
        self.reads = reads
        self.logger = logger
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
                address: .hostname(host, port: port), serverName: nil, backlog: 1_024, reuseAddress: true),
            logger: quiet)
    }

    /// Serves until a graceful shutdown; requests under way are answered first.
    package func run() async throws {
        try await application.run()
        await reads.close()
    }
}
