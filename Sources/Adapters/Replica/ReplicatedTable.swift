import Catalogue
import Commands
import Credits
import Ledger
import Postgres
import Storage

/// A replicated table.
enum ReplicatedTable: Sendable {
    case environments
    case keys
    case catalogue(any CatalogueRow.Type)
    case accounts
    case blocks
    case reservations
    case subscriptions
    case counters

    /// All tables, in the order in which a snapshot loads them.
    static let all: [ReplicatedTable] =
        [.environments] + CatalogueTables.all.map { .catalogue($0) } + [
            .keys, .accounts, .blocks, .reservations, .subscriptions, .counters,
        ]

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Nil for a table that this release does not know.
    init?(name: String) {
        guard let table = Self.byName[name] else { return nil }
        self = table
    }

    var name: String { row.table }

    private var row: any TableRow.Type {
        switch self {
        case .environments: EnvironmentRow.self
        case .keys: KeyRow.self
        case .catalogue(let row): row
        case .accounts: AccountRow.self
        case .blocks: BlockRow.self
        case .reservations: ReservationRow.self
        case .subscriptions: SubscriptionRow.self
        case .counters: CounterRow.self
        }
    }

    /// The COPY statement of the snapshot. Blocks that are neither scheduled nor have remaining credits, and reservations
    /// and subscriptions that have ended, are left out.
    var snapshotSQL: String {
        let columns = row.columns.map { row.unreplicatedColumns.contains($0) ? "null" : $0 }
        let condition =
            switch self {
            case .blocks: " where open"
            case .reservations: " where status = 'active'"
            case .subscriptions: " where ended_at is null"
            default: ""
            }
        return "copy (select \(columns.joined(separator: ", ")) from \(name)\(condition)) to stdout (format binary)"
    }

    /// The index of each column to read among the published columns; nil for a column that is not replicated. Published
    /// columns that a newer release has added are skipped. A missing column is an error.
    func order(of published: [String]) throws -> [Int?] {
        try row.columns.map { column in
            if let place = published.firstIndex(of: column) { return place }
            guard row.unreplicatedColumns.contains(column) else {
                throw ReplicaError.missingColumn(table: name, column: column)
            }
            return nil
        }
    }

    /// Reads an inserted, updated or copied row.
    ///
    /// - Parameter rows: The previous rows, for an update that leaves out unchanged values.
    func change(_ fields: RowFields, keeping rows: (any ReplicaRows)? = nil) throws -> ReplicaChange {
        var (fields, key) = (fields, fields)
        switch self {
        case .environments:
            let old = try rows.flatMap { $0.environment(try key.environmentID()) }
            return .environment(try EnvironmentRow(&fields, keeping: old))
        case .keys:
            let old = try rows.flatMap { $0.key(try key.environmentID(), try key.bits()) }
            return .key(try KeyRow(&fields, keeping: old))
        case .catalogue(let row): return .catalogue(try Self.read(row, &fields, &key, rows))
        case .accounts:
            _ = try key.environmentID()
            let old = try rows.flatMap { $0.account(try key.accountID()) }
            return .account(try AccountRow(&fields, keeping: old))
        case .blocks:
            _ = try key.environmentID()
            let old = try rows.flatMap { $0.block(try key.accountID(), try key.int32()) }
            return .block(try BlockRow(&fields, keeping: old))
        case .reservations:
            _ = try key.environmentID()
            let old = try rows.flatMap { $0.reservation(try key.accountID(), try key.int32()) }
            return .reservation(try ReservationRow(&fields, keeping: old))
        case .subscriptions:
            _ = try key.environmentID()
            let old = try rows.flatMap { $0.subscription(try key.accountID(), try key.int32()) }
            return .subscription(try SubscriptionRow(&fields, keeping: old))
        case .counters:
            _ = try key.environmentID()
            let old = try rows.flatMap { $0.counter(try key.accountID(), CounterID(bits: try key.bits())) }
            return .counter(try CounterRow(&fields, keeping: old))
        }
    }

    /// Reads the key of a deleted row.
    ///
    /// - Throws: `ReplicaError` for a table from which nothing is ever deleted.
    func removal(_ key: inout RowFields) throws -> ReplicaChange {
        try key.skip()
        switch self {
        case .accounts: return .accountRemoved(try key.accountID())
        case .counters: return .counterRemoved(try key.accountID(), CounterID(bits: try key.bits()))
        default: throw ReplicaError.unexpectedChange(table: name)
        }
    }

    private static func read<Row: CatalogueRow>(
        _ row: Row.Type, _ fields: inout RowFields, _ key: inout RowFields, _ rows: (any ReplicaRows)?
    ) throws -> Row {
        var old: Row?
        if let rows {
            let environmentID = try key.environmentID()
            let item = try rows.catalogue(environmentID).flatMap { try Row.item(&key, in: $0) }
            old = item.map { Row(environmentID: environmentID, item: $0) }
        }
        return try Row(&fields, keeping: old)
    }
}

/// The rows that a replica has, for updates that leave out unchanged values.
protocol ReplicaRows {
    func environment(_ id: EnvironmentID) -> EnvironmentRow?
    func catalogue(_ environmentID: EnvironmentID) -> Catalogue?
    func key(_ environmentID: EnvironmentID, _ id: Bits128) -> KeyRow?
    func account(_ id: AccountID) -> AccountRow?
    func block(_ accountID: AccountID, _ number: Int32) -> BlockRow?
    func reservation(_ accountID: AccountID, _ number: Int32) -> ReservationRow?
    func subscription(_ accountID: AccountID, _ number: Int32) -> SubscriptionRow?
    func counter(_ accountID: AccountID, _ id: CounterID) -> CounterRow?
}

/// One change of a replicated row.
enum ReplicaChange {
    case environment(EnvironmentRow)
    case catalogue(any CatalogueRow)
    case key(KeyRow)
    case account(AccountRow)
    case accountRemoved(AccountID)
    case block(BlockRow)
    case reservation(ReservationRow)
    case subscription(SubscriptionRow)
    case counter(CounterRow)
    case counterRemoved(AccountID, CounterID)
    /// An update that leaves out unchanged values. It is read when the previous row is known.
    case partial(ReplicatedTable, order: [Int?]?, new: TupleCopy, key: TupleCopy?)

    var isPartial: Bool {
        if case .partial = self { true } else { false }
    }
}

/// A row or a stream that this release cannot read.
enum ReplicaError: Error, CustomStringConvertible {
    case unknownTable(String)
    case missingColumn(table: String, column: String)
    case unexpectedChange(table: String)

    var description: String {
        switch self {
        case .unknownTable(let table): "the stream changes \(table), which this release does not know: update this node"
        case .missingColumn(let table, let column):
            "the publication lacks the column \(column) of \(table): run quotastack migrate"
        case .unexpectedChange(let table): "the stream deletes from \(table), which never happens"
        }
    }
}
