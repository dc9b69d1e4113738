package import Credits
package import JSON
package import Metering

/// The rule by which the ledger asks the tenant to top up an end user: when, how much, and how often at most.
package struct AutoTopUpRule: Hashable, Sendable {
    /// The longest cooldown is 366 days.
    package static let cooldownSeconds: ClosedRange<Int64> = 0...31_622_400
    /// The failures are bounded, so that an account that nobody answers for makes a bounded number of events.
    package static let failures: ClosedRange<Int64> = 1...100
    package static let defaultFailures: Int64 = 3

    /// A request is made when the effective balance is below; zero or more.
    package let threshold: Millicredits
    package let amount: TopUp.Credits
    /// Nil means that the number of requests has no bound.
    package let ceiling: AutoTopUpCeiling?
    /// The time from one request to the next, whatever became of the first.
    package let cooldownSeconds: Int64
    /// The number of consecutive failures after which no more requests are made.
    package let stopAfterFailures: Int32

    package init(
        threshold: Millicredits, amount: TopUp.Credits, ceiling: AutoTopUpCeiling? = nil, cooldownSeconds: Int64 = 0,
        stopAfterFailures: Int32 = Int32(Self.defaultFailures)
    ) {
        self.threshold = threshold
        self.amount = amount
        self.ceiling = ceiling
        self.cooldownSeconds = cooldownSeconds
        self.stopAfterFailures = stopAfterFailures
    }
}

/// The largest number of requests in a calendar window of the environment's zone.
package struct AutoTopUpCeiling: Hashable, Sendable {
    /// A rule counts the requests of before it was set. It reads that many of them at most.
    package static let counts: ClosedRange<Int64> = 1...1_000

    package let count: Int32
    package let window: WindowLength

    package init(count: Int32, window: WindowLength) {
        self.count = count
        self.window = window
    }
}

extension TopUp.Credits {
    /// The member of a JSON object that states the amount.
    package var member: (key: String, value: JSONValue) {
        switch self {
        case .amount(let credits): ("credits", .integer(credits.rawValue))
        case .package(let key): ("package_key", .string(key.rawValue))
        }
    }
}

extension AutoTopUpRule {
    /// Reads a rule from the canonical text of `json`.
    ///
    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` that name each wrong member otherwise.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { $0.autoTopUpRule() }
    }

    /// The text of `json`, from which `init(json:)` reads the rule again.
    package var canonicalJSON: String { String(decoding: json.canonicalBytes, as: UTF8.self) }

    /// The rule as an object, from which `JSONReader.autoTopUpRule` reads it again.
    package var json: JSONValue { .object(JSONObject(members: members)) }

    /// The members of `json`, in the order in which answers show them.
    package var members: [(key: String, value: JSONValue)] {
        let ceiling = ceiling.map { ceiling -> JSONValue in
            .object(["count": .integer(Int64(ceiling.count)), "window": .string(ceiling.window.text)])
        }
        return [
            ("threshold", .integer(threshold.rawValue)), amount.member, ("at_most", ceiling ?? .null),
            ("cooldown_seconds", .integer(cooldownSeconds)),
            ("stop_after_failures", .integer(Int64(stopAfterFailures))),
        ]
    }
}

extension JSONReader {
    /// Reads `threshold`, one of `credits` and `package_key`, `at_most`, `cooldown_seconds` and `stop_after_failures`.
    package mutating func autoTopUpRule() -> AutoTopUpRule? {
        let threshold = int64("threshold", .amount, in: 0...Millicredits.limit)
        let amount = topUpAmount()
        let ceiling = optionalObject("at_most") { reader -> AutoTopUpCeiling? in
            let count = reader.int64("count", in: AutoTopUpCeiling.counts)
            let window = reader.windowLength()
            guard let count, let window else { return nil }
            return AutoTopUpCeiling(count: Int32(count), window: window)
        }
        let cooldown = int64("cooldown_seconds", default: 0, in: AutoTopUpRule.cooldownSeconds)
        let failures = int64(
            "stop_after_failures", default: AutoTopUpRule.defaultFailures, in: AutoTopUpRule.failures)
        guard problems.isEmpty, let threshold = threshold.flatMap({ try? Millicredits($0) }), let amount, let cooldown,
            let failures
        else { return nil }
        return AutoTopUpRule(
            threshold: threshold, amount: amount, ceiling: ceiling, cooldownSeconds: cooldown,
            stopAfterFailures: Int32(failures))
    }

    /// Reads one of `credits`, above zero, and `package_key`.
    package mutating func topUpAmount() -> TopUp.Credits? {
        if presence(of: "credits") != .present, presence(of: "package_key") != .present {
            report("credits", "is required, or package_key in its place")
        }
        return optionalTopUpAmount()
    }

    /// Reads at most one of `credits`, above zero, and `package_key`; nil without both, or after a problem.
    package mutating func optionalTopUpAmount() -> TopUp.Credits? {
        let package = optionalString("package_key", expected: FeatureKey.expectation) { PackageKey($0) }
        let credits = optionalInt64("credits", .amount, in: 1...Millicredits.limit).flatMap { try? Millicredits($0) }
        if presence(of: "credits") == .present, presence(of: "package_key") == .present {
            report("package_key", "excludes credits: give one of them")
        }
        return credits.map { TopUp.Credits.amount($0) } ?? package.map { TopUp.Credits.package($0) }
    }
}
