package import Credits
package import Metering

/// One version of a plan's variant: the terms of its subscriptions.
///
/// Variants are versioned and never edited. A change makes a new version, and subscriptions keep the version that they
/// have until they are moved.
package struct PlanVariant: Hashable, Sendable {
    package let id: PublicID
    package let planID: PublicID
    /// The tenant's own key, unique among the variants of the environment; nil if it gave none. It never changes.
    package let key: VariantKey?
    /// 1, 2, 3, … in the order in which the versions were made.
    package let version: Int32
    package var name: String
    package var terms: VariantTerms
    /// The creation of the first version.
    package let createdAt: Instant
    /// The creation of this version.
    package var updatedAt: Instant
    /// When the variant was archived. Nobody can be subscribed to an archived variant; its subscriptions go on.
    package var archivedAt: Instant?

    package init(
        id: PublicID, planID: PublicID, key: VariantKey? = nil, version: Int32 = 1, name: String, terms: VariantTerms,
        createdAt: Instant = .epoch, updatedAt: Instant? = nil, archivedAt: Instant? = nil
    ) {
        self.id = id
        self.planID = planID
        self.key = key
        self.version = version
        self.name = name
        self.terms = terms
        self.createdAt = createdAt
        self.updatedAt = updatedAt ?? createdAt
        self.archivedAt = archivedAt
    }

    package var isArchived: Bool { archivedAt != nil }

    /// The name of this version.
    package var reference: VariantReference { VariantReference(id: id, version: version) }
}

/// The name of one version of a variant.
package struct VariantReference: Hashable, Sendable {
    package let id: PublicID
    package let version: Int32

    package init(id: PublicID, version: Int32) {
        self.id = id
        self.version = version
    }
}

/// The terms of a subscription: its prices, credits, features and limits.
package struct VariantTerms: Hashable, Sendable {
    /// The largest numbers of grant lines and of features in a variant.
    package static let maximumGrants = 50
    /// The largest number of landings of all `every` lines together in a day. Each writes to the ledger for ever.
    package static let maximumLandingsPerDay: Int64 = 3_000
    package static let maximumFeatures = 1_000
    /// The most days of a trial.
    package static let maximumTrialDays: Int64 = 3_650
    /// The most days of grace, and before a period's end.
    package static let maximumDays: Int64 = 365
    /// The largest terms, as canonical JSON. The limits on numbers allow larger ones.
    package static let maximumBytes = 64 << 10

    /// The terms of a variant that states nothing, for a month.
    package static let defaults = VariantTerms(billingInterval: BillingInterval(.month))

    package var billingInterval: BillingInterval
    package var billingMode: BillingMode
    package var grants: [GrantLine]
    package var features: [FeatureKey: FeatureGrant]
    package var limits: [LimitKey: VariantLimit]
    /// Nil means the environment's policy and limit.
    package var overagePolicy: OveragePolicy?
    package var overageLimit: Millicredits?
    /// Local days before a period's end, 0 to 365.
    package var renewalDueDays: Int32
    /// Local days, 0 to 365.
    package var gracePeriodDays: Int32
    package var allowsUsageWhileOverdue: Bool
    /// Local days, 0 to 3,650. 0 is no trial.
    package var trialDays: Int32
    /// The credits of a trial; zero is none.
    package var trialCredits: Millicredits
    /// The variant to which an end user falls back when a subscription ends; nil means the environment's.
    package var fallbackVariantID: PublicID?
    /// In the currency's minor unit, 0 to 2^53 − 1; nil if the tenant stated none. Only shown, never charged.
    package var price: Int64?
    /// Three capital letters, as in ISO 4217.
    package var currency: String?

    package init(
        billingInterval: BillingInterval, billingMode: BillingMode = .prepaid, grants: [GrantLine] = [],
        features: [FeatureKey: FeatureGrant] = [:], limits: [LimitKey: VariantLimit] = [:],
        overagePolicy: OveragePolicy? = nil, overageLimit: Millicredits? = nil, renewalDueDays: Int32 = 3,
        gracePeriodDays: Int32 = 3, allowsUsageWhileOverdue: Bool = true, trialDays: Int32 = 0,
        trialCredits: Millicredits = .zero, fallbackVariantID: PublicID? = nil, price: Int64? = nil,
        currency: String? = nil
    ) {
        self.billingInterval = billingInterval
        self.billingMode = billingMode
        self.grants = grants
        self.features = features
        self.limits = limits
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.renewalDueDays = renewalDueDays
        self.gracePeriodDays = gracePeriodDays
        self.allowsUsageWhileOverdue = allowsUsageWhileOverdue
        self.trialDays = trialDays
        self.trialCredits = trialCredits
        self.fallbackVariantID = fallbackVariantID
        self.price = price
        self.currency = currency
    }

    /// All features that the terms name: in `features`, in grant lines and in limits.
    package var namedFeatures: Set<FeatureKey> {
        var named = Set(features.keys)
        for grant in grants { named.formUnion(grant.featureKeys) }
        for limit in limits.values { named.formUnion(limit.limit.features) }
        return named
    }
}

/// A limit of a variant.
package struct VariantLimit: Hashable, Sendable {
    package let limit: Limit
    /// Whether the amount is multiplied by the subscription's quantity.
    package let isPerQuantity: Bool

    package init(_ limit: Limit, isPerQuantity: Bool = false) {
        self.limit = limit
        self.isPerQuantity = isPerQuantity
    }
}

/// The way in which a subscription is paid for.
package enum BillingMode: String, Sendable, CaseIterable {
    /// A period begins when its payment was reported.
    case prepaid
    /// Periods follow each other, and each ends with a summary of its usage.
    case postpaid
}

/// The length of a subscription's periods.
package struct BillingInterval: Hashable, Sendable {
    package enum Unit: String, Sendable, CaseIterable {
        case hour, day, week, month, year
    }

    package let unit: Unit
    /// 1 to `maximumCount`.
    package let count: Int32

    package static let maximumCount: Int32 = 1_000

    package init(_ unit: Unit, count: Int32 = 1) {
        self.unit = unit
        self.count = count
    }

    /// The end of a number of intervals that begin at an anchor, whose local time of day it keeps. Hours are exact, all
    /// other units are local ones. A day that a month lacks is its last day.
    ///
    /// - Parameter number: 0 or more.
    package func end(of number: Int64, from anchor: Instant, in zone: ZoneRules) -> Instant {
        let units = number * Int64(count)
        return switch unit {
        case .hour: anchor.adding(seconds: units * 3_600)
        case .day: zone.adding(months: 0, days: units, to: anchor)
        case .week: zone.adding(months: 0, days: units * 7, to: anchor)
        case .month: zone.adding(months: units, days: 0, to: anchor)
        case .year: zone.adding(months: units * 12, days: 0, to: anchor)
        }
    }
}
