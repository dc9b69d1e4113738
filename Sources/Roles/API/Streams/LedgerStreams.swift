import Answers
import Credits
import Logging
import Replica
import Storage
import Synchronization

/// The streams of the ledger of a node: a tail for each environment that is watched, and the bounds of all.
///
/// A watcher costs a task and one chunk of an answer. What is new in an environment is read once for all of its watchers.
final class LedgerStreams: Sendable {
    /// The largest number of streams of an environment on this node.
    static let perEnvironment = 1_000
    /// The largest number of streams on this node, and of environments that are watched at once.
    static let perNode = 4_000
    static let environments = 128

    private struct State {
        var tails: [EnvironmentID: LedgerTail] = [:]
        var counts: [EnvironmentID: Int] = [:]
        var total = 0
        var isClosed = false
    }

    private let reads: TenantReads
    private let replica: Replica
    private let logger: Logger
    private let memory = LedgerTailMemory()
    private let state = Mutex(State())

    init(reads: TenantReads, replica: Replica, logger: Logger) {
        self.reads = reads
        self.replica = replica
        self.logger = logger
    }

    var count: Int { state.withLock { $0.total } }

    /// Counts a stream of an environment until the permit is released.
    ///
    /// - Throws: When the environment or the node has as many streams as it may.
    func permit(of environmentID: EnvironmentID) throws(Problem) -> Permit {
        let refusal = state.withLock { state -> Problem? in
            let own = state.counts[environmentID] ?? 0
            if own >= Self.perEnvironment {
                return Problem(
                    .rateLimited,
                    "This environment has \(Self.perEnvironment) streams on this node. Begin another when one has ended."
                )
            }
            if state.isClosed || state.total >= Self.perNode || own == 0 && state.counts.count >= Self.environments {
                return Problem(.unavailable, "This node has as many streams as it may. Try again later.")
            }
            state.counts[environmentID] = own + 1
            state.total += 1
            return nil
        }
        if let refusal { throw refusal }
        return Permit { [self] in release(environmentID) }
    }

    private func release(_ environmentID: EnvironmentID) {
        let unused = state.withLock { state -> LedgerTail? in
            state.total -= 1
            let left = (state.counts[environmentID] ?? 1) - 1
            state.counts[environmentID] = left > 0 ? left : nil
            return left > 0 ? nil : state.tails.removeValue(forKey: environmentID)
        }
        unused?.close()
    }

    /// The tail of an environment, of which the caller has a permit.
    func tail(of environmentID: EnvironmentID) -> LedgerTail {
        let (tail, isNew, isClosed) = state.withLock { state in
            if let tail = state.tails[environmentID] { return (tail, false, state.isClosed) }
            let tail = LedgerTail(environmentID: environmentID, reads: reads, memory: memory, logger: logger)
            state.tails[environmentID] = tail
            return (tail, true, state.isClosed)
        }
        if isClosed { tail.close() } else if isNew { tail.start(following: replica) }
        return tail
    }

    /// Whether a stream of this installation can have shown a place: it is not behind the next transaction.
    func hasReached(_ place: FeedPlace, in environmentID: EnvironmentID) async throws -> Bool {
        try await reads.readMissed(of: environmentID) { connection in
            place.transaction <= (try await LedgerFeed.horizon(on: connection)).next
        }
    }

    /// A page of what a watcher has missed.
    func missed(
        of environmentID: EnvironmentID, _ accountID: AccountID?, after place: FeedPlace
    ) async throws -> LedgerFeed.Page {
        try await reads.readMissed(of: environmentID) { connection in
            try await LedgerFeed.page(
                environmentID: environmentID, accountID: accountID, after: place, on: connection)
        }
    }

    /// Ends all streams, because the node stops.
    func close() {
        let tails = state.withLock { state in
            state.isClosed = true
            return Array(state.tails.values)
        }
        for tail in tails { tail.close() }
    }

    /// The right to a stream. It ends with its last reference, whether the stream has begun or not.
    final class Permit: Sendable {
        private let end: @Sendable () -> Void

        fileprivate init(end: @escaping @Sendable () -> Void) {
            self.end = end
        }

        deinit {
            end()
        }
    }
}
