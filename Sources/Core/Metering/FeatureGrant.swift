/// What is said of one feature for one end user.
package enum FeatureGrant: Hashable, Sendable {
    /// The feature is there, or is denied.
    case enabled(Bool)
    /// The number of a limit feature, 0 to 2^53 − 1.
    case limit(Int64)
    /// The quota of a metered feature, in the place of the feature's own.
    case quota(Quota)
}
