/// The kinds of feature. A feature keeps its kind.
package enum FeatureType: String, CaseIterable, Hashable, Sendable {
    /// Costs credits by a metering rule, and may be bounded by a quota.
    case metered
    /// Is there or is not.
    case boolean
    /// Is a number that the tenant counts against.
    case limit
}
