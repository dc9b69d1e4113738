package import Credits
package import Messaging
package import Metering
package import Postgres
package import Answers

/// Tenants, keys, features and rules.
package enum CatalogueStore {
    /// Everything that decisions need to know of an environment's catalogue, and its version, in one snapshot.
    ///
    /// It is read inside the caller's transaction; the version comes first so that a later change can only make the
    /// catalogue newer than it says, never older.
    package static func load(
        _ environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> (version: Int64, catalogue: Catalogue) {
        let parameters = [PostgresValue.int32(environmentID.rawValue)]
        let results = try await connection.run([
            PostgresQuery(
                """
                select catalogue_version, rate_limit_per_second, fail_closed_over_ms, overage_policy, overage_limit,
                    timezone, zone_starts, zone_offsets
                from environments where environment_id = $1
                """, parameters),
            PostgresQuery(
                "select feature_key, archived_at is not null, type, quota from features where environment_id = $1",
                parameters),
            PostgresQuery(
                """
                select rule_id, feature_key, version, price, effective_from, created_at
                from metering_rules
                where environment_id = $1
                """, parameters),
            PostgresQuery("select clock_id, shows from test_clocks where environment_id = $1", parameters),
            PostgresQuery(
                """
                select package_key, name, credits, price, currency, expires_after, priority, archived_at is not null
                from topup_packages
                where environment_id = $1
                """, parameters),
        ])
        var catalogue = Catalogue()
        for row in results[1] {
            guard let key = FeatureKey(try row.text(0)) else { throw StorageError.unknownValue(column: "feature_key") }
            let (type, quota) = try CatalogueReads.decodeType(row, from: 2)
            catalogue.features[key] = Feature(key: key, type: type, quota: quota, isArchived: try row.bool(1))
        }
        for row in results[2] {
            let rule = try decodeRule(row).rule
            catalogue.prices[rule.featureKey, default: PriceList()].insert(rule)
        }
        for row in results[3] {
            catalogue.testClocks[PublicID(.testClock, Bits128(try row.uuid(0)))] = Instant(
                microseconds: try row.timestamp(1))
        }
        for row in results[4] {
            let package = try PackageStore.decode(row)
            catalogue.packages[package.key] = package
        }
        guard let environment = results[0].first else { return (0, catalogue) }
        catalogue.config = try decodeConfig(environment, from: 1)
        return (try environment.int64(0), catalogue)
    }

    static func decodeRule(_ row: PostgresRow) throws -> RuleRecord {
        guard let key = FeatureKey(try row.text(1)) else { throw StorageError.unknownValue(column: "feature_key") }
        return RuleRecord(
            rule: MeteringRule(
                id: PublicID(.rule, Bits128(try row.uuid(0))), featureKey: key, version: try row.int32(2),
                price: try Price(json: row.text(3)),
                effectiveFrom: Instant(microseconds: try row.timestamp(4))),
            createdAt: Instant(microseconds: try row.timestamp(5)))
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    /// Locks the catalogue of an environment and reads the clock behind the lock.
    ///
    /// - Returns: Nil when there is no such environment.
    package static func lock(
        _ environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> (version: Int64, kind: EnvironmentKind)? {
        let result = try await connection.run(
            PostgresQuery(
                "select catalogue_version, kind from environments where environment_id = $1 for update",
                [.int32(environmentID.rawValue)]))
        guard let row = result.first else { return nil }
        guard let kind = EnvironmentKind(rawValue: try row.text(1)) else {
            throw StorageError.unknownValue(column: "kind")
        }
        return (try row.int64(0), kind)
    }

    package static func now(on connection: PostgresConnection) async throws -> Instant {
        let result = try await connection.run(PostgresQuery("select clock_timestamp()"))
        guard let row = result.first else { throw StorageError.missingRow("the clock") }
        return Instant(microseconds: try row.timestamp(0))
    }

    /// Makes a tenant with its two environments and one key for each.
    ///
    /// - Returns: One of the environments: whoever has seen its first version has seen all of the tenant.
    package static func insertTenant(
        _ tenant: TenantRecord, keys: [EnvironmentKind: (id: Bits128, key: NewKey)], on connection: PostgresConnection
    ) async throws -> EnvironmentID {
        let tenantID = PostgresValue.uuid(high: tenant.id.high, low: tenant.id.low)
        let createdAt = PostgresValue.timestamp(microseconds: tenant.createdAt.microseconds)
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
                    [
                        tenantID, .text(kind.rawValue), .uuid(high: id.high, low: id.low), .bytes(key.hash),
                        .text(key.hint), createdAt,
                    ]))
        }
        guard let row = try await connection.run(queries).last?.first else {
            throw StorageError.missingRow("the environment of a new tenant")
        }
        return EnvironmentID(try row.int32(0))
    }

    package static func insertFeature(
        _ feature: FeatureRecord, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into features (environment_id, feature_key, name, type, unit_name, quota, created_at, updated_at)
                values ($1, $2, $3, $4, $5::text, $6::text, $7, $7)
                """,
                [
                    .int32(environmentID.rawValue), .text(feature.key.rawValue), .text(feature.name),
                    .text(feature.type.rawValue), .optional(feature.unitName), .optional(feature.quota?.canonicalJSON),
                    .timestamp(microseconds: feature.createdAt.microseconds),
                ]))
    }

    package static func updateFeature(
        _ key: FeatureKey, _ change: FeatureChange, environmentID: EnvironmentID, now: Instant,
        on connection: PostgresConnection
    ) async throws -> FeatureRecord? {
        let keepsQuota = change.quota == .keep
        let quota = change.quota.applied(to: nil)
        let result = try await connection.run(
            PostgresQuery(
                """
                update features
                set name = coalesce($3::text, name), unit_name = coalesce($4::text, unit_name), updated_at = $6,
                    archived_at = case $5::boolean
                        when true then coalesce(archived_at, $6)
                        when false then null
                        else archived_at
                    end,
                    quota = case when $7::boolean then quota else $8::text end
                where environment_id = $1 and feature_key = $2
                returning feature_key, name, type, quota, unit_name, created_at, updated_at, archived_at
                """,
                [
                    .int32(environmentID.rawValue), .text(key.rawValue), .optional(change.name),
                    .optional(change.unitName), .optional(change.isArchived),
                    .timestamp(microseconds: now.microseconds), .bool(keepsQuota), .optional(quota?.canonicalJSON),
                ]))
        return try result.first.map { try CatalogueReads.decodeFeature($0) }
    }

    /// The version number that a new rule of a feature gets: one more than the latest.
    package static func nextRuleVersion(
        _ key: FeatureKey, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Int32 {
        let result = try await connection.run(
            PostgresQuery(
                """
                select coalesce(max(version), 0) + 1 from metering_rules
                where environment_id = $1 and feature_key = $2
                """, [.int32(environmentID.rawValue), .text(key.rawValue)]))
        guard let row = result.first else { throw StorageError.missingRow("the next rule version") }
        return try row.int32(0)
    }

    package static func insertRule(
        _ record: RuleRecord, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        let rule = record.rule
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into metering_rules (environment_id, rule_id, feature_key, version, price, effective_from,
                    created_at)
                values ($1, $2, $3, $4, $5, $6, $7)
                """,
                [
                    .int32(environmentID.rawValue), .uuid(high: rule.id.bits.high, low: rule.id.bits.low),
                    .text(rule.featureKey.rawValue), .int32(rule.version),
                    .text(rule.price.canonicalJSON),
                    .timestamp(microseconds: rule.effectiveFrom.microseconds),
                    .timestamp(microseconds: record.createdAt.microseconds),
                ]))
    }

    /// Raises the version of the catalogue and remembers the command, then commits.
    package static func finish(
        _ decision: NewDecision?, raising environmentID: EnvironmentID?, on connection: PostgresConnection
    ) async throws {
        var queries: [PostgresQuery] = []
        if let environmentID {
            queries.append(
                PostgresQuery(
                    "update environments set catalogue_version = catalogue_version + 1 where environment_id = $1",
                    [.int32(environmentID.rawValue)]))
        }
        if let decision { queries += CommandStore.insert([decision]) }
        queries.append(PostgresQuery("commit"))
        _ = try await connection.run(queries)
    }
}
