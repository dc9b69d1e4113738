package import Catalogue
package import Credits
import Metering
package import Postgres

extension RuleStore {
    /// A page of rules, newest first, with ids below `before`.
    package static func list(
        environmentID: EnvironmentID, featureKey: FeatureKey?, before: Bits128?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [MeteringRule] {
        let result = try await connection.run(
            PostgresQuery(
                listStatement,
                [.id(environmentID), .optional(featureKey?.rawValue), .bits(before), .int64(Int64(limit))]))
        return try RuleRow.all(result).map(\.item)
    }

    private static var listStatement: PostgresStatement {
        RuleRow.select(
            where: """
                t.environment_id = $1 and ($2::text is null or t.feature_key = $2)
                    and ($3::uuid is null or t.rule_id < $3)
                order by t.rule_id desc limit $4
                """)
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    /// The bytes of all rules of an environment, as canonical JSON.
    package static func bytes(environmentID: EnvironmentID, on connection: PostgresConnection) async throws -> Int64 {
        let result = try await connection.run(
            PostgresQuery(
                "select coalesce(sum(price_bytes), 0)::bigint from metering_rules where environment_id = $1",
                [.id(environmentID)]))
        guard let row = result.first else { throw StorageError.missingRow("the size of the rules") }
        return try row.int64(0)
    }

    /// The version number for a new rule of a feature: one more than the latest.
    ///
    /// - Parameter variant: The variant whose rules are counted; nil for the feature's own.
    package static func nextVersion(
        _ key: FeatureKey, variant: PublicID?, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Int32 {
        let result = try await connection.run(
            PostgresQuery(
                """
                select coalesce(max(version), 0) + 1 from metering_rules
                where environment_id = $1 and feature_key = $2 and plan_variant_id is not distinct from $3::uuid
                """, [.id(environmentID), .text(key.rawValue), .bits(variant?.bits)]))
        guard let row = result.first else { throw StorageError.missingRow("the next rule version") }
        return try row.int32(0)
    }
}
