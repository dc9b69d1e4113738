import CPostgres
import HandleThread
import Logging

/// The state machine of one connection. It lives on the connection's thread.
///
/// Lifetime: a handshake that has begun hands over its `PGconn`, which `lose` frees. Results are freed here, or belong
/// to a `PostgresResult` from the moment they are received.
final class ConnectionOwner: HandleOwner {
    enum Command: Sendable {
        case open(CheckedContinuation<Void, any Error>)
        case request(ConnectionRequest)
    }

    private enum Phase {
        case unopened
        case connecting(Handshake, CheckedContinuation<Void, any Error>)
        case open
        case lost(String)
    }

    /// A group of queries that has been sent, up to and including its Sync.
    private struct SentGroup {
        enum Step {
            case preparation(sql: String, name: String)
            case query(Int)
        }

        let request: ConnectionRequest
        let queries: [EncodedQuery]
        var steps: [Step] = []
        var nextStep = 0
        /// True until libpq has returned the null that ends the results of a step.
        var awaitsNull = false
        var results: [PostgresResult] = []
        var error: PostgresError?
    }

    /// A script or a COPY. It leaves pipeline mode, and nothing else is under way meanwhile.
    private struct Exclusive {
        let request: ConnectionRequest
        var copying = false
        var error: PostgresError?
    }

    private let configuration: PostgresConfiguration
    private let status: ConnectionStatus
    private let notices: NoticeLog
    private var phase = Phase.unopened
    private var connection: OpaquePointer?
    private var waiting: [ConnectionRequest] = []
    private var sent: [SentGroup] = []
    private var exclusive: Exclusive?
    private var prepared = PreparedStatements()
    private var groups: UInt64 = 0
    private var needsFlush = false
    private var usesTLS = false
    /// The server's message when it ended the connection.
    private var farewell: String?

    init(configuration: PostgresConfiguration, status: ConnectionStatus, logger: Logger?) {
        self.configuration = configuration
        self.status = status
        notices = NoticeLog(logger)
    }

    // MARK: HandleOwner

    var descriptor: Int32? {
        guard let connection else { return nil }
        let descriptor = PQsocket(connection)
        return descriptor >= 0 ? descriptor : nil
    }

    var wantsToWrite: Bool {
        if case .connecting(let handshake, _) = phase { handshake.wantsToWrite } else { needsFlush }
    }

    var wakeAt: UInt64? {
        if case .connecting(let handshake, _) = phase { return handshake.deadline }
        var earliest: UInt64?
        func consider(_ deadline: UInt64?) {
            if let deadline { earliest = min(earliest ?? deadline, deadline) }
        }
        for request in waiting { consider(request.deadline) }
        for group in sent { consider(group.request.deadline) }
        consider(exclusive?.request.deadline)
        if usesTLS && isAwaitingAnswers { consider(monotonicNanoseconds() + tlsPollNanoseconds) }
        return earliest
    }

    func receive(_ command: Command) {
        switch (command, phase) {
        case (.open(let continuation), .unopened):
            connect(continuation)
        case (.open(let continuation), _):
            continuation.resume(throwing: PostgresError(.invalidRequest("The connection was already opened.")))
        case (.request(let request), .lost(let message)):
            request.fail(.connection(message: message, outcomeUnknown: false))
        case (.request(let request), _):
            waiting.append(request)
        }
    }

    func turn(readable: Bool, writable: Bool) {
        switch phase {
        case .connecting(var handshake, let continuation):
            switch handshake.advance(readable: readable, writable: writable) {
            case .underWay: phase = .connecting(handshake, continuation)
            case .moved:
                connection = handshake.connection
                notices.receive(from: handshake.connection)
                phase = .connecting(handshake, continuation)
            case .done: opened(continuation)
            case .failed(let error): openingFailed(error, continuation)
            }
        case .open:
            exchange(readable: readable)
        case .unopened, .lost:
            break
        }
    }

    func stop() {
        let wasClosed = waiting
        waiting = []
        for request in wasClosed { request.fail(.closed) }
        if case .connecting(_, let continuation) = phase {
            continuation.resume(throwing: PostgresError(.closed))
        }
        lose("this process closed it")
    }

