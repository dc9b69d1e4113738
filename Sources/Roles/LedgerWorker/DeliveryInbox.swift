import Commands
import Credits
import RabbitMQ
import Synchronization

/// The messages that wait to be applied.
///
/// The consumer's thread calls `put`. A lane calls `take`, applies the batch or a part of it, and calls `finish` with
/// the messages that are left. `ShardKeeper` calls `withdraw` when a queue goes to another worker and `admit` when a
/// queue comes to this one. A lane calls `giveBack` when it finds a message of a newer release; the keeper learns of it
/// through `takeGivenBack`. `LedgerWorker` calls `close` at its end.
///
/// The unit of order is a group: the messages of one environment in one queue. A batch usually holds messages of many
/// groups, because the cost of a transaction hardly depends on its size. While few bytes wait, one lane takes them all.
/// Another lane joins in when `CommandLimits.bytesForAnotherLane` wait in groups that no lane holds.
///
/// An environment whose commands have turned out to be expensive is *slow*: it has an allowance of commands per
/// transaction, and its messages are taken alone, by one lane at a time. At most `slowLanes` lanes work on slow
/// environments, so that the other lanes stay free for all others.
///
/// An environment whose commands have made a transaction long is *heavy*, also when each of them was cheap. It shares no
/// transaction with others until a moment after the last long one, so that a single use of another one does not wait for a
/// thousand commands of its own. Further lanes join in as they do for all others. One lane is always left for
/// environments that are neither slow nor heavy.
///
/// Invariants:
/// - One lane at a time holds a group, and a lane decides the messages of a group in their order.
/// - A message of several environments, which only older releases send, is decided before every later message of its
///   queue and after every earlier one.
/// - A suspect message is taken alone, and no other lane works until it is finished. When the process crashes in
///   between, the cause is known.
/// - The prefetch of the consumer bounds the messages of every queue.
///
/// The inbox acknowledges nothing. A message that it drops stays unacknowledged, so the broker delivers it again when
/// the channel has been closed. The messages of a closed channel are dropped when the first delivery of the next one
/// arrives.
final class DeliveryInbox: Sendable {
    /// The work of a lane: the commands of accounts; those of catalogues, which have a queue of their own; or those of
    /// the operator in that queue, such as new tenants, which do not wait for the catalogues' turns.
    enum LaneKind: CaseIterable {
        case accounts, catalogues, installation
    }

    /// The messages that a lane has taken.
    struct Batch: Sendable {
        /// In the order in which they are to be decided.
        var messages: [MessageInHand]
        /// The slow environment that the batch belongs to; nil for a batch of others.
        var slow: EnvironmentID?
        /// The heavy environment that the batch belongs to; nil for a batch of others.
        var heavy: EnvironmentID?
        /// The number of commands to apply in one transaction.
        var allowance = CommandLimits.perTransaction
        fileprivate var groups: Set<GroupKey> = []
        fileprivate let kind: LaneKind
    }

    fileprivate struct GroupKey: Hashable {
        let queue: String
        /// Nil for messages of several environments.
        let environmentID: EnvironmentID?
    }

    fileprivate struct Group {
        var messages: [MessageInHand] = []
        var bytes = 0
        var isTaken = false
        /// The number of the batch that last decided commands of the group, or the number at its first message. While a
        /// lane holds the group, it is the number of its batch.
        var lastTurn: Int
        /// `lastTurn` as it was before the current batch.
        var turnBefore = 0
    }

    fileprivate struct Queue {
        /// The worker gives the queue up: deliveries that still arrive are dropped.
        var isWithdrawn = false
        /// The latest delivery, which tells the channel.
        var latest: AMQPDeliveryTag?
        /// The messages of several environments that wait or are in hand.
        var mixedMessages = 0
    }

