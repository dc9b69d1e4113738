import Credits
import Failpoints
import Postgres
import Runtime
import Synchronization

/// Follows the replication stream: collects the changes of a transaction and applies them at its commit.
///
/// Tables of a newer release are skipped. After an error nothing more is applied, because changes after an unreadable row would make a state that never
/// existed. Called on the connection's thread only; the lock shows that to the compiler.
final class ReplicaStream: Sendable {
    private struct State {
        /// For each relation number of the server: the table, and the order of its columns if it differs from the
        /// table's own.
        var tables: [UInt32: (table: ReplicatedTable, order: [Int?]?)] = [:]
        /// The relation numbers of the tables that this release does not know.
        var unknown: Set<UInt32> = []
        var changes: [ReplicaChange] = []
        var hasFailed = false
    }

    private let map: ReplicaMap
    private let metrics: ReplicaMetrics
    private let onCommit: @Sendable ([ReplicaChange]) -> Void
    private let state = Mutex(State())

    init(map: ReplicaMap, metrics: ReplicaMetrics, onCommit: @escaping @Sendable ([ReplicaChange]) -> Void) {
        self.map = map
        self.metrics = metrics
        self.onCommit = onCommit
    }

    /// - Returns: The position up to which everything has been applied, if there is a new one; always nil after an
    ///   error.
    /// - Throws: The first error. Further messages are dropped.
    func apply(_ message: ReplicationMessage) throws -> WALPosition? {
        let applied = try state.withLock { state -> WALPosition? in
            guard !state.hasFailed else { return nil }
            do {
                switch message {
                case .keepalive(let walEnd, _, _):
                    metrics.announced(walEnd)
                    // Between transactions everything up to `walEnd` has been applied. Within a transaction `walEnd`
                    // lies before it.
                    return state.changes.isEmpty ? walEnd : nil
                case .data(_, let walEnd, _, let payload):
                    metrics.announced(walEnd)
                    return try apply(PGOutputMessage(payload), to: &state)
                }
            } catch {
                state.hasFailed = true
                state.changes = []
                throw error
            }
        }
        if let applied { metrics.applied(applied) }
        return applied
    }

    private func apply(_ message: PGOutputMessage, to state: inout State) throws -> WALPosition? {
        switch message {
        case .relation(let relation):
            guard let table = ReplicatedTable(name: relation.name) else {
                state.unknown.insert(relation.identifier)
                break
            }
            let order = try table.order(of: relation.columns.map(\.name))
            let isItsOwn = order.enumerated().allSatisfy { $0.offset == $0.element }
            state.tables[relation.identifier] = (table, isItsOwn ? nil : order)
        case .insert(let relation, _) where state.unknown.contains(relation): break
        case .update(let relation, _, _) where state.unknown.contains(relation): break
        case .delete(let relation, _) where state.unknown.contains(relation): break
        case .truncate(let relations, _, _) where state.unknown.isSuperset(of: relations): break
        case .insert(let relation, let new):
            state.changes.append(try change(state, relation, new: new, key: nil))
        case .update(let relation, let old, let new):
            state.changes.append(try change(state, relation, new: new, key: old))
        case .delete(let relation, let old):
            guard let (table, order) = state.tables[relation] else {
                throw ReplicaError.unexpectedChange(table: "?")
            }
            var fields = RowFields(old, order: order)
            state.changes.append(try table.removal(&fields))
        case .truncate: throw ReplicaError.unexpectedChange(table: "a whole table")
        case .commit(_, let endPosition, let commitTime):
            let changes = state.changes
            state.changes = []
            Failpoint.replicaBeforeApply.hit()
            let whole = try map.apply(changes)
            Failpoint.replicaAfterApply.hit()
            if !changes.isEmpty {
                metrics.visible(commitTime: commitTime, now: Instant.now.microseconds)
                onCommit(whole)
            }
            return endPosition
        case .begin, .origin, .type, .message: break
        }
        return nil
    }

    private func change(
        _ state: State, _ relation: UInt32, new: TupleReader, key: TupleReader?
    ) throws -> ReplicaChange {
        guard let (table, order) = state.tables[relation] else { throw ReplicaError.unknownTable("\(relation)") }
        if new.hasUnchanged { return .partial(table, order: order, new: new.copy(), key: key?.copy()) }
        return try table.change(RowFields(new, order: order))
    }
}
