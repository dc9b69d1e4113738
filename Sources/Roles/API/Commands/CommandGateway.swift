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
/// `send` puts a request into the outbox of its queue. The requests that arrive while a message to the queue is being
/// confirmed go together into the next message; no request is held back to fill a message. A confirmed request is
/// `accepted`. The ledger worker sends the results to this node's own reply queue, where `receive` finds the waiting
/// request by its token. When no reply arrives within a second, `lookUpLostReplies` looks the commands up in the
/// database, and again every second.
///
/// `Mutations`, `UsageBatch`, `ClockFollowers` and `APIServices.settledAccount` call `send`. `Node` makes the gateway
/// and runs it as a service.
///
/// Invariants:
/// - Every call of `send` returns one reply, at most 50 ms after its deadline.
/// - `.pending` means that the queue has accepted the request. `.refused` means that nothing was done, unless the
///   problem says that the outcome is unknown.
/// - A request is never sent twice. To repeat it is the client's decision, and its idempotency key makes that safe.
/// - The number of waiting requests is bounded per queue, and the number of undecided requests per environment and
///   queue.
///
/// On failure: `send` refuses at once without a connection that takes messages. A message that was sent but not
/// confirmed gives its requests an unknown outcome. While the broker is blocked, requests that are not accepted end
/// after 200 ms. At shutdown every waiting request gets the reply that follows from its stage.
package final class CommandGateway: Service {
    /// How long the gateway waits for a reply before it looks the commands up in the database, and between two
    /// look-ups. A reply is lost when its worker dies between commit and reply, or when the broker stops.
    private static let replyPatience = Duration.seconds(1)
    /// How long a blocked broker may take to confirm the messages that it took before.
    private static let blockedPatience = Duration.milliseconds(200)
    /// The number of requests per queue that may wait for a place in a message; more are refused with 503.
    private static let waitingPerQueue = 4_096
    /// The number of requests per environment and queue that may be undecided; more are refused with 429. It is half of
    /// `waitingPerQueue`, so that one environment cannot fill a queue's outbox.
    private static let undecidedPerEnvironment = waitingPerQueue / 2

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

    /// How far a request has come, which determines its reply when its deadline has passed.
    private enum Stage {
        case waiting, sent, accepted
    }

    private struct Waiting {
        var stage = Stage.waiting
        /// The instant from which the reply counts as lost and is looked up in the database; set when the queue has
        /// accepted the request.
        var lookUpAt: ContinuousClock.Instant?
        let lane: Lane
        let request: CommandRequest
        let deadline: ContinuousClock.Instant
        let returnsWhenAccepted: Bool
        /// Nil once the caller has its reply: the request then only counts as undecided.
        var continuation: CheckedContinuation<Reply, Never>?
    }

    /// One environment's commands in one queue.
    private struct Lane: Hashable {
        let queue: String
        let environmentID: EnvironmentID
    }

    private struct Outbox {
        var tokens: [UInt64] = []
        var isPublishing = false
    }

    private struct State {
        var nextToken: UInt64 = 1
        var waiting: [UInt64: Waiting] = [:]
        var outboxes: [String: Outbox] = [:]
        /// The number of requests in `waiting`, by lane.
        var undecided: [Lane: Int] = [:]
        var isClosed = false

        mutating func add(_ request: Waiting) {
            waiting[request.request.token] = request
            undecided[request.lane, default: 0] += 1
        }

        mutating func remove(_ token: UInt64) -> Waiting? {
            guard let removed = waiting.removeValue(forKey: token) else { return nil }
            let left = undecided[removed.lane, default: 1] - 1
            undecided[removed.lane] = left > 0 ? left : nil
            return removed
        }
    }

    /// The first step of `send`: start publishing, join the next message, or refuse.
    private enum Sending {
        case startsPublishing, joins
        case refused(Problem)
    }

    private let publisher: AMQPPublisher
    private let consumer: AMQPConsumer
    private let answers: DecidedAnswers
    private let replyQueue: String
    /// Whether the broker returns a message that reaches no queue instead of confirming it: always, except with the
    /// known bug `no_mandatory_flag`.
    private let isMandatory = !KnownBug.noMandatoryFlag.isActive
    private let state: Mutex<State>
    private let messageSize: Recorder
    private let foundReplies: Counter

    package init(
        amqp: AMQPConfiguration, topology: Topology, answers: DecidedAnswers, metrics: MetricsRegistry, logger: Logger
    ) {
        var publishing = amqp
        publishing.connectionName = "quotastack-api publish"
        var consuming = amqp
        consuming.connectionName = "quotastack-api replies"
        let replies = ReplyDispatch()
        self.answers = answers
        foundReplies = metrics.counter(
            "quotastack_api_lost_replies_total",
            "Requests whose results were found in the database because no reply came.")
        replyQueue = "\(topology.prefix)reply.\(UInt64.random(in: 0..<1 << 63))"
        state = Mutex(State())
        messageSize = metrics.histogram(
            "quotastack_api_message_commands", "Commands in one message to a command queue.",
            buckets: [1, 4, 16, 64, 256, 1_024])
        publisher = AMQPPublisher(configuration: publishing, logger: logger)
        consumer = AMQPConsumer(
            configuration: consuming, queues: [], exclusiveQueue: replyQueue, prefetch: 0, acknowledges: false,
            logger: logger
        ) { deliveries in
            replies.receive(deliveries)
        }
        replies.gateway.withLock { $0 = WeakGateway(self) }
    }

    /// Whether commands can be sent and their replies received now, or why not.
    package var brokerState: AMQPConnectionState {
        publisher.state == .connected ? consumer.state : publisher.state
    }

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
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for waiting in left { Self.giveUp(waiting, because: Self.unreachable) }
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
        return await withCheckedContinuation { continuation in
            let lane = Lane(queue: queue, environmentID: origin.environmentID)
            let sending = state.withLock { state -> Sending in
                guard state.undecided[lane, default: 0] < Self.undecidedPerEnvironment else {
                    return .refused(Self.tooManyUndecided)
                }
                guard !state.isClosed, (state.outboxes[queue]?.tokens.count ?? 0) < Self.waitingPerQueue else {
                    return .refused(Self.overloaded)
                }
                let token = state.nextToken
                state.nextToken += 1
                let request = CommandRequest(
                    token: token, origin: origin, wantsBodies: wantsBodies, commands: commands)
                state.add(
                    Waiting(
                        lane: lane, request: request, deadline: patience.deadline,
                        returnsWhenAccepted: patience.endsWhenAccepted, continuation: continuation))
                state.outboxes[queue, default: Outbox()].tokens.append(token)
                if state.outboxes[queue]?.isPublishing == true { return .joins }
                state.outboxes[queue]?.isPublishing = true
                return .startsPublishing
            }
            switch sending {
            case .refused(let problem): continuation.resume(returning: .refused(problem))
            case .startsPublishing: Task { await self.publishWaiting(to: queue) }
            case .joins: break
            }
        }
    }

    /// Publishes the waiting requests of a queue, message after message, until none is left.
    private func publishWaiting(to queue: String) async {
        while let requests = takeWaiting(for: queue) {
            messageSize.record(Double(requests.reduce(0) { $0 + $1.commands.count }))
            let message = AMQPMessage(
                routingKey: queue, body: CommandMessage(sentAt: Instant.now, requests: requests).encoded(),
                replyTo: replyQueue, mandatory: isMandatory)
            Failpoint.apiBeforePublish.hit()
            do throws(AMQPError) {
                try await publisher.publish(message)
                Failpoint.apiAfterConfirm.hit()
                accepted(requests.map(\.token))
            } catch {
                refuse(requests.map(\.token), Self.problem(error))
            }
        }
    }

    private func takeWaiting(for queue: String) -> [CommandRequest]? {
        state.withLock { state in
            guard var outbox = state.outboxes[queue], !outbox.tokens.isEmpty else {
                state.outboxes[queue]?.isPublishing = false
                return nil
            }
            var requests: [CommandRequest] = []
            var count = 0
            var taken = 0
            for token in outbox.tokens {
                guard let request = state.waiting[token]?.request else {
                    taken += 1
                    continue
                }
                guard requests.isEmpty || count + request.commands.count <= CommandLimits.perMessage else { break }
                state.waiting[token]?.stage = .sent
                requests.append(request)
                count += request.commands.count
                taken += 1
            }
            outbox.tokens.removeFirst(taken)
            outbox.isPublishing = !requests.isEmpty
            state.outboxes[queue] = outbox
            return requests.isEmpty ? nil : requests
        }
    }

    // MARK: - Results

    fileprivate func receive(_ reply: CommandReply) {
        Failpoint.apiAfterReply.hit()
        state.withLock { $0.remove(reply.token) }?.continuation?.resume(returning: .results(reply.results))
    }

    private func accepted(_ tokens: [UInt64]) {
        let lookUpAt = ContinuousClock.now + Self.replyPatience
        let done = state.withLock { state in
            tokens.compactMap { token -> CheckedContinuation<Reply, Never>? in
                state.waiting[token]?.stage = .accepted
                state.waiting[token]?.lookUpAt = lookUpAt
                guard state.waiting[token]?.returnsWhenAccepted == true else { return nil }
                // The request counts as undecided until its reply or its deadline comes.
                defer { state.waiting[token]?.continuation = nil }
                return state.waiting[token]?.continuation
            }
        }
        for continuation in done { continuation.resume(returning: .pending) }
    }

    private func refuse(_ tokens: [UInt64], _ problem: Problem) {
        let refused = state.withLock { state in tokens.compactMap { state.remove($0) } }
        for waiting in refused { waiting.continuation?.resume(returning: .refused(problem)) }
    }

    /// Ends the requests whose deadline has passed, up to 50 ms late, and those that a blocked broker does not accept.
    private func sweep() async {
        var blockedSince: ContinuousClock.Instant?
        while (try? await Task.sleep(for: .milliseconds(50))) != nil {
            let now = ContinuousClock.now
            if case .blocked = publisher.state { blockedSince = blockedSince ?? now } else { blockedSince = nil }
            let isStuck = blockedSince.map { now - $0 >= Self.blockedPatience } ?? false
            let late = state.withLock { state in
                let tokens = state.waiting.filter { _, waiting in
                    waiting.deadline <= now || isStuck && waiting.stage != .accepted
                }
                return tokens.keys.compactMap { state.remove($0) }
            }
            for waiting in late { Self.giveUp(waiting, because: isStuck ? Self.unreachable : Self.overloaded) }
        }
    }

    // MARK: - Lost replies

    /// Looks up the results of requests whose reply is overdue. While the database is unreachable nothing is found, and
    /// the requests go on waiting.
    private func lookUpLostReplies() async {
        while (try? await Task.sleep(for: .milliseconds(250))) != nil {
            for (environmentID, requests) in Dictionary(grouping: takeOverdue(), by: \.origin.environmentID) {
                let ids = requests.flatMap { $0.commands.identities.map(\.id) }
                guard let found = try? await answers.find(environmentID: environmentID, commandIDs: ids) else {
                    continue
                }
                for request in requests {
                    let results = Self.results(of: request, from: found)
                    guard results.count == request.commands.count else { continue }
                    foundReplies.increment()
                    receive(CommandReply(token: request.token, results: results))
                }
            }
        }
    }

    /// Returns the results of a request's commands. Commands that are not decided yet are missing from the result. When
    /// a request contains a command twice, the second result is a replay.
    private static func results(
        of request: CommandRequest, from found: [Bits128: DecidedCommand]
    ) -> [CommandResult] {
        var seen: Set<Bits128> = []
        return request.commands.identities.compactMap { identity in
            guard let decided = found[identity.id] else { return nil }
            switch decided.verdict(for: identity.fingerprint) {
            case .replay:
                var result = CommandResult(
                    decided, isReplay: decided.requestID != request.origin.requestID, wantsBody: request.wantsBodies)
                if !seen.insert(identity.id).inserted, result.isSuccess { result.isReplay = true }
                return result
            case .conflict: return CommandResult(.keyReuse, requestID: request.origin.requestID)
            // The decision is that of an earlier malformed request; this request is not decided yet.
            case .free: return nil
            }
        }
    }

    private func takeOverdue() -> [CommandRequest] {
        let now = ContinuousClock.now
        return state.withLock { state in
            var requests: [CommandRequest] = []
            var count = 0
            for (token, waiting) in state.waiting where count < CommandLimits.perLookUp {
                guard let lookUpAt = waiting.lookUpAt, lookUpAt <= now else { continue }
                state.waiting[token]?.lookUpAt = now + Self.replyPatience
                requests.append(waiting.request)
                count += waiting.request.commands.count
            }
            return requests
        }
    }

    /// Ends a request without results. The reply is `.pending` only when the queue has accepted the request.
    ///
    /// - Parameter problem: The refusal of a request that was not sent.
    private static func giveUp(_ waiting: Waiting, because problem: Problem) {
        switch waiting.stage {
        case .waiting: waiting.continuation?.resume(returning: .refused(problem))
        case .sent: waiting.continuation?.resume(returning: .refused(unconfirmed))
        case .accepted: waiting.continuation?.resume(returning: .pending)
        }
    }

    private static let overloaded = Problem(
        .unavailable, "Too many commands wait for the queue. Nothing was done; try again in a moment.")

    private static let tooManyUndecided = Problem(
        .rateLimited,
        "Too many commands of this environment are undecided. Nothing was done; send fewer at once, or try again in a moment."
    )

    private static let unconfirmed = Problem(
        .unavailable,
        "The queue did not confirm the command, so its outcome is unknown. Repeat it with the same Idempotency-Key.",
        texts: ["outcome": "unknown"])

    private static func problem(_ error: AMQPError) -> Problem {
        if error.outcomeIsUnknown { return unconfirmed }
        if case .rejected = error.kind { return overloaded }
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
            for reply in message.replies { gateway.receive(reply) }
        }
    }
}

private struct WeakGateway {
    weak var gateway: CommandGateway?

    init(_ gateway: CommandGateway?) {
        self.gateway = gateway
    }
}
