package import Catalogue
package import Credits
package import Postgres

/// The tenants of an installation.
package enum TenantStore {
    package static func find(_ id: Bits128, on connection: PostgresConnection) async throws -> Tenant? {
        let result = try await connection.run(PostgresQuery(findStatement, [.bits(id)]))
        return try TenantRow.all(result).first?.tenant
    }

    private static let findStatement = TenantRow.select(where: "t.tenant_id = $1")

    /// A page of tenants, newest first, with ids below `before`.
    package static func list(
        before: Bits128?, limit: Int, on connection: PostgresConnection
    ) async throws -> [Tenant] {
        let result = try await connection.run(
            PostgresQuery(listStatement, [.bits(before), .int64(Int64(limit))]))
        return try TenantRow.all(result).map(\.tenant)
    }

    private static let listStatement = TenantRow.select(
        where: "$1::uuid is null or t.tenant_id < $1 order by t.tenant_id desc limit $2")

    /// The operator's limit of the tenant's requests per second; nil for an unknown tenant.
    package static func rateLimit(of id: Bits128, on connection: PostgresConnection) async throws -> Int32?? {
        let result = try await connection.run(
            PostgresQuery(
                "select operator_rate_limit from environments where tenant_id = $1 and kind = 'live'", [.bits(id)]))
        return try result.first.map { try $0.int32OrNil(0) }
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    /// Sets the operator's limit in both environments of a tenant.
    ///
    /// - Parameter locked: The environment whose catalogue the caller has locked and whose version it raises.
    package static func setRateLimit(
        _ limit: Int32?, of id: Bits128, locked: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update environments set operator_rate_limit = $2::integer,
                    catalogue_version = catalogue_version + case when environment_id = $3 then 0 else 1 end
                where tenant_id = $1
                """, [.bits(id), .optional(limit), .id(locked)]))
    }

    /// Creates a tenant with its two environments and one key for each.
    ///
    /// - Returns: The environment that is created last. Its version 1 is the position of the whole tenant.
    package static func insert(
        _ tenant: Tenant, keys: [EnvironmentKind: (id: Bits128, key: NewKey)], on connection: PostgresConnection
    ) async throws -> EnvironmentID {
        let (tenantID, createdAt) = (PostgresValue.bits(tenant.id), PostgresValue.instant(tenant.createdAt))
        var queries = [
            PostgresQuery(
                "insert into tenants (tenant_id, name, created_at) values ($1, $2, $3)",
                [tenantID, .text(tenant.name), createdAt])
        ]
        for kind in EnvironmentKind.allCases {
            guard let (id, key) = keys[kind] else { continue }
            queries.append(
                PostgresQuery(
                    """
                    with environment as (
                        insert into environments (tenant_id, kind, catalogue_version) values ($1, $2, 1)
                        returning environment_id)
                    insert into api_keys (environment_id, key_id, name, key_hash, hint, created_at)
                    select environment_id, $3, $2, $4, $5, $6 from environment
                    returning environment_id
                    """,
                    [tenantID, .text(kind.rawValue), .bits(id), .bytes(key.hash), .text(key.hint), createdAt]))
        }
        guard let row = try await connection.run(queries).last?.first else {
            throw StorageError.missingRow("the environment of a new tenant")
        }
        return EnvironmentID(try row.int32(0))
    }
}
