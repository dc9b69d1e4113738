import Answers
import Commands
import CoreMetrics
import Credits
import Failpoints
import Logging
import Messaging
import Postgres
import RabbitMQ
import Runtime
import Storage

/// One lane of the worker: takes deliveries from the inbox, applies their commands, replies and acknowledges, one batch
/// after another.
actor BatchLoop {
    let inbox: DeliveryInbox
    let consumer: AMQPConsumer
    private let publisher: AMQPPublisher
    let database: PostgresConfiguration
    let metrics: LedgerMetrics
    let logger: Logger
    var connection: PostgresConnection?
    private var catalogues = CatalogueCache()
    /// The commands of the current suspect message that were parked because they crashed the worker.
    var parkedCommands: [Bits128] = []

    init(
        inbox: DeliveryInbox, consumer: AMQPConsumer, publisher: AMQPPublisher, database: PostgresConfiguration,
        metrics: LedgerMetrics, logger: Logger
    ) {
        self.inbox = inbox
        self.consumer = consumer
        self.publisher = publisher
        self.database = database
        self.metrics = metrics
        self.logger = logger
    }

    /// Processes batches until the inbox is closed. A batch under way is completed first, unless it waits for
    /// PostgreSQL.
    func run() async {
        while let deliveries = await inbox.take() {
            let suspect = deliveries.first.flatMap { $0.isSuspect ? $0 : nil }
            let isDone =
                if let suspect { await processSuspect(suspect) } else { await process(deliveries, oneByOne: false) }
            inbox.finish(deliveries)
            guard isDone else { break }
        }
        connection?.close()
        await connection?.closes()
    }

    /// - Parameter oneByOne: Whether each command gets a transaction of its own, because one of them may crash the
    ///   worker.
    /// - Returns: False when the loop was closed before the batch could be applied; nothing is acknowledged then.
    func process(_ deliveries: [AMQPDelivery], oneByOne: Bool) async -> Bool {
        Failpoint.workerAfterTake.hit()
        guard var messages = await decode(deliveries) else { return false }
        Failpoint.workerAfterDecode.hit()
        let now = Instant.now
        for sentAt in messages.compactMap(\.sentAt) { metrics.observeWait(now.microseconds - sentAt.microseconds) }
        guard await applyAccountCommands(&messages, oneByOne: oneByOne) else { return false }
        guard await applyCatalogueCommands(&messages, oneByOne: oneByOne) else { return false }
        for request in messages.flatMap(\.requests) {
            logger.debug(
                "applied",
                metadata: [
                    "request_id": "\(request.origin.requestID)",
                    "traceparent": "\(request.origin.traceParent ?? "-")",
                    "commands": "\(request.commands.count)",
                ])
        }
        Failpoint.workerAfterCommit.hit()
        reply(messages)
        Failpoint.workerAfterReply.hit()
        consumer.acknowledge(messages.map(\.tag))
        Failpoint.workerAfterAcknowledge.hit()
        return true
    }

    /// Decodes the deliveries. A message or a request that cannot be decoded is parked alone. A message of a newer
    /// release stays in its queue, with all messages behind it, and the worker gives the queue back.
    ///
    /// - Returns: The messages to apply and to acknowledge; nil when the loop was closed first.
    private func decode(_ deliveries: [AMQPDelivery]) async -> [DecodedDelivery]? {
        var messages: [DecodedDelivery] = []
        var leftQueues: Set<String> = []
        for delivery in deliveries where !leftQueues.contains(delivery.queue) {
            let message: ReceivedMessage
            do {
                message = try ReceivedMessage(decoding: delivery.body)
            } catch {
                guard await park(delivery, error: "\(error)") else { return nil }
                messages.append(DecodedDelivery(delivery, sentAt: nil, requests: []))
                continue
            }
            if message.newestRevision > MessageRevision.current {
                logger.error(
                    """
                    \(delivery.queue) holds a message of a newer release (revision \(message.newestRevision), this worker \
                    reads \(MessageRevision.current)); it stays in the queue: update this worker
                    """)
                leftQueues.insert(delivery.queue)
                inbox.giveBack(delivery.queue)
                continue
            }
            for case .unreadable(let error, let bytes) in message.frames {
                logger.critical("a request in a message of \(delivery.queue) cannot be read and is parked: \(error)")
                metrics.parkedCommands.increment()
                guard await put(queue: delivery.queue, key: nil, requestID: nil, error: "\(error)", message: bytes)
                else { return nil }
            }
            messages.append(DecodedDelivery(delivery, sentAt: message.sentAt, requests: message.readableRequests))
        }
        return messages
    }

    // MARK: - Applying

    private func applyAccountCommands(_ messages: inout [DecodedDelivery], oneByOne: Bool) async -> Bool {
        var items: [AccountItem] = []
        var places: [Place] = []
        for (message, decoded) in messages.enumerated() {
            for (request, content) in decoded.requests.enumerated() {
                guard case .account(let commands) = content.commands else { continue }
                for (index, command) in commands.enumerated() {
                    places.append(Place(message: message, request: request, command: index))
                    items.append(
                        AccountItem(origin: content.origin, wantsBody: content.wantsBodies, command: command))
                }
            }
        }
        var start = 0
        while start < items.count {
            let end = min(start + CommandLimits.perTransaction, items.count)
            let part = Array(items[start..<end])
            guard let results = oneByOne ? await applyOneByOne(part) : await apply(part) else { return false }
            for (place, result) in zip(places[start..<end], results) { messages[place.message].set(result, at: place) }
            start = end
        }
        return true
    }

    /// Applies items in one transaction. When the database rejects the transaction, each half of the items is applied
    /// by itself. A single item that is rejected is parked, so that it does not stop the others.
    ///
    /// - Returns: Nil when the loop was closed first.
    func apply(_ items: [AccountItem]) async -> [CommandResult]? {
        do {
            let start = ContinuousClock.now
            let results = try await repeating { connection in
                var catalogues = self.catalogues
                let results = try await AccountBatch.apply(
                    items, catalogues: &catalogues, metrics: metrics, on: connection)
                self.catalogues = catalogues
                return results
            }
            metrics.observeBatch(items.count, took: ContinuousClock.now - start)
            return results
        } catch is LoopClosed {
            return nil
        } catch {
            catalogues = CatalogueCache()
            guard items.count == 1, let item = items.first else {
                logger.warning("a batch of \(items.count) commands failed and is halved: \(error)")
                let half = items.count / 2
                guard let first = await apply(Array(items[..<half])), let second = await apply(Array(items[half...]))
                else { return nil }
                return first + second
            }
            return await parked(item, error: "\(error)").map { [$0] }
        }
    }

    private func applyCatalogueCommands(_ messages: inout [DecodedDelivery], oneByOne: Bool) async -> Bool {
        for message in messages.indices {
            for (request, content) in messages[message].requests.enumerated() {
                guard case .catalogue(let command) = content.commands else { continue }
                let result =
                    oneByOne
                    ? await tryAlone(command.identity.id) {
                        await apply(command, of: content)
                    } park: {
                        await parked(command, of: content, error: $0)
                    } : await apply(command, of: content)
                guard let result else { return false }
                Failpoint.workerAfterCatalogueCommit.hit()
                messages[message].set(result, at: Place(message: message, request: request, command: 0))
            }
        }
        return true
    }

    /// - Returns: Nil when the loop was closed first.
    private func apply(_ command: CatalogueCommand, of request: CommandRequest) async -> CommandResult? {
        do {
            return try await repeating { connection in
                try await CatalogueChange.apply(command, from: request.origin, on: connection)
            }
        } catch is LoopClosed {
            return nil
        } catch {
            return await parked(command, of: request, error: "\(error)")
        }
    }

    // MARK: - Parking

    private func parked(
        _ command: CatalogueCommand, of request: CommandRequest, error: String
    ) async -> CommandResult? {
        await parked(
            CommandKey(environmentID: request.origin.environmentID, id: command.identity.id), error: error,
            command: request)
    }

    func parked(_ item: AccountItem, error: String) async -> CommandResult? {
        await parked(
            item.commandKey, error: error,
            command: CommandRequest(
                token: 0, origin: item.origin, wantsBodies: item.wantsBody, commands: .account([item.command])))
    }

    /// Parks a command that cannot be applied in a transaction of its own.
    private func parked(_ key: CommandKey, error: String, command: CommandRequest) async -> CommandResult? {
        let requestID = command.origin.requestID
        logger.critical(
            "a command cannot be applied and is parked: \(error)",
            metadata: ["request_id": "\(requestID)", "command_id": "\(PublicID(.operation, key.id))"])
        metrics.parkedCommands.increment()
        let message = CommandMessage(sentAt: .now, requests: [command]).encoded()
        guard await put(queue: "", key: key, requestID: requestID, error: error, message: message) else {
            return nil
        }
        return CommandResult(.parked, requestID: requestID)
    }

    func park(_ delivery: AMQPDelivery, error: String) async -> Bool {
        logger.critical("a message of \(delivery.queue) cannot be read and is parked: \(error)")
        metrics.parkedCommands.increment()
        return await put(
            queue: delivery.queue, key: nil, requestID: nil, error: error, message: delivery.body)
    }

    /// Inserts a row into `parked_commands`, and tries until it succeeds: a command that is not parked must stay in the
    /// queue.
    ///
    /// - Returns: False when the loop was closed first.
    private func put(
        queue: String, key: CommandKey?, requestID: String?, error: String, message: [UInt8]
    ) async -> Bool {
        while true {
            do {
                try await repeating { connection in
                    try await CommandStore.park(
                        queue: queue, key: key, requestID: requestID, error: error, message: message, on: connection)
                }
                return true
            } catch is LoopClosed {
                return false
            } catch {
                logger.critical("a command could not be parked, trying again: \(error)")
                guard await pause(.seconds(1)) else { return false }
            }
        }
    }

    // MARK: - Answering

    /// Sends one message per reply queue, with all replies for it. A reply is a hint: a node that does not receive it
    /// looks the decided command up in the database.
    private func reply(_ messages: [DecodedDelivery]) {
        var replies: [String: [CommandReply]] = [:]
        for message in messages {
            guard let replyTo = message.replyTo else { continue }
            for (request, results) in zip(message.requests, message.results) {
                let complete = results.compactMap { $0 }
                replies[replyTo, default: []].append(CommandReply(token: request.token, results: complete))
            }
        }
        for (replyTo, replies) in replies {
            publisher.publishWithoutConfirm(
                AMQPMessage(
                    routingKey: replyTo, body: ReplyMessage(replies: replies).encoded(), persistent: false,
                    mandatory: false))
        }
    }
}

/// The place of a command in a batch: the indices of the message, of the request in it, and of the command in that.
private struct Place {
    let message: Int
    let request: Int
    let command: Int
}

/// The requests of a delivery, and the results of their commands so far.
private struct DecodedDelivery {
    let tag: AMQPDeliveryTag
    let replyTo: String?
    /// Nil for a message that could not be decoded.
    let sentAt: Instant?
    let requests: [CommandRequest]
    private(set) var results: [[CommandResult?]]

    init(_ delivery: AMQPDelivery, sentAt: Instant?, requests: [CommandRequest]) {
        tag = delivery.tag
        replyTo = delivery.replyTo
        self.sentAt = sentAt
        self.requests = requests
        results = requests.map { Array(repeating: nil, count: $0.commands.count) }
    }

    mutating func set(_ result: CommandResult, at place: Place) {
        results[place.request][place.command] = result
    }
}
