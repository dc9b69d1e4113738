import HandleThread
package import Logging
import Synchronization

/// Receives messages from queues: one connection with one channel, which come back by themselves.
///
/// After a reconnection, everything not acknowledged comes again, from the oldest on; tags of the time before are void.
package final class AMQPConsumer: Sendable {
    private let connectionState: ConnectionStateCell
    private let thread: HandleThread<ConsumingOwner>

    /// - Parameters:
    ///   - queues: Queues that exist. When one is missing, the connection is given up and tried again later.
    ///   - exclusiveQueue: A queue of our own, declared at each connection and gone with it; for replies.
    ///   - prefetch: How many deliveries of each queue may be unacknowledged; 0 for any number.
    ///   - acknowledges: False when deliveries count as acknowledged as soon as they are sent.
    ///   - deliver: Called on the connection's thread with everything that was read at once, in order, never empty. It
    ///     must not block. It is not called any more once `stop()` has returned.
    package init(
        configuration: AMQPConfiguration, queues: [String], exclusiveQueue: String? = nil, prefetch: UInt16,
        acknowledges: Bool, logger: Logger, deliver: @escaping @Sendable ([AMQPDelivery]) -> Void
    ) {
        let shared = ConnectionStateCell()
        connectionState = shared
        thread = HandleThread(name: "amqp-consume") {
            ConsumingOwner(
                configuration: configuration, queues: queues, exclusiveQueue: exclusiveQueue, prefetch: prefetch,
                acknowledges: acknowledges, logger: logger, announce: { shared.store($0) },
                deliver: deliver)
        }
    }

    /// Connects, stays connected, and returns after `stop()`. Cancelling its task stops too.
    package func run() async {
        _ = thread.send(.start)
        await withTaskCancellationHandler {
            await thread.ends()
        } onCancel: {
            thread.stop()
        }
    }

    /// Writes the acknowledgements handed over so far, closes the channel and then the connection.
    ///
    /// There is no `basic.cancel`: with a single active consumer the next one would get younger messages before the
    /// unacknowledged ones of this consumer. Closing the channel returns those first. Repeating it only waits for
    /// the end.
    package func stop() async {
        thread.stop()
        await thread.ends()
    }

    /// Whether messages are received now. Readable from any thread.
    package var state: AMQPConnectionState { connectionState.load() }

    /// Acknowledges deliveries, in any order. Returns at once. Tags of an earlier connection, and tags acknowledged
    /// before, are ignored.
    package func acknowledge(_ tags: [AMQPDeliveryTag]) {
        guard !tags.isEmpty else { return }
        _ = thread.send(.acknowledge(tags))
    }
}

/// The state of a connection, written by its owner and read by anybody.
final class ConnectionStateCell: Sendable {
    private let state = Mutex(AMQPConnectionState.disconnected("not started"))

    func load() -> AMQPConnectionState { state.withLock { $0 } }

    func store(_ new: AMQPConnectionState) { state.withLock { $0 = new } }
}
