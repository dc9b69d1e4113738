import ArgumentParser
import Logging
import Messaging
import Migrations
import Postgres
import Runtime
import Storage

/// Brings the database to this release's schema and declares the queues.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Apply missing migrations and declare the queues; harmless when repeated.")

    func run() async throws {
        let settings = try await Settings.load()
        try LogSetup.start(level: settings.logLevel)
        let logger = Logger(label: "quotastack")
        let postgres = try settings.postgres()
        let amqp = try settings.amqp()
        let migrating = try await PostgresConnection.connect(postgres, logger: logger)
        let applied = try await Migrator(migrations: SchemaMigrations.all, logger: logger).migrate(migrating)
        let shards = try await PostgresConnection.lent(postgres, logger: logger) { connection in
            let level = try await connection.run(PostgresQuery("select current_setting('wal_level')")).first?.text(0)
            guard level == "logical" else {
                throw SettingsError(
                    "PostgreSQL runs with wal_level=\(level ?? "?"), but replicas need logical: set wal_level=logical and restart the server"
                )
            }
            return try await InstallationStore.shardCount(orCreateWith: settings.shardCount, on: connection)
        }
        try await Topology(prefix: settings.queuePrefix, shardCount: shards).declare(
            members: settings.queueMembers, configuration: amqp)
        print(applied.isEmpty ? "The schema is up to date." : "Applied \(applied.joined(separator: ", ")).")
    }
}
