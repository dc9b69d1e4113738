/// One message to publish.
package struct AMQPMessage: Sendable {
    /// For the default exchange, the name of the queue.
    package var routingKey: String

    /// Empty for the default exchange.
    package var exchange: String
    package var body: [UInt8]
    package var correlationID: String?
    package var replyTo: String?
    package var messageID: String?
    package var type: String?
    package var contentType: String?

    /// Whether a durable queue keeps it through a restart of the broker.
    package var persistent: Bool

    /// Whether a message that reaches no queue is an error (`.returned`). Without it the broker confirms such a
    /// message.
    package var mandatory: Bool
    package var headers: [(name: String, value: String)]

    package init(
        routingKey: String, exchange: String = "", body: [UInt8], correlationID: String? = nil, replyTo: String? = nil,
        messageID: String? = nil, type: String? = nil, contentType: String? = nil, persistent: Bool = true,
        mandatory: Bool = true, headers: [(name: String, value: String)] = []
    ) {
        self.routingKey = routingKey
        self.exchange = exchange
        self.body = body
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.messageID = messageID
        self.type = type
        self.contentType = contentType
        self.persistent = persistent
        self.mandatory = mandatory
        self.headers = headers
    }

    /// The first property that does not fit into an AMQP short string, or nil. librabbitmq notices it only after half
    /// of the message was sent, which would cost everybody the connection.
    var oversizedProperty: String? {
        let limit = 255
        if routingKey.utf8.count > limit { return "routing key" }
        if exchange.utf8.count > limit { return "exchange" }
        if let correlationID, correlationID.utf8.count > limit { return "correlation id" }
        if let replyTo, replyTo.utf8.count > limit { return "reply-to" }
        if let messageID, messageID.utf8.count > limit { return "message id" }
        if let type, type.utf8.count > limit { return "type" }
        if let contentType, contentType.utf8.count > limit { return "content type" }
        // The headers of a message share one frame of 128 KiB; these bounds keep far away from it.
        if headers.count > 64 { return "list of headers" }
        if headers.contains(where: { $0.name.utf8.count > 128 || $0.value.utf8.count > 1_024 }) { return "header" }
        return nil
    }
}

/// One message received from a queue.
package struct AMQPDelivery: Sendable {
    package let queue: String
    package let body: [UInt8]

    /// Whether it was delivered before, to anybody, and not acknowledged.
    package let redelivered: Bool

    /// How often a quorum queue has delivered it before, to anybody.
    package let deliveryCount: Int
    package let correlationID: String?
    package let replyTo: String?
    package let messageID: String?
    package let type: String?
    package let tag: AMQPDeliveryTag
}

/// Names a delivery for its acknowledgement. It is good only for the channel that it came from.
package struct AMQPDeliveryTag: Sendable, Hashable {
    let subscription: Int
    /// The number of the channel in the life of its consumer.
    let epoch: UInt64
    let number: UInt64

    /// Whether it comes from an earlier channel of its consumer than another, so that it means nothing any more.
    package func isOlder(than other: AMQPDeliveryTag) -> Bool {
        epoch < other.epoch
    }
}
