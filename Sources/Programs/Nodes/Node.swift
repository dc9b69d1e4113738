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

/// One process of an installation: its settings, its log, its metrics, and the services that its roles consist of.
package struct Node {
    private let settings: Settings
    private let postgres: PostgresConfiguration
    private let address: HTTPServer.Address
    private let logger: Logger
    private let metrics = MetricsRegistry()

    /// Runs until SIGTERM or SIGINT, then ends gracefully.
    ///
    /// - Parameter defaultPort: Where the node listens unless QUOTASTACK_PORT says otherwise.
    package static func run(_ roles: Set<NodeRole>, defaultPort: Int) async throws {
        let settings = try await Settings.load(defaultPort: defaultPort)
        try LogSetup.start(level: settings.logLevel)
        try settings.armFailpoints()
        let node = try Node(settings)
        // Libraries that measure themselves find the registry here; the roles are given it.
        MetricsSystem.bootstrap(node.metrics)
        // Tasks run on the event loops themselves: a request that is answered from memory changes no thread on its way.
        // Nothing in this process blocks a task's thread, since every C handle has a thread of its own. Where the runtime
        // does not offer the hook, tasks run on Swift's own pool as before.
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
                \(node.address) is plain HTTP: API keys can be read on the way unless something in front of it encrypts; \
                QUOTASTACK_TLS_CERTIFICATE and QUOTASTACK_TLS_KEY make it HTTPS
                """)
        }
        try await services.run()
    }

    private init(_ settings: Settings) throws {
        self.settings = settings
        postgres = try settings.postgres()
        logger = Logger(label: "quotastack")
        address = HTTPServer.Address(
            host: settings.host, port: settings.port,
            identity: try settings.tlsFiles().map {
                try TLSIdentity(certificateFile: $0.certificate, keyFile: $0.key)
            })
    }

    /// Stopped in the reverse order: the API answers what it has taken while the worker still applies it.
    private func services(_ roles: Set<NodeRole>) async throws -> [any Service] {
        let topology = try await topology()
        var services: [any Service] = []
        var checks: [HealthCheck] = []
        if roles.contains(.ledger) {
            let worker = LedgerWorker(
                postgres: postgres, amqp: try settings.amqp(), topology: topology, metrics: metrics, logger: logger)
            services.append(worker)
            checks += [.session { worker.lastSeen }, .broker { worker.state }]
        }
        if roles.contains(.scheduler) {
            let scheduler = Scheduler(
                postgres: postgres, amqp: try settings.amqp(), topology: topology, metrics: metrics, logger: logger)
            services.append(scheduler)
            checks += [.session { scheduler.lastSeen }, .broker { scheduler.brokerState }]
        }
        guard roles.contains(.api) || roles.contains(.entitlements) else {
            return services + [try HTTPServer(address: address, checks: checks, metrics: metrics, logger: logger)]
        }
        let replica = Replica(postgres: postgres, metrics: metrics, logger: logger)
        services.insert(replica, at: 0)
        guard roles.contains(.api) else {
            return services + [
                try EntitlementServer(address: address, replica: replica, metrics: metrics, logger: logger)
            ]
        }
        let rootKey = try settings.rootKey()
        guard APIKey.kind(of: rootKey) == .root else {
            throw SettingsError("QUOTASTACK_ROOT_KEY is not a root key; `quotastack key root` makes one")
        }
        let reads = TenantReads(postgres: postgres, connections: settings.readConnections, logger: logger)
        let answers = DecidedAnswers(reads: reads)
        let gateway = CommandGateway(
            amqp: try settings.amqp(), topology: topology, answers: answers, metrics: metrics, logger: logger)
        let api = try APIServer(
            address: address, rootKey: rootKey, reads: reads, answers: answers, topology: topology,
            commandWait: settings.commandWait, replica: replica, gateway: gateway, metrics: metrics, logger: logger)
        return services + [gateway, api]
    }

    /// The installation's queues, once its schema is known to be complete.
    private func topology() async throws -> Topology {
        let connection = try await connected()
        defer { connection.close() }
        let missing = try await Migrator(migrations: SchemaMigrations.all, logger: logger).missing(connection)
        guard missing.isEmpty else {
            throw SettingsError(
                "the database lacks the migrations \(missing.joined(separator: ", ")): run quotastack migrate")
        }
        return Topology(
            prefix: settings.queuePrefix, shardCount: try await InstallationStore.shardCount(on: connection))
    }

    /// The first connection, tried for a minute: the database may be starting beside this process, or be away for a
    /// moment while this process is restarted.
    private func connected() async throws -> PostgresConnection {
        let deadline = ContinuousClock.now + .seconds(60)
        let retry = Retry(
            pause: .milliseconds(500), logger: logger,
            failure: "PostgreSQL cannot be reached yet and is tried for a minute")
        return try await retry.untilSuccess { pause in
            guard ContinuousClock.now < deadline else { return false }
            return (try? await Task.sleep(for: pause)) != nil
        } _: {
            try await PostgresConnection.connect(postgres, logger: logger)
        }
    }
}
