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

    /// A page of features, newest first, beginning after a given one.
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
        let row = FeatureRow(environmentID: environmentID, feature: feature)
        _ = try await connection.run(BulkStatement.insertFeatures.query([row]))
    }

    /// Writes a changed feature. The caller must hold the lock of its catalogue.
    package static func update(
        _ feature: Feature, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        let row = FeatureRow(environmentID: environmentID, feature: feature)
        _ = try await connection.run(BulkStatement.updateFeatures.query([row]))
    }
}
