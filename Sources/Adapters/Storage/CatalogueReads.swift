package import Credits
import Metering
package import Postgres
package import Answers

/// Reading the catalogue for the API: pages, newest first unless stated.
package enum CatalogueReads {
    package static func tenant(_ id: Bits128, on connection: PostgresConnection) async throws -> TenantRecord? {
        let result = try await connection.run(
            PostgresQuery(
                "select tenant_id, name, created_at from tenants where tenant_id = $1",
                [.uuid(high: id.high, low: id.low)]))
        return try result.first.map { try decodeTenant($0) }
    }

    package static func tenants(
        before: Bits128?, limit: Int, on connection: PostgresConnection
    ) async throws -> [TenantRecord] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select tenant_id, name, created_at from tenants
                where $1::uuid is null or tenant_id < $1
                order by tenant_id desc limit $2
                """, [optional(before), .int64(Int64(limit))]))
        return try result.map { try decodeTenant($0) }
    }

    private static func decodeTenant(_ row: PostgresRow) throws -> TenantRecord {
        TenantRecord(
            id: Bits128(try row.uuid(0)), name: try row.text(1),
            createdAt: Instant(microseconds: try row.timestamp(2)))
    }

    package static func feature(
        _ key: FeatureKey, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> FeatureRecord? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select feature_key, name, type, quota, unit_name, created_at, updated_at, archived_at
                from features where environment_id = $1 and feature_key = $2
                """, [.int32(environmentID.rawValue), .text(key.rawValue)]))
        return try result.first.map { try decodeFeature($0) }
    }

    /// A page of features, newest first, beginning after one.
    package static func features(
        environmentID: EnvironmentID, after: (createdAt: Instant, key: FeatureKey)?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [FeatureRecord] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select feature_key, name, type, quota, unit_name, created_at, updated_at, archived_at
                from features
                where environment_id = $1 and ($2::timestamptz is null or (created_at, feature_key) < ($2, $3::text))
                order by created_at desc, feature_key desc limit $4
                """,
                [
                    .int32(environmentID.rawValue), .optionalTimestamp(microseconds: after?.createdAt.microseconds),
                    .optional(after?.key.rawValue), .int64(Int64(limit)),
                ]))
        return try result.map { try decodeFeature($0) }
    }

    static func decodeFeature(_ row: PostgresRow) throws -> FeatureRecord {
        guard let key = FeatureKey(try row.text(0)) else { throw StorageError.unknownValue(column: "feature_key") }
        let (type, quota) = try decodeType(row, from: 2)
        return FeatureRecord(
            key: key, name: try row.text(1), type: type, unitName: try row.textOrNil(4), quota: quota,
            createdAt: Instant(microseconds: try row.timestamp(5)),
            updatedAt: Instant(microseconds: try row.timestamp(6)),
            archivedAt: try row.timestampOrNil(7).map { Instant(microseconds: $0) })
    }

    /// Reads a feature's type and quota, beginning at a column.
    static func decodeType(_ row: PostgresRow, from column: Int) throws -> (FeatureType, Quota?) {
        guard let type = FeatureType(rawValue: try row.text(column)) else {
            throw StorageError.unknownValue(column: "type")
        }
        return (type, try row.textOrNil(column + 1).map { try Quota(json: $0) })
    }

    package static func rule(
        _ id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> RuleRecord? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select rule_id, feature_key, version, price, effective_from, created_at
                from metering_rules where environment_id = $1 and rule_id = $2
                """, [.int32(environmentID.rawValue), .uuid(high: id.high, low: id.low)]))
        return try result.first.map { try CatalogueStore.decodeRule($0) }
    }

    package static func rules(
        environmentID: EnvironmentID, featureKey: FeatureKey?, before: Bits128?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [RuleRecord] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select rule_id, feature_key, version, price, effective_from, created_at
                from metering_rules
                where environment_id = $1 and ($2::text is null or feature_key = $2)
                    and ($3::uuid is null or rule_id < $3)
                order by rule_id desc limit $4
                """,
                [
                    .int32(environmentID.rawValue), .optional(featureKey?.rawValue), optional(before),
                    .int64(Int64(limit)),
                ]))
        return try result.map { try CatalogueStore.decodeRule($0) }
    }

    private static func optional(_ bits: Bits128?) -> PostgresValue {
        bits.map { .uuid(high: $0.high, low: $0.low) } ?? .null
    }
}
