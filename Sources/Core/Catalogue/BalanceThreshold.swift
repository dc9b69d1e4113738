package import Credits
package import JSON

/// A level of the effective balance: the tenant is told when the balance falls below it.
package enum BalanceThreshold: Hashable, Sendable {
    /// Zero or more.
    case credits(Millicredits)
    /// A percentage of the credits that were granted with those blocks of which something is left.
    case percent(Int)

    /// The largest number of thresholds of an environment or an end user.
    package static let maximumCount = 10
    package static let percentages: ClosedRange<Int64> = 1...100

    /// The level in millicredits, rounded down.
    ///
    /// - Parameter granted: The millicredits that were granted with the blocks of which something is left.
    package func level(ofGranted granted: Int64) -> Int64 {
        switch self {
        case .credits(let credits): credits.rawValue
        case .percent(let percent): Int64(Int128(granted) * Int128(percent) / 100)
        }
    }

    package var percent: Int? {
        if case .percent(let percent) = self { percent } else { nil }
    }

    /// An integer of millicredits, or an object with `percent`.
    package var json: JSONValue {
        switch self {
        case .credits(let credits): .integer(credits.rawValue)
        case .percent(let percent): .object(["percent": .integer(Int64(percent))])
        }
    }
}

extension [BalanceThreshold] {
    package var json: JSONValue { .array(map(\.json)) }

    /// The thresholds as compact JSON, from which `init(json:)` reads them again.
    package var canonicalJSON: String { String(decoding: json.canonicalBytes, as: UTF8.self) }

    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` if it states no thresholds.
    package init(json text: String) throws {
        let value = try JSONParser.parse(Array<UInt8>(text.utf8))
        self = try JSONReader.read(.object(["thresholds": value])) { $0.balanceThresholds("thresholds") }
    }
}

extension JSONReader {
    /// Reads an array of integers of millicredits and of objects with `percent`; nil if the member is missing or null, or
    /// after a problem.
    package mutating func balanceThresholds(_ key: String) -> [BalanceThreshold]? {
        let thresholds = optionalMixed(
            key, count: 0...BalanceThreshold.maximumCount, .amount, in: 0...Millicredits.limit,
            integer: { (try? Millicredits($0)).map { .credits($0) } },
            object: { reader -> BalanceThreshold? in
                reader.int64("percent", in: BalanceThreshold.percentages).map { .percent(Int($0)) }
            })
        if let thresholds, Set(thresholds).count < thresholds.count { report(key, "has a threshold twice") }
        return thresholds
    }
}
