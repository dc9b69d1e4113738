import Credits
import Ledger
import Storage
import Synchronization

/// Tells the followers of an environment's ledger that a transaction may have written entries to it. A follower reads the
/// entries from the database: the write-ahead log is followed for the accounts only.
final class LedgerSignals: Sendable {
    private struct State {
        var followers: [EnvironmentID: [UInt64: @Sendable (LedgerSignal) -> Void]] = [:]
        var nextNumber: UInt64 = 0
    }

    private let state = Mutex(State())
    private let count = Atomic<Int>(0)

    func follow(
        _ environmentID: EnvironmentID, _ body: @escaping @Sendable (LedgerSignal) -> Void
    ) -> LedgerSubscription {
        let number = state.withLock { state in
            state.nextNumber += 1
            state.followers[environmentID, default: [:]][state.nextNumber] = body
            return state.nextNumber
        }
        count.wrappingAdd(1, ordering: .sequentiallyConsistent)
        return LedgerSubscription { [self] in
            state.withLock { state in
                state.followers[environmentID]?[number] = nil
                if state.followers[environmentID]?.isEmpty == true { state.followers[environmentID] = nil }
            }
            count.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
    }

    /// Tells of the changes of a transaction, of which none is partial. Costs nothing while nobody follows.
    func tell(_ changes: [ReplicaChange]) {
        guard count.load(ordering: .sequentiallyConsistent) > 0 else { return }
        var signals: [EnvironmentID: LedgerSignal] = [:]
        for change in changes {
            switch change {
            case .account(let row):
                let isErased = row.endUserID.isErased || signals[row.environmentID] == .erased
                signals[row.environmentID] = isErased ? .erased : .changed
            default: break
            }
        }
        for (environmentID, signal) in signals {
            let followers = state.withLock { $0.followers[environmentID].map { Array($0.values) } ?? [] }
            for follower in followers { follower(signal) }
        }
    }

    /// Tells every follower, because anything may have happened.
    func tellAll(_ signal: LedgerSignal) {
        for follower in state.withLock({ $0.followers.values.flatMap(\.values) }) { follower(signal) }
    }
}

/// The news of a follower.
package enum LedgerSignal: Sendable {
    case changed
    /// An end user may have been erased, so that what was read before must not be shown any more.
    case erased
}

/// The right to be told. It ends with its last reference.
package final class LedgerSubscription: Sendable {
    private let end: @Sendable () -> Void

    fileprivate init(end: @escaping @Sendable () -> Void) {
        self.end = end
    }

    deinit {
        end()
    }
}
