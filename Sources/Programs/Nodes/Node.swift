import API
import CoreMetrics
import LedgerWorker
import Logging
import Messaging
import Migrations
import NIOCore
import NIOPosix
import Postgres
import RabbitMQ
import Replica
import Runtime
import Scheduler
import ServiceLifecycle
import Storage
import UnixSignals
import WebhookWorker
import Webhooks

/// One process of an installation: its settings, its log, its metrics, and the services of its roles.
package struct Node {
    private let settings: Settings
    private let postgres: PostgresConfiguration
    private let address: HTTPServer.Address
    private let limits: ConnectionLimits
    private let logger: Logger
    private let metrics = MetricsRegistry()

    /// Runs until SIGTERM or SIGINT, then ends gracefully.
    ///
    /// - Parameter defaultPort: The port on which the node listens when QUOTASTACK_PORT is not set.
    package static func run(_ roles: Set<NodeRole>, defaultPort: Int) async throws {
        let settings = try await Settings.load(defaultPort: defaultPort)
        try LogSetup.start(level: settings.logLevel)
        try settings.armFailpoints()
        let node = try Node(settings)
        // Libraries with metrics find the registry here. The roles get it as an argument.
        MetricsSystem.bootstrap(node.metrics)
        // Tasks run on the event loops, so a request that is answered from memory stays on one thread. No task blocks
        // its thread, because every C handle has a thread of its own. When the runtime does not offer the hook, tasks
        // run on Swift's own pool.
        if !NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor() {
            node.logger.notice(
                "tasks run on a pool of their own: this Swift runtime cannot run them on the event loops")
        }
        let services = ServiceGroup(
            services: try await node.services(roles), gracefulShutdownSignals: [.sigterm, .sigint], logger: node.logger)
        node.logger.info("listening on \(node.address)")
        if node.address.isExposed {
            node.logger.warning(
                """
                \(node.address) is plain HTTP: API keys can be read on the network unless a proxy encrypts the traffic; \
                set QUOTASTACK_TLS_CERTIFICATE and QUOTASTACK_TLS_KEY for HTTPS
                """)
        }
        try await services.run()
    }

    private init(_ settings: Settings) throws {
        self.settings = settings
        postgres = try settings.postgres()
        logger = Logger(label: "quotastack")
        let descriptors = FileDescriptors.raiseLimit()
        limits = try ConnectionLimits(
            descriptors: descriptors, reads: settings.readConnections, connections: settings.maximumConnections,
            perAddress: settings.maximumConnectionsPerAddress, idle: settings.idleTimeout)
        logger.info("\(limits); this process may open \(descriptors) files")
        address = HTTPServer.Address(
            host: settings.host, port: settings.port,
            identity: try settings.tlsFiles().map {
                try TLSIdentity(certificateFile: $0.certificate, keyFile: $0.key)
            })
    }

    /// Makes the services of the roles. They stop in the reverse order, so that the worker still applies the commands
    /// of the API's last requests.
    private func services(_ roles: Set<NodeRole>) async throws -> [any Service] {
        let topology = try await topology()
        var services: [any Service] = []
        var checks: [HealthCheck] = []
        if roles.contains(.ledger) {
            let worker = try LedgerWorker(
                postgres: postgres, amqp: try settings.amqp(), topology: topology, metrics: metrics, logger: logger)
            services += [
                worker, Eraser(postgres: postgres, metrics: metrics, logger: logger),
                VariantMigrator(postgres: postgres, of: worker, metrics: metrics, logger: logger),
            ]
            checks += [.session { worker.lastSeen }, .broker { worker.state }]
        }
        if roles.contains(.scheduler) {
            let scheduler = try Scheduler(
                postgres: postgres, amqp: try settings.amqp(), topology: topology, metrics: metrics, logger: logger)
            services += [
                scheduler, Checkpointer(postgres: postgres, metrics: metrics, logger: logger),
                CounterSweeper(postgres: postgres, metrics: metrics, logger: logger),
            ]
            checks += [.session { scheduler.lastSeen }, .broker { scheduler.brokerState }]
        }
        if roles.contains(.webhooks) {
            guard let key = try settings.webhookKey() else {
                throw SettingsError(
                    "QUOTASTACK_WEBHOOK_KEY is not set: the webhook worker needs the key that encrypts the signing secrets; make one with openssl rand -hex 32 and give it to every API node too"
                )
            }
            let worker = WebhookWorker(
                postgres: postgres, key: key, rules: settings.webhookTargets,
                retentionDays: settings.webhookRetentionDays, metrics: metrics, logger: logger)
            services.append(worker)
            checks.append(.session { worker.lastSeen })
        }
        guard roles.contains(.api) || roles.contains(.entitlements) else {
            return services + [
                try HTTPServer(address: address, limits: limits, checks: checks, metrics: metrics, logger: logger)
            ]
        }
        let replica = Replica(postgres: postgres, metrics: metrics, logger: logger)
        services.insert(replica, at: 0)
        guard roles.contains(.api) else {
            return services + [
                try EntitlementServer(
                    address: address, limits: limits, replica: replica, metrics: metrics, logger: logger)
            ]
        }
        let rootKey = try settings.rootKey()
        guard APIKey.kind(of: rootKey) == .root else {
            throw SettingsError("QUOTASTACK_ROOT_KEY is not a root key; `quotastack key root` makes one")
        }
        let reads = TenantReads(postgres: postgres, connections: settings.readConnections, logger: logger)
        let answers = DecidedAnswers(reads: reads)
        let gateway = try CommandGateway(
            amqp: try settings.amqp(), topology: topology, answers: answers, metrics: metrics, logger: logger)
        let api = try APIServer(
            address: address, limits: limits, rootKey: rootKey, secretKey: try settings.secretKey() ?? rootKey,
            reads: reads, answers: answers, topology: topology, commandWait: settings.commandWait, replica: replica,
            gateway: gateway, webhooks: WebhookSetup(key: try settings.webhookKey(), rules: settings.webhookTargets),
            metrics: metrics, logger: logger)
        return services + [gateway, api]
    }

    /// The installation's queues. While the database is away, or moves to another server, this waits: a process that was started
    /// during an outage works when the outage is over. Until then no signal is handled, so SIGTERM ends the process at once.
    ///
    /// - Throws: When the database lacks a migration.
    private func topology() async throws -> Topology {
        let retry = Retry(
            pause: .milliseconds(500), logger: logger,
            failure: "PostgreSQL cannot be reached; this process starts when it can", recovery: "PostgreSQL is there")
        let outcome = try await retry.untilSuccess { pause in
            (try? await Task.sleep(for: pause)) != nil
        } _: { () async throws(PostgresError) -> Result<Topology, any Error> in
            do {
                return .success(try await readTopology())
            } catch let error as PostgresError where error.condition == .away || error.condition == .busy {
                throw error
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    private func readTopology() async throws -> Topology {
        let connection = try await PostgresConnection.connect(postgres, logger: logger)
        defer { connection.close() }
        let missing = try await Migrator(migrations: SchemaMigrations.all, logger: logger).missing(connection)
        guard missing.isEmpty else {
            throw SettingsError(
                "the database lacks the migrations \(missing.joined(separator: ", ")): run quotastack migrate")
        }
        return Topology(
            prefix: settings.queuePrefix, shardCount: try await InstallationStore.shardCount(on: connection))
    }
}
