import RabbitMQ
import Synchronization

/// The deliveries that wait for the batch loop. Bounded by the prefetch of the consumer.
final class DeliveryInbox: Sendable {
    private struct State {
        var deliveries: [AMQPDelivery] = []
        var waiter: CheckedContinuation<Void, Never>?
        var closed = false
    }

    private let state = Mutex(State())

    func put(_ deliveries: [AMQPDelivery]) {
        let waiter = state.withLock { state in
            state.deliveries.append(contentsOf: deliveries)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Ends `take`; what waits is left to the next consumer.
    func close() {
        let waiter = state.withLock { state in
            state.closed = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    var isClosed: Bool {
        state.withLock { $0.closed }
    }

    /// Everything that waits, up to `limit` messages, at least one; nil once closed. One caller at a time.
    func take(limit: Int) async -> [AMQPDelivery]? {
        await withCheckedContinuation { continuation in
            let ready = state.withLock { state in
                if state.deliveries.isEmpty && !state.closed {
                    state.waiter = continuation
                    return false
                }
                return true
            }
            if ready { continuation.resume() }
        }
        return state.withLock { state in
            guard !state.closed else { return nil }
            let taken = Array(state.deliveries.prefix(limit))
            state.deliveries.removeFirst(taken.count)
            return taken
        }
    }
}
