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

    /// The column in which a look-up finds a key. It is `keyColumn`, unless an item has a key of the tenant's own too.
    static func column(of key: Key) -> String
    static func value(of key: Key) -> PostgresValue

    /// The end of a look-up's statement, which chooses one of several rows with a key; empty for a table that has one.
    static var choice: String { get }

    func insertQuery() -> PostgresQuery
}

extension CatalogueRow {
    package static func item(_ key: inout RowFields, in catalogue: Catalogue) throws -> Item? { nil }

    package static func column(of key: Key) -> String { keyColumn }

    package static var choice: String { "" }
}

/// A row of a catalogue that can be changed.
package protocol MutableCatalogueRow: CatalogueRow {
    /// Writes every value that can change, to the row with the same key.
    func updateQuery() -> PostgresQuery
}

/// The tables of a catalogue. The ledger worker loads them, and replicas follow them, in this order.
package enum CatalogueTables {
    package static let all: [any CatalogueRow.Type] = [
        FeatureRow.self, RuleRow.self, PackageRow.self, PlanRow.self, VariantRow.self, TestClockRow.self,
    ]
}