    // MARK: Opening and losing

    private func connect(_ continuation: CheckedContinuation<Void, any Error>) {
        do throws(PostgresError) {
            let handshake = try Handshake(configuration, replication: false)
            connection = handshake.connection
            notices.receive(from: handshake.connection)
            phase = .connecting(handshake, continuation)
        } catch {
            openingFailed(error, continuation)
        }
    }

    private func opened(_ continuation: CheckedContinuation<Void, any Error>) {
        guard let connection, PQsetnonblocking(connection, 1) == 0 else {
            return openingFailed(
                PostgresError(.connection(message: "out of memory", outcomeUnknown: false)), continuation)
        }
        usesTLS = PQsslInUse(connection) != 0
        phase = .open
        continuation.resume()
    }

    private func openingFailed(_ error: PostgresError, _ continuation: CheckedContinuation<Void, any Error>) {
        phase = .unopened
        lose(error.description)
        continuation.resume(throwing: error)
    }

    /// Frees the connection and fails every request. Requests that were sent may have been carried out.
    ///
    /// - Parameter exceptional: The error of the script or COPY under way, in place of a connection error.
    private func lose(_ reason: String, failing exceptional: (any Error)? = nil) {
        let message = farewell ?? reason
        phase = .lost(message)
        status.publish(.lost)
        PQfinish(connection)
        connection = nil
        needsFlush = false
        let (sent, exclusive, waiting) = (sent, exclusive, waiting)
        (self.sent, self.exclusive, self.waiting) = ([], nil, [])
        exclusive?.request.finish(.failure(exceptional ?? unknownOutcome(message, exclusive?.request)))
        for group in sent { group.request.finish(.failure(unknownOutcome(message, group.request))) }
        for request in waiting { request.fail(.connection(message: message, outcomeUnknown: false)) }
    }

    private func unknownOutcome(_ message: String, _ request: ConnectionRequest?) -> PostgresError {
        if let deadline = request?.deadline, deadline <= monotonicNanoseconds() {
            return PostgresError(.timeout(outcomeUnknown: true))
        }
        return PostgresError(.connection(message: message, outcomeUnknown: true))
    }

    // MARK: One turn of an open connection

    private var isAwaitingAnswers: Bool { !sent.isEmpty || exclusive != nil }

    private func exchange(readable: Bool) {
        if readable || usesTLS {
            // Answers that arrived before the connection broke are valid, so they are processed first.
            let alive = PQconsumeInput(connection) != 0
            receiveAnswers()
            if !alive { return lose(connectionClosed) }
        }
        sendWaiting()
        flush()
        // libpq reads while it cannot write, so its memory may hold answers although the descriptor is not readable.
        receiveAnswers()
        enforceDeadlines()
    }

    private func flush() {
        guard let connection else { return }
        switch PQflush(connection) {
        case 0: needsFlush = false
        case 1: needsFlush = true
        default: lose(connectionClosed)
        }
    }

    private func enforceDeadlines() {
        let now = monotonicNanoseconds()
        func isLate(_ request: ConnectionRequest) -> Bool {
            request.deadline.map { $0 <= now } ?? false
        }
        if exclusive.map({ isLate($0.request) }) ?? false || sent.contains(where: { isLate($0.request) }) {
            return lose("a request's deadline passed")
        }
        guard waiting.contains(where: isLate) else { return }
        let late = waiting.filter(isLate)
        waiting.removeAll(where: isLate)
        for request in late { request.fail(.timeout(outcomeUnknown: false)) }
    }

    // MARK: Sending

    private func sendWaiting() {
        let batch = waiting
        waiting = []
        for (index, request) in batch.enumerated() {
            if case .lost(let message) = phase {
                request.fail(.connection(message: message, outcomeUnknown: false))
                continue
            }
            switch request.work {
            case .queries(let queries) where exclusive == nil:
                send(queries, of: request)
            case .script(let sql) where !isAwaitingAnswers, .copyOut(let sql, _) where !isAwaitingAnswers:
                send(sql, of: request)
            case .queries, .script, .copyOut:
                waiting = Array(batch[index...])
                return
            }
        }
    }

