import Failpoints
import HandleThread
import Logging

/// The consuming side of one connection. Each queue has a channel of its own, so that one queue can be released alone.
final class ConsumingOwner: HandleOwner {
    enum Command: Sendable {
        case start
        case acknowledge([AMQPDeliveryTag])
        case consume(String)
        case release(String, CheckedContinuation<Void, Never>)
        case reconnect
    }

    /// The limits of one turn. Between turns acknowledgements are written and buffers released.
    private static let deliveriesPerTurn = 1_024
    private static let bytesPerTurn = 1_024 * 1_024

    private var subscriptions: [Subscription]
    /// The beginning of the exclusive queue's name, and the cell that holds the whole name.
    private let exclusiveQueue: (prefix: String, name: ExclusiveQueueName)?
    private let prefetch: UInt16
    private let acknowledges: Bool
    private let deliver: @Sendable ([AMQPDelivery]) -> Void
    private let link: Link
    private var started = false
    private var lastEpoch: UInt64 = 0
    private var batch: [AMQPDelivery] = []
    private var mayHoldMore = false
    private var socketIsFull = false

    init(
        configuration: AMQPConfiguration, queues: [String],
        exclusiveQueue: (prefix: String, name: ExclusiveQueueName)?, consumesAtOnce: Bool,
        prefetch: UInt16, acknowledges: Bool, logger: Logger, announce: @escaping (AMQPConnectionState) -> Void,
        deliver: @escaping @Sendable ([AMQPDelivery]) -> Void
    ) {
        let names = queues + (exclusiveQueue.map { [$0.prefix] } ?? [])
        subscriptions = names.enumerated().map { index, queue in
            Subscription(queue: queue, channel: UInt16(index + 1), isWanted: consumesAtOnce)
        }
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
            for tag in tags where acknowledges && subscriptions[tag.subscription].epoch == tag.epoch {
                subscriptions[tag.subscription].acknowledged.append(tag.number)
            }
        case .consume(let queue):
            guard let index = subscriptions.firstIndex(where: { $0.queue == queue }) else { return }
            subscriptions[index].isWanted = true
        case .release(let queue, let continuation):
            release(queue)
            continuation.resume()
        case .reconnect:
            if link.connection != nil { lose(ConnectionLoss(reason: "this process gave the connection up")) }
        }
    }

    func turn(readable: Bool, writable: Bool) {
        guard started else { return }
        connectIfDue()
        guard let connection = link.connection else { return }
        do throws(ConnectionLoss) {
            for index in subscriptions.indices { try open(index, connection) }
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
                for subscription in subscriptions where subscription.isOpen {
                    try connection.closeChannel(subscription.channel)
                }
            } catch {
                lose(error)
            }
        }
        link.close()
    }

    // MARK: Channels

    private func connectIfDue() {
        link.connectIfDue { (connection) throws(ConnectionLoss) in
            nameExclusiveQueue()
            for index in subscriptions.indices {
                subscriptions[index].forget()
                try open(index, connection)
            }
        }
    }

    /// The exclusive queue is the last of the subscriptions.
    private func nameExclusiveQueue() {
        guard let exclusiveQueue else { return }
        let name = "\(exclusiveQueue.prefix).\(UInt64.random(in: 0..<1 << 63))"
        subscriptions[subscriptions.count - 1].queue = name
        exclusiveQueue.name.store(name)
    }

    /// Opens the channel of a wanted queue and starts to consume.
    private func open(_ index: Int, _ connection: Connection) throws(ConnectionLoss) {
        let subscription = subscriptions[index]
        guard subscription.isWanted, !subscription.isOpen else { return }
        let channel = subscription.channel
        try connection.openChannel(channel)
        if acknowledges { try connection.setPrefetch(prefetch, channel: channel) }
        if exclusiveQueue != nil, index == subscriptions.count - 1 {
            try connection.declareQueue(
                subscription.queue, Connection.QueueOptions(exclusive: true, deletesItself: true), channel: channel)
        }
        lastEpoch += 1
        subscriptions[index].opened(epoch: lastEpoch)
        try connection.consume(
            queue: subscription.queue, consumer: Incoming.Consumer(index: index, epoch: lastEpoch),
            acknowledges: acknowledges, channel: channel)
    }

    private func release(_ queue: String) {
        guard let index = subscriptions.firstIndex(where: { $0.queue == queue }) else { return }
        subscriptions[index].isWanted = false
        guard subscriptions[index].isOpen, let connection = link.connection else { return }
        do throws(ConnectionLoss) {
            try flushAcknowledgements(connection, force: true)
            if KnownBug.releaseByCancel.isActive { return try cancel(index, connection) }
            try connection.closeChannel(subscriptions[index].channel)
            subscriptions[index].forget()
            // The library may have read deliveries while it waited for the answer, which the poll of the socket does
            // not show.
            mayHoldMore = true
        } catch {
            lose(error)
        }
    }

    /// Ends the consumer and leaves its channel open, which loses the order of the queue. This is the known bug
    /// `release_by_cancel`.
    private func cancel(_ index: Int, _ connection: Connection) throws(ConnectionLoss) {
        try connection.cancel(
            Incoming.Consumer(index: index, epoch: subscriptions[index].epoch), channel: subscriptions[index].channel)
    }

    private func lose(_ loss: ConnectionLoss) {
        for index in subscriptions.indices { subscriptions[index].forget() }
        mayHoldMore = false
        socketIsFull = false
        link.lose(loss.reason)
    }

    // MARK: Deliveries

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
                throw ConnectionLoss(reason: "the broker cancelled a consumer: its queue was probably deleted")
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
        let index = delivery.consumer.index
        guard subscriptions.indices.contains(index) else {
            throw ConnectionLoss(reason: "the broker sent a delivery for an unknown consumer")
        }
        // A delivery that was under way when the channel was closed belongs to the next consumer.
        guard delivery.consumer.epoch == subscriptions[index].epoch else { return }
        if acknowledges { subscriptions[index].ledger.deliver(delivery.number) }
        batch.append(
            AMQPDelivery(
                queue: subscriptions[index].queue, body: delivery.body, redelivered: delivery.redelivered,
                deliveryCount: delivery.deliveryCount, correlationID: delivery.correlationID,
                replyTo: delivery.replyTo, messageID: delivery.messageID, type: delivery.type,
                tag: AMQPDeliveryTag(subscription: index, epoch: delivery.consumer.epoch, number: delivery.number)))
    }

    /// Deliveries are handed over even when the connection was lost right after they were read: a consumer without
    /// acknowledgements does not get them again.
    private func handOver() {
        guard !batch.isEmpty else { return }
        let deliveries = batch
        batch = []
        deliver(deliveries)
    }

    /// - Parameter force: Writes even when the socket may block, up to the watchdog's limit.
    private func flushAcknowledgements(_ connection: Connection, force: Bool) throws(ConnectionLoss) {
        socketIsFull = false
        guard subscriptions.contains(where: { !$0.acknowledged.isEmpty }) else { return }
        guard force || connection.isWritable else {
            socketIsFull = true
            return
        }
        connection.setCorked(true)
        for index in subscriptions.indices {
            for frame in subscriptions[index].takeAcknowledgements() {
                try connection.acknowledge(
                    frame.number, multiple: frame.multiple, channel: subscriptions[index].channel)
            }
        }
        connection.setCorked(false)
    }
}

/// A queue that the consumer may consume, and its channel while it is open.
private struct Subscription {
    /// The exclusive queue has another name at each connection.
    var queue: String
    let channel: UInt16
    var isWanted: Bool
    /// The number of the open channel among all channels of the consumer's life; 0 while there is none.
    private(set) var epoch: UInt64 = 0
    var ledger = AcknowledgementLedger()
    var acknowledged: [UInt64] = []

    init(queue: String, channel: UInt16, isWanted: Bool) {
        self.queue = queue
        self.channel = channel
        self.isWanted = isWanted
    }

    var isOpen: Bool { epoch > 0 }

    mutating func opened(epoch: UInt64) {
        self.epoch = epoch
        ledger = AcknowledgementLedger()
        acknowledged = []
    }

    /// Called when the channel is gone. Its delivery tags mean nothing any more.
    mutating func forget() {
        epoch = 0
        acknowledged = []
    }

    mutating func takeAcknowledgements() -> [AcknowledgementLedger.Acknowledgement] {
        defer { acknowledged = [] }
        return ledger.acknowledge(acknowledged)
    }
}
