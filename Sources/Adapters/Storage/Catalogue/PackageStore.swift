package import Catalogue
package import Credits
package import Postgres

/// The top-up packages of an environment.
package enum PackageStore {
    package static func find(
        _ key: PackageKey, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> TopupPackage? {
        let result = try await connection.run(
            PostgresQuery(findStatement, [.id(environmentID), .text(key.rawValue)]))
        return try PackageRow.all(result).first?.package
    }

    private static let findStatement = PackageRow.select(where: "t.environment_id = $1 and t.package_key = $2")

    /// A page of packages, newest first, beginning after a given one.
    package static func list(
        environmentID: EnvironmentID, after: (createdAt: Instant, key: PackageKey)?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [TopupPackage] {
        let result = try await connection.run(
            PostgresQuery(
                listStatement,
                [
                    .id(environmentID), .instant(after?.createdAt), .optional(after?.key.rawValue),
                    .int64(Int64(limit)),
                ]))
        return try PackageRow.all(result).map(\.package)
    }

    private static let listStatement = PackageRow.select(
        where: """
            t.environment_id = $1
                and ($2::timestamptz is null or (t.created_at, t.package_key) < ($2, $3::text))
            order by t.created_at desc, t.package_key desc limit $4
            """)

    // MARK: - Changes, inside the catalogue worker's transaction

    package static func insert(
        _ package: TopupPackage, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        let row = PackageRow(environmentID: environmentID, package: package)
        _ = try await connection.run(BulkStatement.insertPackages.query([row]))
    }

    /// Writes a changed package. The caller must hold the lock of its catalogue.
    package static func update(
        _ package: TopupPackage, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        let row = PackageRow(environmentID: environmentID, package: package)
        _ = try await connection.run(BulkStatement.updatePackages.query([row]))
    }
}
