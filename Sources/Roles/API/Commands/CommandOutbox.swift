import Commands
import Credits
import Messaging

/// The requests of a node that are not decided yet: those that wait for a place in a message, and those that were sent.
///
/// The unit is the lane: one environment's commands in one queue. Each lane makes messages of its own, one at a time,
/// and has few messages that are not decided. Further requests wait and go together into the next message, which is sent
/// when a message is decided or, up to `mostMessages`, after `pause`. An environment that sends faster than the ledger
/// decides therefore sends fewer and larger messages, and does not fill the part of the queue that the worker receives.
///
/// A request counts until it is decided, also when its caller does not wait any longer. Lanes and environments have
/// shares, so that none can take the space of the others: see `refusal`.
///
/// The outbox is a plain value. `CommandGateway` guards it with a lock and does what the calls return.
struct CommandOutbox<Caller: Sendable>: Sendable {
    /// The limits of the outbox. Commands and bytes of one lane, of a lane of the catalogue queue, and of all lanes.
    ///
    /// A lane takes the largest batch whole, if all of it goes to one account, and some thousand commands beside it. An
    /// environment's changes of the catalogue are half of what a worker receives at once, so that those of another
    /// environment are always among the rest.
    struct Limits: Sendable {
        var laneCommands = 16_384
        var catalogueCommands = CommandLimits.prefetch / 2
        /// Twice the largest body of a batch.
        var laneBytes = 4 * CommandLimits.requestBytes
        var allCommands = 65_536
        var allBytes = 128 * 1_024 * 1_024
        /// Undecided messages of a lane above which it pauses before the next one.
        var messagesInFlight = 16
        /// Undecided messages of a lane at most: a sixteenth of what a worker receives of a queue at once.
        var mostMessages = CommandLimits.prefetch / 16
        var pause = Duration.milliseconds(200)

        /// The limits of a known bug: an environment may fill the queue.
        static var noShares: Limits {
            var limits = Limits()
            (limits.laneCommands, limits.catalogueCommands, limits.allCommands) = (.max / 2, .max / 2, .max / 2)
            (limits.laneBytes, limits.allBytes, limits.messagesInFlight) = (.max / 2, .max / 2, .max)
            return limits
        }
    }

    /// One environment's commands in one queue.
    struct Lane: Hashable, Sendable {
        let queue: String
        let environmentID: EnvironmentID
    }

    /// How far a request has come, which determines its reply when its caller stops waiting.
    enum Stage: Sendable {
        case waiting, sent, accepted
    }

    struct Request: Sendable {
        let token: UInt64
        let lane: Lane
        let origin: RequestOrigin
        let wantsBodies: Bool
        let identities: [CommandIdentity]
        let deadline: ContinuousClock.Instant
        let returnsWhenAccepted: Bool
        /// Whether the ledger stores the decisions, so that a lost reply can be looked up.
        fileprivate let isStored: Bool
        /// Nil once the caller has its reply.
        var caller: Caller?
        var stage = Stage.waiting
        /// The bytes to send; nil when they were sent.
        fileprivate var encoded: EncodedRequest?
        fileprivate let size: Int
        fileprivate var message: UInt64?
        /// When the database is asked for the decision, because the reply seems to be lost; nil before the queue has
        /// accepted the request.
        fileprivate var lookUpAt: ContinuousClock.Instant?
        fileprivate var lookUpPause = Duration.seconds(1)
        fileprivate var forgetAt: ContinuousClock.Instant?

        init(
            token: UInt64, to queue: String, from origin: RequestOrigin, wantsBodies: Bool,
            commands: CommandRequest.Commands, deadline: ContinuousClock.Instant, returnsWhenAccepted: Bool,
            caller: Caller
        ) {
            self.token = token
            lane = Lane(queue: queue, environmentID: origin.environmentID)
            self.origin = origin
            self.wantsBodies = wantsBodies
            identities = commands.identities
            isStored = commands.areStored
            self.deadline = deadline
            self.returnsWhenAccepted = returnsWhenAccepted
            self.caller = caller
            let encoded = EncodedRequest(
                CommandRequest(token: token, origin: origin, wantsBodies: wantsBodies, commands: commands))
            self.encoded = encoded
            size = encoded.size
        }
    }

    /// A message to publish.
    struct Message: Sendable {
        let lane: Lane
        let tokens: [UInt64]
        let commandCount: Int
        let requests: [EncodedRequest]
    }

    /// Why a request is not taken.
    enum Refusal: Sendable {
        /// The environment has too many undecided commands.
        case share
        /// The node has too many.
        case full
        case tooLarge
    }

