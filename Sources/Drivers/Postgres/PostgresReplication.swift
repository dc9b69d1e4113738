import HandleThread
package import Logging
import Synchronization

/// One message of a replication stream. It is made on the connection's thread and must not leave the closure that it
/// was given to: the payload is memory of the connection.
package enum ReplicationMessage {
    /// A message of the output plugin, for `PGOutputMessage`. `serverTime` is microseconds since the Unix epoch.
    case data(walStart: WALPosition, walEnd: WALPosition, serverTime: Int64, payload: UnsafeRawBufferPointer)
    /// The server has sent everything up to `walEnd` that concerns this stream.
    case keepalive(walEnd: WALPosition, serverTime: Int64, replyRequested: Bool)
}

/// A connection that follows the write-ahead log through a logical replication slot. It has a thread of its own.
///
/// Its use has an order: `connect`, `createTemporarySlot`, reading the snapshot on another connection, `start`,
/// `close`. The slot lives as long as the connection, the snapshot until `start`.
package final class PostgresReplication: Sendable {
    private let confirmed: ConfirmedPosition
    private let thread: HandleThread<ReplicationOwner>

    private init(_ configuration: PostgresConfiguration, silenceLimit: Duration, logger: Logger?) {
        let confirmed = ConfirmedPosition()
        self.confirmed = confirmed
        thread = HandleThread(name: "postgres-wal") {
            ReplicationOwner(
                configuration: configuration, confirmed: confirmed, silenceLimit: silenceLimit, logger: logger)
        }
    }

    /// Connects to the configuration's database as a logical replication client. The role needs REPLICATION.
    ///
    /// - Parameter silenceLimit: Every second the server is asked for a sign of life; without one for this long the
    ///   stream counts as lost. Generous, since a server that skips a huge transaction is silent too.
    package static func connect(
        _ configuration: PostgresConfiguration, silenceLimit: Duration = .seconds(60), logger: Logger? = nil
    ) async throws -> PostgresReplication {
        let replication = PostgresReplication(configuration, silenceLimit: silenceLimit, logger: logger)
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
    /// - Parameter onMessage: Called on the connection's thread for every message, in the order of the log. Slowness
    ///   here holds the server back and delays status updates.
    /// - Throws: `PostgresError` when the stream was refused or lost. Returns when it was closed.
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

    /// Lets the server know, with the next status update, that everything up to the position has been dealt with. An
    /// earlier position than before changes nothing. Updates are sent at least every second, and at once when the
    /// server asks for one.
    package func confirm(_ position: WALPosition) {
        confirmed.advance(to: position)
    }

    /// Ends the stream and the connection. Repeating it changes nothing.
    package func close() {
        thread.stop()
    }

    /// Waits until the connection's thread has ended, after `close`.
    package func closes() async {
        await thread.ends()
    }
}

/// The position that status updates report; it never goes back.
final class ConfirmedPosition: Sendable {
    private let value = Atomic<UInt64>(0)

    var position: WALPosition { WALPosition(value.load(ordering: .acquiring)) }

    func advance(to position: WALPosition) {
        value.max(position.value, ordering: .acquiringAndReleasing)
    }
}
