import Synchronization

/// The tasks that wait for the replica to reach a position, at most one per request under way.
final class PositionWaiters: Sendable {
    private struct Waiter {
        let deadline: ContinuousClock.Instant
        let isReached: @Sendable () -> Bool
        let continuation: CheckedContinuation<Bool, Never>
    }

    private let waiters = Mutex<[Waiter]>([])
    private let count = Atomic<Int>(0)

    /// - Returns: Whether the position was reached by the deadline. A passed deadline is noticed up to 50 ms late.
    func wait(
        until deadline: ContinuousClock.Instant, isReached: @escaping @Sendable () -> Bool
    ) async -> Bool {
        await withCheckedContinuation { continuation in
            waiters.withLock { waiters in
                waiters.append(Waiter(deadline: deadline, isReached: isReached, continuation: continuation))
                count.store(waiters.count, ordering: .sequentiallyConsistent)
            }
            // The position may have been reached between the caller's check and the registration.
            if isReached() { recheck() }
        }
    }

    /// Resumes the tasks whose position has been reached. Called after every transaction of the stream.
    func recheck() {
        guard count.load(ordering: .sequentiallyConsistent) > 0 else { return }
        release { $0.isReached() ? true : nil }
    }

    /// Resumes the tasks whose deadline has passed, every 50 ms. When its own task is cancelled, it resumes all and
    /// returns.
    func sweep() async {
        while (try? await Task.sleep(for: .milliseconds(50))) != nil {
            let now = ContinuousClock.now
            release { $0.deadline <= now ? $0.isReached() : nil }
        }
        release { $0.isReached() }
    }

    /// Removes and resumes the waiters for which the closure returns a verdict.
    private func release(_ verdict: (Waiter) -> Bool?) {
        let released = waiters.withLock { waiters in
            var released: [(Waiter, Bool)] = []
            waiters.removeAll { waiter in
                guard let verdict = verdict(waiter) else { return false }
                released.append((waiter, verdict))
                return true
            }
            count.store(waiters.count, ordering: .sequentiallyConsistent)
            return released
        }
        for (waiter, verdict) in released { waiter.continuation.resume(returning: verdict) }
    }
}
