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

    /// A page of packages, newest first, beginning after one.
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
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into topup_packages (environment_id, package_key, name, credits, price, currency, expires_after,
                    priority, updated_at, archived_at, created_at)
                values ($1, $2, $3, $4, $5, $6, $7::text, $8::smallint, $9, $10::timestamptz, $11)
                """, parameters(package, environmentID) + [.instant(package.createdAt)]))
    }

    /// Writes a changed package, under the lock of its catalogue.
    package static func update(
        _ package: TopupPackage, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update topup_packages
                set name = $3, credits = $4, price = $5, currency = $6, expires_after = $7::text,
                    priority = $8::smallint, updated_at = $9, archived_at = $10::timestamptz
                where environment_id = $1 and package_key = $2
                """, parameters(package, environmentID)))
    }

    private static func parameters(_ package: TopupPackage, _ environmentID: EnvironmentID) -> [PostgresValue] {
        let terms = package.terms
        return [
            .id(environmentID), .text(package.key.rawValue), .text(terms.name), .int64(terms.credits.rawValue),
            .int64(terms.price), .text(terms.currency), .optional(terms.expiresAfter?.iso8601),
            .optional(terms.priority), .instant(package.updatedAt), .instant(package.archivedAt),
        ]
    }
}
