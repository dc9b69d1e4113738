import Catalogue
import Commands
import Credits
import Ledger
import Postgres
import Storage

/// The rows as a transaction has left them so far: its own changes first, then the rows of the map.
struct TransactionRows: ReplicaRows {
    let map: ReplicaMap
    /// The changes so far, without partial ones.
    private var changes: [ReplicaChange] = []

    /// The changes of a transaction, with every partial one completed from the previous row.
    static func whole(_ changes: [ReplicaChange], map: ReplicaMap) throws -> [ReplicaChange] {
        guard changes.contains(where: \.isPartial) else { return changes }
        var rows = TransactionRows(map: map)
        for change in changes { try rows.append(change) }
        return rows.changes
    }

    private init(map: ReplicaMap) {
        self.map = map
    }

    private mutating func append(_ change: ReplicaChange) throws {
        guard case .partial(let table, let order, let new, let key) = change else {
            changes.append(change)
            return
        }
        let whole = try new.read { new in
            guard let key else { return try table.change(.init(new, order: order), keeping: self) }
            return try key.read { try table.change(.init(new, order: order, key: $0), keeping: self) }
        }
        changes.append(whole)
    }

    private func last<Row>(_ select: (ReplicaChange) -> Row?) -> Row? {
        for change in changes.reversed() {
            if let row = select(change) { return row }
        }
        return nil
    }

    func environment(_ id: EnvironmentID) -> EnvironmentRow? {
        last { change in
            if case .environment(let row) = change, row.id == id { row } else { nil }
        } ?? map.environment(id)
    }

    func catalogue(_ environmentID: EnvironmentID) -> Catalogue? {
        guard var catalogue = map.catalogue(environmentID) else { return nil }
        for case .catalogue(let row) in changes where row.environmentID == environmentID { row.enter(&catalogue) }
        return catalogue
    }

    func key(_ environmentID: EnvironmentID, _ id: Bits128) -> KeyRow? {
        last { change in
            if case .key(let row) = change, row.environmentID == environmentID, row.id == id { row } else { nil }
        } ?? map.key(environmentID, id)
    }

    func account(_ id: AccountID) -> AccountRow? {
        last { change in
            if case .account(let row) = change, row.id == id { row } else { nil }
        } ?? map.account(id)
    }

    func block(_ accountID: AccountID, _ number: Int32) -> BlockRow? {
        last { change in
            if case .block(let row) = change, row.accountID == accountID, row.block.number == number {
                row
            } else {
                nil
            }
        } ?? map.block(accountID, number)
    }

    func counter(_ accountID: AccountID, _ id: CounterID) -> CounterRow? {
        last { change in
            if case .counter(let row) = change, row.accountID == accountID, row.id == id { row } else { nil }
        } ?? map.counter(accountID, id)
    }

    func subscription(_ accountID: AccountID, _ number: Int32) -> SubscriptionRow? {
        last { change in
            if case .subscription(let row) = change, row.accountID == accountID, row.subscription.number == number {
                row
            } else {
                nil
            }
        } ?? map.subscription(accountID, number)
    }

    func reservation(_ accountID: AccountID, _ number: Int32) -> ReservationRow? {
        last { change in
            if case .reservation(let row) = change, row.accountID == accountID, row.reservation.number == number {
                row
            } else {
                nil
            }
        } ?? map.reservation(accountID, number)
    }
}
