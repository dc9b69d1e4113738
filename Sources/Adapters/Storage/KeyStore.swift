package import Credits
import Messaging
package import Postgres
package import Answers

/// The API keys of environments.
package enum KeyStore {
    /// A page of an environment's keys, newest first.
    package static func list(
        environmentID: EnvironmentID, before: Bits128?, limit: Int, on connection: PostgresConnection
    ) async throws -> [KeyRecord] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select k.key_id, k.name, e.kind, k.scopes, k.hint, k.created_at, k.expires_at, k.replaces, k.revoked_at
                from api_keys k join environments e using (environment_id)
                where k.environment_id = $1 and ($2::uuid is null or k.key_id < $2)
                order by k.key_id desc limit $3
                """,
                [
                    .int32(environmentID.rawValue), before.map { .uuid(high: $0.high, low: $0.low) } ?? .null,
                    .int64(Int64(limit)),
                ]))
        return try result.map { try decode($0) }
    }

    package static func find(
        _ id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> KeyRecord? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select k.key_id, k.name, e.kind, k.scopes, k.hint, k.created_at, k.expires_at, k.replaces, k.revoked_at
                from api_keys k join environments e using (environment_id)
                where k.environment_id = $1 and k.key_id = $2
                """, [.int32(environmentID.rawValue), .uuid(high: id.high, low: id.low)]))
        return try result.first.map { try decode($0) }
    }

    /// Whether a key was rolled already.
    package static func isReplaced(
        _ id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.run(
            PostgresQuery(
                "select from api_keys where environment_id = $1 and replaces = $2",
                [.int32(environmentID.rawValue), .uuid(high: id.high, low: id.low)])
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
                    .int32(environmentID.rawValue), .uuid(high: key.id.high, low: key.id.low), .text(key.name),
                    .bytes(hash), .text(key.hint), .timestamp(microseconds: key.createdAt.microseconds),
                    key.rights.scopes.names.map { .texts($0) } ?? .null,
                    .optionalTimestamp(microseconds: key.rights.expiresAt?.microseconds),
                    key.replaces.map { .uuid(high: $0.high, low: $0.low) } ?? .null,
                ]))
    }

    /// Revokes a key; one that is revoked already keeps its first instant.
    package static func revoke(
        _ id: Bits128, environmentID: EnvironmentID, now: Instant, on connection: PostgresConnection
    ) async throws -> KeyRecord? {
        let result = try await connection.run(
            PostgresQuery(
                """
                update api_keys k set revoked_at = coalesce(k.revoked_at, $3)
                from environments e
                where k.environment_id = $1 and k.key_id = $2 and e.environment_id = k.environment_id
                returning k.key_id, k.name, e.kind, k.scopes, k.hint, k.created_at, k.expires_at, k.replaces,
                    k.revoked_at
                """,
                [
                    .int32(environmentID.rawValue), .uuid(high: id.high, low: id.low),
                    .timestamp(microseconds: now.microseconds),
                ]))
        return try result.first.map { try decode($0) }
    }

    /// Lets a key expire at an instant, unless it expires before.
    package static func expire(
        _ id: Bits128, environmentID: EnvironmentID, at instant: Instant, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update api_keys set expires_at = least(expires_at, $3) where environment_id = $1 and key_id = $2
                """,
                [
                    .int32(environmentID.rawValue), .uuid(high: id.high, low: id.low),
                    .timestamp(microseconds: instant.microseconds),
                ]))
    }

    private static func decode(_ row: PostgresRow) throws -> KeyRecord {
        guard let kind = EnvironmentKind(rawValue: try row.text(2)) else {
            throw StorageError.unknownValue(column: "kind")
        }
        let scopes = row.isNull(3) ? nil : try row.texts(3)
        return KeyRecord(
            id: Bits128(try row.uuid(0)), name: try row.text(1), kind: kind,
            rights: KeyRights(
                scopes: KeyScopes(stored: scopes),
                expiresAt: try row.timestampOrNil(6).map { Instant(microseconds: $0) }),
            hint: try row.text(4), createdAt: Instant(microseconds: try row.timestamp(5)),
            replaces: try row.uuidOrNil(7).map { Bits128($0) },
            revokedAt: try row.timestampOrNil(8).map { Instant(microseconds: $0) })
    }
}

extension KeyScopes {
    /// The scopes of a row; null is all. A name that this release does not know gives nothing.
    package init(stored names: [String]?) {
        guard let names else {
            self = .all
            return
        }
        self = names.reduce(into: []) { scopes, name in scopes.formUnion(KeyScopes(name: name) ?? []) }
    }
}
