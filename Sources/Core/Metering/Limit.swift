package import Credits

/// A limit on the usage of an end user: at most `amount` in each window, over all events that it covers.
///
/// Quotas and spend caps are limits too. One piece of code of the ledger counts and decides all of them.
package struct Limit: Hashable, Sendable {
    /// The largest number of limits that apply to an end user, quotas and spend caps included.
    package static let maximumCount = 50
    /// The largest number of features that a limit names.
    package static let maximumFeatures = 100
    /// The largest number of attributes that a limit asks for.
    package static let maximumMatches = 16
    /// The largest definition, as compact JSON. All of them are read with the account.
    package static let maximumBytes = 8_192
    /// The percentages of which a limit may warn, and the largest number of them.
    package static let warnings: ClosedRange<Int64> = 1...100
    package static let maximumWarnings = 10

    /// The thing that is counted.
    package enum Unit: String, CaseIterable, Sendable {
        /// The units of an event, or the sum of its quantities.
        case units
        /// Millicredits.
        case credits
        /// Active reservations.
        case concurrent
    }

    package let unit: Unit
    /// 0 to 2^53 − 1. 0 allows nothing.
    package let amount: Int64
    /// Nil for `concurrent`, which has no windows.
    package let window: WindowLength?
    package let anchor: WindowAnchor
    /// The features that the limit covers; empty means all.
    package let features: Set<FeatureKey>
    /// The values that each of these attributes must have one of. All of them must match.
    package let match: [String: Set<AttributeValue>]
    /// The attribute each of whose values has a counter of its own. An event without it counts under null.
    package let per: String?
    /// The one dimension of an event that counts; nil means the sum of all.
    package let dimension: String?
    /// The percentages of the amount that the tenant is told of when the usage reaches them; rising, each once.
    package let warnAt: [Int]

    package init(
        unit: Unit, amount: Int64, window: WindowLength?, anchor: WindowAnchor = .calendar,
        features: Set<FeatureKey> = [], match: [String: Set<AttributeValue>] = [:], per: String? = nil,
        dimension: String? = nil, warnAt: [Int] = []
    ) {
        self.unit = unit
        self.amount = amount
        self.window = window
        self.anchor = anchor
        self.features = features
        self.match = match
        self.per = per
        self.dimension = dimension
        self.warnAt = Set(warnAt).sorted()
    }

    /// The same limit of another amount.
    package func with(amount: Int64) -> Limit {
        Limit(
            unit: unit, amount: amount, window: window, anchor: anchor, features: features, match: match, per: per,
            dimension: dimension, warnAt: warnAt)
    }

    /// The limit by what it counts: without its amount and its warnings. Limits that count the same share counters.
    package var counted: Limit {
        Limit(
            unit: unit, amount: 0, window: window, anchor: anchor, features: features, match: match, per: per,
            dimension: dimension)
    }

    /// Whether a usage has reached a percentage of the amount.
    package func isReached(_ percentage: Int, by used: Int64) -> Bool {
        Int128(used) * 100 >= Int128(amount) * Int128(percentage)
    }

    /// Whether an event of a feature with these attributes counts.
    package func covers(_ feature: FeatureKey, _ attributes: Attributes) -> Bool {
        guard features.isEmpty || features.contains(feature) else { return false }
        return match.allSatisfy { name, values in attributes.values[name].map(values.contains) ?? false }
    }
}

/// The key of a limit. A quota's key is `quota:` and the feature's key; a spend cap's is its id.
package struct LimitKey: Hashable, Comparable, Sendable {
    package let rawValue: String

    /// - Parameter rawValue: Keys of limits have the characters of feature keys, and a quota's `quota:` before that.
    package init?(_ rawValue: String) {
        let name = rawValue.hasPrefix(Self.quotaPrefix) ? String(rawValue.dropFirst(Self.quotaPrefix.count)) : rawValue
        guard name.isCatalogueName else { return nil }
        self.rawValue = rawValue
    }

    package init(quotaOf feature: FeatureKey) { rawValue = Self.quotaPrefix + feature.rawValue }

    /// - Parameter id: The id of a spend cap.
    package init(cap id: PublicID) { rawValue = id.description }

    private static let quotaPrefix = "quota:"

    /// The feature whose quota has this key; nil for another key.
    package var quotaFeature: FeatureKey? {
        guard rawValue.hasPrefix(Self.quotaPrefix) else { return nil }
        return FeatureKey(String(rawValue.dropFirst(Self.quotaPrefix.count)))
    }

    package static func < (left: LimitKey, right: LimitKey) -> Bool {
        left.rawValue.utf8.lexicographicallyPrecedes(right.rawValue.utf8)
    }
}