    fileprivate struct State {
        var groups: [GroupKey: Group] = [:]
        var queues: [String: Queue] = [:]
        /// The commands per transaction of the slow environments.
        var allowances: [EnvironmentID: Int] = [:]
        var slowAtWork: Set<EnvironmentID> = []
        /// The instant until which an environment counts as heavy.
        var heavy: [EnvironmentID: ContinuousClock.Instant] = [:]
        var lanesAtWork = 0
        /// The lanes at work on each heavy environment.
        var heavyLanes: [EnvironmentID: Int] = [:]
        /// The lanes at work on the accounts of environments that are neither heavy nor slow.
        var lightLanes = 0
        var turn = 0
        /// A lane is trying a suspect: when the process crashes now, the suspect is the cause.
        var isExclusive = false
        var waiters: [(kind: LaneKind, continuation: CheckedContinuation<Void, Never>)] = []
        var closed = false
        var withdrawals: [(queue: String, continuation: CheckedContinuation<Bool, Never>)] = []
        var givenBack: Set<String> = []
    }

    /// The number of batches of account commands that may be under way at once, each with a connection of its own. A
    /// commit waits for the disk, and PostgreSQL lets several commits share one wait.
    static let accountLanes = 4
    private static let slowLanes = 2
    /// The time for which an environment is heavy after a long transaction; a transaction under way prolongs it to its end. The
    /// rest of a large batch makes a short transaction, and the next batch a long one again; without this time it would share
    /// that with others.
    static let heavyTime = Duration.seconds(1)

    private let catalogueQueue: String
    private let state = Mutex(State())

    init(catalogueQueue: String) {
        self.catalogueQueue = catalogueQueue
    }

    // MARK: - The consumer

    func put(_ deliveries: [AMQPDelivery]) {
        let messages = deliveries.map { MessageInHand($0) }
        update { state in
            for message in messages where state.queues[message.delivery.queue]?.isWithdrawn != true {
                let delivery = message.delivery
                // A new channel delivers every unacknowledged message again, oldest first. So the waiting messages of
                // the old channel are dropped.
                if let latest = state.queues[delivery.queue]?.latest, latest.isOlder(than: delivery.tag) {
                    state.dropWaiting(delivery.queue)
                }
                let key = message.groupKey
                state.queues[delivery.queue, default: Queue()].latest = delivery.tag
                if key.environmentID == nil { state.queues[delivery.queue]?.mixedMessages += 1 }
                state.groups[key, default: Group(lastTurn: state.turn)].messages.append(message)
                state.groups[key]?.bytes += message.size
            }
        }
    }

    // MARK: - The shard keeper

