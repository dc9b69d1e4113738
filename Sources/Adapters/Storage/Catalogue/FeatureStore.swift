package import Catalogue
package import Credits
import Metering
package import Postgres

/// The features of an environment.
package enum FeatureStore {
    package static func find(
        _ key: FeatureKey, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Feature? {
        let result = try await connection.run(
            PostgresQuery(findStatement, [.id(environmentID), .text(key.rawValue)]))
        return try FeatureRow.all(result).first?.feature
    }

    private static let findStatement = FeatureRow.select(where: "t.environment_id = $1 and t.feature_key = $2")

    /// A page of features, newest first, beginning after one.
    package static func list(
        environmentID: EnvironmentID, after: (createdAt: Instant, key: FeatureKey)?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [Feature] {
        let result = try await connection.run(
            PostgresQuery(
                listStatement,
                [
                    .id(environmentID), .instant(after?.createdAt), .optional(after?.key.rawValue),
                    .int64(Int64(limit)),
                ]))
        return try FeatureRow.all(result).map(\.feature)
    }

    private static let listStatement = FeatureRow.select(
        where: """
            t.environment_id = $1
                and ($2::timestamptz is null or (t.created_at, t.feature_key) < ($2, $3::text))
            order by t.created_at desc, t.feature_key desc limit $4
            """)

    // MARK: - Changes, inside the catalogue worker's transaction

    package static func insert(
        _ feature: Feature, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into features (environment_id, feature_key, type, name, unit_name, quota, created_at, updated_at,
                    archived_at)
                values ($1, $2, $3, $4, $5::text, $6::text, $7, $8, $9::timestamptz)
                """,
                [
                    .id(environmentID), .text(feature.key.rawValue), .text(feature.type.rawValue),
                    .text(feature.name), .optional(feature.unitName), .optional(feature.quota?.canonicalJSON),
                    .instant(feature.createdAt), .instant(feature.updatedAt), .instant(feature.archivedAt),
                ]))
    }

    /// Writes a changed feature, under the lock of its catalogue.
    package static func update(
        _ feature: Feature, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update features
                set name = $3, unit_name = $4::text, quota = $5::text, updated_at = $6, archived_at = $7::timestamptz
                where environment_id = $1 and feature_key = $2
                """,
                [
                    .id(environmentID), .text(feature.key.rawValue), .text(feature.name),
                    .optional(feature.unitName), .optional(feature.quota?.canonicalJSON),
                    .instant(feature.updatedAt), .instant(feature.archivedAt),
                ]))
    }
}
