import HandleThread
import Logging

/// The publishing side of one connection: a channel with confirmations, and a second channel for hints.
///
/// A refusal replaces the confirming channel. A channel whose first message to a queue met a dead leader is refused that queue
/// for as long as the leader stays dead, although the queue has another leader and every other channel is served. When the
/// queue is full, the new channel is refused too. The old channel stays until it has its confirmations.
final class PublishingOwner: HandleOwner {
    /// A message, and the continuation of the task that waits for it. It is resumed exactly once.
    struct Submission: Sendable {
        let message: AMQPMessage
        let deadline: UInt64
        let continuation: CheckedContinuation<Result<Void, AMQPError>, Never>
    }

    enum Command: Sendable {
        case start
        case publish(Submission)
        case hint(AMQPMessage)
    }

    private static let hinting: UInt16 = 2

    /// The time without a confirmation, although messages await one, after which the connection is given up. A node that is
    /// cut off from the others keeps its clients and confirms nothing, and the next node may be whole.
    private static let silenceLimit: UInt64 = 5_000_000_000

    /// The number of bytes written between two checks of the socket. A writable socket takes more than this.
    private static let bytesPerRound = 64 * 1_024

    private let windowSize: Int
    private let closingLimit: UInt64
    private let gate: PublisherGate
    private let link: Link
    private let arena = ByteArena()
    private var started = false
    private var blocked = false
    private var socketIsFull = false
    private var current = ConfirmingChannel<Submission>()
    private var retired: ConfirmingChannel<Submission>?
    private var waiting = Fifo<Submission>()
    private var hints = Fifo<AMQPMessage>()
    private var lastDeadline: UInt64 = 0
    private var replacement = ChannelReplacement()
    /// The instant at which the broker last settled a message, or was sent one after it had settled all.
    private var settledAt: UInt64 = 0

    init(
        configuration: AMQPConfiguration, window: Int, closingLimit: UInt64, gate: PublisherGate, logger: Logger
    ) {
        windowSize = window
        self.closingLimit = closingLimit
        self.gate = gate
        link = Link(configuration: configuration, logger: logger) { gate.announce($0) }
    }

    var descriptor: Int32? { link.connection?.descriptor }

    var wantsToWrite: Bool { socketIsFull }

    var wakeAt: UInt64? {
        guard started else { return nil }
        return min(
            silentAt ?? .max, link.wakeAt, current.window.nextDeadline ?? .max, retired?.window.nextDeadline ?? .max,
            waiting.first?.deadline ?? .max, replacement.dueAt ?? .max)
    }

    func receive(_ command: Command) {
        switch command {
        case .start:
            started = true
        case .publish(let submission):
            waiting.append(submission)
        case .hint(let message):
            hints.append(message)
        }
    }

    func turn(readable: Bool, writable: Bool) {
        guard started else { return }
        connectIfDue()
        if let connection = link.connection {
            do throws(ConnectionLoss) {
                try read(connection)
                // The library may have read confirmations while it waited for an answer, which the poll of the socket does
                // not show.
                if try replaceChannelIfDue(connection) { try read(connection) }
                try send(connection)
                connection.releaseBuffers()
            } catch {
                lose(error)
            }
        }
        expire()
    }

    func stop() {
        let limit = monotonicNanoseconds() + closingLimit
        do throws(ConnectionLoss) {
            while let connection = link.connection, !blocked, hasUnfinished, monotonicNanoseconds() < limit {
                try send(connection)
                connection.waitUntilReadable(milliseconds: 20)
                try read(connection)
            }
        } catch {
            lose(error)
        }
        failAll(AMQPError(.unconfirmed("the publisher was closed")), unsent: AMQPError(.closed))
        link.close()
    }

    // MARK: Connection

    private func connectIfDue() {
        link.connectIfDue { (connection) throws(ConnectionLoss) in
            current = ConfirmingChannel()
            try Self.open(current, connection)
            try connection.openChannel(Self.hinting)
        }
    }

    private static func open(
        _ channel: ConfirmingChannel<Submission>, _ connection: Connection
    ) throws(ConnectionLoss) {
        try connection.openChannel(channel.number)
        try connection.selectConfirms(channel.number)
    }

    /// Replaces the confirming channel after a refusal, and closes an earlier one that awaits nothing any more.
    ///
    /// - Returns: Whether a channel was opened or closed.
    private func replaceChannelIfDue(_ connection: Connection) throws(ConnectionLoss) -> Bool {
        let isDue = replacement.isDue(now: monotonicNanoseconds())
        var hasChanged = false
        if let old = retired, isDue || old.awaitsNothing {
            hasChanged = true
            retired = nil
            for submission in old.window.entries {
                finish(submission, AMQPError(.unconfirmed("its channel was replaced after a refusal")))
            }
            try connection.closeChannel(old.number)
        }
        guard isDue else { return hasChanged }
        let next = current.successor
        try Self.open(next, connection)
        (retired, current) = (current, next)
        replacement.done(now: monotonicNanoseconds())
        link.note("the channel was replaced because the broker refused a message on it")
        return true
    }

    private func lose(_ loss: ConnectionLoss) {
        replacement = ChannelReplacement()
        blocked = false
        socketIsFull = false
        link.lose(loss.reason)
        let unconfirmed =
            if let close = loss.channelClose {
                AMQPError(.channelClosed(code: close.code, text: close.text))
            } else {
                AMQPError(.unconfirmed(loss.reason))
            }
        failAll(unconfirmed, unsent: AMQPError(.unavailable(loss.reason)))
    }

