/// The types of features. The type of a feature never changes.
package enum FeatureType: String, CaseIterable, Hashable, Sendable {
    /// Costs credits by a metering rule, and may have a quota.
    case metered
    /// Is allowed or denied.
    case boolean
    /// Is a number. A check compares its units with the number; nothing is counted or charged.
    case limit
}
