import HandleThread
package import Logging
import Synchronization

/// Publishes messages and waits for the broker to confirm them, over one connection that is re-established
/// automatically.
///
/// Callers: the API's `CommandGateway` publishes commands, the scheduler publishes its `advance` commands, and the
/// ledger worker sends replies as hints. The doctor publishes one message as a test.
///
/// Data flow: `publish` passes the message through the gate, which refuses it at once when there is no connection that
/// takes messages or too many messages are under way. The message then waits in line on the handle thread until the
/// window has room, and is written to a channel with publisher confirms. The broker confirms or refuses each message by
/// its sequence number, and returns a mandatory message that reaches no queue. The handle thread resumes the caller
/// with the outcome. `publishWithoutConfirm` writes to a second channel, which has no confirms.
///
/// Invariants:
/// - Every call of `publish` returns exactly once, at the latest soon after `confirmDeadline`.
/// - Nothing is ever sent twice. Repeating a message is the caller's decision.
/// - Messages are sent in the order in which `publish` took them.
/// - At most `window` messages are sent and unconfirmed, and at most 4,096 more wait in line.
///
/// Failure: each `AMQPError` states whether the message may be in its queue (`outcomeIsUnknown`). When the connection
/// is lost, sent messages fail as unconfirmed and waiting messages as not published; nothing waits for the next
/// connection, which is tried after a pause of 0.05 to 5 s. A broker that blocks the connection (`connection.blocked`)
/// fails the waiting messages too. When a whole window has passed its deadline without a confirmation, the connection
/// is replaced.
package final class AMQPPublisher: Sendable {
    private let gate: PublisherGate
    private let confirmDeadline: UInt64
    private let thread: HandleThread<PublishingOwner>

    /// - Parameters:
    ///   - window: The largest number of messages that are sent and not yet confirmed. At most 4,096 more wait in line.
    ///   - confirmDeadline: The longest time that one `publish` may take.
    /// - Throws: `AMQPError` of kind `unavailable` when the system has no free descriptor or thread.
    package init(
        configuration: AMQPConfiguration, window: Int = 512, confirmDeadline: Duration = .seconds(10), logger: Logger
    ) throws(AMQPError) {
        precondition(window > 0, "the window must hold at least one message")
        let gate = PublisherGate(capacity: window + 4_096)
        let deadline = confirmDeadline.nanoseconds
        self.gate = gate
        self.confirmDeadline = deadline
        do throws(HandleThreadError) {
            thread = try HandleThread(name: "amqp-publish") {
                PublishingOwner(
                    configuration: configuration, window: window, closingLimit: min(deadline, 2_000_000_000),
                    gate: gate, logger: logger)
            }
        } catch {
            throw AMQPError(error)
        }
    }

    /// Connects, stays connected, and returns after `close()`. Cancelling its task has the same effect.
    package func run() async {
        _ = thread.send(.start)
        await withTaskCancellationHandler {
            await thread.ends()
        } onCancel: {
            gate.close()
            thread.stop()
        }
    }

    /// Takes no more messages, waits up to two seconds for the confirmations under way, and closes the connection.
    /// Further calls only wait for the end.
    package func close() async {
        gate.close()
        thread.stop()
        await thread.ends()
    }

    /// The state of the connection. Messages are taken only while it is connected. Readable from any thread.
    package var state: AMQPConnectionState { gate.connection }

    /// The number of `publish` calls that have not returned: sent and unconfirmed, or waiting in line. For metrics.
    package var messagesUnderWay: Int { gate.messagesUnderWay }

    /// Publishes one message and returns when the broker has confirmed it. The broker confirms a persistent message in
    /// a durable queue when it is on disk.
    ///
    /// Without a connection that takes messages it fails at once and never waits for one. When the window is full it
    /// waits for a place in a bounded line.
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

    /// Sends one message as a hint: the caller does not learn whether it arrived. The message is dropped when no
    /// connection takes messages, when it cannot be encoded, or when too many hints wait to be sent. Never blocks.
    /// Hints keep their order among themselves, but not relative to confirmed messages.
    package func publishWithoutConfirm(_ message: AMQPMessage) {
        guard message.oversizedProperty == nil else { return }
        gate.admitHint { thread.send(.hint(message)) }
    }
}

/// The state that callers check before they send a command to the publishing thread.
///
/// Commands are sent under its lock, and the owner announces a lost connection under the same lock. Therefore no
/// command can arrive after the loss and wait there for a slow attempt to connect.
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

    /// - Returns: The reason why the message was not taken; nil when it was.
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
