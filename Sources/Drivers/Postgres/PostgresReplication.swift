import HandleThread
package import Logging
import Synchronization

/// One message of a replication stream. It is created on the connection's thread and must not leave the closure that it
/// was given to, because the payload is memory of the connection.
package enum ReplicationMessage {
    /// A message of the output plugin, for `PGOutputMessage`. `serverTime` is in microseconds since the Unix epoch.
    case data(walStart: WALPosition, walEnd: WALPosition, serverTime: Int64, payload: UnsafeRawBufferPointer)
    /// The server has sent everything up to `walEnd` that concerns this stream.
    case keepalive(walEnd: WALPosition, serverTime: Int64, replyRequested: Bool)
}

/// A connection that follows the write-ahead log (WAL) through a logical replication slot, on a thread of its own.
///
/// Caller: `Replica`. It uses the steps in one order: `connect`, `createTemporarySlot`, reading the snapshot on another
/// connection, `start`, `close`. A step out of order throws `PostgresError` of kind `invalidRequest`.
///
/// Data flow: `createTemporarySlot` exports a snapshot and returns the WAL position to which the snapshot belongs.
/// `start` asks for every transaction that was committed after that position. The server decodes its WAL with the
/// `pgoutput` plugin (protocol version 1, binary values) and sends one transaction after another, in the order of their
/// commits. The handle thread reads each message and passes it to `onMessage`. The receiver calls `confirm` with the
/// position that it has applied. The thread reports that position to the server at least every second, and the server
/// may then discard older WAL.
///
/// Invariants:
/// - The snapshot and the stream together contain every committed transaction exactly once.
/// - Messages are delivered one at a time and in order.
/// - The confirmed position never decreases.
/// - The slot lives as long as the connection. The snapshot can be used until `start`.
///
/// Failure: a lost connection, an error of the server, bytes that cannot be decoded, and silence for longer than
/// `silenceLimit` end the connection for good. `start` and every later call then throw that error. A new connection
/// gets a new slot, so the caller must load a new snapshot too. An error while the slot is created ends only that call.
/// `close` and the cancellation of the task make a running `start` return without an error. A slow `onMessage` holds
/// the server back and delays the status updates.
package final class PostgresReplication: Sendable {
    private let confirmed: ConfirmedPosition
    private let thread: HandleThread<ReplicationOwner>

    private init(
        _ configuration: PostgresConfiguration, silenceLimit: Duration, logger: Logger?
    ) throws(PostgresError) {
        let confirmed = ConfirmedPosition()
        self.confirmed = confirmed
        do throws(HandleThreadError) {
            thread = try HandleThread(name: "postgres-wal") {
                ReplicationOwner(
                    configuration: configuration, confirmed: confirmed, silenceLimit: silenceLimit, logger: logger)
            }
        } catch {
            throw PostgresError(error)
        }
    }

    /// Connects to the configuration's database as a logical replication client. The login needs the REPLICATION
    /// attribute.
    ///
    /// - Parameter silenceLimit: The stream counts as lost when nothing was received for this long. After a second
    ///   without a message the server is asked for a reply every second. It answers also while it skips a huge transaction,
    ///   so that ten seconds of silence mean a frozen server or a broken network.
    package static func connect(
        _ configuration: PostgresConfiguration, silenceLimit: Duration = .seconds(10), logger: Logger? = nil
    ) async throws -> PostgresReplication {
        let replication = try PostgresReplication(configuration, silenceLimit: silenceLimit, logger: logger)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if !replication.thread.send(.open(continuation)) {
                    continuation.resume(throwing: PostgresError(.closed))
                }
            }
        } onCancel: {
            replication.close()
        }
        return replication
    }

    /// Creates a slot that disappears with this connection.
    ///
    /// - Returns: A snapshot for `SET TRANSACTION SNAPSHOT` that shows exactly what was committed before
    ///   `consistentPoint`, and the point from which the stream delivers everything else.
    package func createTemporarySlot(
        named name: String
    ) async throws -> (snapshot: String, consistentPoint: WALPosition) {
        let slot = try await withCheckedThrowingContinuation { continuation in
            if !thread.send(.createSlot(name, continuation)) { continuation.resume(throwing: PostgresError(.closed)) }
        }
        return (slot.snapshot, slot.consistentPoint)
    }

    /// Streams until `close`, the cancellation of the task or the loss of the connection.
    ///
    /// - Parameter onMessage: Called on the connection's thread for every message, in the order of the WAL. A slow
    ///   callback holds the server back and delays status updates.
    /// - Throws: `PostgresError` when the stream was refused or lost. Returns when a running stream was closed.
    package func start(
        slot: String, publication: String, from position: WALPosition,
        onMessage: @escaping @Sendable (ReplicationMessage) -> Void
    ) async throws {
        let stream = ReplicationOwner.Stream(
            slot: slot, publication: publication, position: position, onMessage: onMessage)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if !thread.send(.start(stream, continuation)) { continuation.resume(throwing: PostgresError(.closed)) }
            }
        } onCancel: {
            close()
        }
    }

    /// Reports to the server, with the next status update, that everything up to the position has been applied. A
    /// position before an earlier one has no effect. Updates are sent at least every second, and at once when the
    /// server asks for one.
    package func confirm(_ position: WALPosition) {
        confirmed.advance(to: position)
    }

    /// Ends the stream and the connection. Further calls have no effect.
    package func close() {
        thread.stop()
    }

    /// Waits until the connection's thread has ended, after `close`.
    package func closes() async {
        await thread.ends()
    }
}

/// The position that status updates report. It never decreases.
final class ConfirmedPosition: Sendable {
    private let value = Atomic<UInt64>(0)

    var position: WALPosition { WALPosition(value.load(ordering: .acquiring)) }

    func advance(to position: WALPosition) {
        value.max(position.value, ordering: .acquiringAndReleasing)
    }
}
