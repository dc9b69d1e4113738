import HandleThread
import Logging

/// The consuming side of one connection.
final class ConsumingOwner: HandleOwner {
    enum Command: Sendable {
        case start
        case acknowledge([AMQPDeliveryTag])
    }

    private static let channel: UInt16 = 1

    /// Bounds of one turn, so that acknowledgements and buffers get theirs.
    private static let deliveriesPerTurn = 1_024
    private static let bytesPerTurn = 1_024 * 1_024

    private let queues: [String]
    private let exclusiveQueue: String?
    private let prefetch: UInt16
    private let acknowledges: Bool
    private let deliver: @Sendable ([AMQPDelivery]) -> Void
    private let link: Link
    private var started = false
    private var epoch: UInt64 = 0
    private var ledger = AcknowledgementLedger()
    private var acknowledged: [UInt64] = []
    private var batch: [AMQPDelivery] = []
    private var mayHoldMore = false
    private var socketIsFull = false

    init(
        configuration: AMQPConfiguration, queues: [String], exclusiveQueue: String?, prefetch: UInt16,
        acknowledges: Bool, logger: Logger, announce: @escaping (AMQPConnectionState) -> Void,
        deliver: @escaping @Sendable ([AMQPDelivery]) -> Void
    ) {
        self.queues = queues + (exclusiveQueue.map { [$0] } ?? [])
        self.exclusiveQueue = exclusiveQueue
        self.prefetch = prefetch
        self.acknowledges = acknowledges
        self.deliver = deliver
        link = Link(configuration: configuration, logger: logger, announce: announce)
    }

    var descriptor: Int32? { link.connection?.descriptor }

    var wantsToWrite: Bool { socketIsFull }

    var wakeAt: UInt64? {
        guard started else { return nil }
        return mayHoldMore ? 0 : link.wakeAt
    }

    func receive(_ command: Command) {
        switch command {
        case .start:
            started = true
        case .acknowledge(let tags):
            for tag in tags where tag.epoch == epoch { acknowledged.append(tag.number) }
        }
    }

    func turn(readable: Bool, writable: Bool) {
        guard started else { return }
        connectIfDue()
        guard let connection = link.connection else { return }
        do throws(ConnectionLoss) {
            try flushAcknowledgements(connection, force: false)
            try read(connection)
            connection.releaseBuffers()
        } catch {
            lose(error)
        }
        handOver()
    }

    func stop() {
        if let connection = link.connection {
            do throws(ConnectionLoss) {
                try flushAcknowledgements(connection, force: true)
                try connection.closeChannel(Self.channel)
            } catch {
                lose(error)
            }
        }
        link.close()
    }

    private func connectIfDue() {
        link.connectIfDue { (connection) throws(ConnectionLoss) in
            try connection.openChannel(Self.channel)
            if acknowledges { try connection.setPrefetch(prefetch, channel: Self.channel) }
            if let exclusiveQueue {
                try connection.declareQueue(
                    exclusiveQueue, Connection.QueueOptions(exclusive: true, deletesItself: true),
                    channel: Self.channel)
            }
            epoch += 1
            ledger = AcknowledgementLedger()
            acknowledged = []
            for (index, queue) in queues.enumerated() {
                try connection.consume(
                    queue: queue, consumerTag: String(index), acknowledges: acknowledges, channel: Self.channel)
            }
        }
    }

    private func lose(_ loss: ConnectionLoss) {
        epoch += 1
        acknowledged = []
        mayHoldMore = false
        socketIsFull = false
        link.lose(loss.reason)
    }

    private func read(_ connection: Connection) throws(ConnectionLoss) {
        var bytes = 0
        mayHoldMore = false
        while let incoming = try connection.next() {
            switch incoming {
            case .delivery(let delivery):
                bytes += delivery.body.count
                try append(delivery)
                if batch.count >= Self.deliveriesPerTurn || bytes >= Self.bytesPerTurn {
                    mayHoldMore = true
                    return
                }
            case .consumerCancelled:
                throw ConnectionLoss(reason: "the broker cancelled a consumer, its queue is probably gone")
            case .channelClosed(_, let code, let text):
                throw ConnectionLoss(reason: "the broker closed the channel: \(text)", channelClose: (code, text))
            case .connectionClosed(_, let text):
                throw ConnectionLoss(reason: "the broker closed the connection: \(text)")
            case .blocked, .unblocked, .confirmed, .refused, .returned:
                break
            }
        }
    }

    private func append(_ delivery: Incoming.Delivery) throws(ConnectionLoss) {
        guard queues.indices.contains(delivery.consumer) else {
            throw ConnectionLoss(reason: "the broker sent a delivery for an unknown consumer")
        }
        if acknowledges { ledger.deliver(delivery.number) }
        batch.append(
            AMQPDelivery(
                queue: queues[delivery.consumer], body: delivery.body, redelivered: delivery.redelivered,
                correlationID: delivery.correlationID, replyTo: delivery.replyTo, messageID: delivery.messageID,
                type: delivery.type, tag: AMQPDeliveryTag(epoch: epoch, number: delivery.number)))
    }

    /// What was read is handed over even when the connection was lost right after: without acknowledgements the broker
    /// does not send it again.
    private func handOver() {
        guard !batch.isEmpty else { return }
        let deliveries = batch
        batch = []
        deliver(deliveries)
    }

    /// - Parameter force: Whether to write although the socket may block, up to the watchdog's limit.
    private func flushAcknowledgements(_ connection: Connection, force: Bool) throws(ConnectionLoss) {
        socketIsFull = false
        guard !acknowledged.isEmpty else { return }
        guard force || connection.isWritable else {
            socketIsFull = true
            return
        }
        let frames = ledger.acknowledge(acknowledged)
        acknowledged = []
        connection.setCorked(true)
        for frame in frames {
            try connection.acknowledge(frame.number, multiple: frame.multiple, channel: Self.channel)
        }
        connection.setCorked(false)
    }
}
