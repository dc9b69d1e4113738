import API
import ArgumentParser
import LedgerWorker
import Logging
import Messaging
import Migrations
import NIOCore
import NIOPosix
import Postgres
import Replica
import Runtime
import ServiceLifecycle
import Storage
import UnixSignals

/// Every role in one process.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run the API and the ledger worker in this process until SIGTERM or SIGINT.")

    func run() async throws {
        let settings = try await Settings.load()
        try LogSetup.start(level: settings.logLevel)
        let logger = Logger(label: "quotastack")
        let postgres = try settings.postgres()
        let amqp = try settings.amqp()
        let rootKey = try settings.rootKey()
        guard APIKey.kind(of: rootKey) == .root else {
            throw SettingsError("QUOTASTACK_ROOT_KEY is not a root key; `quotastack key root` makes one")
        }
        let topology = try await Self.topology(settings, postgres, logger)
        let metrics = Metrics()
        let replica = Replica(postgres: postgres, metrics: metrics, logger: logger)
        let worker = LedgerWorker(
            postgres: postgres, amqp: amqp, topology: topology, metrics: metrics, logger: logger)
        let gateway = CommandGateway(amqp: amqp, topology: topology, metrics: metrics, logger: logger)
        let api = APIServer(
            host: settings.host, port: settings.port, rootKey: rootKey, postgres: postgres,
            readConnections: settings.readConnections, topology: topology, commandWait: settings.commandWait,
            replica: replica, gateway: gateway, metrics: metrics, logger: logger)
        // Stopped in the reverse order: the API answers what it has taken while the worker still applies it.
        // Tasks run on the event loops themselves: a request that is answered from memory changes no thread on its way.
        // Nothing in this process blocks a task's thread, since every C handle has a thread of its own. Where the runtime
        // does not offer the hook, tasks run on Swift's own pool as before.
        if !NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor() {
            logger.notice("tasks run on a pool of their own: this Swift runtime cannot run them on the event loops")
        }
        let ordered: [any Service] = [replica, worker, gateway, api]
        let services = ServiceGroup(
            services: ordered, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        logger.info("listening on http://\(settings.host):\(settings.port)")
        try await services.run()
    }

    /// The installation's queues, once its schema is known to be complete.
    private static func topology(
        _ settings: Settings, _ postgres: PostgresConfiguration, _ logger: Logger
    ) async throws -> Topology {
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
