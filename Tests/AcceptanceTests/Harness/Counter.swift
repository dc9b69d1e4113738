import Synchronization

/// A counter that the tasks of a test share.
final class Counter: Sendable {
    private let state = Mutex(0)

    var value: Int { state.withLock { $0 } }

    /// Increments the counter and returns the new value, which no other task gets.
    func next() -> Int {
        state.withLock { number in
            number += 1
            return number
        }
    }
}
