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
    private let server: HTTPServer
    private let reads: TenantReads

    package init(
        address: HTTPServer.Address, rootKey: String, postgres: PostgresConfiguration, readConnections: Int,
        topology: Topology, commandWait: Duration, replica: Replica, gateway: CommandGateway, metrics: Metrics,
        logger: Logger
    ) throws {
        let reads = TenantReads(postgres: postgres, connections: readConnections, logger: logger)
        let gate = Gate(authenticator: Authenticator(replica: replica, rootKey: rootKey), replica: replica)
        let site = Site(
            gate: gate, reads: reads,
            mutations: Mutations(
                gateway: gateway, topology: topology, replica: replica, answers: DecidedAnswers(reads: reads),
                shownOnce: ShownOnce(keys: KeyDerivation(rootKey: rootKey)),
                wait: commandWait))
        self.reads = reads
        server = try HTTPServer(
            address: address,
            checks: [.postgres(reads), .broker { gateway.brokerState }, .replica(replica)], metrics: metrics,
            logger: logger
        ) { router in
            TenantRoutes(site: site).add(to: router)
            CatalogueRoutes(site: site).add(to: router)
            AccountRoutes(site: site).add(to: router)
            EntitlementRoutes(gate: gate).add(to: router)
            UsageRoutes(site: site).add(to: router)
            OperationRoutes(site: site).add(to: router)
        }
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

    package init(address: HTTPServer.Address, replica: Replica, metrics: Metrics, logger: Logger) throws {
        let gate = Gate(authenticator: Authenticator(replica: replica, rootKey: nil), replica: replica)
        server = try HTTPServer(address: address, checks: [.replica(replica)], metrics: metrics, logger: logger) {
            EntitlementRoutes(gate: gate).add(to: $0)
        }
    }

    /// Serves until a graceful shutdown; requests under way are answered first.
    package func run() async throws {
        try await server.run()
    }
}
