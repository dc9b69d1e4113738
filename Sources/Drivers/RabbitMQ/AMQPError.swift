/// Why a message was not published for certain, or why the broker refused a request.
package struct AMQPError: Error, CustomStringConvertible, Sendable, Equatable {
    /// What is known about the message is part of each case.
    package enum Kind: Sendable, Hashable {
        /// There is no connection that takes messages: nothing was published.
        case unavailable(String)

        /// No queue is bound to the routing key: the broker has dropped the message.
        case returned(String)

        /// The broker refused the message, for example because the queue is full: it is not in the queue.
        case rejected

        /// The message was sent, and then the connection broke or the deadline passed: it may be in the queue or not.
        case unconfirmed(String)

        /// The broker closed the channel. Messages under way may be in their queues or not.
        case channelClosed(code: UInt16, text: String)

        /// As many messages are waiting as may wait: nothing was published.
        case windowFull

        /// The publisher is closed: nothing was published.
        case closed

        /// A name or property is longer than AMQP can carry (255 bytes): nothing was published.
        case unencodable(String)
    }

    package let kind: Kind

    package init(_ kind: Kind) { self.kind = kind }

    package var description: String {
        switch kind {
        case .unavailable(let reason): "The broker is not available: \(reason)."
        case .returned(let text): "No queue takes this message (\(text))."
        case .rejected: "The broker refused the message; its queue is probably full."
        case .unconfirmed(let reason): "The message was sent but not confirmed: \(reason)."
        case .channelClosed(let code, let text): "The broker closed the channel (\(code) \(text))."
        case .windowFull: "Too many messages wait for confirmation."
        case .closed: "The connection to the broker was closed on our side."
        case .unencodable(let property): "The \(property) is longer than 255 bytes."
        }
    }

    /// True when the message may be in its queue although publishing failed; false when it certainly is not.
    package var outcomeIsUnknown: Bool {
        switch kind {
        case .unconfirmed, .channelClosed: true
        case .unavailable, .returned, .rejected, .windowFull, .closed, .unencodable: false
        }
    }
}

/// Whether messages can be sent or received now.
package enum AMQPConnectionState: Sendable, Equatable {
    case connected

    /// The broker takes no messages (`connection.blocked`), in its own words. Confirmations may still come.
    case blocked(String)

    /// There is no connection; the reason of the last loss or failed attempt. The next attempt comes by itself.
    case disconnected(String)
}
