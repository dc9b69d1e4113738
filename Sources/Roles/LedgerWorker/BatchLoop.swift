import Credits
import Failpoints
import Logging
import Messaging
import Postgres
import RabbitMQ
import Answers
import Runtime
import Storage

/// Takes batches of messages, applies them and answers, one batch after another.
actor BatchLoop {
    /// Commands in one transaction; more are applied in several.
    private static let commandsPerTransaction = 2_000
    let inbox: DeliveryInbox
    let consumer: AMQPConsumer
    private let publisher: AMQPPublisher
    let database: PostgresConfiguration
    let metrics: LedgerMetrics
    let logger: Logger
    var connection: PostgresConnection?
    private var catalogues = CatalogueCache()
    /// Commands of the message in hand that were parked because they kill.
    var condemned: [Bits128] = []

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

    /// Returns when the inbox is closed, after the batch under way.
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

    /// - Parameter oneByOne: Whether each command shall have a transaction of its own, since one of them is a suspect.
    /// - Returns: False when the loop was closed before the batch could be applied; nothing is acknowledged then.
    func process(_ deliveries: [AMQPDelivery], oneByOne: Bool) async -> Bool {
        Failpoint.workerAfterTake.hit()
        if KnownBug.acknowledgeBeforeCommit.isActive { consumer.acknowledge(deliveries.map(\.tag)) }
        var messages: [DecodedDelivery] = []
        for delivery in deliveries {
            do {
                messages.append(DecodedDelivery(delivery, try CommandMessage(decoding: delivery.body)))
            } catch {
                guard await park(delivery, error: "\(error)") else { return false }
            }
        }
        Failpoint.workerAfterDecode.hit()
        let now = systemMicroseconds()
        for message in messages { metrics.observeWait(now - message.message.sentAt.microseconds) }
        guard await applyAccountCommands(&messages, oneByOne: oneByOne) else { return false }
        guard await applyCatalogueCommands(&messages, oneByOne: oneByOne) else { return false }
        for request in messages.flatMap(\.message.requests) {
            logger.debug(
                "applied",
                metadata: [
                    "request_id": "\(request.requestID)", "traceparent": "\(request.traceParent ?? "-")",
                    "commands": "\(request.commands.count)",
                ])
        }
        Failpoint.workerAfterCommit.hit()
        reply(messages)
        Failpoint.workerAfterReply.hit()
        consumer.acknowledge(deliveries.map(\.tag))
        Failpoint.workerAfterAcknowledge.hit()
        return true
    }

    // MARK: - Applying

    private func applyAccountCommands(_ messages: inout [DecodedDelivery], oneByOne: Bool) async -> Bool {
        var items: [AccountItem] = []
        var places: [Place] = []
        for (message, decoded) in messages.enumerated() {
            for (request, content) in decoded.message.requests.enumerated() {
                guard case .account(let commands) = content.commands else { continue }
                for (index, command) in commands.enumerated() {
                    places.append(Place(message: message, request: request, command: index))
                    items.append(
                        AccountItem(
                            environmentID: content.environmentID, requestID: content.requestID, actor: content.actor,
                            wantsBody: content.wantsBodies, command: command))
                }
            }
        }
        var start = 0
        while start < items.count {
            let end = min(start + Self.commandsPerTransaction, items.count)
            let part = Array(items[start..<end])
            guard let results = oneByOne ? await applyOneByOne(part) : await apply(part) else { return false }
            for (place, result) in zip(places[start..<end], results) { messages[place.message].set(result, at: place) }
            start = end
        }
        return true
    }

    /// Applies items until they are decided. A single item that the database refuses is parked; its neighbours are not
    /// held up.
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
            for (request, content) in messages[message].message.requests.enumerated() {
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
                try await CatalogueChange.apply(command, of: request, on: connection)
            }
        } catch is LoopClosed {
            return nil
        } catch {
            return await parked(command, of: request, error: "\(error)")
        }
    }

    // MARK: - What cannot be applied

    private func parked(
        _ command: CatalogueCommand, of request: CommandRequest, error: String
    ) async -> CommandResult? {
        await parked(
            CommandKey(environmentID: request.environmentID, id: command.identity.id), requestID: request.requestID,
            error: error, command: request)
    }

    func parked(_ item: AccountItem, error: String) async -> CommandResult? {
        await parked(
            item.commandKey, requestID: item.requestID, error: error,
            command: CommandRequest(
                token: 0, requestID: item.requestID, traceParent: nil, actor: item.actor,
                environmentID: item.environmentID, wantsBodies: item.wantsBody, commands: .account([item.command])))
    }

    /// Parks a command that cannot be applied even alone.
    private func parked(
        _ key: CommandKey, requestID: String, error: String, command: CommandRequest
    ) async -> CommandResult? {
        logger.critical(
            "a command cannot be applied and is parked: \(error)",
            metadata: ["request_id": "\(requestID)", "command_id": "\(PublicID(.operation, key.id))"])
        metrics.parkedCommands.increment()
        let message = CommandMessage(sentAt: Instant(microseconds: systemMicroseconds()), requests: [command]).encoded()
        guard await put(queue: "", key: key, requestID: requestID, error: error, message: message) else {
            return nil
        }
        return CommandResult(
            status: Problem.parked.code.status, isReplay: false, position: .none,
            body: Problem.parked.json(requestID: requestID))
    }

    func park(_ delivery: AMQPDelivery, error: String) async -> Bool {
        logger.critical("a message of \(delivery.queue) cannot be read and is parked: \(error)")
        metrics.parkedCommands.increment()
        return await put(
            queue: delivery.queue, key: nil, requestID: nil, error: error, message: delivery.body)
    }

    /// Writes a row of the table of parked commands, however long it takes: what is not there must stay in the queue.
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
                logger.critical("a command could not even be parked, and is tried again: \(error)")
                guard await pause(.seconds(1)) else { return false }
            }
        }
    }

    // MARK: - Answering

    /// One message per reply queue, with all its replies. A reply is a hint: who misses it asks the database.
    private func reply(_ messages: [DecodedDelivery]) {
        var replies: [String: [CommandReply]] = [:]
        for message in messages {
            guard let replyTo = message.replyTo else { continue }
            for (request, results) in zip(message.message.requests, message.results) {
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

/// Where a command came from.
private struct Place {
    let message: Int
    let request: Int
    let command: Int
}

/// A delivery's message, and the results of its commands as they come in.
private struct DecodedDelivery {
    let replyTo: String?
    let message: CommandMessage
    private(set) var results: [[CommandResult?]]

    init(_ delivery: AMQPDelivery, _ message: CommandMessage) {
        replyTo = delivery.replyTo
        self.message = message
        results = message.requests.map { Array(repeating: nil, count: $0.commands.count) }
    }

    mutating func set(_ result: CommandResult, at place: Place) {
        results[place.request][place.command] = result
    }
}
