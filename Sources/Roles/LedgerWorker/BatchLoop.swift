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

/// One lane of the worker: takes messages from the inbox, applies a part of their commands in one transaction, replies
/// and acknowledges, and gives the rest back.
actor BatchLoop {
    /// The threads for catalogues and for environments whose commands take long, so that the commands of all others, which
    /// are decided on the event loops, do not wait for them.
    private static let longWork = LongWorkThreads(threads: DeliveryInbox.accountLanes)

    let inbox: DeliveryInbox
    let kind: DeliveryInbox.LaneKind
    let consumer: AMQPConsumer
    private let publisher: AMQPPublisher
    let database: PostgresConfiguration
    let catalogues: CatalogueCache
    let metrics: LedgerMetrics
    let logger: Logger
    var connection: PostgresConnection?
    /// The commands of the current suspect message that were parked because they crashed the worker.
    var parkedCommands: [Bits128] = []
    /// Whether transactions of the present batch run on the event loops, because one of them has failed.
    var hurries = false

    init(
        _ kind: DeliveryInbox.LaneKind, inbox: DeliveryInbox, consumer: AMQPConsumer, publisher: AMQPPublisher,
        database: PostgresConfiguration, catalogues: CatalogueCache, metrics: LedgerMetrics, logger: Logger
    ) {
        self.kind = kind
        self.inbox = inbox
        self.consumer = consumer
        self.publisher = publisher
        self.database = database
        self.catalogues = catalogues
        self.metrics = metrics
        self.logger = logger
    }

    /// Processes batches until the inbox is closed. A transaction under way is completed first, unless it waits for
    /// PostgreSQL.
    func run() async {
        while let batch = await inbox.take(kind) {
            hurries = false
            // All lanes wait for a suspect.
            let isSuspect = batch.messages.first?.delivery.isSuspect == true
            let isLong = !isSuspect && (kind == .catalogues || batch.slow != nil || batch.heavy != nil)
            let threads = isLong ? Self.longWork : nil
            let rest = await withTaskExecutorPreference(threads) { await process(batch) }
            guard let rest else { break }
            // All lanes take the lock of the inbox, so no thread of a low priority does.
            inbox.finish(batch, left: rest.messages, allowances: rest.allowances, heavy: rest.heavy)
        }
        connection?.close()
        await connection?.closes()
    }

    /// The undecided messages of a batch, and the changes of how its environments are taken.
    private struct Rest {
        var messages: [MessageInHand] = []
        var allowances: [EnvironmentID: Int?] = [:]
        var heavy: Set<EnvironmentID> = []
    }

    /// Applies a part of a batch.
    ///
    /// - Returns: Nil when the loop was closed first.
    private func process(_ batch: DeliveryInbox.Batch) async -> Rest? {
        if let suspect = batch.messages.first, suspect.delivery.isSuspect {
            return await processSuspect(suspect) ? Rest() : nil
        }
        Failpoint.workerAfterTake.hit()
        var messages = batch.messages
        guard await decode(&messages) else { return nil }
        Failpoint.workerAfterDecode.hit()
        guard let pace = await applyPart(of: &messages, at: batch.allowance) else { return nil }
        return Rest(
            messages: messages.filter { !$0.isDecided },
            allowances: pace.allowances(after: batch.slow, allowed: batch.allowance), heavy: pace.heavy)
    }

    /// Decodes a message and applies all its commands, each in a transaction of its own if one of them may crash the
    /// worker.
    ///
    /// - Returns: False when the loop was closed first. The message is then not acknowledged.
    func process(_ delivery: AMQPDelivery, oneByOne: Bool) async -> Bool {
        Failpoint.workerAfterTake.hit()
        var messages = [MessageInHand(delivery)]
        guard await decode(&messages) else { return false }
        Failpoint.workerAfterDecode.hit()
        // A message without a readable command is acknowledged by the first part.
        repeat {
            guard await applyPart(of: &messages, at: CommandLimits.perTransaction, oneByOne: oneByOne) != nil else {
                return false
            }
        } while messages.contains { !$0.isDecided }
        return true
    }

    /// Decodes the messages that no lane has decoded yet. A message or a request that cannot be decoded is parked
    /// alone. A message of a newer release stays in its queue, with all messages behind it, and the worker gives the
    /// queue back.
    ///
    /// - Parameter messages: Those that stay in their queue are removed.
    /// - Returns: False when the loop was closed first.
    private func decode(_ messages: inout [MessageInHand]) async -> Bool {
        var leftQueues: Set<String> = []
        for index in messages.indices where messages[index].content == nil {
            let delivery = messages[index].delivery
            guard !leftQueues.contains(delivery.queue) else { continue }
            let message: ReceivedMessage
            do {
                message = try ReceivedMessage(decoding: delivery.body)
            } catch {
                guard await park(delivery, error: "\(error)") else { return false }
                messages[index].decoded([])
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
                guard
                    await put(
                        queue: delivery.queue, environmentID: CommandMessage.environment(of: delivery.body),
                        commandID: nil, requestID: nil, error: "\(error)", message: bytes)
                else { return false }
            }
            metrics.observeWait(Instant.now.microseconds - message.sentAt.microseconds)
            messages[index].decoded(message.readableRequests)
        }
        messages.removeAll { $0.content == nil }
        return true
    }

    // MARK: - Applying

    /// Applies the next commands of the messages: as many commands of accounts as one transaction takes, or else
    /// commands of catalogues for a while. Then replies to the requests that are complete, and acknowledges the messages
    /// that are.
    ///
    /// - Returns: The cost of the part; nil when the loop was closed first.
    private func applyPart(
        of messages: inout [MessageInHand], at allowance: Int, oneByOne: Bool = false
    ) async -> BatchPace? {
        let undecided = messages.indices.filter { !messages[$0].isDecided }
        let places = undecided.flatMap { Self.undecidedCommands(of: messages[$0], at: $0) }
        let items = places.prefix(allowance).prefix { $0.item != nil }
        var pace = BatchPace()
        if items.isEmpty {
            guard await applyCatalogueCommands(places, in: &messages, oneByOne: oneByOne) else { return nil }
        } else {
            let all = items.compactMap(\.item)
            guard let part = oneByOne ? await applyAlone(all[0]) : await apply(all) else { return nil }
            for (place, result) in zip(items, part.results) {
                messages[place.message].set(result, request: place.request, command: place.command)
            }
            pace = part.pace
        }
        Failpoint.workerAfterCommit.hit()
        reply(&messages)
        Failpoint.workerAfterReply.hit()
        consumer.acknowledge(messages.filter(\.isDecided).map(\.delivery.tag))
        Failpoint.workerAfterAcknowledge.hit()
        return pace
    }

    private static func undecidedCommands(of message: MessageInHand, at index: Int) -> [CommandPlace] {
        var places: [CommandPlace] = []
        for (request, content) in message.requests.enumerated() {
            for command in 0..<content.commands.count
            where !message.hasResult(request: request, command: command) {
                places.append(CommandPlace(message: index, request: request, command: command, content: content))
            }
        }
        return places
    }

    /// How often a single command is tried whose transaction is ended because it takes too long.
    private static let attemptsAlone = 3

    /// Applies items, in order, in one transaction: all of them, or the first ones if all would take too long. When the
    /// database rejects or ends the transaction, the first half of the items is tried. A single item that is rejected,
    /// or takes too long three times, is parked, so that it does not stop the others.
    ///
    /// - Returns: One result for each of the first items, and at least one; nil when the loop was closed first.
    func apply(_ items: [AccountItem]) async -> AppliedPart? {
        do {
            let start = ContinuousClock.now
            let part = try await repeating(attempts: items.count > 1 ? 1 : Self.attemptsAlone) { connection in
                try await AccountBatch.apply(items, catalogues: catalogues, metrics: metrics, on: connection)
            }
            metrics.observeBatch(part.results.count, took: ContinuousClock.now - start)
            return part
        } catch is LoopClosed {
            return nil
        } catch {
            if let item = items.first, items.count == 1 {
                return await parked(item, error: "\(error)").map { result in
                    var pace = BatchPace()
                    pace.add(item.origin.environmentID, commands: 1)
                    pace.wasCut = true
                    return AppliedPart(results: [result], pace: pace)
                }
            }
            logger.warning("a batch of \(items.count) commands failed and is halved: \(error)")
            var part = await apply(Array(items[..<(items.count / 2)]))
            part?.pace.wasCut = true
            return part
        }
    }

    /// Applies catalogue commands, each in a transaction of its own, until `CommandLimits.partTime` has passed.
    private func applyCatalogueCommands(
        _ places: [CommandPlace], in messages: inout [MessageInHand], oneByOne: Bool
    ) async -> Bool {
        let end = ContinuousClock.now + CommandLimits.partTime
        for place in places {
            guard case .catalogue(let command) = place.content.commands else { break }
            let result =
                oneByOne
                ? await tryAlone(command.identity.id) {
                    await apply(command, of: place.content)
                } park: {
                    await parked(command, of: place.content, error: $0)
                } : await apply(command, of: place.content)
            guard let result else { return false }
            Failpoint.workerAfterCatalogueCommit.hit()
            messages[place.message].set(result, request: place.request, command: 0)
            if ContinuousClock.now >= end { break }
        }
        return true
    }

    /// - Returns: Nil when the loop was closed first.
    private func apply(_ command: CatalogueCommand, of request: CommandRequest) async -> CommandResult? {
        do {
            return try await repeating(attempts: Self.attemptsAlone) { connection in
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
        let message = CommandMessage(
            sentAt: .now, environmentID: key.environmentID, requests: [EncodedRequest(command)])
        guard
            await put(
                queue: "", environmentID: key.environmentID, commandID: key.id, requestID: requestID, error: error,
                message: message.encoded())
        else { return nil }
        return CommandResult(.parked, requestID: requestID)
    }

    func park(_ delivery: AMQPDelivery, error: String) async -> Bool {
        logger.critical("a message of \(delivery.queue) cannot be read and is parked: \(error)")
        metrics.parkedCommands.increment()
        return await put(
            queue: delivery.queue, environmentID: CommandMessage.environment(of: delivery.body), commandID: nil,
            requestID: nil, error: error, message: delivery.body)
    }

    /// Inserts a row into `parked_commands`, and tries until it succeeds: a command that is not parked must stay in the
    /// queue.
    ///
    /// - Returns: False when the loop was closed first.
    private func put(
        queue: String, environmentID: EnvironmentID?, commandID: Bits128?, requestID: String?, error: String,
        message: [UInt8]
    ) async -> Bool {
        while true {
            do {
                try await repeating { connection in
                    try await CommandStore.park(
                        queue: queue, environmentID: environmentID, commandID: commandID, requestID: requestID,
                        error: error, message: message, on: connection)
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

    /// Sends the replies to the requests that have become complete, in messages of at most `CommandLimits.messageBytes`
    /// to each reply queue. A reply is a hint: a node that does not receive it looks the decided command up in the
    /// database.
    private func reply(_ messages: inout [MessageInHand]) {
        var replies: [String: [CommandReply]] = [:]
        for index in messages.indices {
            let complete = messages[index].takeComplete()
            for (request, _) in complete {
                logger.debug(
                    "applied",
                    metadata: [
                        "request_id": "\(request.origin.requestID)",
                        "traceparent": "\(request.origin.traceParent ?? "-")",
                        "commands": "\(request.commands.count)",
                    ])
            }
            guard let replyTo = messages[index].delivery.replyTo else { continue }
            replies[replyTo, default: []] += complete.map { CommandReply(token: $0.request.token, results: $0.results) }
        }
        for (replyTo, replies) in replies {
            for message in ReplyMessage.messages(of: replies, upTo: CommandLimits.messageBytes) {
                publisher.publishWithoutConfirm(
                    AMQPMessage(routingKey: replyTo, body: message, persistent: false, mandatory: false))
            }
        }
    }
}

/// The place of a command in a batch: the indices of the message, of the request in it, and of the command in that.
private struct CommandPlace {
    let message: Int
    let request: Int
    let command: Int
    let content: CommandRequest

    /// Nil for a command of a catalogue.
    var item: AccountItem? {
        guard case .account(let commands) = content.commands else { return nil }
        return AccountItem(origin: content.origin, wantsBody: content.wantsBodies, command: commands[command])
    }
}
