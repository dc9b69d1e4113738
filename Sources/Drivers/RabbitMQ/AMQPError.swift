import HandleThread

/// An error of publishing a message, or of another request to the broker.
package struct AMQPError: Error, CustomStringConvertible, Sendable, Equatable {
    /// Each case states what is known about the message.
    package enum Kind: Sendable, Hashable {
        /// There is no connection that takes messages. Nothing was published.
        case unavailable(String)

        /// No queue is bound to the routing key. The broker has dropped the message.
        case returned(String)

        /// The broker refused the message, because the queue is full or its leader is away. The broker does not say which.
        case rejected

        /// The message was sent, and then the connection broke or the deadline passed. It may be in the queue or not.
        case unconfirmed(String)

        /// The broker closed the channel. Messages under way may be in their queues or not.
        case channelClosed(code: UInt16, text: String)

        /// The line of waiting messages is full. Nothing was published.
        case windowFull

        /// The publisher is closed. Nothing was published.
        case closed

        /// A property or a list of headers is longer than AMQP or the driver allows. Nothing was published.
        case unencodable(String)
    }

    package let kind: Kind

    package init(_ kind: Kind) { self.kind = kind }

    /// The failure of a connection for which the system has no descriptor or no thread.
    init(_ error: HandleThreadError) { self.init(.unavailable(error.description)) }

    package var description: String {
        switch kind {
        case .unavailable(let reason): "The broker is not available: \(reason)."
        case .returned(let text): "No queue takes this message (\(text))."
        case .rejected: "The broker refused the message: its queue is full, or the node that leads it is away."
        case .unconfirmed(let reason): "The message was sent but not confirmed: \(reason)."
        case .channelClosed(let code, let text): "The broker closed the channel (\(code) \(text))."
        case .windowFull: "Too many messages wait for confirmation."
        case .closed: "This process has closed the connection to the broker."
        case .unencodable(let property): "The \(property) of the message is too long."
        }
    }

    /// True when the message may be in its queue although publishing failed. False when it is certainly not there.
    package var outcomeIsUnknown: Bool {
        switch kind {
        case .unconfirmed, .channelClosed: true
        case .unavailable, .returned, .rejected, .windowFull, .closed, .unencodable: false
        }
    }
}

/// The state of a connection to the broker.
package enum AMQPConnectionState: Sendable, Equatable {
    case connected

    /// The broker takes no messages (`connection.blocked`) for the given reason. Confirmations may still arrive.
    case blocked(String)

    /// There is no connection, for the reason of the last loss or failed attempt. The next attempt is made
    /// automatically.
    case disconnected(String)
}
