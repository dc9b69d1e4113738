import HandleThread
package import Logging
import Synchronization

/// Publishes messages and waits for the broker to confirm them: one connection, which comes back by itself.
///
/// Confirmed messages of one task that waits for each arrive in order; messages published at the same time are sent in
/// the order in which `publish` took them. Nothing is ever sent twice: to repeat is the caller's decision.
package final class AMQPPublisher: Sendable {
    private let gate: PublisherGate
    private let confirmDeadline: UInt64
    private let thread: HandleThread<PublishingOwner>

    /// - Parameters:
    ///   - window: How many messages may be sent and not yet confirmed. At most 4,096 more wait for their turn.
    ///   - confirmDeadline: How long one `publish` may take.
    package init(
        configuration: AMQPConfiguration, window: Int = 512, confirmDeadline: Duration = .seconds(10), logger: Logger
    ) {
        precondition(window > 0, "a window of no messages publishes nothing")
        let gate = PublisherGate(capacity: window + 4_096)
        let deadline = confirmDeadline.nanoseconds
        self.gate = gate
        self.confirmDeadline = deadline
        thread = HandleThread(name: "amqp-publish") {
            PublishingOwner(
                configuration: configuration, window: window, closingLimit: min(deadline, 2_000_000_000), gate: gate,
                logger: logger)
        }
    }

    /// Connects, stays connected, and returns after `close()`. Cancelling its task closes too.
    package func run() async {
        _ = thread.send(.start)
        await withTaskCancellationHandler {
            await thread.ends()
        } onCancel: {
            gate.close()
            thread.stop()
        }
    }

    /// Takes no more messages, gives those under way up to two seconds to be confirmed, and closes the connection.
    /// Repeating it only waits for the end.
    package func close() async {
        gate.close()
        thread.stop()
        await thread.ends()
    }

    /// Whether messages are taken now. Readable from any thread.
    package var state: AMQPConnectionState { gate.connection }

    /// How many calls of `publish` have not returned yet: sent and unconfirmed, or waiting for a place. For metrics.
    package var messagesUnderWay: Int { gate.messagesUnderWay }

    /// Publishes one message and returns when the broker has confirmed it: for a durable queue and a persistent
    /// message, when it is on disk.
    ///
    /// Without a connection that takes messages it fails at once; it never waits for a connection. When the window is
    /// full it waits in a bounded line for a place.
    package func publish(_ message: AMQPMessage) async throws(AMQPError) {
        if let property = message.oversizedProperty { throw AMQPError(.unencodable(property)) }
        let deadline = monotonicNanoseconds() &+ confirmDeadline
        let outcome: Result<Void, AMQPError> = await withCheckedContinuation { continuation in
            let submission = PublishingOwner.Submission(
                message: message, deadline: deadline, continuation: continuation)
            if let refusal = gate.admit({ thread.send(.publish(submission)) }) {
                continuation.resume(returning: .failure(refusal))
            }
        }
        try outcome.get()
    }

    /// Sends one message as a hint: nobody learns whether it arrived. It is dropped when there is no connection that
    /// takes messages, or when too many hints wait to be sent. It never blocks. Hints keep their order among
    /// themselves, not among confirmed messages.
    package func publishWithoutConfirm(_ message: AMQPMessage) {
        guard message.oversizedProperty == nil else { return }
        gate.admitHint { thread.send(.hint(message)) }
    }
}

/// What callers may know and must respect before they send a command to the publishing thread.
///
/// Commands are sent under its lock, and the owner announces a lost connection under the same lock. So no command can
/// arrive after the loss and wait there for a slow attempt to connect.
final class PublisherGate: Sendable {
    private struct State {
        var connection = AMQPConnectionState.disconnected("not started")
        var closed = false
        var messages = 0
        var hints = 0
    }

    private let state = Mutex(State())
    private let capacity: Int
    private let hintCapacity = 8_192

    init(capacity: Int) { self.capacity = capacity }

    var connection: AMQPConnectionState { state.withLock { $0.connection } }

    var messagesUnderWay: Int { state.withLock { $0.messages } }

    /// - Returns: Why the message was not taken, or nil.
    func admit(_ send: () -> Bool) -> AMQPError? {
        state.withLock { state in
            if state.closed { return AMQPError(.closed) }
            switch state.connection {
            case .connected: break
            case .blocked(let reason): return AMQPError(.unavailable("it takes no messages (\(reason))"))
            case .disconnected(let reason): return AMQPError(.unavailable(reason))
            }
            guard state.messages < capacity else { return AMQPError(.windowFull) }
            guard send() else { return AMQPError(.closed) }
            state.messages += 1
            return nil
        }
    }

    func admitHint(_ send: () -> Bool) {
        state.withLock { state in
            guard !state.closed, state.connection == .connected, state.hints < hintCapacity, send() else { return }
            state.hints += 1
        }
    }

    func messageDone() { state.withLock { $0.messages -= 1 } }

    func hintsDone(_ count: Int) { state.withLock { $0.hints -= count } }

    func close() { state.withLock { $0.closed = true } }

    func announce(_ connection: AMQPConnectionState) { state.withLock { $0.connection = connection } }
}

extension Duration {
    /// Zero for negative durations.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) &* 1_000_000_000 &+ UInt64(attoseconds / 1_000_000_000)
    }
}
