import Foundation
import JSON

/// The requests of `requests.txt`, in order. The file has one step a line:
///
///     # a comment
///     as test                            the caller of the requests that follow: root, live, test, nobody, or a saved key
///     header Idempotency-Key: k1         a header of the next request
///     POST /v1/features {"key": "calls"} a request; {{name}} stands for a saved value
///     save rule=id                       a part of the last answer, by its path in the body
///     save token=header:quotastack-position
struct RecordedRequests {
    enum Step {
        case caller(String)
        case header(name: String, value: String)
        case request(method: String, target: String, body: String?)
        case save(name: String, path: String)
    }

    let steps: [Step]

    var requestCount: Int { steps.count { if case .request = $0 { true } else { false } } }

    init(text: String) throws {
        steps = try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(Self.step)
    }

    private static func step(_ line: Substring) throws -> Step {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        guard words.count == 2 else { throw HarnessError("a step has one word only: \(line)") }
        switch words[0] {
        case "as": return .caller(words[1])
        case "header":
            let parts = words[1].split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { throw HarnessError("a header has no value: \(line)") }
            return .header(name: String(parts[0]), value: String(parts[1].drop { $0 == " " }))
        case "save":
            let parts = words[1].split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw HarnessError("a name or a path is missing: \(line)") }
            return .save(name: parts[0], path: parts[1])
        case "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS":
            let parts = words[1].split(separator: " ", maxSplits: 1).map(String.init)
            return .request(method: words[0], target: parts[0], body: parts.count == 2 ? parts[1] : nil)
        default: throw HarnessError("no step begins like that: \(line)")
        }
    }
}

/// Answers as text that is the same in every run: an id is replaced by its kind and its place in the order of appearance,
/// and what depends on the time of the run by a placeholder.
struct AnswerNormalizer {
    private var numbers: [String: Int] = [:]
    private var counts: [String: Int] = [:]
    /// The day of the run and those beside it: instants of test clocks are far from it and stay.
    private let today: Set<String>

    init() {
        let formatter = DateFormatter()
        formatter.dateFormat = "yyyy-MM-dd"
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.locale = Locale(identifier: "en_US_POSIX")
        today = Set((-2...32).map { formatter.string(from: Date(timeIntervalSinceNow: Double($0) * 86_400)) })
    }

    /// - Parameter isProblem: The wording of a problem is for people and may change.
    mutating func normalized(_ text: String, isProblem: Bool = false) -> String {
        var text = text
        if isProblem { text = text.replacing(/"(title|detail)":"(?:[^"\\]|\\.)*"/) { "\"\($0.1)\":\"…\"" } }
        text = text.replacing(/qs_(live|test|root)_[0-9A-Za-z]+/) { "<key of \($0.1)>" }
        text = text.replacing(/whsec_[0-9A-Za-z+\/=]+/) { _ in "<secret>" }
        text = text.replacing(/"(position|next_cursor|request_id|hint|salt)":"[^"]*"/) { "\"\($0.1)\":\"<\($0.1)>\"" }
        text = text.replacing(/"(replica_age_ms)":[0-9]+/) { "\"\($0.1)\":<number>" }
        text = text.replacing(/"[0-9a-f]{64}"/) { _ in "\"<hash>\"" }
        text = text.replacing(/([0-9]{4}-[0-9]{2}-[0-9]{2})T[0-9:.]+Z/) { [today] match in
            today.contains(String(match.1)) ? "<now>" : String(match.0)
        }
        var found = ""
        var rest = text[...]
        while let match = rest.firstMatch(of: /\b([a-z]{2,6})_([0-9a-hjkmnp-tv-z]{24,26})\b/) {
            found += rest[..<match.range.lowerBound] + number(String(match.0), kind: String(match.1))
            rest = rest[match.range.upperBound...]
        }
        return found + rest
    }

    private mutating func number(_ id: String, kind: String) -> String {
        let number = numbers[id] ?? (counts[kind] ?? 0) + 1
        if numbers.updateValue(number, forKey: id) == nil { counts[kind] = number }
        return "<\(kind) \(number)>"
    }
}
