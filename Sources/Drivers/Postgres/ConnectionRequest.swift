import Synchronization

/// A query with its parameters in wire form.
struct EncodedQuery: Sendable {
    let sql: String
    let parameters: ParameterBlock
}

/// A task's request to a connection, with the continuation that takes its result.
struct ConnectionRequest: Sendable {
    enum Work: Sendable {
        case queries([EncodedQuery])
        case script(String)
        case copyOut(String, onRow: @Sendable (UnsafeRawBufferPointer) throws -> Void)
    }

    let work: Work
    /// In nanoseconds of the monotonic clock; nil for none.
    let deadline: UInt64?
    /// Resumed exactly once, through `finish`.
    private let continuation: CheckedContinuation<[PostgresResult], any Error>
    private let status: ConnectionStatus

    init(
        _ work: Work, deadline: UInt64?, status: ConnectionStatus,
        continuation: CheckedContinuation<[PostgresResult], any Error>
    ) {
        self.work = work
        self.deadline = deadline
        self.status = status
        self.continuation = continuation
        status.requestBegins()
    }

    func finish(_ result: Result<[PostgresResult], any Error>) {
        status.requestEnds()
        continuation.resume(with: result)
    }

    func fail(_ kind: PostgresError.Kind) {
        finish(.failure(PostgresError(kind)))
    }
}

/// The state of a connection as other threads may read it.
final class ConnectionStatus: Sendable {
    enum Transaction: UInt8 {
        case none, open, lost
    }

    private let requests = Atomic<Int>(0)
    private let transaction = Atomic<UInt8>(Transaction.none.rawValue)

    /// True when nothing is under way and no transaction is open.
    var isClean: Bool {
        requests.load(ordering: .acquiring) == 0
            && transaction.load(ordering: .acquiring) == Transaction.none.rawValue
    }

    var isLost: Bool {
        transaction.load(ordering: .acquiring) == Transaction.lost.rawValue
    }

    func requestBegins() {
        requests.add(1, ordering: .acquiringAndReleasing)
    }

    func requestEnds() {
        requests.subtract(1, ordering: .acquiringAndReleasing)
    }

    /// Must be called before the continuation of the request that caused the change is resumed.
    func publish(_ state: Transaction) {
        transaction.store(state.rawValue, ordering: .releasing)
    }
}
