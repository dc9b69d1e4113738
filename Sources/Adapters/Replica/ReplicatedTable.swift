import Catalogue
import Commands
import Credits
import Ledger
import Postgres
import Storage

/// The replicated tables, in the order in which a snapshot loads them.
enum ReplicatedTable: String, CaseIterable {
    case environments
    case features
    case meteringRules = "metering_rules"
    case topupPackages = "topup_packages"
    case apiKeys = "api_keys"
    case testClocks = "test_clocks"
    case accounts
    case blocks
    case reservations

    private var row: any TableRow.Type {
        switch self {
        case .environments: EnvironmentRow.self
        case .features: FeatureRow.self
        case .meteringRules: RuleRow.self
        case .topupPackages: PackageRow.self
        case .apiKeys: KeyRow.self
        case .testClocks: TestClockRow.self
        case .accounts: AccountRow.self
        case .blocks: BlockRow.self
        case .reservations: ReservationRow.self
        }
    }

    /// The COPY statement of the snapshot. Blocks of which nothing remains and reservations that have ended are left
    /// out.
    var snapshotSQL: String {
        let columns = row.columns.map { row.unreplicatedColumns.contains($0) ? "null" : $0 }
        let condition =
            switch self {
            case .blocks: " where open"
            case .reservations: " where status = 'active'"
            default: ""
            }
        return "copy (select \(columns.joined(separator: ", ")) from \(rawValue)\(condition)) to stdout (format binary)"
    }

    /// The index of each column to read among the published columns; nil for a column that is not replicated. Published
    /// columns that a newer release has added are skipped. A missing column is an error.
    func order(of published: [String]) throws -> [Int?] {
        try row.columns.map { column in
            if let place = published.firstIndex(of: column) { return place }
            guard row.unreplicatedColumns.contains(column) else {
                throw ReplicaError.missingColumn(table: rawValue, column: column)
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
        case .features:
            let old = try rows.flatMap { $0.feature(try key.environmentID(), try key.featureKey()) }
            return .feature(try FeatureRow(&fields, keeping: old))
        case .meteringRules:
            // Rules are never updated.
            return .rule(try RuleRow(&fields, keeping: nil))
        case .topupPackages:
            let old = try rows.flatMap { rows in
                rows.package(
                    try key.environmentID(), try key.parsed("package_key") { text in PackageKey(text) })
            }
            return .package(try PackageRow(&fields, keeping: old))
        case .apiKeys:
            let old = try rows.flatMap { $0.key(try key.environmentID(), try key.bits()) }
            return .key(try KeyRow(&fields, keeping: old))
        case .testClocks:
            // Every column has a fixed length, so the WAL repeats all of them.
            return .testClock(try TestClockRow(&fields, keeping: nil))
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
        }
    }
}

/// The rows that a replica has, for updates that leave out unchanged values.
protocol ReplicaRows {
    func environment(_ id: EnvironmentID) -> EnvironmentRow?
    func feature(_ environmentID: EnvironmentID, _ key: FeatureKey) -> FeatureRow?
    func package(_ environmentID: EnvironmentID, _ key: PackageKey) -> PackageRow?
    func key(_ environmentID: EnvironmentID, _ id: Bits128) -> KeyRow?
    func account(_ id: AccountID) -> AccountRow?
    func block(_ accountID: AccountID, _ number: Int32) -> BlockRow?
    func reservation(_ accountID: AccountID, _ number: Int32) -> ReservationRow?
}

/// One change of a replicated row.
enum ReplicaChange {
    case environment(EnvironmentRow)
    case feature(FeatureRow)
    case rule(RuleRow)
    case package(PackageRow)
    case key(KeyRow)
    case testClock(TestClockRow)
    case account(AccountRow)
    case accountRemoved(AccountID)
    case block(BlockRow)
    case reservation(ReservationRow)
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
