package import Credits
package import Metering

/// Why a use is denied; the order of the cases is the order of precedence.
package enum Denial: String, Hashable, Sendable, CaseIterable {
    case unknownFeature = "unknown_feature"
    case featureNotPriced = "feature_not_priced"
    case insufficientCredits = "insufficient_credits"
}

/// The answer to "may this end user do that?". The check shows it and the debit acts on it: one function decides both.
package struct Entitlement: Hashable, Sendable {
    /// Nil when the use is allowed.
    package let denial: Denial?
    /// What the use costs, where a rule prices it.
    package let cost: Millicredits?
    /// The rule version that priced it.
    package let ruleID: PublicID?
    /// What a charge of the feature could use, mc.
    package let spendable: Int64
    /// The most units of one event that would be allowed; at most 2^53 − 1, which also stands for "no limit".
    package let affordableUnits: Int64

    package var isAllowed: Bool { denial == nil }

    /// Decides on a use of `units` (non-negative) of a feature by an account that was advanced to now.
    ///
    /// - Parameter occurredAt: The instant whose prices count.
    /// - Throws: `AmountOutOfRange` when the cost has no representation.
    package static func decide(
        account: Account, catalogue: Catalogue, feature: FeatureKey, units: Int64, occurredAt: Instant
    ) throws(AmountOutOfRange) -> Entitlement {
        let spendable = account.spendable(for: feature)
        guard catalogue.activeFeature(feature) != nil else {
            return Entitlement(
                denial: .unknownFeature, cost: nil, ruleID: nil, spendable: spendable, affordableUnits: 0)
        }
        guard let rule = catalogue.rule(for: feature, at: occurredAt) else {
            return Entitlement(
                denial: .featureNotPriced, cost: nil, ruleID: nil, spendable: spendable, affordableUnits: 0)
        }
        let cost: Millicredits
        do {
            cost = try rule.price.priced(.units(units), attributes: .none, used: PeriodUsage()).cost
        } catch .outOfRange {
            throw AmountOutOfRange()
        } catch {
            return Entitlement(
                denial: .featureNotPriced, cost: nil, ruleID: nil, spendable: spendable, affordableUnits: 0)
        }
        return Entitlement(
            denial: cost.rawValue <= spendable ? nil : .insufficientCredits,
            cost: cost,
            ruleID: rule.id,
            spendable: spendable,
            affordableUnits: rule.price.affordableUnits(
                funds: spendable, attributes: .none, used: PeriodUsage()) ?? 0
        )
    }
}
