package import Logging
package import Postgres

/// One numbered step of the schema.
package struct Migration: Hashable, Sendable {
    /// A number of four digits and a name, such as `0042_orders`.
    package let name: String
    package let sql: String
    /// SQL that asserts the result, in the same transaction; nil for none.
    package let assertion: String?

    package init(name: String, sql: String, assertion: String?) {
        self.name = name
        self.sql = sql
        self.assertion = assertion
    }
}

/// Brings a database to this release's schema. Migrations only go forward; each is applied once and as a whole; an
/// advisory lock lets one migrator work at a time.
package struct Migrator: Sendable {
    /// "quotasta" as a number: the advisory lock that migrators take.
    private static let lockNumber: Int64 = 0x7175_6F74_6173_7461

    private let migrations: [Migration]
    private let logger: Logger

    package init(migrations: [Migration], logger: Logger) {
        self.migrations = migrations
        self.logger = logger
    }

    /// Applies the migrations that are missing and closes the connection, which releases the lock.
    ///
    /// - Returns: The names of the migrations applied now, in order.
    package func migrate(_ connection: PostgresConnection) async throws -> [String] {
        _ = try await connection.run(PostgresQuery("select pg_advisory_lock($1)", [.int64(Self.lockNumber)]))
        defer { connection.close() }
        try await connection.script(
            """
            create table if not exists schema_migrations (
                name text not null,
                applied_at timestamptz not null default clock_timestamp(),
                constraint schema_migrations_pkey primary key (name))
            """)
        let applied = Set(
            try await connection.run(PostgresQuery("select name from schema_migrations")).map { try $0.text(0) })
        if let unknown = applied.subtracting(migrations.map(\.name)).sorted().first {
            throw MigrationError.newerDatabase(unknown)
        }
        var names: [String] = []
        for migration in migrations where !applied.contains(migration.name) {
            logger.info("applying migration \(migration.name)")
            try await connection.script(
                "begin;\n\(migration.sql)\n;\n\(migration.assertion ?? "");\n"
                    + "insert into schema_migrations (name) values ('\(migration.name)'); commit;")
            names.append(migration.name)
        }
        return names
    }

    /// The names of the migrations that a database lacks; empty when it is up to date.
    package func missing(_ connection: PostgresConnection) async throws -> [String] {
        let there = try await connection.run(
            PostgresQuery("select to_regclass('schema_migrations') is not null"))
        guard try there.first?.bool(0) == true else { return migrations.map(\.name) }
        let applied = Set(
            try await connection.run(PostgresQuery("select name from schema_migrations")).map { try $0.text(0) })
        return migrations.map(\.name).filter { !applied.contains($0) }
    }

    /// The reason why a database cannot be migrated.
    package enum MigrationError: Error, CustomStringConvertible {
        case newerDatabase(String)

        package var description: String {
            switch self {
            case .newerDatabase(let name):
                "the database has migration \(name), unknown to this release: run the newer release that made it"
            }
        }
    }
}
