package import Credits

/// The key by which usage is added up.
package enum UsageGrouping: String, Sendable, CaseIterable {
    /// Each local day.
    case day
    case feature
}

/// Units and cost of usage, added up. Later refunds are not taken off.
package struct UsageTotal: Hashable, Sendable {
    /// Such as `2026-01-31`; nil unless grouped by day.
    package let day: String?
    /// Nil unless grouped by feature.
    package let featureKey: FeatureKey?
    /// How many entries charged: a reservation with progress has several.
    package let charges: Int64
    /// At most `Int64.max`.
    package let units: Int64
    /// mc; at most `Int64.max`.
    package let cost: Int64

    package init(day: String?, featureKey: FeatureKey?, charges: Int64, units: Int64, cost: Int64) {
        self.day = day
        self.featureKey = featureKey
        self.charges = charges
        self.units = units
        self.cost = cost
    }
}
