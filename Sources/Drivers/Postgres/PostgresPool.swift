package import Logging
import Synchronization

/// A pool of at most `size` connections. Each is lent to one caller at a time.
///
/// Connections are created on demand and kept. A caller that finds none free waits in line, first come, first served,
/// up to `waitLimit`. A lost connection is dropped and replaced on the next demand.
package final class PostgresPool: Sendable {
    package struct Statistics: Sendable, Equatable {
        /// The largest number of connections.
        package let size: Int
        /// Connections that are lent, idle or being created.
        package let open: Int
        package let idle: Int
        package let waiting: Int
    }

    /// A waiter's grant: a returned connection, or the right to create one.
    private enum Grant: Sendable {
        case connection(PostgresConnection)
        case place
    }

    private struct Waiter {
        let number: UInt64
        let continuation: CheckedContinuation<Grant, any Error>
    }

    private struct State {
        /// The connection returned last is lent first, so that its server process and prepared statements stay warm.
        var idle: [PostgresConnection] = []
        var open = 0
        var waiters: [Waiter] = []
        var lastNumber: UInt64 = 0
        var closed = false
        var whenEmpty: [CheckedContinuation<Void, Never>] = []
    }

    private let configuration: PostgresConfiguration
    private let size: Int
    private let waitLimit: Duration
    private let logger: Logger?
    private let state = Mutex(State())

    /// Creates the pool without opening a connection.
    package init(
        configuration: PostgresConfiguration, size: Int, waitLimit: Duration = .seconds(10), logger: Logger? = nil
    ) {
        precondition(size > 0, "a pool needs at least one connection")
        self.configuration = configuration
        self.size = size
        self.waitLimit = waitLimit
        self.logger = logger
    }

    package var statistics: Statistics {
        state.withLock { state in
            Statistics(size: size, open: state.open, idle: state.idle.count, waiting: state.waiters.count)
        }
    }

    /// Lends a connection to the body, which must not keep it.
    ///
    /// A transaction that the body left open is rolled back before the next caller gets the connection. Session
    /// settings and session locks are not undone.
    ///
    /// - Throws: The body's error; `PostgresError` of kind `poolExhausted`, `closed`, `connection` or `timeout` before
    ///   the body has begun; `CancellationError` when the task is cancelled while it waits.
    package func withConnection<Value: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await borrow()
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
        let (idle, waiters) = state.withLock { state -> ([PostgresConnection], [Waiter]) in
            state.closed = true
            defer { (state.idle, state.waiters) = ([], []) }
            return (state.idle, state.waiters)
        }
        for waiter in waiters { waiter.continuation.resume(throwing: PostgresError(.closed)) }
        for connection in idle {
            connection.close()
            await connection.closes()
            placeFreed()
        }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.open > 0 { state.whenEmpty.append(continuation) }
                return state.open == 0
            }
            if isEmpty { continuation.resume() }
        }
    }

    // MARK: Borrowing

    private func borrow() async throws -> PostgresConnection {
        try Task.checkCancellation()
        while true {
            switch try await grant() {
            case .connection(let connection):
                if connection.isUsable { return connection }
                connection.close()
                placeFreed()
            case .place:
                do {
                    return try await PostgresConnection.connect(configuration, logger: logger)
                } catch {
                    placeFreed()
                    try Task.checkCancellation()
                    throw error
                }
            }
        }
    }

    private func grant() async throws -> Grant {
        let (immediate, number) = try state.withLock { state throws(PostgresError) -> (Grant?, UInt64) in
            if state.closed { throw PostgresError(.closed) }
            if let connection = state.idle.popLast() { return (.connection(connection), 0) }
            if state.open < size {
                state.open += 1
                return (.place, 0)
            }
            state.lastNumber += 1
            return (nil, state.lastNumber)
        }
        if let immediate { return immediate }
        return try await waitInLine(number)
    }

    private func waitInLine(_ number: UInt64) async throws -> Grant {
        var limit: Task<Void, any Error>?
        defer { limit?.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enqueue(Waiter(number: number, continuation: continuation))
                // The timer starts after the waiter is in line: an earlier timer could fire before there is a waiter to
                // fail.
                limit = Task {
                    try await Task.sleep(for: waitLimit)
                    abandon(number, PostgresError(.poolExhausted))
                }
            }
        } onCancel: {
            abandon(number, CancellationError())
        }
    }

    /// A connection may have been returned, or the task cancelled, since `grant` read the state, so both are checked
    /// again. A cancellation after this check waits for the lock and then finds the waiter in line.
    private func enqueue(_ waiter: Waiter) {
        let result = state.withLock { state -> Result<Grant, any Error>? in
            if Task.isCancelled { return .failure(CancellationError()) }
            if state.closed { return .failure(PostgresError(.closed)) }
            if state.waiters.isEmpty {
                if let connection = state.idle.popLast() { return .success(.connection(connection)) }
                if state.open < size {
                    state.open += 1
                    return .success(.place)
                }
            }
            state.waiters.append(waiter)
            return nil
        }
        if let result { waiter.continuation.resume(with: result) }
    }

    private func abandon(_ number: UInt64, _ error: any Error) {
        let waiter = state.withLock { state -> Waiter? in
            state.waiters.firstIndex { $0.number == number }.map { state.waiters.remove(at: $0) }
        }
        waiter?.continuation.resume(throwing: error)
    }

    // MARK: Giving back

    private func giveBack(_ connection: PostgresConnection) async {
        if !connection.status.isClean { await cleanUp(connection) }
        guard connection.status.isClean else {
            connection.close()
            await connection.closes()
            return placeFreed()
        }
        let (waiter, closed) = state.withLock { state -> (Waiter?, Bool) in
            if state.closed { return (nil, true) }
            if !state.waiters.isEmpty { return (state.waiters.removeFirst(), false) }
            state.idle.append(connection)
            return (nil, false)
        }
        waiter?.continuation.resume(returning: .connection(connection))
        if closed {
            connection.close()
            await connection.closes()
            placeFreed()
        }
    }

    /// The ROLLBACK waits behind the requests that the body left under way. It runs in a task of its own because the
    /// borrower's task may be cancelled.
    private func cleanUp(_ connection: PostgresConnection) async {
        guard connection.isUsable else { return }
        await Task {
            _ = try? await connection.run(PostgresQuery("ROLLBACK"), within: .seconds(5))
        }.value
    }

    /// Records that a connection is gone. The first waiter in line may create another.
    private func placeFreed() {
        let (waiter, emptied) = state.withLock { state -> (Waiter?, [CheckedContinuation<Void, Never>]) in
            if !state.closed, !state.waiters.isEmpty { return (state.waiters.removeFirst(), []) }
            state.open -= 1
            guard state.closed, state.open == 0 else { return (nil, []) }
            defer { state.whenEmpty = [] }
            return (nil, state.whenEmpty)
        }
        waiter?.continuation.resume(returning: .place)
        for continuation in emptied { continuation.resume() }
    }
}
