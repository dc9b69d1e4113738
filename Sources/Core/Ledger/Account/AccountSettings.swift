package import Catalogue
package import Credits
package import Metering

/// What the tenant has set for one end user.
package struct AccountSettings: Hashable, Sendable {
    /// How many features an end user may have overrides for.
    package static let maximumOverrides = 1_000

    /// Nil takes the environment's.
    package var overagePolicy: OveragePolicy?
    /// Nil takes the environment's.
    package var overageLimit: Millicredits?
    package var overrides: [FeatureKey: FeatureGrant]
    /// In the order in which they were made.
    package var caps: [SpendCap]
    /// The number of the latest cap.
    package var capCount: Int32
    /// The clock by which time passes for the end user; nil for the real one.
    package var testClock: PublicID?

    package init(
        overagePolicy: OveragePolicy? = nil, overageLimit: Millicredits? = nil,
        overrides: [FeatureKey: FeatureGrant] = [:], caps: [SpendCap] = [], capCount: Int32 = 0,
        testClock: PublicID? = nil
    ) {
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.overrides = overrides
        self.caps = caps
        self.capCount = capCount
        self.testClock = testClock
    }

    /// What most end users have.
    package static let none = AccountSettings()
}

/// At most so many credits per window, whatever the balance.
package struct SpendCap: Hashable, Sendable {
    /// How many an end user may have.
    package static let maximumCount = 50

    /// 1, 2, 3, … in the order in which the account's caps were made.
    package let number: Int32
    /// The only feature that it counts; nil counts all.
    package let featureKey: FeatureKey?
    package let credits: Millicredits
    /// Counted by the calendar.
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

    package func counts(_ feature: FeatureKey) -> Bool {
        featureKey == nil || featureKey == feature
    }
}
