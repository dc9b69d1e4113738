package import Credits
package import Logging
package import Postgres

/// The API's only access to the database. Every read concerns one environment, and row-level security hides all others.
///
/// The statements name their environment too. A statement that forgot it would still see no other environment.
package final class TenantReads: Sendable {
    private let pool: PostgresPool

    /// Creates the access without opening a connection.
    ///
    /// - Parameter connections: The number of reads that may be under way at once. Further reads wait up to two
    ///   seconds.
    package init(postgres: PostgresConfiguration, connections: Int, logger: Logger? = nil) {
        var database = postgres.acting(as: .api)
        database.applicationName = "quotastack-api"
        pool = PostgresPool(configuration: database, size: connections, waitLimit: .seconds(2), logger: logger)
    }

    /// Lends a connection inside a read-only transaction that sees only the rows of one environment.
    ///
    /// - Parameter environmentID: `.installation` for tenants and for the commands of the root key.
    /// - Throws: The body's error, and the errors of `PostgresPool.withConnection`.
    package func read<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await pool.withConnection { connection in
            // The settings end with the transaction, so the next borrower of the connection starts without them. The
            // timeout ends a statement that runs longer than its caller waits.
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

    /// The use of the connections.
    package var statistics: PostgresPool.Statistics { pool.statistics }

    /// Checks that the database answers; throws when it does not.
    package func reachDatabase(within limit: Duration) async throws {
        _ = try await pool.withConnection { try await $0.run(PostgresQuery("select 1"), within: limit) }
    }

    /// Waits until every connection is returned and closed.
    package func close() async {
        await pool.close()
    }
}