    private func send(_ queries: [EncodedQuery], of request: ConnectionRequest) {
        groups += 1
        var group = SentGroup(request: request, queries: queries)
        group.results.reserveCapacity(queries.count)
        var succeeded = PQpipelineStatus(connection) != PQ_PIPELINE_OFF || PQenterPipelineMode(connection) == 1
        for (index, query) in queries.enumerated() where succeeded {
            succeeded = send(query, at: index, in: &group)
        }
        succeeded = succeeded && PQpipelineSync(connection) == 1
        sent.append(group)
        if !succeeded { lose(connectionClosed) }
    }

    private func send(_ query: EncodedQuery, at index: Int, in group: inout SentGroup) -> Bool {
        let types = query.parameters.types
        let count = Int32(types.count)
        let choice = prepared.choose(query.sql, types: types, group: groups)
        if case .prepare(let name, let types) = choice {
            let succeeded = types.withUnsafeBufferPointer {
                PQsendPrepare(connection, name, query.sql, count, $0.baseAddress)
            }
            if succeeded == 0 { return false }
            group.steps.append(.preparation(sql: query.sql, name: name))
        }
        group.steps.append(.query(index))
        return query.parameters.withPointers { values, lengths, formats in
            switch choice {
            case .use(let name), .prepare(let name, _):
                PQsendQueryPrepared(connection, name, count, values, lengths, formats, 1) == 1
            case .unnamed:
                types.withUnsafeBufferPointer {
                    PQsendQueryParams(
                        connection, query.sql, count, $0.baseAddress, values, lengths, formats, 1) == 1
                }
            }
        }
    }

    private func send(_ sql: String, of request: ConnectionRequest) {
        exclusive = Exclusive(request: request)
        let isIdle = PQpipelineStatus(connection) == PQ_PIPELINE_OFF || PQexitPipelineMode(connection) == 1
        if !isIdle || PQsendQuery(connection, sql) == 0 { lose(connectionClosed) }
    }

    // MARK: Receiving

    private func receiveAnswers() {
        while connection != nil, !sent.isEmpty, PQisBusy(connection) == 0 {
            guard let result = PQgetResult(connection) else {
                sent[0].awaitsNull = false
                continue
            }
            receive(result)
        }
        receiveExclusiveAnswers()
    }

    /// Handles one result of the oldest group. Takes ownership of the result.
    private func receive(_ result: OpaquePointer) {
        let outcome = PQresultStatus(result)
        if outcome == PGRES_PIPELINE_SYNC {
            PQclear(result)
            return finishGroup()
        }
        guard sent[0].nextStep < sent[0].steps.count, !sent[0].awaitsNull else {
            PQclear(result)
            return lose("libpq returned a result that no query waits for")
        }
        let step = sent[0].steps[sent[0].nextStep]
        sent[0].nextStep += 1
        sent[0].awaitsNull = true
        let succeeded = outcome == PGRES_TUPLES_OK || outcome == PGRES_COMMAND_OK || outcome == PGRES_EMPTY_QUERY
        switch step {
        case .preparation(let sql, let name):
            if succeeded {
                prepared.preparationSucceeded(sql, name: name)
            } else {
                prepared.preparationFailed(sql, name: name)
                receiveFailure(result, outcome, query: nil)
            }
            PQclear(result)
        case .query(let index):
            if succeeded {
                sent[0].results.append(PostgresResult(result))
            } else {
                receiveFailure(result, outcome, query: index)
                PQclear(result)
            }
        }
    }

