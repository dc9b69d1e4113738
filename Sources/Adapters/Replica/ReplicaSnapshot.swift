import Failpoints
import Logging
import Postgres
import Storage

/// Loads all replicated tables as of an exported snapshot.
enum ReplicaSnapshot {
    static func load(
        _ snapshot: String, into map: ReplicaMap, configuration: PostgresConfiguration, logger: Logger
    ) async throws {
        let connection = try await PostgresConnection.connect(configuration.acting(as: .replica), logger: logger)
        defer { connection.close() }
        try await connection.script(
            "begin isolation level repeatable read read only; set transaction snapshot '\(snapshot)'")
        for table in ReplicatedTable.all {
            Failpoint.replicaDuringSnapshot.hit()
            try await connection.copyRows(table.snapshotSQL) { row in
                try map.apply([try table.change(RowFields(row))])
            }
        }
        try await connection.script("commit")
    }
}
