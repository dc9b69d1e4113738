import Synchronization

/// Broken invariants, as sentences that name keys and end users.
final class Violations: Sendable {
    private static let kept = 200

    private struct State {
        var sentences: [String] = []
        var count = 0
        /// The number of violations by the first word of their sentence.
        var kinds: [Substring: Int] = [:]
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.count } }
    /// The first sentences, at most `kept`.
    var sentences: [String] { state.withLock { $0.sentences } }

    func add(_ sentence: String) {
        let isFirst = state.withLock { state in
            state.count += 1
            if state.sentences.count < Self.kept { state.sentences.append(sentence) }
            let kind = sentence.prefix { $0 != " " }
            state.kinds[kind, default: 0] += 1
            return state.kinds[kind] ?? 0 <= 10
        }
        if isFirst { progress("VIOLATION: \(sentence)") }
    }
}
