import Credits
package import JSON

extension WindowLength {
    /// A window of at least a minute and at most ten years.
    private static let lengths = Instant(microseconds: 60_000_000)...Instant(microseconds: 3_652 * 86_400_000_000)

    /// How a window length is written, for messages: completes "must be …".
    package static let expectation = "\"day\", \"week\", \"month\" or an ISO 8601 duration from PT1M to P10Y"

    /// `day`, `week`, `month`, or an ISO 8601 duration from `PT1M` to `P10Y`; nil for anything else.
    package init?(text: String) {
        switch text {
        case "day": self = .day
        case "week": self = .week
        case "month": self = .month
        default:
            guard let duration = CalendarDuration(iso8601: text),
                Self.lengths.contains(Instant(microseconds: 0).adding(duration))
            else { return nil }
            self = .duration(duration)
        }
    }

    /// The one spelling of the length.
    package var text: String {
        switch self {
        case .day: "day"
        case .week: "week"
        case .month: "month"
        case .duration(let duration): duration.iso8601
        }
    }
}

extension Quota {
    /// `{"anchor", "limit", "window"}`.
    package var json: JSONValue {
        .object([
            "anchor": .string(anchor.rawValue), "limit": .integer(limit), "window": .string(window.text),
        ])
    }

    /// The one spelling of the quota.
    package var canonicalJSON: String {
        String(decoding: json.canonicalBytes, as: UTF8.self)
    }

    /// Reads what `canonicalJSON` or a request says.
    ///
    /// - Throws: `JSONError` for what is no JSON, `JSONProblems` that name each member that is wrong.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { $0.quota() }
    }
}

extension JSONReader {
    /// `window`, required.
    package mutating func windowLength(_ key: String = "window") -> WindowLength? {
        string(key, expected: WindowLength.expectation) { WindowLength(text: $0) }
    }

    /// The members of a quota: `limit`, `window` and, by the calendar unless stated, `anchor`.
    package mutating func quota() -> Quota? {
        let limit = featureLimit()
        let window = windowLength()
        let isStated = presence(of: "anchor") == .present
        let anchor = optionalChoice("anchor", of: WindowAnchor.self)
        guard let limit, let window, anchor != nil || !isStated else { return nil }
        return Quota(limit: limit, window: window, anchor: anchor ?? .calendar)
    }

    /// `limit`, required.
    package mutating func featureLimit() -> Int64? {
        int64("limit", in: 0...Millicredits.limit)
    }
}
