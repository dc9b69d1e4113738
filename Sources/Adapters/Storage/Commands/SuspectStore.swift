package import Credits
package import Postgres

/// The messages and commands that may have ended a ledger worker, with the number of attempts to apply each.
package enum SuspectStore {
    /// Records durably that a suspect is about to be tried once more.
    ///
    /// - Returns: The number of attempts, this one included.
    package static func countAttempt(_ id: Bits128, on connection: PostgresConnection) async throws -> Int32 {
        let result = try await connection.run(
            PostgresQuery(
                """
                insert into suspects (suspect_id, attempts) values ($1, 1)
                on conflict (suspect_id) do update set attempts = suspects.attempts + 1
                returning attempts
                """, [.uuid(high: id.high, low: id.low)]))
        guard let row = result.first else { throw StorageError.missingRow("the attempts of a suspect") }
        return try row.int32(0)
    }

    /// Removes suspects that turned out to be harmless, or that were parked.
    package static func forget(_ ids: [Bits128], on connection: PostgresConnection) async throws {
        _ = try await connection.run(
            PostgresQuery(
                "delete from suspects where suspect_id = any ($1::uuid[])", [.uuids(ids.map { PostgresUUID($0) })]))
    }
}
