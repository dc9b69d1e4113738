package import Catalogue
package import Credits
package import Postgres

/// The API keys of environments.
package enum KeyStore {
    /// A page of an environment's keys, newest first, with ids below `before`.
    package static func list(
        environmentID: EnvironmentID, before: Bits128?, limit: Int, on connection: PostgresConnection
    ) async throws -> [KeyRecord] {
        let result = try await connection.run(
            PostgresQuery(
                listStatement,
                [.id(environmentID), .bits(before), .int64(Int64(limit))]))
        return try KeyRecordRow.all(result).map(\.record)
    }

    private static let listStatement = PostgresStatement(
        """
        select \(KeyRecordRow.columns(of: "k")), e.kind
        from api_keys k join environments e using (environment_id)
        where k.environment_id = $1 and ($2::uuid is null or k.key_id < $2)
        order by k.key_id desc limit $3
        """)

    package static func find(
        _ id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> KeyRecord? {
        let result = try await connection.run(
            PostgresQuery(findStatement, [.id(environmentID), .bits(id)]))
        return try KeyRecordRow.all(result).first?.record
    }

    private static let findStatement = PostgresStatement(
        """
        select \(KeyRecordRow.columns(of: "k")), e.kind
        from api_keys k join environments e using (environment_id)
        where k.environment_id = $1 and k.key_id = $2
        """)

    /// Whether a key already has a successor.
    package static func isReplaced(
        _ id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.run(
            PostgresQuery(
                "select from api_keys where environment_id = $1 and replaces = $2",
                [.id(environmentID), .bits(id)])
        ).rowCount > 0
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    package static func insert(
        _ key: KeyRecord, hash: [UInt8], environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into api_keys (environment_id, key_id, name, key_hash, hint, created_at, scopes, expires_at,
                    replaces)
                values ($1, $2, $3, $4, $5, $6, $7::text[], $8::timestamptz, $9::uuid)
                """,
                [
                    .id(environmentID), .bits(key.id), .text(key.name), .bytes(hash), .text(key.hint),
                    .instant(key.createdAt), key.rights.scopes.names.map { .texts($0) } ?? .null,
                    .instant(key.rights.expiresAt), .bits(key.replaces),
                ]))
    }

    /// Revokes a key; nil for an unknown one. A key that is revoked already keeps its first instant.
    package static func revoke(
        _ id: Bits128, environmentID: EnvironmentID, now: Instant, on connection: PostgresConnection
    ) async throws -> KeyRecord? {
        let result = try await connection.run(
            PostgresQuery(
                PostgresStatement(
                    """
                    update api_keys k set revoked_at = coalesce(k.revoked_at, $3)
                    from environments e
                    where k.environment_id = $1 and k.key_id = $2 and e.environment_id = k.environment_id
                    returning \(KeyRecordRow.columns(of: "k")), e.kind
                    """), [.id(environmentID), .bits(id), .instant(now)]))
        return try KeyRecordRow.all(result).first?.record
    }

    /// Makes a key expire at an instant, unless it expires earlier.
    package static func expire(
        _ id: Bits128, environmentID: EnvironmentID, at instant: Instant, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update api_keys set expires_at = least(expires_at, $3) where environment_id = $1 and key_id = $2
                """,
                [.id(environmentID), .bits(id), .instant(instant)]))
    }
}
