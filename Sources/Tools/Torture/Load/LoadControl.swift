import Synchronization

/// The shared state of a storm's clients: whether the storm is over, the rate of mutations, and the measurements.
final class LoadControl: Sendable {
    private struct State {
        var mutations = 0
        var isOver = false
        var longest: (took: Duration, what: String)?
        var answers: [String: Int] = [:]
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now
    private let rate: Int

    /// - Parameter rate: The maximum number of mutations per second.
    init(rate: Int) {
        self.rate = rate
    }

    /// The number of mutations so far. Every event of a batch counts.
    var mutations: Int { state.withLock { $0.mutations } }
    var isOver: Bool { state.withLock { $0.isOver } }
    /// The longest call to an undisturbed node.
    var longest: (took: Duration, what: String)? { state.withLock { $0.longest } }
    /// The number of reads by their result.
    var answers: [String: Int] { state.withLock { $0.answers } }

    func end() {
        state.withLock { $0.isOver = true }
    }

    /// Counts mutations that are about to be sent, and waits up to 1 s while the clients are ahead of their rate.
    func send(_ count: Int) async {
        let ahead = state.withLock { state in
            state.mutations += count
            return Duration.seconds(Double(state.mutations) / Double(rate)) - (ContinuousClock.now - start)
        }
        if ahead > .zero { try? await Task.sleep(for: min(ahead, .seconds(1))) }
    }

    func count(_ answer: String) {
        state.withLock { $0.answers[answer, default: 0] += 1 }
    }

    func measure(_ took: Duration, _ what: @autoclosure () -> String) {
        state.withLock { state in
            if took > state.longest?.took ?? .zero { state.longest = (took, what()) }
        }
    }
}
