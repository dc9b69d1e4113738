import JSON
import Synchronization

/// The answers to the probes of one run, by series and instant.
final class AnswerTimeline: Sendable {
    /// The kind of a request, and the node that it went to.
    struct Series: Hashable, Comparable, Sendable {
        enum Kind: String, CaseIterable, Sendable {
            case mutation, check
        }

        let kind: Kind
        let node: String

        static func < (left: Series, right: Series) -> Bool {
            (left.kind.rawValue, left.node) < (right.kind.rawValue, right.node)
        }
    }

    /// The meaning of an answer.
    enum Meaning: String, Sendable {
        /// 2xx with the result.
        case done
        /// 202: accepted, and not decided in time.
        case accepted
        /// 503 that says that nothing was done.
        case refused
        /// 503 that says that the outcome is unknown.
        case unknown
        /// Any other 5xx.
        case failed
        /// Any other status.
        case other
        /// No answer.
        case silent
    }

    private struct Entry {
        let series: Series
        let instant: ContinuousClock.Instant
        let meaning: Meaning
    }

    private let entries = Mutex<[Entry]>([])

    func note(_ result: CallResult, in series: Series) {
        let entry = Entry(series: series, instant: .now, meaning: Meaning(result))
        entries.withLock { $0.append(entry) }
    }

    /// The number of answers of each meaning in a period.
    func counts(
        of kind: Series.Kind, from begin: ContinuousClock.Instant, to end: ContinuousClock.Instant
    ) -> [Meaning: Int] {
        entries.withLock { entries in
            entries.reduce(into: [:]) { counts, entry in
                guard entry.series.kind == kind, entry.instant >= begin, entry.instant <= end else { return }
                counts[entry.meaning, default: 0] += 1
            }
        }
    }

    /// The longest time in a period without an answer that counts.
    ///
    /// - Parameter node: Nil takes the nodes together: the time in which none of them gave such an answer.
    func longestGap(
        of kind: Series.Kind, at node: String? = nil, _ meanings: Set<Meaning>, from begin: ContinuousClock.Instant,
        to end: ContinuousClock.Instant
    ) -> Duration {
        let instants = entries.withLock { entries in
            entries.filter { entry in
                entry.series.kind == kind && (node == nil || entry.series.node == node)
                    && meanings.contains(entry.meaning) && entry.instant >= begin && entry.instant <= end
            }.map(\.instant)
        }.sorted()
        return zip([begin] + instants, instants + [end]).map { $1 - $0 }.max() ?? .zero
    }
}

extension AnswerTimeline.Meaning {
    fileprivate init(_ result: CallResult) {
        guard case .answered(let answer) = result else {
            self = .silent
            return
        }
        switch answer.status {
        case 202: self = .accepted
        case 200..<300: self = .done
        case 503: self = answer.json["outcome"]?.text == "unknown" ? .unknown : .refused
        case 500...: self = .failed
        default: self = .other
        }
    }
}
