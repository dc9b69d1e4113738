import CRabbitMQ

/// A message from the broker other than the answer to a request.
enum Incoming {
    case delivery(Delivery)
    case returned(channel: UInt16, sequence: UInt64, text: String)
    case confirmed(channel: UInt16, sequence: UInt64, multiple: Bool)
    case refused(channel: UInt16, sequence: UInt64, multiple: Bool)
    case blocked(reason: String)
    case unblocked
    case consumerCancelled
    case channelClosed(channel: UInt16, code: UInt16, text: String)
    case connectionClosed(code: UInt16, text: String)

    /// The addressee of a delivery: the index of a queue and the number of its channel. Both make the consumer tag.
    struct Consumer: Equatable {
        let index: Int
        let epoch: UInt64

        init(index: Int, epoch: UInt64) {
            self.index = index
            self.epoch = epoch
        }

        /// Reads a tag made by `tag`; nil for any other text.
        init?(tag: UnsafeRawBufferPointer) {
            let parts = tag.split(separator: UInt8(ascii: "."))
            guard parts.count == 2, let index = Int(String(decoding: parts[0], as: UTF8.self)),
                let epoch = UInt64(String(decoding: parts[1], as: UTF8.self))
            else { return nil }
            self.init(index: index, epoch: epoch)
        }

        var tag: String { "\(index).\(epoch)" }
    }

    struct Delivery {
        var consumer = Consumer(index: 0, epoch: 0)
        var number: UInt64 = 0
        var redelivered = false
        var deliveryCount = 0
        var correlationID: String?
        var replyTo: String?
        var messageID: String?
        var type: String?
        var body: [UInt8] = []
    }
}

/// Assembles deliveries and returned messages from their frames: a method, a header, and bodies up to the announced
/// size.
///
/// Nothing else of the same channel comes between the frames of a message, so each channel has its own assembler.
struct ContentAssembler {
    /// The header that carries the sequence number of a mandatory message.
    static let sequenceHeader = "publish-sequence"
    /// The header in which a quorum queue states how often it has delivered a message before.
    private static let deliveryCountHeader = "x-delivery-count"

    private enum Content {
        case none
        case delivery(Incoming.Delivery)
        case returned(text: String, sequence: UInt64)
    }

    private var content = Content.none
    private var expectsHeader = false
    private var missing: UInt64 = 0

