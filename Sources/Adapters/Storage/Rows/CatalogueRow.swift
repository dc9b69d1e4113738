package import Catalogue
package import Credits
package import Postgres

/// A row of a table that is part of a catalogue: an item with its environment.
///
/// The rows are few and short. The ledger worker loads all of them, and replicas follow whole rows.
package protocol CatalogueRow: TableRow, Sendable {
    associatedtype Item: Hashable, Sendable
    associatedtype Key

    /// The column that identifies the item in its environment. It is the second column, behind the environment.
    static var keyColumn: String { get }

    var environmentID: EnvironmentID { get }
    var item: Item { get }
    init(environmentID: EnvironmentID, item: Item)

    /// Puts the item into a catalogue. It replaces the item with the same key.
    func enter(_ catalogue: inout Catalogue)

    /// The item with a key as a catalogue has it, for a replicated update that leaves out unchanged values. Nil for a
    /// table whose updates repeat every value.
    ///
    /// - Parameter key: Stands at the key column.
    static func item(_ key: inout RowFields, in catalogue: Catalogue) throws -> Item?

    static func value(of key: Key) -> PostgresValue

    func insertQuery() -> PostgresQuery
}

extension CatalogueRow {
    package static func item(_ key: inout RowFields, in catalogue: Catalogue) throws -> Item? { nil }
}

/// A row of a catalogue that can be changed.
package protocol MutableCatalogueRow: CatalogueRow {
    /// Writes every value that can change, to the row with the same key.
    func updateQuery() -> PostgresQuery
}

/// The tables of a catalogue. The ledger worker loads them, and replicas follow them, in this order.
package enum CatalogueTables {
    package static let all: [any CatalogueRow.Type] = [
        FeatureRow.self, RuleRow.self, PackageRow.self, TestClockRow.self,
    ]
}
