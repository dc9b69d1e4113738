import Hummingbird
import Postgres
package import Logging
package import Messaging
package import Replica
package import Runtime
import ServiceLifecycle
package import Storage

/// The HTTP API. It keeps no business state: it reads from the replica and PostgreSQL and sends every mutation through
/// the queue.
package struct APIServer: Service {
    /// Everything that the server answers, and who may call it.
    package let endpoints: [Endpoint]
    private let server: HTTPServer
    private let reads: TenantReads

    /// - Parameter reads: Closed when it ends.
    package init(
        address: HTTPServer.Address, rootKey: String, reads: TenantReads, answers: DecidedAnswers, topology: Topology,
        commandWait: Duration,
        replica: Replica, gateway: CommandGateway, metrics: MetricsRegistry,
        logger: Logger
    ) throws {
        let gate = Gate(authenticator: Authenticator(replica: replica, rootKey: rootKey), replica: replica)
        let site = Site(
            gate: gate, reads: reads,
            mutations: Mutations(
                gateway: gateway, topology: topology, replica: replica, answers: answers,
                secrets: SecretAnswers(keys: KeyDerivation(rootKey: rootKey)),
                wait: commandWait))
        self.reads = reads
        metrics.gauge("quotastack_api_read_connections", "Connections of the pool for reads.") {
            Double(reads.statistics.open)
        }
        metrics.gauge("quotastack_api_read_connections_in_use", "Connections of the pool that are lent.") {
            Double(reads.statistics.open - reads.statistics.idle)
        }
        metrics.gauge("quotastack_api_reads_waiting", "Reads that wait for a connection of the pool.") {
            Double(reads.statistics.waiting)
        }
        var endpoints: [Endpoint] = []
        server = try HTTPServer(
            address: address,
            checks: [.postgres(reads), .broker { gateway.brokerState }, .replica(replica)], metrics: metrics,
            logger: logger
        ) { router in
            var routes = RouteTable(router: router, gate: gate)
            TenantRoutes(site: site).add(to: &routes)
            KeyRoutes(site: site).add(to: &routes)
            ConfigRoutes(site: site).add(to: &routes)
            FeatureRoutes(site: site).add(to: &routes)
            MeteringRuleRoutes(site: site).add(to: &routes)
            PackageRoutes(site: site).add(to: &routes)
            TestClockRoutes(site: site).add(to: &routes)
            EndUserRoutes(site: site).add(to: &routes)
            CreditRoutes(site: site).add(to: &routes)
            LedgerRoutes(site: site).add(to: &routes)
            ReservationRoutes(site: site).add(to: &routes)
            SpendCapRoutes(site: site).add(to: &routes)
            EntitlementRoutes(gate: gate).add(to: &routes)
            UsageRoutes(site: site).add(to: &routes)
            AuditRoutes(site: site).add(to: &routes)
            OperationRoutes(site: site).add(to: &routes)
            endpoints = routes.endpoints
        }
        self.endpoints = endpoints
    }

    /// Serves until a graceful shutdown; requests under way are answered first.
    package func run() async throws {
        try await server.run()
        await reads.close()
    }
}

/// Entitlement checks and nothing else, from a replica of its own: for a node beside the caller.
package struct EntitlementServer: Service {
    private let server: HTTPServer

    package init(address: HTTPServer.Address, replica: Replica, metrics: MetricsRegistry, logger: Logger) throws {
        let gate = Gate(authenticator: Authenticator(replica: replica, rootKey: nil), replica: replica)
        server = try HTTPServer(address: address, checks: [.replica(replica)], metrics: metrics, logger: logger) {
            router in
            var routes = RouteTable(router: router, gate: gate)
            EntitlementRoutes(gate: gate).add(to: &routes)
        }
    }

    /// Serves until a graceful shutdown; requests under way are answered first.
    package func run() async throws {
        try await server.run()
    }
}