    mutating func take(_ frame: amqp_frame_t) throws(ConnectionLoss) -> Incoming? {
        switch frame.frame_type {
        case UInt8(AMQP_FRAME_METHOD):
            return try method(frame.payload.method, channel: frame.channel)
        case UInt8(AMQP_FRAME_HEADER):
            guard expectsHeader else { throw ConnectionLoss(reason: "the broker sent an unexpected header") }
            expectsHeader = false
            missing = frame.payload.properties.body_size
            readProperties(frame.payload.properties.decoded)
            return missing == 0 ? finish(frame.channel) : nil
        case UInt8(AMQP_FRAME_BODY):
            let fragment = frame.payload.body_fragment
            guard !expectsHeader, missing >= fragment.len else {
                throw ConnectionLoss(reason: "the broker sent an unexpected body")
            }
            missing -= UInt64(fragment.len)
            if case .delivery(var delivery) = content {
                content = .none
                if delivery.body.isEmpty { delivery.body.reserveCapacity(fragment.len + Int(clamping: missing)) }
                delivery.body.append(
                    contentsOf: UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len))
                content = .delivery(delivery)
            }
            return missing == 0 ? finish(frame.channel) : nil
        default:
            return nil
        }
    }

    private mutating func method(_ method: amqp_method_t, channel: UInt16) throws(ConnectionLoss) -> Incoming? {
        guard let decoded = method.decoded else { return nil }
        switch method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let deliver = decoded.load(as: amqp_basic_deliver_t.self)
            var delivery = Incoming.Delivery()
            let tag = UnsafeRawBufferPointer(start: deliver.consumer_tag.bytes, count: deliver.consumer_tag.len)
            guard let consumer = Incoming.Consumer(tag: tag) else {
                throw ConnectionLoss(reason: "the broker sent a delivery for an unknown consumer")
            }
            delivery.consumer = consumer
            delivery.number = deliver.delivery_tag
            delivery.redelivered = deliver.redelivered != 0
            begin(.delivery(delivery))
        case AMQP_BASIC_RETURN_METHOD:
            let returned = decoded.load(as: amqp_basic_return_t.self)
            begin(.returned(text: "\(returned.reply_code) \(String(copying: returned.reply_text))", sequence: 0))
        case AMQP_BASIC_ACK_METHOD:
            let ack = decoded.load(as: amqp_basic_ack_t.self)
            return .confirmed(channel: channel, sequence: ack.delivery_tag, multiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = decoded.load(as: amqp_basic_nack_t.self)
            return .refused(channel: channel, sequence: nack.delivery_tag, multiple: nack.multiple != 0)
        case AMQP_BASIC_CANCEL_METHOD:
            return .consumerCancelled
        case AMQP_CONNECTION_BLOCKED_METHOD:
            return .blocked(reason: String(copying: decoded.load(as: amqp_connection_blocked_t.self).reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
            return .unblocked
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = decoded.load(as: amqp_channel_close_t.self)
            return .channelClosed(channel: channel, code: close.reply_code, text: String(copying: close.reply_text))
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = decoded.load(as: amqp_connection_close_t.self)
            return .connectionClosed(code: close.reply_code, text: String(copying: close.reply_text))
        default:
            break
        }
        return nil
    }

    private mutating func begin(_ content: Content) {
        self.content = content
        expectsHeader = true
        missing = 0
    }

    private mutating func readProperties(_ decoded: UnsafeMutableRawPointer?) {
        guard let properties = decoded?.assumingMemoryBound(to: amqp_basic_properties_t.self) else { return }
        let flags = properties.pointee._flags
        switch content {
        case .none:
            break
        case .delivery(var delivery):
            if flags & amqp_flags_t(AMQP_BASIC_CORRELATION_ID_FLAG) != 0 {
                delivery.correlationID = String(copying: properties.pointee.correlation_id)
            }
            if flags & amqp_flags_t(AMQP_BASIC_REPLY_TO_FLAG) != 0 {
                delivery.replyTo = String(copying: properties.pointee.reply_to)
            }
            if flags & amqp_flags_t(AMQP_BASIC_MESSAGE_ID_FLAG) != 0 {
                delivery.messageID = String(copying: properties.pointee.message_id)
            }
            if flags & amqp_flags_t(AMQP_BASIC_TYPE_FLAG) != 0 {
                delivery.type = String(copying: properties.pointee.type)
            }
            if flags & amqp_flags_t(AMQP_BASIC_HEADERS_FLAG) != 0 {
                delivery.deliveryCount = Self.integer(Self.deliveryCountHeader, in: properties.pointee.headers) ?? 0
            }
            content = .delivery(delivery)
        case .returned(let text, _):
            guard flags & amqp_flags_t(AMQP_BASIC_HEADERS_FLAG) != 0 else { return }
            if let sequence = Self.integer(Self.sequenceHeader, in: properties.pointee.headers) {
                content = .returned(text: text, sequence: UInt64(sequence))
            }
        }
    }

    /// The 64-bit integer of that name in a table; nil when there is none.
    private static func integer(_ name: String, in table: amqp_table_t) -> Int? {
        for entry in UnsafeBufferPointer(start: table.entries, count: Int(table.num_entries))
        where entry.value.kind == UInt8(AMQP_FIELD_KIND_I64.rawValue) && String(copying: entry.key) == name {
            return Int(entry.value.value.i64)
        }
        return nil
    }

    private mutating func finish(_ channel: UInt16) -> Incoming? {
        defer { content = .none }
        switch content {
        case .none: return nil
        case .delivery(let delivery): return .delivery(delivery)
        case .returned(let text, let sequence): return .returned(channel: channel, sequence: sequence, text: text)
        }
    }
}
