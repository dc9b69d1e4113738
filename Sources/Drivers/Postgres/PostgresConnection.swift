import HandleThread
package import Logging
import Synchronization

/// One connection to PostgreSQL, on a thread of its own. Any task may use it, and several requests may be under way at
/// once.
///
/// Callers: `PostgresPool` lends connections to the API's reads. The lanes and the shard keeper of the ledger worker,
/// the scheduler, the replica's snapshot and the command-line program each connect for themselves.
///
/// Data flow: a call encodes its parameters on the caller's thread and sends a request to the handle thread. There
/// `ConnectionOwner` sends the requests in the order in which they arrive, without waiting for earlier answers (libpq's
/// pipeline mode). A `run` becomes one group of queries that ends with one Sync; each statement text is prepared on its
/// first use. The server answers in the same order. The owner collects the results of a group and resumes the caller
/// with them; their rows stay in libpq's memory. `script` and `copyOut` leave pipeline mode: they wait until every
/// earlier request has been answered, and later requests wait for them.
///
/// Invariants:
/// - Requests are sent and answered in the order in which they arrive, and each is finished exactly once.
/// - Outside a transaction a group takes effect as a whole or not at all, and an error aborts only its own group.
/// - A transaction belongs to the connection. A transaction that spans several calls needs a connection that nobody
///   else uses meanwhile, for example one borrowed from a `PostgresPool`.
/// - Cancelling a task does not cancel its request: the call returns when it is answered or its deadline has passed.
///
/// Failure: an error of the server is thrown to the caller of its group, and the connection stays usable. A lost
/// connection, a FATAL error, the deadline of a sent request and a throwing COPY callback close the connection for
/// good; it never reconnects. Requests that were sent then fail with an unknown outcome, and requests that still waited
/// fail as not carried out. A request whose deadline passes before it is sent fails alone.
package final class PostgresConnection: Sendable {
    let status = ConnectionStatus()
    private let thread: HandleThread<ConnectionOwner>
    private let runLimit: Duration?

    private init(_ configuration: PostgresConfiguration, logger: Logger?) throws(PostgresError) {
        runLimit = configuration.runLimit
        let status = status
        do throws(HandleThreadError) {
            thread = try HandleThread(name: "postgres") {
                ConnectionOwner(configuration: configuration, status: status, logger: logger)
            }
        } catch {
            throw PostgresError(error)
        }
    }

    /// Connects and logs in, within the configuration's `connectLimit`. Cancelling the task abandons the attempt.
    ///
    /// - Throws: `PostgresError` of kind `connection`, `timeout` or, when cancelled, `closed`.
    package static func connect(
        _ configuration: PostgresConfiguration, logger: Logger? = nil
    ) async throws -> PostgresConnection {
        // A thread inherits the priority of the one that begins it, and a connection outlives the work that opens it. A task of
        // its own does not run on the caller's threads for long work.
        let connection = try await Task { try PostgresConnection(configuration, logger: logger) }.value
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

    /// Connects, runs the body, closes the connection and waits for the end of its thread. A process that ended while
    /// the thread still ran would unload the TLS library under it.
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

    /// Sends the queries in one network round trip, followed by one Sync, and returns their results in order.
    ///
    /// Outside a transaction all queries take effect or none does. When one fails, the later ones are not executed, and
    /// its error is thrown with its index. In an open transaction the caller must roll back.
    ///
    /// - Parameter limit: How long to wait, counted from the call; nil means the configuration's `runLimit`. If it
    ///   passes after the queries were sent, the connection is closed together with every request that is under way on
    ///   it.
    package func run(_ queries: [PostgresQuery], within limit: Duration? = nil) async throws -> [PostgresResult] {
        if queries.isEmpty { return [] }
        let encoded = try queries.map { query in
            EncodedQuery(sql: query.statement.sql, parameters: try ParameterBlock(query.parameters))
        }
        return try await perform(.queries(encoded), limit: limit ?? runLimit)
    }

    /// Sends one query as a group of its own.
    package func run(_ query: PostgresQuery, within limit: Duration? = nil) async throws -> PostgresResult {
        try await run([query], within: limit)[0]
    }

    /// Runs any number of statements, separated by semicolons, through the simple query protocol, and drops their rows.
    /// Without BEGIN and COMMIT in the text they are one transaction. Waits until every earlier request has been
    /// answered.
    ///
    /// - Parameter limit: Nil means no limit, because migrations may take long.
    package func script(_ sql: String, within limit: Duration? = nil) async throws {
        try Self.checkText(sql)
        _ = try await perform(.script(sql), limit: limit)
    }

    /// Runs `COPY (…) TO STDOUT (FORMAT binary)` and hands over the data as it arrives, for `CopyRowReader`.
    ///
    /// - Parameter onRow: Called on the connection's thread, once per chunk, in order: the header together with the
    ///   first row, each further row, the trailer. The pointer is valid inside the call only. A slow callback slows the
    ///   server down. If it throws, the connection is closed and its error is thrown.
    package func copyOut(
        _ sql: String, within limit: Duration? = nil,
        onRow: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void
    ) async throws {
        try Self.checkText(sql)
        _ = try await perform(.copyOut(sql, onRow: onRow), limit: limit)
    }

    /// Runs `COPY (…) TO STDOUT (FORMAT binary)` and hands over one row at a time. Otherwise like `copyOut`.
    ///
    /// - Parameter onRow: Called on the connection's thread. The row and its fields are valid inside the call only.
    package func copyRows(
        _ sql: String, within limit: Duration? = nil, onRow: @escaping @Sendable (inout CopyRow) throws -> Void
    ) async throws {
        // Only the connection's thread uses the reader. The mutex shows that to the compiler.
        let reader = Mutex(CopyRowReader())
        try await copyOut(sql, within: limit) { chunk in
            try reader.withLock { try $0.read(chunk, onRow: onRow) }
        }
    }

    /// Ends the connection. Requests that still wait fail. Further calls have no effect.
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
