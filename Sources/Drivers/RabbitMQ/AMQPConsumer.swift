import HandleThread
package import Logging
import Synchronization

/// Receives messages from queues: one connection with a channel for each queue, which come back by themselves.
///
/// After a reconnection, everything not acknowledged comes again, from the oldest on; tags of the time before are void.
package final class AMQPConsumer: Sendable {
    private let connectionState: ConnectionStateCell
    private let thread: HandleThread<ConsumingOwner>

    /// - Parameters:
    ///   - queues: Queues that exist. When one is missing, the connection is given up and tried again later.
    ///   - consumesAtOnce: False to wait for `consume` to name each queue.
    ///   - exclusiveQueue: A queue of our own, declared at each connection and gone with it; for replies.
    ///   - prefetch: How many deliveries of each queue may be unacknowledged; 0 for any number.
    ///   - acknowledges: False when deliveries count as acknowledged as soon as they are sent.
    ///   - deliver: Called on the connection's thread with everything that was read at once, in order, never empty. It
    ///     must not block. It is not called any more once `stop()` has returned.
    package init(
        configuration: AMQPConfiguration, queues: [String], consumesAtOnce: Bool = true,
        exclusiveQueue: String? = nil, prefetch: UInt16, acknowledges: Bool, logger: Logger,
        deliver: @escaping @Sendable ([AMQPDelivery]) -> Void
    ) {
        let shared = ConnectionStateCell()
        connectionState = shared
        thread = HandleThread(name: "amqp-consume") {
            ConsumingOwner(
                configuration: configuration, queues: queues, exclusiveQueue: exclusiveQueue,
                consumesAtOnce: consumesAtOnce, prefetch: prefetch, acknowledges: acknowledges, logger: logger,
                announce: { shared.store($0) }, deliver: deliver)
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

    /// Begins to consume one of the queues; nothing happens when it is consumed already. Returns at once.
    package func consume(_ queue: String) {
        _ = thread.send(.consume(queue))
    }

    /// Writes the acknowledgements handed over so far and closes the channel of one queue, whose messages go to its next
    /// consumer. When it has returned, nothing of the queue is delivered until `consume` names it again.
    package func release(_ queue: String) async {
        await withCheckedContinuation { continuation in
            if !thread.send(.release(queue, continuation)) { continuation.resume() }
        }
    }

    /// Writes the acknowledgements handed over so far, closes the channels and then the connection.
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
