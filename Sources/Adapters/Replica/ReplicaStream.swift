import Postgres
import Credits
import Failpoints
import Runtime
import Synchronization

/// Follows the replication stream: collects the changes of a transaction and applies them at its commit.
///
/// Called on the connection's thread only; the lock is there to say so to the compiler.
final class ReplicaStream: Sendable {
    private struct State {
        var tables: [UInt32: ReplicatedTable] = [:]
        var changes: [ReplicaChange] = []
    }

    private let map: ReplicaMap
    private let metrics: ReplicaMetrics
    private let onCommit: @Sendable () -> Void
    private let state = Mutex(State())

    init(map: ReplicaMap, metrics: ReplicaMetrics, onCommit: @escaping @Sendable () -> Void) {
        self.map = map
        self.metrics = metrics
        self.onCommit = onCommit
    }

    /// - Returns: The position that has been dealt with, when there is a new one.
    func apply(_ message: ReplicationMessage) throws -> WALPosition? {
        let applied: WALPosition?
        switch message {
        case .keepalive(let walEnd, _, _):
            metrics.announced(walEnd)
            // Between transactions everything up to here has been applied; inside one, keepalives speak of before it.
            applied = state.withLock { $0.changes.isEmpty } ? walEnd : nil
        case .data(_, let walEnd, _, let payload):
            metrics.announced(walEnd)
            applied = try state.withLock { try apply(PGOutputMessage(payload), to: &$0) }
        }
        if let applied { metrics.applied(applied) }
        return applied
    }

    private func apply(_ message: PGOutputMessage, to state: inout State) throws -> WALPosition? {
        switch message {
        case .relation(let relation):
            guard let table = ReplicatedTable(rawValue: relation.name), relation.columns.map(\.name) == table.columns
            else { throw ReplicaError.unexpectedColumns(table: relation.name) }
            state.tables[relation.identifier] = table
        case .insert(let relation, let new), .update(let relation, _, let new):
            guard let table = state.tables[relation] else { throw ReplicaError.unexpectedValue }
            var cursor = TupleCursor(new)
            state.changes.append(try ReplicaChange(table, &cursor))
        case .delete(let relation, let old):
            guard state.tables[relation] == .accounts else {
                throw ReplicaError.unexpectedChange(table: state.tables[relation]?.rawValue ?? "?")
            }
            var cursor = TupleCursor(old)
            _ = try cursor.next()
            guard case .value(let id)? = try cursor.next() else { throw ReplicaError.unexpectedValue }
            state.changes.append(.accountRemoved(AccountID(try id.int64())))
        case .truncate: throw ReplicaError.unexpectedChange(table: "a whole table")
        case .commit(_, let endPosition, let commitTime):
            let changes = state.changes
            state.changes = []
            Failpoint.replicaBeforeApply.hit()
            map.apply(changes)
            Failpoint.replicaAfterApply.hit()
            if !changes.isEmpty {
                metrics.visible(commitTime: commitTime, now: systemMicroseconds())
                onCommit()
            }
            return endPosition
        case .begin, .origin, .type, .message: break
        }
        return nil
    }
}

private struct TupleCursor: FieldCursor {
    private var iterator: TupleReader.Iterator

    init(_ tuple: TupleReader) {
        iterator = tuple.makeIterator()
    }

    mutating func next() throws -> ReplicaField? {
        switch iterator.next() {
        case .binary(let field), .text(let field): .value(field)
        case .unchanged: .unchanged
        case .null: nil
        case nil: throw ReplicaError.unexpectedValue
        }
    }
}
