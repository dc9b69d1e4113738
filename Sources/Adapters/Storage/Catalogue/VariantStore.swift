package import Catalogue
package import Credits
package import Postgres

extension VariantStore {
    /// A page of the variants of a plan in their latest versions, newest variant first, with ids below `before`. Costs a
    /// walk over the index of the plan's versions.
    package static func list(
        ofPlan planID: PublicID, environmentID: EnvironmentID, before: Bits128?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [PlanVariant] {
        let result = try await connection.run(
            PostgresQuery(
                listStatement, [.id(environmentID), .bits(planID.bits), .bits(before), .int64(Int64(limit))]))
        return try VariantRow.all(result).map(\.item)
    }

    private static var listStatement: PostgresStatement {
        VariantRow.select(
            where: """
                t.environment_id = $1 and t.plan_id = $2 and ($3::uuid is null or t.variant_id < $3)
                    and t.version = (
                        select max(n.version) from plan_variants n
                        where n.environment_id = t.environment_id and n.variant_id = t.variant_id)
                order by t.variant_id desc limit $4
                """)
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    /// Whether a plan has variants, archived ones included.
    package static func exist(
        ofPlan planID: PublicID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.run(
            PostgresQuery(
                "select from plan_variants where environment_id = $1 and plan_id = $2 limit 1",
                [.id(environmentID), .bits(planID.bits)])
        ).rowCount > 0
    }

    /// The bytes of the terms of all versions of an environment, as canonical JSON.
    package static func bytes(environmentID: EnvironmentID, on connection: PostgresConnection) async throws -> Int64 {
        let result = try await connection.run(
            PostgresQuery(
                "select coalesce(sum(terms_bytes), 0)::bigint from plan_variants where environment_id = $1",
                [.id(environmentID)]))
        guard let row = result.first else { throw StorageError.missingRow("the size of the variants") }
        return try row.int64(0)
    }
}

extension FeatureStore {
    /// The features with the given keys. Unknown keys are missing from the result.
    package static func find(
        _ keys: some Collection<FeatureKey>, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [FeatureKey: Feature] {
        guard !keys.isEmpty else { return [:] }
        let statement = FeatureRow.select(where: "t.environment_id = $1 and t.feature_key = any($2::text[])")
        let result = try await connection.run(
            PostgresQuery(statement, [.id(environmentID), .texts(keys.map(\.rawValue))]))
        let found = try FeatureRow.all(result).map { ($0.item.key, $0.item) }
        return Dictionary(uniqueKeysWithValues: found)
    }
}
