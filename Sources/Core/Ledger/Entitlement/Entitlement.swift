import Catalogue
package import Credits
package import Metering

/// The reasons for denying a use, in order of precedence.
package enum Denial: String, Hashable, Sendable, CaseIterable {
    case unknownFeature = "unknown_feature"
    case featureNotInPlan = "feature_not_in_plan"
    case featureNotPriced = "feature_not_priced"
    case subscriptionPaused = "subscription_paused"
    case subscriptionPastDue = "subscription_past_due"
    case quotaExceeded = "quota_exceeded"
    case spendCapReached = "spend_cap_reached"
    case insufficientCredits = "insufficient_credits"

    /// Whether the reason precedes another one.
    func isBefore(_ other: Denial) -> Bool {
        Self.allCases.first { $0 == self || $0 == other } == self && self != other
    }
}

/// The question whether an account may use a feature now.
package struct EntitlementRequest: Hashable, Sendable {
    /// At least one. Several are for a reservation in credits.
    package var features: [FeatureKey]
    package var demand: Demand
    /// The instant whose prices apply; nil means now.
    package var occurredAt: Instant?
    /// Whether the use is a reservation, which limits of `concurrent` count.
    package var isReservation: Bool

    package init(feature: FeatureKey, demand: Demand, occurredAt: Instant? = nil, isReservation: Bool = false) {
        self.init(features: [feature], demand: demand, occurredAt: occurredAt, isReservation: isReservation)
    }

    package init(
        features: [FeatureKey], demand: Demand, occurredAt: Instant? = nil, isReservation: Bool = false
    ) {
        self.features = features
        self.demand = demand
        self.occurredAt = occurredAt
        self.isReservation = isReservation
    }

    /// The first feature.
    package var feature: FeatureKey { features[0] }

    var attributes: Attributes { demand.attributes }
}

/// The overage policy and limit that apply to an account.
package struct OverageTerms: Hashable, Sendable {
    package let policy: OveragePolicy
    /// Nil means no limit.
    package let limit: Millicredits?

    package init(policy: OveragePolicy, limit: Millicredits?) {
        self.policy = policy
        self.limit = limit
    }

    package var isAllowed: Bool { policy != .block }

    /// The amount that may still be added to `overage`; nil means no limit.
    package func room(beyond overage: Int64) -> Int64? {
        limit.map { max(0, $0.rawValue - overage) }
    }
}

/// The decision on a use. Checks show it and debits act on it, so one function decides both.
package struct Entitlement: Hashable, Sendable {
    /// Nil if the use is allowed.
    package var denial: Denial?
    /// The reason for which the end user's plans deny a metered feature that they include.
    var access: Denial?
    /// The feature of several to which the denial applies; nil when it is the only one, or applies to all.
    var deniedFeature: FeatureKey?
    /// The cost with its breakdown; nil if no rule prices the demand.
    package var priced: PricedEvent?
    /// The cost of the use; nil if it has no price.
    package var cost: Millicredits?
    /// The rule version that priced the use.
    package var ruleID: PublicID?
    /// The row of the rule that priced the use; 0 for a rule without rows.
    var row = 0
    /// The millicredits that a charge of the feature can take.
    package var spendable: Int64
    package var overage: OverageTerms
    /// The largest number of units of one event that would be allowed; at most 2^53 − 1, which also stands for "no
    /// limit". Nil for rules with dimensions and for demands in credits.
    package var affordableUnits: Int64?
    /// The limits that cover the use: the quota, then spend caps in the order of their creation, then others by key.
    package var limits: [LimitState]
    /// The limit that denies the use; nil when another reason does.
    package var denyingLimit: LimitState?
    /// The number of a feature of type limit; nil means no limit.
    package var limit: Int64?

    package var isAllowed: Bool { denial == nil }

    /// The state of the feature's quota; nil without a quota.
    package var quota: LimitState? {
        limits.first { if case .quota = $0.applied.face { true } else { false } }
    }

    /// The spend caps that count the use, in the order of their creation.
    package var caps: [(cap: SpendCap, state: LimitState)] {
        limits.compactMap { state in if case .cap(let cap) = state.applied.face { (cap, state) } else { nil } }
    }
}

/// The reasons why a use cannot be decided.
package enum EntitlementFailure: Error, Hashable, Sendable {
    /// The cost or the resulting sums would be outside ±(2^53 − 1).
    case outOfRange
    case wrongMeasure(WrongMeasure)
}
