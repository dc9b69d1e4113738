import Synchronization

/// A number that the tasks of a test count up together.
final class Counter: Sendable {
    private let state = Mutex(0)

    var value: Int { state.withLock { $0 } }

    /// Counts one up and gives the new number, which no other task gets.
    func next() -> Int {
        state.withLock { number in
            number += 1
            return number
        }
    }
}
