package import Postgres

/// The settings that are fixed when an installation is created.
package enum InstallationStore {
    /// The number of shards. The first call for a new installation fixes it.
    package static func shardCount(
        orCreateWith shardCount: Int32, on connection: PostgresConnection
    ) async throws -> Int32 {
        let results = try await connection.run([
            PostgresQuery(
                "insert into installation (shard_count) values ($1) on conflict do nothing", [.int32(shardCount)]),
            PostgresQuery("select shard_count from installation"),
        ])
        guard let row = results[1].first else { throw StorageError.missingRow("the installation") }
        return try row.int32(0)
    }

    /// The number of shards of an installation that `migrate` has created.
    package static func shardCount(on connection: PostgresConnection) async throws -> Int32 {
        let result = try await connection.run(PostgresQuery("select shard_count from installation"))
        guard let row = result.first else { throw StorageError.missingRow("the installation: run quotastack migrate") }
        return try row.int32(0)
    }
}
