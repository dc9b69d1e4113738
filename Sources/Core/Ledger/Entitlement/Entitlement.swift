package import Catalogue
package import Credits
package import Metering

/// Why a use is denied; the order of the cases is the order of precedence.
package enum Denial: String, Hashable, Sendable, CaseIterable {
    case unknownFeature = "unknown_feature"
    case featureNotInPlan = "feature_not_in_plan"
    case featureNotPriced = "feature_not_priced"
    case quotaExceeded = "quota_exceeded"
    case spendCapReached = "spend_cap_reached"
    case insufficientCredits = "insufficient_credits"
}

/// A question to an account: may that be used now?
package struct EntitlementRequest: Hashable, Sendable {
    package var feature: FeatureKey
    package var demand: Demand
    /// The instant whose prices count; nil means now.
    package var occurredAt: Instant?

    package init(feature: FeatureKey, demand: Demand, occurredAt: Instant? = nil) {
        self.feature = feature
        self.demand = demand
        self.occurredAt = occurredAt
    }
}

/// A quota as it stands.
package struct QuotaState: Hashable, Sendable {
    package let quota: Quota
    package let used: Int64
    /// The window that is open, or the one that a first use now would open.
    package let window: TimeWindow

    /// Never negative, even when a job used more than it was admitted for.
    package var remaining: Int64 { max(0, quota.limit - used) }
}

/// A spend cap as it stands.
package struct SpendCapState: Hashable, Sendable {
    package let cap: SpendCap
    package let spent: Int64
    package let window: TimeWindow

    package var remaining: Int64 { max(0, cap.credits.rawValue - spent) }
}

/// What an account may owe: the policy in force and its bound.
package struct OverageTerms: Hashable, Sendable {
    package let policy: OveragePolicy
    /// Nil is without limit.
    package let limit: Millicredits?

    /// The end user's own, else the environment's, else none.
    package init(account: AccountSettings, config: EnvironmentConfig) {
        policy = account.overagePolicy ?? config.overagePolicy ?? .block
        limit = account.overageLimit ?? config.overageLimit
    }

    package var isAllowed: Bool { policy != .block }

    /// What may still be owed beyond `overage`: nil is without limit.
    package func room(beyond overage: Int64) -> Int64? {
        limit.map { max(0, $0.rawValue - overage) }
    }
}

/// The answer to "may this end user do that?". The check shows it and the debit acts on it: one function decides both.
package struct Entitlement: Hashable, Sendable {
    /// Nil when the use is allowed.
    package var denial: Denial?
    /// How the cost comes about, where a rule prices the feature.
    package var priced: PricedEvent?
    /// What the use costs; nil where nothing prices it.
    package var cost: Millicredits?
    /// The rule version that priced it.
    package var ruleID: PublicID?
    /// What a charge of the feature could use, mc.
    package var spendable: Int64
    package var overage: OverageTerms
    /// The most units of one event that would be allowed; at most 2^53 − 1, which also stands for "no limit". Nil for a
    /// rule with dimensions, and for a demand in credits.
    package var affordableUnits: Int64?
    /// The feature's quota, where it has one.
    package var quota: QuotaState?
    /// The caps that the use counts against, in their order.
    package var caps: [SpendCapState]
    /// The number of a limit feature; nil is without limit.
    package var limit: Int64?

    package var isAllowed: Bool { denial == nil }

    /// The cap that leaves the least.
    package var tightestCap: SpendCapState? {
        caps.min { ($0.remaining, $0.cap.number) < ($1.remaining, $1.cap.number) }
    }
}

/// Why a question cannot be answered at all.
package enum EntitlementFailure: Error, Hashable, Sendable {
    /// The cost has no representation.
    case outOfRange
    case wrongMeasure(WrongMeasure)
}
