import CPostgres
import Glibc
import HandleThread
import Logging

/// The state machine of a replication connection. It lives on the connection's thread; `end` frees its `PGconn`.
final class ReplicationOwner: HandleOwner {
    struct Slot: Sendable {
        let snapshot: String
        let consistentPoint: WALPosition
    }

    struct Stream: Sendable {
        let slot: String
        let publication: String
        let position: WALPosition
        let onMessage: @Sendable (ReplicationMessage) -> Void
    }

    enum Command: Sendable {
        case open(CheckedContinuation<Void, any Error>)
        case createSlot(String, CheckedContinuation<Slot, any Error>)
        case start(Stream, CheckedContinuation<Void, any Error>)
    }

    private enum Phase {
        case unopened
        case connecting(Handshake, CheckedContinuation<Void, any Error>)
        case ready
        case creatingSlot(CheckedContinuation<Slot, any Error>, Result<Slot, any Error>?)
        case starting(Stream, CheckedContinuation<Void, any Error>)
        case streaming(Stream, CheckedContinuation<Void, any Error>)
        case ended(PostgresError)
    }

    private let configuration: PostgresConfiguration
    private let confirmed: ConfirmedPosition
    private let silenceLimit: UInt64
    private let notices: NoticeLog
    private var phase = Phase.unopened
    private var connection: OpaquePointer?
    private var needsFlush = false
    private var usesTLS = false
    private var updateAt: UInt64 = 0
    private var lastHeard: UInt64 = 0

    init(
        configuration: PostgresConfiguration, confirmed: ConfirmedPosition, silenceLimit: Duration, logger: Logger?
    ) {
        self.configuration = configuration
        self.confirmed = confirmed
        self.silenceLimit = nanoseconds(silenceLimit)
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
        switch phase {
        case .connecting(let handshake, _): return handshake.deadline
        case .streaming where usesTLS, .creatingSlot where usesTLS, .starting where usesTLS:
            return monotonicNanoseconds() + tlsPollNanoseconds
        case .streaming: return updateAt
        case .unopened, .ready, .creatingSlot, .starting, .ended: return nil
        }
    }

