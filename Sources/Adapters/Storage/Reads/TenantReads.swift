package import Credits
package import Logging
package import Postgres

/// The API's only way to the database: every read is of one environment, and row-level security shows no other.
///
/// The statements name their environment too. Should one forget to, it finds nothing of anybody else.
package final class TenantReads: Sendable {
    private let pool: PostgresPool

    /// Opens no connection yet.
    ///
    /// - Parameter connections: Reads that may be under way at once; others wait up to two seconds.
    package init(postgres: PostgresConfiguration, connections: Int, logger: Logger? = nil) {
        var database = postgres.acting(as: .api)
        database.applicationName = "quotastack-api"
        pool = PostgresPool(configuration: database, size: connections, waitLimit: .seconds(2), logger: logger)
    }

    /// Lends a connection inside a read-only transaction that sees an environment's rows and nobody else's.
    ///
    /// - Parameter environmentID: `.installation` for tenants and what the root key has done.
    /// - Throws: What the body throws, and what `PostgresPool.withConnection` does.
    package func read<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await pool.withConnection { connection in
            // Local to the transaction: the next borrower of the connection begins with nothing. What takes longer than a
            // caller waits must not go on behind his back.
            _ = try await connection.run([
                PostgresQuery("begin read only"),
                PostgresQuery(
                    """
                    select set_config('quotastack.environment', $1, true), set_config('statement_timeout', '20s', true)
                    """, [.text("\(environmentID.rawValue)")]),
            ])
            let value = try await body(connection)
            _ = try await connection.run(PostgresQuery("commit"))
            return value
        }
    }

    /// How the connections are used.
    package var statistics: PostgresPool.Statistics { pool.statistics }

    /// Finds out whether the database answers.
    package func reachDatabase(within limit: Duration) async throws {
        _ = try await pool.withConnection { try await $0.run(PostgresQuery("select 1"), within: limit) }
    }

    /// Waits until every connection is back and closed.
    package func close() async {
        await pool.close()
    }
}