    private struct LaneState: Sendable {
        var tokens: [UInt64] = []
        var isPublishing = false
        var lastPublish: ContinuousClock.Instant?
        var messages = 0
        var undecided = Weight()
    }

    private struct Weight: Sendable {
        var commands = 0
        var bytes = 0

        mutating func add(_ commands: Int, _ bytes: Int) {
            self.commands += commands
            self.bytes += bytes
        }
    }

    private let limits: Limits
    private let catalogueQueue: String
    private var requests: [UInt64: Request] = [:]
    private var lanes: [Lane: LaneState] = [:]
    private var environments: [EnvironmentID: Weight] = [:]
    private var all = Weight()
    /// The undecided requests of each message that was published.
    private var messages: [UInt64: (lane: Lane, undecided: Int)] = [:]
    private var nextMessage: UInt64 = 1

    init(catalogueQueue: String, limits: Limits = Limits()) {
        self.catalogueQueue = catalogueQueue
        self.limits = limits
    }

    /// The number of commands that are not decided.
    var undecidedCommands: Int { all.commands }

    // MARK: - Adding

    /// Why a request cannot be taken now; nil if it can.
    ///
    /// An environment may hold at most as much as is still free for others. While one environment is busy, it can take
    /// half of the whole, and n busy environments can take a share of 1 ∕ (n + 1) each, so that something is always left
    /// for the next one.
    private func refusal(_ request: Request) -> Refusal? {
        let count = request.identities.count
        guard request.size <= CommandLimits.requestBytes else { return .tooLarge }
        let lane = lanes[request.lane]?.undecided ?? Weight()
        let laneLimit = request.lane.queue == catalogueQueue ? limits.catalogueCommands : limits.laneCommands
        guard lane.commands + count <= laneLimit, lane.bytes + request.size <= limits.laneBytes || lane.commands == 0
        else { return .share }
        let own = environments[request.lane.environmentID] ?? Weight()
        guard own.commands + count <= limits.allCommands - all.commands,
            own.bytes + request.size <= limits.allBytes - all.bytes
        else { return own.commands == 0 ? .full : .share }
        return nil
    }

    /// Takes a request, or says why not.
    mutating func add(_ request: Request) -> Refusal? {
        if let refusal = refusal(request) { return refusal }
        let (lane, count) = (request.lane, request.identities.count)
        requests[request.token] = request
        lanes[lane, default: LaneState()].tokens.append(request.token)
        lanes[lane]?.undecided.add(count, request.size)
        environments[lane.environmentID, default: Weight()].add(count, request.size)
        all.add(count, request.size)
        return nil
    }

    // MARK: - Publishing

    /// The lanes for which a publisher must be started now. They count as publishing.
    mutating func lanesToPublish(_ candidates: some Sequence<Lane>, at now: ContinuousClock.Instant) -> [Lane] {
        candidates.filter { lane in
            guard let state = lanes[lane], !state.isPublishing, !state.tokens.isEmpty, mayPublish(state, at: now)
            else { return false }
            lanes[lane]?.isPublishing = true
            return true
        }
    }

    /// The lanes whose requests wait for `pause` to pass.
    var waitingLanes: [Lane] {
        lanes.filter { !$0.value.isPublishing && !$0.value.tokens.isEmpty }.map(\.key)
    }

    private func mayPublish(_ lane: LaneState, at now: ContinuousClock.Instant) -> Bool {
        guard lane.messages >= limits.messagesInFlight else { return true }
        return lane.messages < limits.mostMessages && lane.lastPublish.map { now - $0 >= limits.pause } ?? true
    }

    /// The next message of a lane that is publishing: as many of the waiting requests, in order, as fit into one
    /// message. Nil ends the publishing, because nothing waits or the lane has to pause.
    mutating func nextMessage(of lane: Lane, at now: ContinuousClock.Instant) -> Message? {
        guard var state = lanes[lane] else { return nil }
        guard mayPublish(state, at: now) else {
            lanes[lane]?.isPublishing = false
            return nil
        }
        var tokens: [UInt64] = []
        var encoded: [EncodedRequest] = []
        var (commands, bytes, taken) = (0, 0, 0)
        for token in state.tokens {
            guard let request = requests[token], let frame = request.encoded else {
                taken += 1
                continue
            }
            let (count, size) = (commands + request.identities.count, bytes + request.size)
            guard tokens.isEmpty || count <= CommandLimits.perMessage && size <= CommandLimits.messageBytes else {
                break
            }
            tokens.append(token)
            encoded.append(frame)
            (commands, bytes, taken) = (count, size, taken + 1)
            requests[token]?.stage = .sent
            requests[token]?.encoded = nil
            requests[token]?.message = nextMessage
        }
        state.tokens.removeFirst(taken)
        state.isPublishing = !tokens.isEmpty
        if !tokens.isEmpty {
            state.lastPublish = now
            state.messages += 1
            messages[nextMessage] = (lane, tokens.count)
            nextMessage += 1
        }
        lanes[lane] = state
        dropIfIdle(lane)
        return tokens.isEmpty ? nil : Message(lane: lane, tokens: tokens, commandCount: commands, requests: encoded)
    }

