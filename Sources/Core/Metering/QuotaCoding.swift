package import Credits
package import JSON

extension WindowLength {
    /// The valid texts of a window length, in the form that completes "must be …".
    package static let expectation = "\"day\", \"week\", \"month\" or an ISO 8601 duration from PT1M to P10Y"

    /// Reads `day`, `week`, `month`, or an ISO 8601 duration from `PT1M` to `P10Y`; nil for any other text.
    package init?(text: String) {
        switch text {
        case "day": self = .day
        case "week": self = .week
        case "month": self = .month
        default:
            guard let duration = CalendarDuration(iso8601: text), duration.isWindowLength else { return nil }
            self = .duration(duration)
        }
    }

    /// The canonical text of the length.
    package var text: String {
        switch self {
        case .day: "day"
        case .week: "week"
        case .month: "month"
        case .duration(let duration): duration.iso8601
        }
    }
}

extension CalendarDuration {
    /// Windows are at least a minute and at most ten years long.
    private static let windowLengths =
        Instant(microseconds: 60_000_000)...Instant(microseconds: 3_652 * 86_400_000_000)

    /// Whether a window can have this length.
    package var isWindowLength: Bool { Self.windowLengths.contains(Instant(microseconds: 0).adding(self)) }
}

extension Quota {
    /// An object with `anchor`, `limit` and `window`.
    package var json: JSONValue {
        .object([
            "anchor": .string(anchor.rawValue), "limit": .integer(limit), "window": .string(window.text),
        ])
    }

    /// The canonical JSON: equal quotas have equal texts.
    package var canonicalJSON: String {
        String(decoding: json.canonicalBytes, as: UTF8.self)
    }

    /// Reads a quota from `canonicalJSON` or from a request.
    ///
    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` that name each wrong member otherwise.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { $0.quota() }
    }
}

extension JSONReader {
    /// Reads the required member `window`.
    package mutating func windowLength(_ key: String = "window") -> WindowLength? {
        string(key, expected: WindowLength.expectation) { WindowLength(text: $0) }
    }

    /// Reads a quota from `limit`, `window` and `anchor`, which defaults to `calendar`.
    package mutating func quota() -> Quota? {
        let limit = featureLimit()
        let window = windowLength()
        let isStated = presence(of: "anchor") == .present
        let anchor = optionalChoice("anchor", of: WindowAnchor.self)
        guard let limit, let window, anchor != nil || !isStated else { return nil }
        return Quota(limit: limit, window: window, anchor: anchor ?? .calendar)
    }

    /// Reads the required member `limit`.
    package mutating func featureLimit() -> Int64? {
        int64("limit", in: 0...Millicredits.limit)
    }
}
