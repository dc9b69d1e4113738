package import Credits

/// The key by which usage is summed.
package enum UsageGrouping: String, Sendable, CaseIterable {
    /// One total for each local day.
    case day
    case feature
}

/// The units and the cost of usage, summed. Later refunds are not subtracted.
package struct UsageTotal: Hashable, Sendable {
    /// A date such as `2026-01-31`; nil unless grouped by day.
    package let day: String?
    /// Nil unless grouped by feature.
    package let featureKey: FeatureKey?
    /// The number of entries that charged. A reservation with progress has several.
    package let charges: Int64
    /// Saturates at `Int64.max`.
    package let units: Int64
    /// In millicredits; saturates at `Int64.max`.
    package let cost: Int64

    package init(day: String?, featureKey: FeatureKey?, charges: Int64, units: Int64, cost: Int64) {
        self.day = day
        self.featureKey = featureKey
        self.charges = charges
        self.units = units
        self.cost = cost
    }
}
