package import Catalogue
package import Credits
package import Metering

/// The settings of one end user.
package struct AccountSettings: Hashable, Sendable {
    /// The maximum number of features with an override.
    package static let maximumOverrides = 1_000

    /// Nil means the environment's policy.
    package var overagePolicy: OveragePolicy?
    /// Nil means the environment's limit.
    package var overageLimit: Millicredits?
    package var overrides: [FeatureKey: FeatureGrant]
    /// In order of creation.
    package var caps: [SpendCap]
    /// The number of the latest spend cap.
    package var capCount: Int32
    /// The end user's own limits by key.
    package var limits: [LimitKey: OwnLimit]
    /// The number of definitions of limits so far.
    package var limitGeneration: Int32
    /// Nil means the environment's thresholds.
    package var balanceLowThresholds: [BalanceThreshold]?
    /// The clock that the end user is attached to; nil means real time.
    package var testClock: PublicID?

    package init(
        overagePolicy: OveragePolicy? = nil, overageLimit: Millicredits? = nil,
        overrides: [FeatureKey: FeatureGrant] = [:], caps: [SpendCap] = [], capCount: Int32 = 0,
        limits: [LimitKey: OwnLimit] = [:], limitGeneration: Int32 = 0,
        balanceLowThresholds: [BalanceThreshold]? = nil, testClock: PublicID? = nil
    ) {
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.overrides = overrides
        self.caps = caps
        self.capCount = capCount
        self.limits = limits
        self.limitGeneration = limitGeneration
        self.balanceLowThresholds = balanceLowThresholds
        self.testClock = testClock
    }

    /// No settings, as for most end users.
    package static let none = AccountSettings()
}

/// A limit on the credits spent per window, whatever the balance.
package struct SpendCap: Hashable, Sendable {
    /// 1, 2, 3, … in the order in which the account's caps were created.
    package let number: Int32
    /// The only feature that the cap counts; nil means all features.
    package let featureKey: FeatureKey?
    package let credits: Millicredits
    /// Windows of a spend cap follow the calendar.
    package let window: WindowLength
    package let createdAt: Instant

    package init(
        number: Int32, featureKey: FeatureKey?, credits: Millicredits, window: WindowLength, createdAt: Instant
    ) {
        self.number = number
        self.featureKey = featureKey
        self.credits = credits
        self.window = window
        self.createdAt = createdAt
    }
}
