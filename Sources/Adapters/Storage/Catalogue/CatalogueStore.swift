package import Catalogue
package import Commands
package import Credits
package import Postgres

/// Reads a whole catalogue, and begins and ends the transactions that change one.
package enum CatalogueStore {
    /// The part of an environment's catalogue that decisions read, and its version; version 0 for an unknown
    /// environment.
    ///
    /// The version is read first, so that a concurrent change can only make the catalogue newer than its version says,
    /// never older. Reads the items that have changed since the known version, or all if none is known.
    ///
    /// - Parameter known: An earlier result.
    package static func load(
        _ environmentID: EnvironmentID, changedSince known: (version: Int64, catalogue: Catalogue)? = nil,
        on connection: PostgresConnection
    ) async throws -> (version: Int64, catalogue: Catalogue) {
        let environment = [PostgresValue.id(environmentID)]
        let changed = environment + [.int64(known?.version ?? -1)]
        var group = QueryGroup()
        let environments = group.add(PostgresQuery(loadEnvironment, environment), EnvironmentRow.all)
        let tables = CatalogueTables.all.map { group.addChanged(of: $0, changed) }
        let results = try await group.run(on: connection)

        var catalogue = known?.catalogue ?? Catalogue()
        for table in tables {
            for row in results[table] { row.enter(&catalogue) }
        }
        guard let found = results[environments].first else { return (0, catalogue) }
        catalogue.config = found.config
        return (found.catalogueVersion, catalogue)
    }

    static let loadEnvironment = EnvironmentRow.select(where: "t.environment_id = $1")

    // MARK: - Changes, inside the catalogue worker's transaction

    /// Locks the catalogue of an environment until the transaction ends.
    ///
    /// - Returns: Nil when there is no such environment.
    package static func lock(
        _ environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> EnvironmentRow? {
        let result = try await connection.run(PostgresQuery(lockEnvironment, [.id(environmentID)]))
        return try EnvironmentRow.all(result).first
    }

    private static let lockEnvironment = EnvironmentRow.select(where: "t.environment_id = $1 for update")

    /// Whether a table of the environment's catalogue has as many rows as it may have. Costs a walk over an index.
    ///
    /// - Parameter table: A table with a column `environment_id`.
    package static func isFull(
        _ table: String, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Bool {
        let statement = PostgresStatement("select count(*) from \(table) where environment_id = $1")
        let result = try await connection.run(PostgresQuery(statement, [.id(environmentID)]))
        return try result.first.map { try $0.int64(0) >= Int64(CatalogueLimits.items) } ?? false
    }

    /// Locks the catalogue of a tenant's environment until the transaction ends.
    ///
    /// - Returns: Nil when there is no such tenant.
    package static func lock(
        _ kind: EnvironmentKind, ofTenant tenantID: Bits128, on connection: PostgresConnection
    ) async throws -> EnvironmentRow? {
        let result = try await connection.run(
            PostgresQuery(lockEnvironmentOfTenant, [.bits(tenantID), .text(kind.rawValue)]))
        return try EnvironmentRow.all(result).first
    }

    private static let lockEnvironmentOfTenant = EnvironmentRow.select(
        where: "t.tenant_id = $1 and t.kind = $2 for update")

    package static func now(on connection: PostgresConnection) async throws -> Instant {
        let result = try await connection.run(PostgresQuery("select clock_timestamp()"))
        guard let row = result.first else { throw StorageError.missingRow("the clock") }
        return Instant(microseconds: try row.timestamp(0))
    }

    /// Raises the version of the catalogue, stores the decided command, and commits.
    ///
    /// - Parameters:
    ///   - decisions: The decision in every log that shows it; empty when there is nothing to store.
    ///   - replacesForgotten: Whether an earlier decision of the command, which is forgotten, is deleted.
    package static func finish(
        _ decisions: [DecidedCommand], replacesForgotten: Bool = false, raising environmentID: EnvironmentID?,
        on connection: PostgresConnection
    ) async throws {
        var queries: [PostgresQuery] = []
        if let environmentID {
            queries.append(
                PostgresQuery(
                    "update environments set catalogue_version = catalogue_version + 1 where environment_id = $1",
                    [.id(environmentID)]))
        }
        if !decisions.isEmpty {
            if replacesForgotten { queries.append(CommandStore.deleteForgotten(Set(decisions.map(\.key)))) }
            queries.append(BulkStatement.insertCommands.query(decisions))
        }
        queries.append(PostgresQuery("commit"))
        _ = try await connection.run(queries)
    }
}

extension QueryGroup {
    fileprivate mutating func addChanged<Row: CatalogueRow>(
        of row: Row.Type, _ parameters: [PostgresValue]
    ) -> Key<[any CatalogueRow]> {
        add(PostgresQuery(row.select(where: "t.environment_id = $1 and t.changed_version > $2"), parameters)) {
            try Row.all($0)
        }
    }
}
