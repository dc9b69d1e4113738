import HandleThread
package import Logging
import Synchronization

/// One connection to PostgreSQL, on a thread of its own. Any task may use it; requests are served in the order in
/// which they arrive, and several may be on their way at once.
///
/// A transaction belongs to the connection, so one that spans several calls needs the connection for itself: borrow it
/// from a `PostgresPool`. Cancelling a task does not cancel its request: what has been sent is waited for, up to the
/// deadline.
package final class PostgresConnection: Sendable {
    let status = ConnectionStatus()
    private let thread: HandleThread<ConnectionOwner>
    private let runLimit: Duration?

    private init(_ configuration: PostgresConfiguration, logger: Logger?) {
        runLimit = configuration.runLimit
        let status = status
        thread = HandleThread(name: "postgres") {
            ConnectionOwner(configuration: configuration, status: status, logger: logger)
        }
    }

    /// Connects and logs in, within the configuration's `connectLimit`. Cancelling the task gives up.
    ///
    /// - Throws: `PostgresError` of kind `connection`, `timeout` or, when cancelled, `closed`.
    package static func connect(
        _ configuration: PostgresConfiguration, logger: Logger? = nil
    ) async throws -> PostgresConnection {
        let connection = PostgresConnection(configuration, logger: logger)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if !connection.thread.send(.open(continuation)) {
                    continuation.resume(throwing: PostgresError(.closed))
                }
            }
        } onCancel: {
            connection.close()
        }
        return connection
    }

    /// Connects, runs the body and closes, and returns when the connection's thread has ended: a process that ends
    /// earlier takes the TLS library away from under it.
    package static func lent<Value: Sendable>(
        _ configuration: PostgresConfiguration, logger: Logger? = nil,
        _ body: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await connect(configuration, logger: logger)
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(connection))
        } catch {
            result = .failure(error)
        }
        connection.close()
        await connection.closes()
        return try result.get()
    }

    /// Sends the queries in one network round trip, followed by one Sync, and gives their results in order.
    ///
    /// Outside a transaction the queries are one: all or none. When one fails, the later ones are not carried out and
    /// its error is thrown with its index; in an open transaction the caller rolls back.
    ///
    /// - Parameter limit: How long to wait, counted from the call; nil means the configuration's `runLimit`. When it
    ///   passes after the queries were sent, the connection is closed with everything that is under way on it.
    package func run(_ queries: [PostgresQuery], within limit: Duration? = nil) async throws -> [PostgresResult] {
        if queries.isEmpty { return [] }
        let encoded = try queries.map { query in
            EncodedQuery(sql: query.statement.sql, parameters: try ParameterBlock(query.parameters))
        }
        return try await perform(.queries(encoded), limit: limit ?? runLimit)
    }

    /// One query, as a group of its own.
    package func run(_ query: PostgresQuery, within limit: Duration? = nil) async throws -> PostgresResult {
        try await run([query], within: limit)[0]
    }

    /// Runs any number of statements, separated by semicolons, by the simple protocol; their rows are dropped. Without
    /// BEGIN and COMMIT in the text they are one transaction. Waits until everything before it has been answered.
    ///
    /// - Parameter limit: nil waits for ever: migrations take their time.
    package func script(_ sql: String, within limit: Duration? = nil) async throws {
        try Self.checkText(sql)
        _ = try await perform(.script(sql), limit: limit)
    }

    /// Runs `COPY (…) TO STDOUT (FORMAT binary)` and hands over the data as it arrives; `CopyRowReader` reads it.
    ///
    /// - Parameter onRow: Called on the connection's thread, once per chunk, in order: the header together with the
    ///   first row, each further row, the trailer. The pointer is valid inside the call only. Slowness here slows the
    ///   server. If it throws, the rest is not waited for: the connection is closed and the error is thrown.
    package func copyOut(
        _ sql: String, within limit: Duration? = nil,
        onRow: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void
    ) async throws {
        try Self.checkText(sql)
        _ = try await perform(.copyOut(sql, onRow: onRow), limit: limit)
    }

    /// Runs `COPY (…) TO STDOUT (FORMAT binary)` and hands over row by row, as `copyOut` does.
    ///
    /// - Parameter onRow: Called on the connection's thread. The row and its fields are valid inside the call only.
    package func copyRows(
        _ sql: String, within limit: Duration? = nil, onRow: @escaping @Sendable (inout CopyRow) throws -> Void
    ) async throws {
        // One thread uses it; the lock is there to say so to the compiler.
        let reader = Mutex(CopyRowReader())
        try await copyOut(sql, within: limit) { chunk in
            try reader.withLock { try $0.read(chunk, onRow: onRow) }
        }
    }

    /// Ends the connection. What is still waiting fails; repeating it changes nothing.
    package func close() {
        thread.stop()
    }

    /// Waits until the connection's thread has ended, after `close`.
    package func closes() async {
        await thread.ends()
    }

    /// False when the connection is known to be lost.
    package var isUsable: Bool { !status.isLost }

    private func perform(_ work: ConnectionRequest.Work, limit: Duration?) async throws -> [PostgresResult] {
        let deadline = limit.map { monotonicNanoseconds() + nanoseconds($0) }
        return try await withCheckedThrowingContinuation { continuation in
            let request = ConnectionRequest(work, deadline: deadline, status: status, continuation: continuation)
            if !thread.send(.request(request)) { request.fail(.closed) }
        }
    }

    private static func checkText(_ sql: String) throws {
        if sql.utf8.contains(0) {
            throw PostgresError(.invalidRequest("An SQL text must not contain a zero byte."))
        }
    }
}