    /// Drops the waiting messages of a queue and those that still arrive, and waits until no lane holds a group of the
    /// queue.
    ///
    /// - Returns: False when a lane still held one at the deadline. The row locks then keep its transaction and those of
    ///   the next worker in order.
    func withdraw(_ queue: String, within patience: Duration) async -> Bool {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                state.queues[queue, default: Queue()].isWithdrawn = true
                state.dropWaiting(queue)
                guard state.isHeld(queue) else { return true }
                state.withdrawals.append((queue, continuation))
                return false
            }
            guard !isFree else { return continuation.resume(returning: true) }
            Task {
                try? await Task.sleep(for: patience)
                for late in state.withLock({ $0.takeWithdrawals(of: queue) }) { late.resume(returning: false) }
            }
        }
    }

    /// Drops the waiting messages of a queue and those that still arrive, because a message of a newer release comes
    /// next. Returns at once. The shard keeper then closes the queue's channel, which puts its messages back in order.
    func giveBack(_ queue: String) {
        state.withLock { state in
            state.queues[queue, default: Queue()].isWithdrawn = true
            state.dropWaiting(queue)
            state.givenBack.insert(queue)
        }
    }

    /// The queues that were given back since the last call.
    func takeGivenBack() -> Set<String> {
        state.withLock { state in
            defer { state.givenBack = [] }
            return state.givenBack
        }
    }

    /// Accepts deliveries of a queue again, after `withdraw` or `giveBack`.
    func admit(_ queue: String) {
        state.withLock { $0.queues[queue]?.isWithdrawn = false }
    }

    /// Makes `take` return nil. The waiting messages are left to the next consumer of their queues.
    func close() {
        update { $0.closed = true }
    }

    var isClosed: Bool {
        state.withLock { $0.closed }
    }

    /// The number of environments whose commands are applied alone because they are expensive.
    var slowCount: Int {
        state.withLock { $0.allowances.count }
    }

    /// The number of environments whose commands share no transaction with those of others.
    var heavyCount: Int {
        state.withLock { $0.heavy.count }
    }

    // MARK: - The lanes

    /// Waits for a batch: at least one message, from groups that no other lane holds. The lane holds these groups until
    /// it calls `finish`.
    ///
    /// - Returns: Nil when the inbox is closed.
    func take(_ kind: LaneKind = .accounts) async -> Batch? {
        while true {
            let (taken, isClosed) = state.withLock { state -> (Batch?, Bool) in
                state.closed ? (nil, true) : (take(kind, from: &state), false)
            }
            if let taken { return taken }
            if isClosed { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    let isReady = state.closed || choice(kind, in: state) != nil
                    if !isReady { state.waiters.append((kind, continuation)) }
                    return isReady
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// Ends a lane's hold on the groups of a batch.
    ///
    /// - Parameters:
    ///   - left: The messages of the batch that are not decided, in their order. They go back to the front of their
    ///     groups.
    ///   - allowances: The new allowances of environments that were found to be slow, and nil for one that is slow no
    ///     longer.
    ///   - heavy: The environments because of which the transaction of the batch was long.
    func finish(
        _ batch: Batch, left: [MessageInHand] = [], allowances: [EnvironmentID: Int?] = [:],
        heavy: Set<EnvironmentID> = [], at now: ContinuousClock.Instant = .now
    ) {
        var free: [CheckedContinuation<Bool, Never>] = []
        update { state in
            state.lanesAtWork -= 1
            state.isExclusive = false
            if let slow = batch.slow {
                state.slowAtWork.remove(slow)
            } else if let owner = batch.heavy {
                let lanes = state.heavyLanes.removeValue(forKey: owner) ?? 1
                if lanes > 1 { state.heavyLanes[owner] = lanes - 1 }
            } else if batch.kind == .accounts {
                state.lightLanes -= 1
            }
            for (environmentID, allowance) in allowances { state.allowances[environmentID] = allowance }
            for environmentID in heavy { state.heavy[environmentID] = now + Self.heavyTime }
            for (environmentID, end) in state.heavy where end <= now && state.heavyLanes[environmentID] == nil {
                state.heavy[environmentID] = nil
            }
            let (taken, remaining) = (
                Dictionary(grouping: batch.messages, by: \.groupKey), Dictionary(grouping: left, by: \.groupKey)
            )
            for key in batch.groups {
                guard let group = state.groups[key] else { continue }
                state.groups[key]?.isTaken = false
                // A group of which nothing was decided keeps its place in the line.
                let messages = remaining[key] ?? []
                if messages.count == taken[key]?.count, !messages.contains(where: \.hasProgress) {
                    state.groups[key]?.lastTurn = group.turnBefore
                }
            }
            for key in batch.groups where key.environmentID == nil {
                state.queues[key.queue]?.mixedMessages -= batch.messages.count { $0.delivery.queue == key.queue }
            }
            for (key, messages) in remaining {
                // The lane may hold messages of a channel that was closed since.
                guard let queue = state.queues[key.queue], !queue.isWithdrawn, let latest = queue.latest,
                    let tag = messages.first?.delivery.tag, !tag.isOlder(than: latest)
                else { continue }
                state.groups[key, default: Group(lastTurn: state.turn)].messages.insert(contentsOf: messages, at: 0)
                state.groups[key]?.bytes += messages.reduce(0) { $0 + $1.size }
                if key.environmentID == nil { state.queues[key.queue]?.mixedMessages += messages.count }
            }
            for key in batch.groups where state.groups[key]?.messages.isEmpty == true { state.groups[key] = nil }
            for queue in Set(batch.groups.map(\.queue)) where !state.isHeld(queue) {
                free += state.takeWithdrawals(of: queue)
            }
        }
        for continuation in free { continuation.resume(returning: true) }
    }

    // MARK: - Choosing

    private enum Choice {
        case suspect(GroupKey)
        /// Groups that go together into one batch.
        case groups(Candidates)
    }

    /// The free groups of one kind of environment.
    private struct Candidates {
        var keys: [GroupKey] = []
        var bytes = 0
        var slow: EnvironmentID?
        var heavy: EnvironmentID?
    }

    /// The groups that a lane of the kind may take now; nil if there are none.
    private func choice(_ kind: LaneKind, in state: State) -> Choice? {
        guard !state.isExclusive else { return nil }
        let free = state.groups.filter { key, group in
            !group.isTaken && !group.messages.isEmpty && state.isInTurn(key)
        }
        if let suspect = free.first(where: { $0.value.messages.first?.delivery.isSuspect == true }) {
            return state.lanesAtWork == 0 ? .suspect(suspect.key) : nil
        }
        if kind != .accounts {
            let groups = free.keys.filter {
                $0.queue == catalogueQueue && ($0.environmentID == .installation) == (kind == .installation)
            }
            return groups.isEmpty ? nil : .groups(Candidates(keys: Array(groups)))
        }
        var light = Candidates()
        var heavy: [EnvironmentID: Candidates] = [:]
        var slow: [GroupKey] = []
        for (key, group) in free where key.queue != catalogueQueue {
            if let environmentID = key.environmentID, state.allowances[environmentID] != nil {
                if !state.slowAtWork.contains(environmentID) { slow.append(key) }
            } else if let environmentID = key.environmentID, state.heavy[environmentID] != nil {
                heavy[environmentID, default: Candidates(heavy: environmentID)].keys.append(key)
                heavy[environmentID]?.bytes += group.bytes
            } else {
                light.keys.append(key)
                light.bytes += group.bytes
            }
        }
        func turn(_ key: GroupKey) -> Int { free[key]?.lastTurn ?? 0 }
        let slowOnes = slow.min { turn($0) < turn($1) }.map { first in
            Candidates(keys: slow.filter { $0.environmentID == first.environmentID }, slow: first.environmentID)
        }
        // The environments that have waited longest come first: the slow ones and the heavy ones have their turn also
        // while the others have work for every lane.
        let allowed = ([light, slowOnes].compactMap(\.self) + heavy.values).filter {
            !$0.keys.isEmpty && isAllowed($0, in: state)
        }
        func oldestTurn(_ candidates: Candidates) -> Int { candidates.keys.map(turn).min() ?? 0 }
        return allowed.min { oldestTurn($0) < oldestTurn($1) }.map { .groups($0) }
    }

    /// Whether one more lane may take these groups.
    private func isAllowed(_ candidates: Candidates, in state: State) -> Bool {
        let areLanesLeft =
            state.slowAtWork.count + state.heavyLanes.values.reduce(0, +) < Self.accountLanes - 1
        if candidates.slow != nil { return state.slowAtWork.count < Self.slowLanes && areLanesLeft }
        let lanes = candidates.heavy.map { state.heavyLanes[$0] ?? 0 } ?? state.lightLanes
        return candidates.bytes >= (lanes == 0 ? 1 : CommandLimits.bytesForAnotherLane)
            && (candidates.heavy == nil || areLanesLeft)
    }

    private func take(_ kind: LaneKind, from state: inout State) -> Batch? {
        guard let choice = choice(kind, in: state) else { return nil }
        state.lanesAtWork += 1
        state.turn += 1
        var batch = Batch(messages: [], kind: kind)
        switch choice {
        case .suspect(let key):
            state.isExclusive = true
            if kind == .accounts { state.lightLanes += 1 }
            batch.messages = state.take(1, of: key, into: &batch)
        case .groups(let candidates):
            batch.slow = candidates.slow
            batch.heavy = candidates.heavy
            if let slow = candidates.slow {
                state.slowAtWork.insert(slow)
                batch.allowance = state.allowances[slow] ?? batch.allowance
            } else if let heavy = candidates.heavy {
                state.heavyLanes[heavy, default: 0] += 1
            } else if kind == .accounts {
                state.lightLanes += 1
            }
            Self.fill(&batch, from: candidates.keys, &state)
        }
        return batch
    }

    /// Takes from the groups in turn, first from the one that has waited longest, until the batch is full. Each group
    /// gives at most an equal share, so that none waits until another one is empty. The first messages of all groups
    /// come first, then their second ones, so that a batch that is only partly applied serves every group. A transaction of
    /// several environments is shorter.
    private static func fill(_ batch: inout Batch, from keys: [GroupKey], _ state: inout State) {
        let share = max(1, CommandLimits.messagesPerBatch / keys.count)
        var rounds: [[MessageInHand]] = []
        var (bytes, count) = (0, 0)
        for key in keys.sorted(by: { (state.groups[$0]?.lastTurn ?? 0) < (state.groups[$1]?.lastTurn ?? 0) })
        where bytes < CommandLimits.bytesPerBatch && count < CommandLimits.messagesPerBatch {
            guard let group = state.groups[key] else { continue }
            let isOneByOne = (state.queues[key.queue]?.mixedMessages ?? 0) > 0
            let limit = isOneByOne ? 1 : min(share, group.messages.count)
            var part = 0
            while part < limit, bytes < CommandLimits.bytesPerBatch, !group.messages[part].delivery.isSuspect {
                bytes += group.messages[part].size
                if rounds.count == part { rounds.append([]) }
                var message = group.messages[part]
                message.beginTurn()
                rounds[part].append(message)
                part += 1
            }
            count += state.take(part, of: key, into: &batch).count
        }
        // Of messages that may change places the small ones come first: a neighbour's single use would otherwise wait for
        // transactions full of another's batches. A message that was taken before counts for half its size each time, so that
        // smaller ones do not pass it for ever.
        func weight(_ message: MessageInHand) -> Int { message.size >> (message.turns - 1) }
        batch.messages = rounds.flatMap { round in round.sorted { weight($0) < weight($1) } }
        let environments = Set(batch.groups.map(\.environmentID))
        if environments.count > 1 { batch.allowance = min(batch.allowance, CommandLimits.perSharedTransaction) }
    }

    /// Changes the state, and wakes the waiting lanes for which there is a batch now, or all when the inbox is closed.
    private func update(_ change: (inout State) -> Void) {
        let ready = state.withLock { state in
            change(&state)
            guard !state.waiters.isEmpty else { return [CheckedContinuation<Void, Never>]() }
            let kinds = LaneKind.allCases.filter { state.closed || choice($0, in: state) != nil }
            let ready = state.waiters.filter { kinds.contains($0.kind) }
            state.waiters.removeAll { kinds.contains($0.kind) }
            return ready.map(\.continuation)
        }
        for continuation in ready { continuation.resume() }
    }
}

extension MessageInHand {
    fileprivate var groupKey: DeliveryInbox.GroupKey {
        DeliveryInbox.GroupKey(queue: delivery.queue, environmentID: environmentID)
    }
}

extension DeliveryInbox.State {
    /// Whether a lane holds a group of the queue.
    fileprivate func isHeld(_ queue: String) -> Bool {
        groups.contains { $0.key.queue == queue && $0.value.isTaken }
    }

    /// Whether a group may be taken before the other groups of its queue. While a message of several environments is in
    /// the queue, the messages are taken one by one, the oldest first.
    fileprivate func isInTurn(_ key: DeliveryInbox.GroupKey) -> Bool {
        guard (queues[key.queue]?.mixedMessages ?? 0) > 0, let own = groups[key]?.messages.first else { return true }
        return groups.allSatisfy { other, group in
            guard other.queue == key.queue, other != key else { return true }
            guard !group.isTaken else { return false }
            return group.messages.first.map { own.delivery.tag.isBefore($0.delivery.tag) } ?? true
        }
    }

    /// Takes the first messages of a group for a batch, which holds the group from then on.
    fileprivate mutating func take(
        _ count: Int, of key: DeliveryInbox.GroupKey, into batch: inout DeliveryInbox.Batch
    ) -> [MessageInHand] {
        guard count > 0, var group = groups.removeValue(forKey: key) else { return [] }
        let taken = Array(group.messages.prefix(count))
        batch.groups.insert(key)
        group.bytes -= taken.reduce(0) { $0 + $1.size }
        group.messages.removeFirst(count)
        group.isTaken = true
        group.turnBefore = group.lastTurn
        group.lastTurn = turn
        groups[key] = group
        return taken
    }

    fileprivate mutating func dropWaiting(_ queue: String) {
        for (key, group) in groups where key.queue == queue {
            if key.environmentID == nil { queues[queue]?.mixedMessages -= group.messages.count }
            groups[key] = group.isTaken ? DeliveryInbox.Group(isTaken: true, lastTurn: group.lastTurn) : nil
        }
    }

    fileprivate mutating func takeWithdrawals(of queue: String) -> [CheckedContinuation<Bool, Never>] {
        defer { withdrawals.removeAll { $0.queue == queue } }
        return withdrawals.filter { $0.queue == queue }.map(\.continuation)
    }
}