    // MARK: Reading

    private func read(_ connection: Connection) throws(ConnectionLoss) {
        while let incoming = try connection.next() {
            switch incoming {
            case .confirmed(let channel, let sequence, let multiple):
                settledAt = monotonicNanoseconds()
                withWindow(of: channel) { window in
                    window.settle(sequence: sequence, multiple: multiple) { submission, returned in
                        finish(submission, returned.map { AMQPError(.returned($0)) })
                    }
                }
            case .refused(let channel, let sequence, let multiple):
                settledAt = monotonicNanoseconds()
                if channel == current.number { replacement.refused(now: monotonicNanoseconds()) }
                withWindow(of: channel) { window in
                    window.settle(sequence: sequence, multiple: multiple) { submission, _ in
                        finish(submission, AMQPError(.rejected))
                    }
                }
            case .returned(let channel, let sequence, let text):
                withWindow(of: channel) { $0.markReturned(sequence: sequence, text: text) }
            case .blocked(let reason):
                blocked = true
                gate.announce(.blocked(reason))
                failUnsent(AMQPError(.unavailable("it takes no messages (\(reason))")))
            case .unblocked:
                blocked = false
                settledAt = monotonicNanoseconds()
                gate.announce(.connected)
            case .channelClosed(Self.hinting, _, _):
                try connection.confirmChannelClose(Self.hinting)
                try connection.openChannel(Self.hinting)
            case .channelClosed(_, let code, let text):
                throw ConnectionLoss(reason: "the broker closed the channel: \(text)", channelClose: (code, text))
            case .connectionClosed(_, let text):
                throw ConnectionLoss(reason: "the broker closed the connection: \(text)")
            case .delivery, .consumerCancelled:
                break
            }
        }
    }

    /// Does nothing for a channel that is closed: its messages have their outcomes.
    private func withWindow(of channel: UInt16, _ body: (inout ConfirmWindow<Submission>) -> Void) {
        if channel == current.number {
            body(&current.window)
        } else if channel == retired?.number, var old = retired {
            retired = nil
            body(&old.window)
            retired = old
        }
    }

    // MARK: Sending

    private var hasUnfinished: Bool {
        !waiting.isEmpty || !hints.isEmpty || current.window.unsettled > 0 || retired?.awaitsNothing == false
    }

    private var hasWork: Bool {
        !blocked && (!hints.isEmpty || !waiting.isEmpty && current.window.unsettled < windowSize)
    }

    private func send(_ connection: Connection) throws(ConnectionLoss) {
        socketIsFull = false
        guard hasWork else { return }
        connection.setCorked(true)
        defer { link.connection?.setCorked(false) }
        while hasWork {
            guard connection.isWritable else {
                socketIsFull = true
                return
            }
            try sendRound(connection)
            // Read between two writes: a broker that closes or blocks the connection announces it first.
            try read(connection)
        }
    }

    private func sendRound(_ connection: Connection) throws(ConnectionLoss) {
        var bytes = 0
        if current.window.unsettled == 0 { settledAt = monotonicNanoseconds() }
        while bytes < Self.bytesPerRound, current.window.unsettled < windowSize, let submission = waiting.popFirst() {
            let sequence = current.window.nextSequence
            lastDeadline = max(lastDeadline, submission.deadline)
            current.window.append(submission, deadline: lastDeadline)
            try connection.publish(
                submission.message, sequence: submission.message.mandatory ? sequence : nil,
                channel: current.number, arena: arena)
            bytes += submission.message.body.count + 256
        }
        var sentHints = 0
        defer { if sentHints > 0 { gate.hintsDone(sentHints) } }
        while bytes < Self.bytesPerRound, let hint = hints.popFirst() {
            sentHints += 1
            try connection.publish(hint, sequence: nil, channel: Self.hinting, arena: arena)
            bytes += hint.body.count + 256
        }
    }

    // MARK: Ends

    private func expire() {
        let now = monotonicNanoseconds()
        for submission in current.window.expire(now: now) + (retired?.window.expire(now: now) ?? []) {
            finish(submission, AMQPError(.unconfirmed("the broker did not confirm it in time")))
        }
        while let first = waiting.first, first.deadline <= now {
            _ = waiting.popFirst()
            finish(first, AMQPError(.unavailable("it confirms too slowly")))
        }
        // Nothing of a whole window was confirmed in time. Only a new channel can make room again.
        if current.window.expired >= windowSize || silentAt.map({ $0 <= now }) ?? false, link.connection != nil {
            lose(ConnectionLoss(reason: "the broker confirmed nothing within the deadline"))
        }
    }

    /// The instant at which the silence of the broker has lasted too long; nil while it owes nothing. A broker that blocks its clients says
    /// so.
    private var silentAt: UInt64? {
        current.window.unsettled > 0 && !blocked && link.connection != nil ? settledAt + Self.silenceLimit : nil
    }

    private func failAll(_ sent: AMQPError, unsent: AMQPError) {
        for submission in current.window.reset() + (retired?.window.reset() ?? []) { finish(submission, sent) }
        retired = nil
        failUnsent(unsent)
    }

    private func failUnsent(_ error: AMQPError) {
        for submission in waiting.removeAll() { finish(submission, error) }
        let dropped = hints.removeAll().count
        if dropped > 0 { gate.hintsDone(dropped) }
    }

    private func finish(_ submission: Submission, _ error: AMQPError?) {
        gate.messageDone()
        submission.continuation.resume(returning: error.map { .failure($0) } ?? .success(()))
    }
}
