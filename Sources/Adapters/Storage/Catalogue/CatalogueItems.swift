import Catalogue
package import Credits
package import Postgres

/// The items of one table of a catalogue.
package enum CatalogueItems<Row: CatalogueRow> {
    /// The item with a key; of several versions the latest.
    package static func find(
        _ key: Row.Key, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Row.Item? {
        let statement = Row.select(
            where: "t.environment_id = $1 and t.\(Row.column(of: key)) = $2 \(Row.choice)")
        let result = try await connection.run(PostgresQuery(statement, [.id(environmentID), Row.value(of: key)]))
        return try Row.all(result).first?.item
    }

    /// A page of items, newest first, beginning after a given one. The table has a column `created_at`.
    package static func list(
        environmentID: EnvironmentID, after: (createdAt: Instant, key: Row.Key)?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [Row.Item] {
        let key = "t.\(Row.keyColumn)"
        let statement = Row.select(
            where: """
                t.environment_id = $1
                    and ($2::timestamptz is null or (t.created_at, \(key)) < ($2, $3))
                order by t.created_at desc, \(key) desc limit $4
                """)
        let result = try await connection.run(
            PostgresQuery(
                statement,
                [
                    .id(environmentID), .instant(after?.createdAt), after.map { Row.value(of: $0.key) } ?? .null,
                    .int64(Int64(limit)),
                ]))
        return try Row.all(result).map(\.item)
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    package static func insert(
        _ item: Row.Item, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(Row(environmentID: environmentID, item: item).insertQuery())
    }
}

extension CatalogueItems where Row: MutableCatalogueRow {
    /// Writes a changed item. The caller must hold the lock of its catalogue.
    package static func update(
        _ item: Row.Item, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(Row(environmentID: environmentID, item: item).updateQuery())
    }
}
