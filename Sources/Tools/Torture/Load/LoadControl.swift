import Synchronization

/// What the clients of a storm share: when it is over, how fast it goes, and what was measured.
final class LoadControl: Sendable {
    private struct State {
        var mutations = 0
        var isOver = false
        var longest: (took: Duration, what: String)?
        var requests = 0
        var answers: [String: Int] = [:]
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now
    private let rate: Int

    /// - Parameter rate: Mutations per second at most.
    init(rate: Int) {
        self.rate = rate
    }

    /// Mutations sent so far, each event of a batch for itself.
    var mutations: Int { state.withLock { $0.mutations } }
    var isOver: Bool { state.withLock { $0.isOver } }
    /// The longest that an undisturbed node let a caller wait.
    var longest: (took: Duration, what: String)? { state.withLock { $0.longest } }
    /// Requests by what became of them.
    var answers: [String: Int] { state.withLock { $0.answers } }

    func end() {
        state.withLock { $0.isOver = true }
    }

    /// Counts mutations that are about to be sent, and waits while the clients are ahead of their rate.
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
