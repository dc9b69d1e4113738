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

    /// Whether a durable queue keeps the message through a restart of the broker.
    package var persistent: Bool

    /// Whether a message that reaches no queue is an error (`.returned`). Otherwise the broker confirms such a message.
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

    /// The first property that is too long for AMQP or for the driver, or nil. librabbitmq detects such a property only
    /// after it has sent half of the message, and then the connection is lost for all messages.
    var oversizedProperty: String? {
        let limit = 255
        if routingKey.utf8.count > limit { return "routing key" }
        if exchange.utf8.count > limit { return "exchange" }
        if let correlationID, correlationID.utf8.count > limit { return "correlation id" }
        if let replyTo, replyTo.utf8.count > limit { return "reply-to" }
        if let messageID, messageID.utf8.count > limit { return "message id" }
        if let type, type.utf8.count > limit { return "type" }
        if let contentType, contentType.utf8.count > limit { return "content type" }
        // The headers of a message share one frame of 128 KiB. These limits stay far below that.
        if headers.count > 64 { return "list of headers" }
        if headers.contains(where: { $0.name.utf8.count > 128 || $0.value.utf8.count > 1_024 }) { return "header" }
        return nil
    }
}

/// One message received from a queue.
package struct AMQPDelivery: Sendable {
    package let queue: String
    package let body: [UInt8]

    /// Whether the message was delivered before, to any consumer, and not acknowledged.
    package let redelivered: Bool

    /// How often a quorum queue has delivered the message before, to any consumer.
    package let deliveryCount: Int
    package let correlationID: String?
    package let replyTo: String?
    package let messageID: String?
    package let type: String?
    package let tag: AMQPDeliveryTag
}

/// Identifies a delivery for its acknowledgement. It is valid only for the channel that the delivery came from.
package struct AMQPDeliveryTag: Sendable, Hashable {
    let subscription: Int
    /// The number of the channel among all channels of the consumer's life.
    let epoch: UInt64
    let number: UInt64

    /// Whether this tag comes from an earlier channel of its consumer than the other tag, and is therefore void.
    package func isOlder(than other: AMQPDeliveryTag) -> Bool {
        epoch < other.epoch
    }

    /// Whether the broker delivered this message of a queue before the other message of the same queue.
    package func isBefore(_ other: AMQPDeliveryTag) -> Bool {
        (epoch, number) < (other.epoch, other.number)
    }
}
