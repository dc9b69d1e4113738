import Commands
import RabbitMQ
import Synchronization

/// The deliveries that wait to be applied, in one list per queue.
///
/// The consumer's thread calls `put`. A lane calls `take`, applies the batch and calls `finish`. `ShardKeeper` calls
/// `withdraw` when a queue goes to another worker and `admit` when a queue comes to this one. A lane calls `giveBack`
/// when it finds a message of a newer release; the keeper learns of it through `takeGivenBack`. `LedgerWorker` calls
/// `close` at its end.
///
/// While few bytes wait, one lane takes them all, because the cost of a batch hardly depends on its size. Another lane
/// joins in when `CommandLimits.bytesForAnotherLane` wait in queues that no lane holds.
///
/// Invariants:
/// - One lane at a time holds a queue, so that the order of the queue is kept.
/// - A suspect message is taken alone, and no other lane works until it is finished. When the process crashes in
///   between, the cause is known.
/// - The prefetch of the consumer bounds the list of every queue.
///
/// The inbox acknowledges nothing. A delivery that it drops stays unacknowledged, so the broker delivers it again when
/// the channel has been closed. The deliveries of a closed channel are dropped when the first delivery of the next one
/// arrives.
final class DeliveryInbox: Sendable {
    private struct Queue {
        var deliveries: [AMQPDelivery] = []
        var bytes = 0
        var isTaken = false
        /// The number of the batch that last took deliveries from the queue.
        var lastTurn = 0
        /// The worker gives the queue up: deliveries that still arrive are dropped.
        var isWithdrawn = false
    }

    private struct State {
        var queues: [String: Queue] = [:]
        var lanesAtWork = 0
        var turn = 0
        /// A lane is trying a suspect: when the process crashes now, the suspect is the cause.
        var isExclusive = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var closed = false
        var withdrawals: [(queue: String, continuation: CheckedContinuation<Void, Never>)] = []
        var givenBack: Set<String> = []

        var suspectQueue: String? {
            queues.first { !$0.value.isTaken && $0.value.deliveries.first?.isSuspect == true }?.key
        }

        var canTake: Bool {
            if isExclusive { return false }
            if suspectQueue != nil { return lanesAtWork == 0 }
            let bytes = queues.values.reduce(0) { $0 + ($1.isTaken ? 0 : $1.bytes) }
            return lanesAtWork == 0 ? bytes > 0 : bytes >= CommandLimits.bytesForAnotherLane
        }
    }

    private let state = Mutex(State())

    func put(_ deliveries: [AMQPDelivery]) {
        update { state in
            for delivery in deliveries where state.queues[delivery.queue]?.isWithdrawn != true {
                // A new channel delivers every unacknowledged message again, oldest first. So the deliveries of the old
                // channel are dropped.
                if let waiting = state.queues[delivery.queue]?.deliveries.first, waiting.tag.isOlder(than: delivery.tag)
                {
                    state.queues[delivery.queue]?.deliveries = []
                    state.queues[delivery.queue]?.bytes = 0
                }
                state.queues[delivery.queue, default: Queue()].deliveries.append(delivery)
                state.queues[delivery.queue]?.bytes += Self.size(delivery)
            }
        }
    }

    /// Drops the waiting deliveries of a queue and those that still arrive, and returns when no lane holds the queue.
    func withdraw(_ queue: String) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                let isTaken = state.queues[queue]?.isTaken == true
                state.queues[queue] = Queue(isTaken: isTaken, isWithdrawn: true)
                if isTaken { state.withdrawals.append((queue, continuation)) }
                return !isTaken
            }
            if isFree { continuation.resume() }
        }
    }

    /// Drops the waiting deliveries of a queue and those that still arrive, because a message of a newer release comes
    /// next. Returns at once. The shard keeper then closes the queue's channel, which puts its messages back in order.
    func giveBack(_ queue: String) {
        state.withLock { state in
            let isTaken = state.queues[queue]?.isTaken == true
            state.queues[queue] = Queue(isTaken: isTaken, isWithdrawn: true)
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

    /// Makes `take` return nil. The waiting deliveries are left to the next consumer of their queues.
    func close() {
        update { $0.closed = true }
    }

    var isClosed: Bool {
        state.withLock { $0.closed }
    }

    /// Waits for a batch: at least one delivery, from queues that no other lane holds, in the order of each queue. The
    /// lane holds these queues until it calls `finish`.
    ///
    /// - Returns: Nil when the inbox is closed.
    func take() async -> [AMQPDelivery]? {
        while true {
            let (taken, isClosed) = state.withLock { state -> ([AMQPDelivery]?, Bool) in
                if state.closed { return (nil, true) }
                guard state.canTake else { return (nil, false) }
                state.lanesAtWork += 1
                return (Self.take(from: &state), false)
            }
            if let taken { return taken }
            if isClosed { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    let isReady = state.closed || state.canTake
                    if !isReady { state.waiters.append(continuation) }
                    return isReady
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// Ends a lane's hold on the queues of these deliveries.
    func finish(_ deliveries: [AMQPDelivery]) {
        var given: [CheckedContinuation<Void, Never>] = []
        update { state in
            state.lanesAtWork -= 1
            state.isExclusive = false
            for delivery in deliveries { state.queues[delivery.queue]?.isTaken = false }
            state.withdrawals.removeAll { queue, continuation in
                guard state.queues[queue]?.isTaken == false else { return false }
                given.append(continuation)
                return true
            }
        }
        for continuation in given { continuation.resume() }
    }

    private static func take(from state: inout State) -> [AMQPDelivery] {
        if let name = state.suspectQueue, let suspect = state.queues[name]?.deliveries.removeFirst() {
            state.queues[name]?.bytes -= size(suspect)
            state.queues[name]?.isTaken = true
            state.isExclusive = true
            return [suspect]
        }
        // The queue that has waited longest comes first, so that a busy queue does not starve the others.
        let free = state.queues.filter { !$0.value.isTaken && !$0.value.deliveries.isEmpty }
            .sorted { $0.value.lastTurn < $1.value.lastTurn }
        state.turn += 1
        // Each queue gives at most an equal share, so that no queue waits until another one is empty.
        let share = max(1, CommandLimits.messagesInHand / max(1, free.count))
        var taken: [AMQPDelivery] = []
        var bytes = 0
        for (name, queue) in free where bytes < CommandLimits.bytesPerBatch {
            var part = 0
            while part < min(share, queue.deliveries.count), bytes < CommandLimits.bytesPerBatch,
                !queue.deliveries[part].isSuspect
            {
                bytes += size(queue.deliveries[part])
                part += 1
            }
            taken += queue.deliveries.prefix(part)
            state.queues[name]?.deliveries.removeFirst(part)
            state.queues[name]?.bytes = queue.bytes - queue.deliveries.prefix(part).reduce(0) { $0 + size($1) }
            state.queues[name]?.isTaken = true
            state.queues[name]?.lastTurn = state.turn
        }
        return taken
    }

    /// The size that a delivery counts for. It is never zero, so that a waiting delivery without a body is noticed.
    private static func size(_ delivery: AMQPDelivery) -> Int {
        delivery.body.count + 1
    }

    /// Changes the state, and wakes the waiting lanes when there is a batch or the inbox is closed.
    private func update(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            guard state.closed || state.canTake else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