    /// Notes that the queue has accepted a message.
    ///
    /// - Returns: The callers that wait for no more than that.
    mutating func accepted(_ tokens: [UInt64], at now: ContinuousClock.Instant) -> [Caller] {
        tokens.compactMap { token in
            guard var request = requests[token] else { return nil }
            request.stage = .accepted
            request.lookUpAt = now + request.lookUpPause
            request.forgetAt = now + .seconds(600)
            let caller = request.returnsWhenAccepted ? request.caller : nil
            if request.returnsWhenAccepted { request.caller = nil }
            requests[token] = request
            return caller
        }
    }

    // MARK: - Ending

    /// Removes a request that is decided or that was refused. Its lane may publish then.
    mutating func remove(_ token: UInt64) -> Request? {
        guard let request = requests.removeValue(forKey: token) else { return nil }
        let (lane, count) = (request.lane, request.identities.count)
        lanes[lane]?.undecided.add(-count, -request.size)
        environments[lane.environmentID]?.add(-count, -request.size)
        if environments[lane.environmentID]?.commands == 0 { environments[lane.environmentID] = nil }
        all.add(-count, -request.size)
        if let message = request.message, let entry = messages[message] {
            if entry.undecided == 1 {
                messages[message] = nil
                lanes[lane]?.messages -= 1
            } else {
                messages[message]?.undecided -= 1
            }
        }
        dropIfIdle(lane)
        return request
    }

    private mutating func dropIfIdle(_ lane: Lane) {
        guard let state = lanes[lane], !state.isPublishing, state.tokens.isEmpty, state.undecided.commands == 0 else {
            return
        }
        lanes[lane] = nil
    }

    /// Ends the wait of the callers whose deadline has passed.
    ///
    /// Requests that were not sent are removed. The others stay, without a caller, until they are decided or for ten
    /// minutes.
    ///
    /// - Parameter isStuck: The broker accepts nothing, so only accepted requests wait on.
    mutating func takeLate(at now: ContinuousClock.Instant, isStuck: Bool) -> [(caller: Caller, stage: Stage)] {
        var late: [(Caller, Stage)] = []
        var unsent: Set<Lane> = []
        func isLate(_ request: Request) -> Bool {
            request.deadline <= now || isStuck && request.stage != .accepted
        }
        func isOver(_ request: Request) -> Bool {
            isLate(request) && (request.stage == .waiting || !request.isStored && request.stage == .accepted)
                || request.forgetAt.map { $0 <= now } ?? false
        }
        // The requests are collected first: a change inside the loop would copy all of them.
        for request in requests.values.filter({ isLate($0) && $0.caller != nil || isOver($0) }) {
            if isLate(request), let caller = request.caller {
                late.append((caller, request.stage))
                requests[request.token]?.caller = nil
            }
            if isOver(request) {
                if request.stage == .waiting { unsent.insert(request.lane) }
                _ = remove(request.token)
            }
        }
        for lane in unsent {
            lanes[lane]?.tokens.removeAll { requests[$0] == nil }
            dropIfIdle(lane)
        }
        return late
    }

    /// Removes everything.
    mutating func takeAll() -> [(caller: Caller, stage: Stage)] {
        defer { self = CommandOutbox(catalogueQueue: catalogueQueue, limits: limits) }
        return requests.values.compactMap { request in request.caller.map { ($0, request.stage) } }
    }

    /// The requests whose reply is overdue, and at most `limit` commands of them. Each is named again after a pause,
    /// which doubles up to 30 seconds when nobody waits for it.
    mutating func takeOverdue(at now: ContinuousClock.Instant, limit: Int) -> [Request] {
        var overdue: [Request] = []
        var count = 0
        let due = requests.values.filter { request in request.lookUpAt.map { $0 <= now } ?? false }
        for var request in due.sorted(by: { ($0.lookUpAt ?? now) < ($1.lookUpAt ?? now) }) {
            guard count < limit else { break }
            if request.caller == nil { request.lookUpPause = min(request.lookUpPause * 2, .seconds(30)) }
            request.lookUpAt = now + request.lookUpPause
            requests[request.token] = request
            overdue.append(request)
            count += request.identities.count
        }
        return overdue
    }
}
