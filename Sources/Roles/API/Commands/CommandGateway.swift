import Answers
import Commands
import CoreMetrics
import Credits
import Failpoints
package import Logging
package import Messaging
package import RabbitMQ
package import Runtime
import ServiceLifecycle
import Synchronization

/// Sends commands to the ledger through its queues and returns their results.
///
/// `send` puts a request into `CommandOutbox`. The requests of an environment that arrive while a message to their queue
/// is being confirmed go together into the next message; no request is held back to fill a message. A confirmed request
/// is `accepted`. The ledger worker sends the results to this node's own reply queue, where `receive` finds the waiting
/// request by its token. When no reply arrives within a second, `lookUpLostReplies` looks the commands up in the
/// database, and again every second. When most replies do not arrive (`ReplyWatch`), the reply queue is made anew over another
/// connection.
///
/// `Mutations`, `CommandBatch`, `ClockFollowers` and `APIServices.settledAccount` call `send`. `Node` makes the gateway
/// and runs it as a service.
///
/// Invariants:
/// - Every call of `send` returns one reply, at most 50 ms after its deadline.
/// - `.pending` means that the queue has accepted the request. `.refused` means that nothing was done, unless the
///   problem says that the outcome is unknown.
/// - A request is never sent twice. To repeat it is the client's decision, and its idempotency key makes that safe.
/// - The undecided commands and their bytes are bounded, and every environment has a share of the bound.
///
/// On failure: `send` refuses at once without a connection that takes messages. A message that was sent but not
/// confirmed gives its requests an unknown outcome. While the broker is blocked, requests that are not accepted end
/// after 200 ms. At shutdown every waiting request gets the reply that follows from its stage.
package final class CommandGateway: Service {
    /// How long a blocked broker may take to confirm the messages that it took before.
    private static let blockedPatience = Duration.milliseconds(200)

    /// How long `send` waits.
    enum Patience: Sendable {
        /// Until the queue has accepted the request.
        case accepted(by: ContinuousClock.Instant)
        /// Until the ledger has decided the request.
        case decided(by: ContinuousClock.Instant)

        var deadline: ContinuousClock.Instant {
            switch self {
            case .accepted(let deadline), .decided(let deadline): deadline
            }
        }

        var endsWhenAccepted: Bool {
            if case .accepted = self { true } else { false }
        }
    }

    /// The outcome of a request.
    enum Reply: Sendable {
        case results([CommandResult])
        /// The queue has accepted the request; its results were not waited for, or did not come in time.
        case pending
        /// The queue has not accepted the request: nothing was done, unless the problem says that the outcome is
        /// unknown.
        case refused(Problem)
    }

    private typealias Outbox = CommandOutbox<CheckedContinuation<Reply, Never>>

    private struct State {
        var outbox: Outbox
        var replies = ReplyWatch()
        var isClosed = false
    }

    private let publisher: AMQPPublisher
    private let consumer: AMQPConsumer
    private let answers: DecidedAnswers
    /// Whether the broker returns a message that reaches no queue instead of confirming it: always, except with the
    /// known bug `no_mandatory_flag`.
    private let isMandatory = !KnownBug.noMandatoryFlag.isActive
    private let state: Mutex<State>
    private let nextToken = Atomic<UInt64>(1)
    private let messageSize: Recorder
    private let foundReplies: Counter

    /// - Throws: When the system has no free descriptor or thread.
    package init(
        amqp: AMQPConfiguration, topology: Topology, answers: DecidedAnswers, metrics: MetricsRegistry, logger: Logger
    ) throws(AMQPError) {
        var publishing = amqp
        publishing.connectionName = "quotastack-api publish"
        var consuming = amqp
        consuming.connectionName = "quotastack-api replies"
        let replies = ReplyDispatch()
        self.answers = answers
        foundReplies = metrics.counter(
            "quotastack_api_lost_replies_total",
            "Requests whose results were found in the database because no reply came.")
        let limits = KnownBug.noCommandShares.isActive ? Outbox.Limits.noShares : Outbox.Limits()
        state = Mutex(State(outbox: Outbox(catalogueQueue: topology.catalogueQueue, limits: limits)))
        messageSize = metrics.histogram(
            "quotastack_api_message_commands", "Commands in one message to a command queue.",
            buckets: [1, 4, 16, 64, 256, 1_024])
        publisher = try AMQPPublisher(configuration: publishing, logger: logger)
        consumer = try AMQPConsumer(
            configuration: consuming, queues: [], exclusiveQueue: "\(topology.prefix)reply", prefetch: 0,
            acknowledges: false, logger: logger
        ) { deliveries in
            replies.receive(deliveries)
        }
        replies.gateway.withLock { $0 = WeakGateway(self) }
    }

    /// Whether commands can be sent and their replies received now, or why not.
    package var brokerState: AMQPConnectionState {
        publisher.state == .connected ? consumer.state : publisher.state
    }

    /// Whether most replies have not arrived lately, so that answers take a second longer.
    var losesReplies: Bool { state.withLock { $0.replies.losesMost } }

    /// The number of commands that were taken and are not decided.
    var undecidedCommands: Int { state.withLock { $0.outbox.undecidedCommands } }

    /// Runs until a graceful shutdown. It then closes both connections and ends the requests that still wait. The HTTP
    /// server must have stopped before, so that requests of clients are answered first.
    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.publisher.run() }
            group.addTask { await self.consumer.run() }
            group.addTask { await self.sweep() }
            group.addTask { await self.lookUpLostReplies() }
            try? await gracefulShutdown()
            await publisher.close()
            await consumer.stop()
            group.cancelAll()
        }
        let left = state.withLock { state in
            state.isClosed = true
            return state.outbox.takeAll()
        }
        for (caller, stage) in left { Self.giveUp(caller, at: stage, because: Self.unreachable) }
    }

    // MARK: - Sending

    /// Sends one request and waits for its results.
    ///
    /// - Returns: `.pending` when the queue has accepted the request and its results did not come in time or were not
    ///   waited for.
    func send(
        _ commands: CommandRequest.Commands, to queue: String, from origin: RequestOrigin, wantsBodies: Bool,
        until patience: Patience
    ) async -> Reply {
        guard publisher.state == .connected else { return .refused(Self.unreachable) }
        let token = nextToken.wrappingAdd(1, ordering: .relaxed).newValue
        var origin = origin
        origin.attempt = .random(in: 0...UInt64.max)
        return await withCheckedContinuation { continuation in
            let request = Outbox.Request(
                token: token, to: queue, from: origin, wantsBodies: wantsBodies, commands: commands,
                deadline: patience.deadline, returnsWhenAccepted: patience.endsWhenAccepted, caller: continuation)
            let (problem, lanes) = state.withLock { state -> (Problem?, [Outbox.Lane]) in
                if state.isClosed { return (Self.overloaded, []) }
                if let refusal = state.outbox.add(request) { return (Self.problem(refusal), []) }
                return (nil, state.outbox.lanesToPublish([request.lane], at: .now))
            }
            if let problem { continuation.resume(returning: .refused(problem)) }
            publish(lanes)
        }
    }

    /// Starts publishing for lanes that are not publishing yet.
    private func publish(_ lanes: [Outbox.Lane]) {
        for lane in lanes { Task { await self.publishWaiting(of: lane) } }
    }

    /// Publishes the waiting requests of a lane, message after message, until none is left or the lane has to pause.
    private func publishWaiting(of lane: Outbox.Lane) async {
        while let next = state.withLock({ $0.outbox.nextMessage(of: lane, at: .now) }) {
            messageSize.record(Double(next.commandCount))
            let content = CommandMessage(
                sentAt: Instant.now, environmentID: lane.environmentID, requests: next.requests)
            let message = AMQPMessage(
                routingKey: lane.queue, body: content.encoded(), replyTo: consumer.exclusiveQueueName,
                mandatory: isMandatory)
            Failpoint.apiBeforePublish.hit()
            do throws(AMQPError) {
                try await publisher.publish(message)
                Failpoint.apiAfterConfirm.hit()
                for caller in state.withLock({ $0.outbox.accepted(next.tokens, at: .now) }) {
                    caller.resume(returning: .pending)
                }
            } catch {
                for caller in remove(next.tokens).compactMap({ $0?.caller }) {
                    caller.resume(returning: .refused(Self.problem(error)))
                }
            }
        }
    }

    // MARK: - Results

    fileprivate func receive(_ replies: [CommandReply]) {
        Failpoint.apiAfterReply.hit()
        state.withLock { $0.replies.arrived(replies.count) }
        resume(replies)
    }

    private func resume(_ replies: [CommandReply]) {
        for (request, reply) in zip(remove(replies.map(\.token)), replies) {
            request?.caller?.resume(returning: .results(reply.results))
        }
    }

    /// Removes requests that are decided or refused, and lets their lanes publish.
    ///
    /// - Returns: The request of each token, nil for an unknown one.
    private func remove(_ tokens: [UInt64]) -> [Outbox.Request?] {
        let (removed, lanes) = state.withLock { state in
            let removed = tokens.map { state.outbox.remove($0) }
            return (removed, state.outbox.lanesToPublish(Set(removed.compactMap { $0?.lane }), at: .now))
        }
        publish(lanes)
        return removed
    }

    /// Ends the waits whose deadline has passed, up to 50 ms late, and those for a blocked broker. Lets the lanes
    /// publish that have paused.
    private func sweep() async {
        var blockedSince: ContinuousClock.Instant?
        while (try? await Task.sleep(for: .milliseconds(50))) != nil {
            let now = ContinuousClock.now
            if state.withLock({ $0.replies.mustReconnect(at: now) }) { consumer.reconnect() }
            if case .blocked = publisher.state { blockedSince = blockedSince ?? now } else { blockedSince = nil }
            let isStuck = blockedSince.map { now - $0 >= Self.blockedPatience } ?? false
            let (late, lanes) = state.withLock { state in
                (
                    state.outbox.takeLate(at: now, isStuck: isStuck),
                    state.outbox.lanesToPublish(state.outbox.waitingLanes, at: now)
                )
            }
            publish(lanes)
            for (caller, stage) in late {
                Self.giveUp(caller, at: stage, because: isStuck ? Self.unreachable : Self.overloaded)
            }
        }
    }

    // MARK: - Lost replies

    /// Looks up the results of requests whose reply is overdue. While the database is unreachable nothing is found, and
    /// the requests go on waiting.
    private func lookUpLostReplies() async {
        while (try? await Task.sleep(for: .milliseconds(250))) != nil {
            let overdue = state.withLock { $0.outbox.takeOverdue(at: .now, limit: CommandLimits.perLookUp) }
            for (environmentID, requests) in Dictionary(grouping: overdue, by: \.origin.environmentID) {
                let ids = requests.flatMap { $0.identities.map(\.id) }
                guard let found = try? await answers.find(environmentID: environmentID, commandIDs: ids) else {
                    continue
                }
                for request in requests {
                    let results = Self.results(of: request, from: found)
                    guard results.count == request.identities.count else { continue }
                    foundReplies.increment()
                    state.withLock { $0.replies.foundLost() }
                    resume([CommandReply(token: request.token, results: results)])
                }
            }
        }
    }

    /// Returns the results of a request's commands. Commands that are not decided yet are missing from the result. When
    /// a request contains a command twice, the second result is a replay.
    private static func results(
        of request: Outbox.Request, from found: [Bits128: DecidedCommand]
    ) -> [CommandResult] {
        var seen: Set<Bits128> = []
        return request.identities.compactMap { identity in
            guard let decided = found[identity.id] else { return nil }
            switch decided.verdict(for: identity.fingerprint, from: request.origin, now: nil) {
            case .replay:
                var result = CommandResult(
                    decided, isReplay: decided.isReplay(for: request.origin), wantsBody: request.wantsBodies)
                if !seen.insert(identity.id).inserted, result.isSuccess { result.isReplay = true }
                return result
            case .conflict: return CommandResult(.keyReuse, requestID: request.origin.requestID)
            case .erased: return CommandResult(.answerErased, requestID: request.origin.requestID)
            // The decision is that of an earlier request, and it is or may be forgotten; this request is not decided yet.
            case .free: return nil
            }
        }
    }

    // MARK: - Problems

    /// Ends a wait without results. The reply is `.pending` only when the queue has accepted the request.
    ///
    /// - Parameter problem: The refusal of a request that was not sent.
    private static func giveUp(
        _ caller: CheckedContinuation<Reply, Never>, at stage: Outbox.Stage, because problem: Problem
    ) {
        switch stage {
        case .waiting: caller.resume(returning: .refused(problem))
        case .sent: caller.resume(returning: .refused(unconfirmed))
        case .accepted: caller.resume(returning: .pending)
        }
    }

    private static func problem(_ refusal: Outbox.Refusal) -> Problem {
        switch refusal {
        case .share: tooManyUndecided
        case .full: overloaded
        case .tooLarge: tooLarge
        }
    }

    private static let overloaded = Problem(
        .unavailable, "Too many commands wait for the queue. Nothing was done; try again in a moment.")

    private static let tooManyUndecided = Problem(
        .rateLimited,
        "Too many commands of this environment are undecided. Nothing was done; send fewer at once, or try again in a moment."
    )

    private static let refused = Problem(
        .unavailable,
        "The queue refused the command, because it is full or the node that leads it is away. The broker does not say which, so the outcome is unknown. Repeat it with the same Idempotency-Key.",
        texts: ["outcome": "unknown"])

    private static let unconfirmed = Problem(
        .unavailable,
        "The queue did not confirm the command, so its outcome is unknown. Repeat it with the same Idempotency-Key.",
        texts: ["outcome": "unknown"])

    private static let tooLarge = Problem(
        .bodyTooLarge,
        "The request takes more than \(CommandLimits.requestBytes >> 20) MiB in a message to the ledger. Send less at once."
    )

    /// A quorum queue rejects a message when it is full and when it has an internal error. Only in the first case is it
    /// certain that nothing was done, and the broker does not say which case it is.
    private static func problem(_ error: AMQPError) -> Problem {
        if error.outcomeIsUnknown { return unconfirmed }
        if case .rejected = error.kind { return refused }
        return unreachable
    }

    private static let unreachable = Problem(
        .unavailable,
        "The command queue cannot be reached or takes no messages. Nothing was done; try again in a moment.")
}

/// Passes replies from the consumer's thread to the gateway. The closure of the consumer is made before the gateway, so
/// it cannot capture the gateway itself.
private final class ReplyDispatch: Sendable {
    let gateway = Mutex(WeakGateway(nil))

    func receive(_ deliveries: [AMQPDelivery]) {
        guard let gateway = gateway.withLock({ $0.gateway }) else { return }
        for delivery in deliveries {
            guard let message = try? ReplyMessage(decoding: delivery.body) else { continue }
            gateway.receive(message.replies)
        }
    }
}

private struct WeakGateway {
    weak var gateway: CommandGateway?

    init(_ gateway: CommandGateway?) {
        self.gateway = gateway
    }
}
