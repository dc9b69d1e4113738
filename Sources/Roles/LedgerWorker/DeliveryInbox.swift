import Commands
import RabbitMQ
import Synchronization

/// The deliveries that wait to be applied. Bounded, for each queue, by the prefetch of the consumer.
///
/// A queue is in the hands of one lane at a time, so that its order is kept. As long as little waits, one lane takes all
/// of it, since a batch costs much the same whatever its size; another lane joins in when there is work for a batch of
/// its own. A message that may be what kills workers is taken alone, and no other lane works meanwhile.
final class DeliveryInbox: Sendable {
    private struct Queue {
        var deliveries: [AMQPDelivery] = []
        var bytes = 0
        var isTaken = false
        /// The number of the batch that last took from it.
        var lastTurn = 0
        /// Another worker's by now: what still comes is not taken.
        var isWithdrawn = false
    }

    private struct State {
        var queues: [String: Queue] = [:]
        var lanesAtWork = 0
        var turn = 0
        /// A lane has a suspect in hand: should the process die, it was that.
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
                // A new channel delivers everything again, oldest first; what waits from the one before would only pile up.
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

    /// Drops what waits of a queue and what still comes, and returns when no lane has it in hand.
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

    /// Drops what waits of a queue and what still comes, at once: its first message is for a newer release. The shard keeper
    /// closes the queue's channel, which puts everything back in order.
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

    /// Takes a queue's deliveries again.
    func admit(_ queue: String) {
        state.withLock { $0.queues[queue]?.isWithdrawn = false }
    }

    /// Ends `take`; what waits is left to the next consumer.
    func close() {
        update { $0.closed = true }
    }

    var isClosed: Bool {
        state.withLock { $0.closed }
    }

    /// What waits in the queues that no other lane has in hand, in each queue's order, as much as makes a batch, at least
    /// one message; nil once closed. The lane has the queues in hand until it calls `finish`.
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

    /// Gives back the queues that a lane took deliveries from.
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
        // The longest waiting queue first, so that a busy one does not keep the others from their turn.
        let free = state.queues.filter { !$0.value.isTaken && !$0.value.deliveries.isEmpty }
            .sorted { $0.value.lastTurn < $1.value.lastTurn }
        state.turn += 1
        // At most the same share of every queue, so that none waits for another to run dry.
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

    /// Never zero, so that what waits is always more than nothing.
    private static func size(_ delivery: AMQPDelivery) -> Int {
        delivery.body.count + 1
    }

    /// Changes the state and lets the waiting lanes look again.
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