    func receive(_ command: Command) {
        switch command {
        case .open(let continuation):
            guard case .unopened = phase else { return continuation.resume(throwing: refusal()) }
            connect(continuation)
        case .createSlot(let name, let continuation):
            guard case .ready = phase else { return continuation.resume(throwing: refusal()) }
            phase = .creatingSlot(continuation, nil)
            send("CREATE_REPLICATION_SLOT \(identifier(name)) TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')")
        case .start(let stream, let continuation):
            guard case .ready = phase else { return continuation.resume(throwing: refusal()) }
            phase = .starting(stream, continuation)
            let publications = literal(identifier(stream.publication))
            send(
                "START_REPLICATION SLOT \(identifier(stream.slot)) LOGICAL \(stream.position) "
                    + "(proto_version '1', publication_names \(publications), binary 'true')")
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
            case .failed(let error): end(error)
            }
        case .ready, .creatingSlot, .starting, .streaming:
            exchange(readable: readable)
        case .unopened, .ended:
            break
        }
    }

    func stop() {
        end(PostgresError(.closed))
    }

    // MARK: Opening and ending

    private func connect(_ continuation: CheckedContinuation<Void, any Error>) {
        do throws(PostgresError) {
            let handshake = try Handshake(configuration, replication: true)
            connection = handshake.connection
            notices.receive(from: handshake.connection)
            phase = .connecting(handshake, continuation)
        } catch {
            phase = .ended(error)
            continuation.resume(throwing: error)
        }
    }

    private func opened(_ continuation: CheckedContinuation<Void, any Error>) {
        guard PQsetnonblocking(connection, 1) == 0 else {
            return end(PostgresError(.connection(message: "out of memory", outcomeUnknown: false)))
        }
        usesTLS = PQsslInUse(connection) != 0
        phase = .ready
        continuation.resume()
    }

    private func refusal() -> PostgresError {
        if case .ended(let error) = phase { return error }
        return PostgresError(.invalidRequest("The replication connection is not open yet, or it is busy."))
    }

    /// Frees the connection and finishes the call under way. A stream that its user closed ends without an error.
    private func end(_ error: PostgresError) {
        if case .ended = phase { return }
        let before = phase
        phase = .ended(error)
        PQfinish(connection)
        connection = nil
        needsFlush = false
        switch before {
        case .connecting(_, let continuation), .starting(_, let continuation):
            continuation.resume(throwing: error)
        case .streaming(_, let continuation):
            if error.kind == .closed { continuation.resume() } else { continuation.resume(throwing: error) }
        case .creatingSlot(let continuation, _):
            continuation.resume(throwing: error)
        case .unopened, .ready, .ended:
            break
        }
    }

    private func lose(_ message: String = connectionClosed) {
        end(PostgresError(.connection(message: message, outcomeUnknown: false)))
    }

    // MARK: One turn

    private func send(_ command: String) {
        if PQsendQuery(connection, command) == 0 { lose() }
    }

    private func exchange(readable: Bool) {
        if readable || usesTLS {
            let alive = PQconsumeInput(connection) != 0
            receiveAnswers()
            if !alive { return lose() }
        }
        if case .streaming = phase { keepInTouch() }
        guard let connection else { return }
        switch PQflush(connection) {
        case 0: needsFlush = false
        case 1: needsFlush = true
        default: lose()
        }
    }

    private func receiveAnswers() {
        while connection != nil {
            if case .streaming(let stream, _) = phase {
                guard receiveCopyData(stream) else { return }
                continue
            }
            guard PQisBusy(connection) == 0 else { return }
            guard let result = PQgetResult(connection) else { return finishCommand() }
            receive(result)
            PQclear(result)
        }
    }

    private func finishCommand() {
        guard case .creatingSlot(let continuation, let outcome) = phase, let outcome else { return }
        phase = .ready
        continuation.resume(with: outcome)
    }

    private func receive(_ result: OpaquePointer) {
        switch (PQresultStatus(result), phase) {
        case (PGRES_FATAL_ERROR, _), (PGRES_BAD_RESPONSE, _):
            let failure = ServerError(result, queryIndex: nil)
            if failure.isFatal { return lose(failure.farewell ?? connectionClosed) }
            if case .creatingSlot(let continuation, _) = phase {
                phase = .creatingSlot(continuation, .failure(failure.error))
            } else {
                end(failure.error)
            }
        case (PGRES_TUPLES_OK, .creatingSlot(let continuation, _)):
            phase = .creatingSlot(continuation, slot(result))
        case (PGRES_COPY_BOTH, .starting(let stream, let continuation)):
            phase = .streaming(stream, continuation)
            let now = monotonicNanoseconds()
            (lastHeard, updateAt) = (now, now)
        default:
            break
        }
    }

    /// Reads the row of CREATE_REPLICATION_SLOT: slot_name, consistent_point, snapshot_name, output_plugin, all as
    /// text.
    private func slot(_ result: OpaquePointer) -> Result<Slot, any Error> {
        guard PQntuples(result) == 1, PQnfields(result) >= 3, let point = PQgetvalue(result, 0, 1),
            let snapshot = PQgetvalue(result, 0, 2), let position = WALPosition(String(cString: point))
        else { return .failure(PostgresError(.decoding("the row that describes a new replication slot"))) }
        return .success(Slot(snapshot: String(cString: snapshot), consistentPoint: position))
    }

    // MARK: The stream

    /// Handles one message. False when no more has arrived or the stream is over.
    private func receiveCopyData(_ stream: Stream) -> Bool {
        var buffer: UnsafeMutablePointer<CChar>?
        let length = PQgetCopyData(connection, &buffer, 1)
        defer { PQfreemem(buffer) }
        if length == 0 { return false }
        guard length > 0 else {
            streamEnded()
            return false
        }
        lastHeard = monotonicNanoseconds()
        do throws(PostgresError) {
            try deliver(UnsafeRawBufferPointer(start: buffer, count: Int(length)), to: stream)
        } catch {
            end(error)
            return false
        }
        if lastHeard >= updateAt { sendStatus(wantsReply: false) }
        return connection != nil
    }

    private func deliver(_ bytes: UnsafeRawBufferPointer, to stream: Stream) throws(PostgresError) {
        var reader = WireReader(bytes)
        switch try reader.integer(as: UInt8.self) {
        case UInt8(ascii: "w"):
            let start = WALPosition(try reader.integer())
            let end = WALPosition(try reader.integer())
            let time = try PostgresField(reader.slice(8)).timestamp()
            stream.onMessage(
                .data(walStart: start, walEnd: end, serverTime: time, payload: try reader.slice(reader.remaining)))
        case UInt8(ascii: "k"):
            let end = WALPosition(try reader.integer())
            let time = try PostgresField(reader.slice(8)).timestamp()
            let replyRequested = try reader.integer(as: UInt8.self) != 0
            stream.onMessage(.keepalive(walEnd: end, serverTime: time, replyRequested: replyRequested))
            if replyRequested { sendStatus(wantsReply: false) }
        case let other:
            throw PostgresError(.decoding("a replication message has the unknown kind \(other)"))
        }
    }

    /// Called when the server has left copy mode. Its last result states the reason.
    private func streamEnded() {
        guard PQisBusy(connection) == 0, let result = PQgetResult(connection) else { return lose() }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_FATAL_ERROR else { return lose("the server ended the stream") }
        let failure = ServerError(result, queryIndex: nil)
        if failure.isFatal { lose(failure.farewell ?? connectionClosed) } else { end(failure.error) }
    }

    private func keepInTouch() {
        let now = monotonicNanoseconds()
        if now - min(now, lastHeard) > silenceLimit { return lose("the server sent nothing within the silence limit") }
        if now >= updateAt { sendStatus(wantsReply: now - min(now, lastHeard) >= updateIntervalNanoseconds) }
    }

    /// Sends a status update: the written, flushed and applied positions, the time, and whether to answer at once.
    private func sendStatus(wantsReply: Bool) {
        updateAt = monotonicNanoseconds() + updateIntervalNanoseconds
        let position = confirmed.position.value
        withUnsafeTemporaryAllocation(byteCount: 34, alignment: 8) { storage in
            var writer = WireWriter(storage)
            writer.integer(UInt8(ascii: "r"))
            for _ in 0..<3 { writer.integer(position) }
            writer.timestamp(unixMicroseconds())
            writer.integer(wantsReply ? UInt8(1) : 0)
            let bytes = storage.bindMemory(to: CChar.self)
            if PQputCopyData(connection, bytes.baseAddress, Int32(writer.position)) < 0 { lose() }
        }
    }
}

/// The longest time between two status updates.
private let updateIntervalNanoseconds: UInt64 = 1_000_000_000

private func unixMicroseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

private func identifier(_ name: String) -> String {
    "\"" + doubling("\"", in: name) + "\""
}

private func literal(_ text: String) -> String {
    "'" + doubling("'", in: text) + "'"
}

private func doubling(_ quote: Character, in text: String) -> String {
    String(text.flatMap { $0 == quote ? [quote, quote] : [$0] })
}