    private func receiveFailure(_ result: OpaquePointer, _ outcome: ExecStatusType, query: Int?) {
        switch outcome {
        case PGRES_PIPELINE_ABORTED:
            break
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE:
            // A failed preparation is reported as the failure of the query that follows it.
            let failure = ServerError(result, queryIndex: query ?? sent[0].results.count)
            if sent[0].error == nil { sent[0].error = failure.error }
            if failure.invalidatesStatement, let query { prepared.forget(sent[0].queries[query].sql) }
            if failure.isFatal {
                farewell = failure.farewell
                lose(connectionClosed)
            }
        default:
            // Pipeline mode does not support COPY, and the state of the protocol cannot be restored.
            lose("a COPY statement was sent through run, which does not support it")
        }
    }

    private func finishGroup() {
        let group = sent.removeFirst()
        publishTransaction()
        if let error = group.error {
            group.request.finish(.failure(error))
            loseReadOnlyServer(error)
        } else {
            group.request.finish(.success(group.results))
        }
    }

    /// Closes the connection to a server that has become a standby, or was one from the start: every later write would fail
    /// too, and a new connection may find the primary. A transaction of its own choice that is read-only changes nothing.
    private func loseReadOnlyServer(_ error: PostgresError) {
        guard error.sqlState == PostgresError.readOnly, let connection else { return }
        let settings: [String] = ["in_hot_standby", "default_transaction_read_only"]
        let isReadOnly = settings.contains { name in
            PQparameterStatus(connection, name).map { String(cString: $0) } == "on"
        }
        if isReadOnly { lose("the server takes no writes") }
    }

    private func publishTransaction() {
        status.publish(PQtransactionStatus(connection) == PQTRANS_IDLE ? .none : .open)
    }

    private func receiveExclusiveAnswers() {
        while connection != nil, let request = exclusive?.request {
            if exclusive?.copying == true {
                guard receiveCopyData(request) else { return }
                continue
            }
            guard PQisBusy(connection) == 0 else { return }
            guard let result = PQgetResult(connection) else {
                let error = exclusive?.error
                exclusive = nil
                publishTransaction()
                request.finish(error.map { .failure($0) } ?? .success([]))
                if let error { loseReadOnlyServer(error) }
                return
            }
            receiveExclusive(result, of: request)
        }
    }

    /// Handles one result of a script or a COPY. Takes ownership of the result.
    private func receiveExclusive(_ result: OpaquePointer, of request: ConnectionRequest) {
        defer { PQclear(result) }
        switch (PQresultStatus(result), request.work) {
        case (PGRES_COPY_OUT, .copyOut):
            exclusive?.copying = true
        case (PGRES_COPY_OUT, _), (PGRES_COPY_IN, _), (PGRES_COPY_BOTH, _):
            let problem = "The connection was closed: the only supported COPY is COPY … TO STDOUT, through copyOut."
            lose("an unsupported COPY statement was sent", failing: PostgresError(.invalidRequest(problem)))
        case (PGRES_FATAL_ERROR, _), (PGRES_BAD_RESPONSE, _):
            let failure = ServerError(result, queryIndex: nil)
            if exclusive?.error == nil { exclusive?.error = failure.error }
            if failure.isFatal {
                farewell = failure.farewell
                lose(connectionClosed)
            }
        default:
            break
        }
    }

    /// Handles one chunk of COPY data. False when no more has arrived or the connection was closed.
    private func receiveCopyData(_ request: ConnectionRequest) -> Bool {
        var buffer: UnsafeMutablePointer<CChar>?
        let length = PQgetCopyData(connection, &buffer, 1)
        defer { PQfreemem(buffer) }
        guard length > 0 else {
            // -1 means the end of the data and -2 an error; a result with the details follows. 0 means that none has
            // arrived.
            if length < 0 { exclusive?.copying = false }
            return length != 0
        }
        guard case .copyOut(_, let onRow) = request.work else { return false }
        do {
            try onRow(UnsafeRawBufferPointer(start: buffer, count: Int(length)))
            return true
        } catch {
            lose("the callback for COPY data failed", failing: error)
            return false
        }
    }
}

let connectionClosed = "the server closed the connection unexpectedly"

/// With TLS the library may hold decrypted bytes although the descriptor is not readable. While answers are awaited,
/// the thread therefore checks every 10 ms.
let tlsPollNanoseconds: UInt64 = 10_000_000
