import HandleThread
package import Logging
import Synchronization

/// Receives messages from queues over one connection, which is re-established automatically. Each queue has a channel
/// of its own.
///
/// Callers: the ledger worker consumes the command queues that it holds (`consume`, `release`, acknowledgements). The
/// API's `CommandGateway` consumes its own reply queue, without acknowledgements.
///
/// Data flow: `run` starts the work of the handle thread, which connects and opens a channel for each wanted queue. The
/// thread reads the deliveries that have arrived, at most 1,024 or about 1 MiB in one turn, and passes them to
/// `deliver` in one call. The receiver works on them elsewhere and later passes their tags to `acknowledge`, from any
/// thread. The handle thread combines the tags into few `basic.ack` frames and writes them in its next turn. `prefetch`
/// bounds the unacknowledged deliveries of each queue, and thereby the memory of the receiver.
///
/// Invariants:
/// - The deliveries of a queue are handed over in the order in which the broker sent them.
/// - A delivery is acknowledged at most once, and only on the channel that it came from.
/// - After `release` has returned, no delivery of that queue is handed over until `consume` names it again.
/// - A queue is released by closing its channel, never by `basic.cancel`. Closing returns the unacknowledged messages
///   to the queue before the next consumer gets younger ones.
///
/// Failure: a lost connection, a channel that the broker closes, and a cancelled consumer (its queue was deleted) all
/// end the connection. The thread connects again after a pause of 0.05 to 5 s. The broker then delivers every
/// unacknowledged message again, from the oldest on, so the receiver must expect repetitions. Tags from before are void
/// and ignored. Only `state` and the log show such an interruption; a receiver recognises it by tags of a newer
/// channel.
package final class AMQPConsumer: Sendable {
    private let connectionState: ConnectionStateCell
    private let exclusiveName: ExclusiveQueueName
    private let thread: HandleThread<ConsumingOwner>

    /// - Parameters:
    ///   - queues: Existing queues. When one is missing, the connection is given up and tried again later.
    ///   - consumesAtOnce: False to wait until `consume` names each queue.
    ///   - exclusiveQueue: The beginning of the name of a queue for this consumer alone, for replies. Each connection
    ///     declares another one, which is deleted with it: the broker may take a minute to notice that the connection
    ///     before is lost, and keeps its queue locked for so long.
    ///   - prefetch: How many deliveries of each queue may be unacknowledged; 0 for no limit.
    ///   - acknowledges: False when the broker counts deliveries as acknowledged as soon as they are sent.
    ///   - deliver: Called on the connection's thread with all deliveries read at once, in order, never empty. It must
    ///     not block. It is not called any more once `stop()` has returned.
    /// - Throws: `AMQPError` of kind `unavailable` when the system has no free descriptor or thread.
    package init(
        configuration: AMQPConfiguration, queues: [String], consumesAtOnce: Bool = true,
        exclusiveQueue: String? = nil, prefetch: UInt16, acknowledges: Bool, logger: Logger,
        deliver: @escaping @Sendable ([AMQPDelivery]) -> Void
    ) throws(AMQPError) {
        let shared = ConnectionStateCell()
        connectionState = shared
        let exclusiveName = ExclusiveQueueName()
        self.exclusiveName = exclusiveName
        do throws(HandleThreadError) {
            thread = try HandleThread(name: "amqp-consume") {
                ConsumingOwner(
                    configuration: configuration, queues: queues,
                    exclusiveQueue: exclusiveQueue.map { ($0, exclusiveName) },
                    consumesAtOnce: consumesAtOnce, prefetch: prefetch, acknowledges: acknowledges, logger: logger,
                    announce: { shared.store($0) }, deliver: deliver)
            }
        } catch {
            throw AMQPError(error)
        }
    }

    /// Connects, stays connected, and returns after `stop()`. Cancelling its task has the same effect.
    package func run() async {
        _ = thread.send(.start)
        await withTaskCancellationHandler {
            await thread.ends()
        } onCancel: {
            thread.stop()
        }
    }

    /// Starts to consume one of the queues. Has no effect on a queue that is consumed already. Returns at once.
    package func consume(_ queue: String) {
        _ = thread.send(.consume(queue))
    }

    /// Writes the acknowledgements handed over so far and closes the channel of one queue, whose messages go to its
    /// next consumer. After it has returned, nothing of the queue is delivered until `consume` names it again.
    package func release(_ queue: String) async {
        await withCheckedContinuation { continuation in
            if !thread.send(.release(queue, continuation)) { continuation.resume() }
        }
    }

    /// Writes the acknowledgements handed over so far, closes the channels and then the connection. Further calls only
    /// wait for the end.
    ///
    /// It sends no `basic.cancel`: with a single active consumer the next consumer would get younger messages before
    /// the unacknowledged ones of this consumer. Closing the channel returns those first.
    package func stop() async {
        thread.stop()
        await thread.ends()
    }

    /// The state of the connection. Readable from any thread.
    package var state: AMQPConnectionState { connectionState.load() }

    /// The name of the exclusive queue of the present connection, or of the latest one; nil before the first, and without an
    /// exclusive queue. Readable from any thread.
    package var exclusiveQueueName: String? { exclusiveName.load() }

    /// Gives the connection up and connects again, to the next node of the broker if there are several. Returns at once.
    package func reconnect() {
        _ = thread.send(.reconnect)
    }

    /// Acknowledges deliveries, in any order. Returns at once. Tags of an earlier channel, and tags that were
    /// acknowledged before, are ignored.
    package func acknowledge(_ tags: [AMQPDeliveryTag]) {
        guard !tags.isEmpty else { return }
        _ = thread.send(.acknowledge(tags))
    }
}

/// The name of an exclusive queue, written by its owner and readable from any thread.
final class ExclusiveQueueName: Sendable {
    private let name = Mutex<String?>(nil)

    func load() -> String? { name.withLock { $0 } }

    func store(_ new: String) { name.withLock { $0 = new } }
}

/// The state of a connection, written by its owner and readable from any thread.
final class ConnectionStateCell: Sendable {
    private let state = Mutex(AMQPConnectionState.disconnected("not started"))

    func load() -> AMQPConnectionState { state.withLock { $0 } }

    func store(_ new: AMQPConnectionState) { state.withLock { $0 = new } }
}
