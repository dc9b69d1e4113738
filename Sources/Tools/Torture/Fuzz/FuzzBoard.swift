import Synchronization

/// The progress and the findings of all threads of a run.
final class FuzzBoard: Sendable {
    private struct State {
        var tally = FuzzTally()
        var running: Int
        var faults: [String: Int] = [:]
    }

    /// One fault repeats itself thousands of times. More of one kind than this are only counted.
    private static let describedPerKind = 5

    private let violations: Violations
    private let sentRequests = Atomic(0)
    private let state: Mutex<State>

    init(threads: Int, violations: Violations) {
        self.violations = violations
        state = Mutex(State(running: threads))
    }

    /// The number of requests that were sent so far.
    var requests: Int { sentRequests.load(ordering: .relaxed) }
    var isRunning: Bool { state.withLock { $0.running > 0 } }
    /// The numbers of the threads that have finished.
    var tally: FuzzTally { state.withLock { $0.tally } }
    /// The number of faults by kind.
    var faults: [String: Int] { state.withLock { $0.faults } }

    func count(_ requests: Int) {
        sentRequests.add(requests, ordering: .relaxed)
    }

    /// Takes the numbers of a thread that has finished.
    func finish(_ tally: FuzzTally) {
        state.withLock { state in
            state.tally.add(tally)
            state.running -= 1
        }
    }

    /// Counts a fault. The first ones of a kind become violations.
    func blame(_ kind: String, _ describe: () -> String) {
        let isDescribed = state.withLock { state in
            let count = state.faults[kind, default: 0] + 1
            state.faults[kind] = count
            return count <= Self.describedPerKind
        }
        if isDescribed { violations.add("\(kind): \(describe())") }
    }
}
