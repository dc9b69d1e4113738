import Hummingbird
package import JSON
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
    /// The endpoints of the server, with the access that each requires.
    package let endpoints: [Endpoint]
    private let described: [(endpoint: Endpoint, operation: Operation)]
    private let server: HTTPServer
    private let reads: TenantReads
    private let streams: LedgerStreams
    private let documentRoutes: DescriptionRoutes

    /// The time from the start to the making of the API's document. It is out of the way of a start, and before most
    /// readers.
    private static let preparation = Duration.seconds(60)

    /// - Parameters:
    ///   - secretKey: API keys are derived from it; the same on every node of an installation.
    ///   - webhooks: The key that seals the secrets of webhook endpoints, and the allowed targets.
    ///   - reads: The server closes it when it ends.
    package init(
        address: HTTPServer.Address, limits: ConnectionLimits, rootKey: String, secretKey: String, reads: TenantReads,
        answers: DecidedAnswers, topology: Topology, commandWait: Duration, replica: Replica, gateway: CommandGateway,
        webhooks: WebhookSetup, metrics: MetricsRegistry,
        logger: Logger
    ) throws {
        let admission = Admission(authenticator: Authenticator(replica: replica, rootKey: rootKey), replica: replica)
        let streams = LedgerStreams(reads: reads, replica: replica, logger: logger)
        self.streams = streams
        let services = APIServices(
            admission: admission, reads: reads,
            mutations: Mutations(
                gateway: gateway, topology: topology, replica: replica, answers: answers,
                secrets: SecretAnswers(keys: KeyDerivation(secretKey: secretKey)),
                wait: commandWait), webhooks: webhooks, streams: streams)
        self.reads = reads
        metrics.gauge("quotastack_api_undecided_commands", "Commands that were taken and are not decided.") {
            Double(gateway.undecidedCommands)
        }
        metrics.gauge("quotastack_api_read_connections", "Open connections of the read pool.") {
            Double(reads.statistics.open)
        }
        metrics.gauge("quotastack_api_read_connections_in_use", "Connections of the read pool that are in use.") {
            Double(reads.statistics.open - reads.statistics.idle)
        }
        metrics.gauge("quotastack_api_ledger_streams", "Streams of the ledger that are open.") {
            Double(streams.count)
        }
        metrics.gauge("quotastack_api_reads_waiting", "Reads that wait for a connection of the read pool.") {
            Double(reads.statistics.waiting)
        }
        let description = DescriptionRoutes()
        documentRoutes = description
        var endpoints: [Endpoint] = []
        var described: [(endpoint: Endpoint, operation: Operation)] = []
        server = try HTTPServer(
            address: address, limits: limits,
            checks: [
                .postgres(reads), .broker(losesReplies: { gateway.losesReplies }) { gateway.brokerState },
                .replica(replica),
            ], metrics: metrics, logger: logger, entitlements: admission
        ) { router in
            var routes = RouteTable(router: router, admission: admission)
            TenantRoutes(services: services).add(to: &routes)
            KeyRoutes(services: services).add(to: &routes)
            ConfigRoutes(services: services).add(to: &routes)
            CatalogueRoutes(services: services).add(to: &routes)
            MeteringRuleRoutes(services: services).add(to: &routes)
            TestClockRoutes(services: services).add(to: &routes)
            EndUserRoutes(services: services).add(to: &routes)
            CreditRoutes(services: services).add(to: &routes)
            LedgerRoutes(services: services).add(to: &routes)
            ReservationRoutes(services: services).add(to: &routes)
            SpendCapRoutes(services: services).add(to: &routes)
            LimitRoutes(services: services).add(to: &routes)
            AutoTopUpRoutes(services: services).add(to: &routes)
            SubscriptionRoutes(services: services).add(to: &routes)
            EventRoutes(services: services).add(to: &routes)
            WebhookEndpointRoutes(services: services).add(to: &routes)
            WebhookDeliveryRoutes(services: services).add(to: &routes)
            EntitlementRoutes(admission: admission).add(to: &routes)
            UsageRoutes(services: services).add(to: &routes)
            AuditRoutes(services: services).add(to: &routes)
            OperationRoutes(services: services).add(to: &routes)
            DocsRoutes().add(to: router)
            MCPRoutes(authenticator: admission.authenticator, endpoints: routes.endpoints).add(to: router)
            description.add(to: router)
            routes.describe(HealthRoutes.operations + DocsRoutes.operations + DescriptionRoutes.operations)
            description.learn(routes.described)
            (endpoints, described) = (routes.endpoints, routes.described)
        }
        self.endpoints = endpoints
        self.described = described
    }

    /// The description of the API, and the disagreements between it and the readers of requests: none in a correct build.
    package var description: (json: JSONValue, defects: [String]) {
        let document = OpenAPIDocument(described)
        return (document.json, document.defects)
    }

    /// Serves until a graceful shutdown; requests under way are answered first, and streams end.
    package func run() async throws {
        let preparing = Task { [documentRoutes] in
            try await Task.sleep(for: Self.preparation)
            await documentRoutes.prepare()
        }
        defer { preparing.cancel() }
        try await withGracefulShutdownHandler {
            try await server.run()
        } onGracefulShutdown: {
            streams.close()
        }
        streams.close()
        await reads.close()
    }
}

/// An HTTP server that answers entitlement checks only, from a replica: for a node close to its callers.
package struct EntitlementServer: Service {
    private let server: HTTPServer

    package init(
        address: HTTPServer.Address, limits: ConnectionLimits, replica: Replica, metrics: MetricsRegistry,
        logger: Logger
    ) throws {
        let admission = Admission(authenticator: Authenticator(replica: replica, rootKey: nil), replica: replica)
        server = try HTTPServer(
            address: address, limits: limits, checks: [.replica(replica)], metrics: metrics, logger: logger,
            entitlements: admission
        ) { router in
            var routes = RouteTable(router: router, admission: admission)
            EntitlementRoutes(admission: admission).add(to: &routes)
        }
    }

    /// Serves until a graceful shutdown; requests under way are answered first.
    package func run() async throws {
        try await server.run()
    }
}
