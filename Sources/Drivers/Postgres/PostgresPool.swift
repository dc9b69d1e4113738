package import Logging
import Synchronization

/// A pool of at most `size` connections. Each is lent to one caller at a time.
///
/// Connections are created on demand and kept. `FairLine` decides which caller gets the next one. A lost connection is
/// dropped and replaced on the next demand.
package final class PostgresPool: Sendable {
    package struct Statistics: Sendable, Equatable {
        /// Connections that are lent, idle or being created.
        package let open: Int
        package let idle: Int
        package let waiting: Int

        /// The use of two pools together.
        package static func + (one: Statistics, other: Statistics) -> Statistics {
            Statistics(
                open: one.open + other.open, idle: one.idle + other.idle, waiting: one.waiting + other.waiting)
        }
    }

    private struct State {
        var line: FairLine
        /// The callers in the line, by number.
        var waiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var lastNumber: UInt64 = 0
        /// The connection returned last is lent first, so that its server process and prepared statements stay warm.
        var idle: [PostgresConnection] = []
        var open = 0
        var closed = false
        var whenEmpty: [CheckedContinuation<Void, Never>] = []
    }

    private let configuration: PostgresConfiguration
    private let logger: Logger?
    private let state: Mutex<State>

    /// Creates the pool without opening a connection.
    ///
    /// - Parameter longSize: The connections that all owners together may have at once for long uses.
    package init(configuration: PostgresConfiguration, size: Int, longSize: Int, logger: Logger? = nil) {
        precondition(size > 0 && longSize > 0, "a pool needs at least one connection")
        self.configuration = configuration
        self.logger = logger
        state = Mutex(State(line: FairLine(size: size, longSize: longSize)))
    }

    package var statistics: Statistics {
        state.withLock { state in
            Statistics(open: state.open, idle: state.idle.count, waiting: state.line.waitingCount)
        }
    }

    /// Lends a connection to the body, which must not keep it.
    ///
    /// A transaction that the body left open is rolled back before the next caller gets the connection. Session
    /// settings and session locks are not undone.
    ///
    /// - Throws: The body's error; `PostgresError` of kind `poolExhausted`, `lineFull`, `closed`, `connection` or
    ///   `timeout` before the body has begun; `CancellationError` when the task is cancelled while it waits.
    package func withConnection<Value: Sendable>(
        _ claim: PoolClaim, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await begin(claim)
        defer { end(claim) }
        let connection = try await take()
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(connection))
        } catch {
            result = .failure(error)
        }
        await giveBack(connection)
        return try result.get()
    }

    /// Refuses new callers, fails the waiting ones, and returns when every connection is returned and closed.
    package func close() async {
        let (idle, waiters) = state.withLock { state in
            state.closed = true
            defer { (state.idle, state.waiters) = ([], [:]) }
            return (state.idle, state.waiters.values)
        }
        for waiter in waiters { waiter.resume(throwing: PostgresError(.closed)) }
        for connection in idle { await drop(connection) }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.open > 0 { state.whenEmpty.append(continuation) }
                return state.open == 0
            }
            if isEmpty { continuation.resume() }
        }
    }

    // MARK: - The line

    /// Waits until the claim may have a connection.
    private func begin(_ claim: PoolClaim) async throws {
        try Task.checkCancellation()
        let number = try state.withLock { state throws(PostgresError) -> UInt64? in
            if state.closed { throw PostgresError(.closed) }
            if state.line.begins(claim) { return nil }
            state.lastNumber += 1
            return state.lastNumber
        }
        guard let number else { return }
        var limit: Task<Void, any Error>?
        defer { limit?.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enqueue(number, claim, continuation)
                // The timer starts after the caller is in line: an earlier timer could fire before there is a caller to
                // fail.
                let patience = claim.isLong ? claim.share.longPatience : claim.share.patience
                limit = Task {
                    try await Task.sleep(for: patience)
                    abandon(number, claim, PostgresError(.poolExhausted))
                }
            }
        } onCancel: {
            abandon(number, claim, CancellationError())
        }
    }

    /// A connection may have been returned, or the task cancelled, since `begin` read the state, so both are checked
    /// again. A cancellation after this check waits for the lock and then finds the caller in line.
    private func enqueue(_ number: UInt64, _ claim: PoolClaim, _ continuation: CheckedContinuation<Void, any Error>) {
        let result = state.withLock { state -> Result<Void, any Error>? in
            if Task.isCancelled { return .failure(CancellationError()) }
            if state.closed { return .failure(PostgresError(.closed)) }
            if state.line.begins(claim) { return .success(()) }
            guard state.line.waits(number, claim) else { return .failure(PostgresError(.lineFull)) }
            state.waiters[number] = continuation
            return nil
        }
        if let result { continuation.resume(with: result) }
    }

    private func abandon(_ number: UInt64, _ claim: PoolClaim, _ error: any Error) {
        let waiter = state.withLock { state in
            state.line.leaves(number, claim)
            return state.waiters.removeValue(forKey: number)
        }
        waiter?.resume(throwing: error)
    }

    private func end(_ claim: PoolClaim) {
        let waiters = state.withLock { state in
            state.line.ends(claim)
            var waiters: [CheckedContinuation<Void, any Error>] = []
            while !state.closed, let number = state.line.next() {
                if let waiter = state.waiters.removeValue(forKey: number) { waiters.append(waiter) }
            }
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    // MARK: - Connections

    /// Takes an idle connection, or creates one. The line has made sure that fewer than `size` are lent.
    private func take() async throws -> PostgresConnection {
        while true {
            let idle = try state.withLock { state throws(PostgresError) -> PostgresConnection? in
                if state.closed { throw PostgresError(.closed) }
                if let connection = state.idle.popLast() { return connection }
                state.open += 1
                return nil
            }
            guard let idle else { break }
            if idle.isUsable { return idle }
            await drop(idle)
        }
        do {
            return try await PostgresConnection.connect(configuration, logger: logger)
        } catch {
            dropped()
            try Task.checkCancellation()
            throw error
        }
    }

    private func giveBack(_ connection: PostgresConnection) async {
        if !connection.status.isClean { await cleanUp(connection) }
        let isKept = state.withLock { state in
            guard connection.status.isClean, !state.closed else { return false }
            state.idle.append(connection)
            return true
        }
        if !isKept { await drop(connection) }
    }

    /// The ROLLBACK waits behind the requests that the body left under way. It runs in a task of its own because the
    /// borrower's task may be cancelled.
    private func cleanUp(_ connection: PostgresConnection) async {
        guard connection.isUsable else { return }
        await Task {
            _ = try? await connection.run(PostgresQuery("ROLLBACK"), within: .seconds(5))
        }.value
    }

    private func drop(_ connection: PostgresConnection) async {
        connection.close()
        await connection.closes()
        dropped()
    }

    /// Records that a connection is gone.
    private func dropped() {
        let emptied = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.open -= 1
            guard state.closed, state.open == 0 else { return [] }
            defer { state.whenEmpty = [] }
            return state.whenEmpty
        }
        for continuation in emptied { continuation.resume() }
    }
}
