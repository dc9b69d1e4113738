package import Catalogue
package import Credits
import Metering

// Subscriptions give more than credits: features, prices, limits and the overage policy.

extension Account {
    /// The status that a check shows: that of the first live subscription by slot; nil without one.
    package var subscriptionStatus: SubscriptionStatus? { inSlotOrder.first?.status }

    /// The live versions of variants in the order of slots, base first.
    private func variants(_ catalogue: Catalogue) -> [(subscription: Subscription, terms: VariantTerms)] {
        guard !subscriptions.isEmpty else { return [] }
        return inSlotOrder.compactMap { subscription in
            guard subscription.status != .scheduled, let variant = catalogue.variant(subscription.variant) else {
                return nil
            }
            return (subscription, variant.terms)
        }
    }

    /// The reason why the end user's overrides and plans deny a feature; nil if they do not. A feature that no variant lists
    /// is open to all. Of several subscriptions that list it and deny usage, the first by slot gives the reason.
    func access(to feature: FeatureKey, _ catalogue: Catalogue) -> Denial? {
        switch settings.overrides[feature] {
        case .enabled(false)?: return .featureNotInPlan
        case .some: return nil
        case nil: break
        }
        guard catalogue.listedFeatures.contains(feature) else { return nil }
        let listing = variants(catalogue).filter { $0.terms.includes(feature) }.map(\.subscription)
        guard let first = listing.first(where: \.deniesUsage), listing.allSatisfy(\.deniesUsage) else {
            return listing.isEmpty ? .featureNotInPlan : nil
        }
        return first.status == .paused ? .subscriptionPaused : .subscriptionPastDue
    }

    /// The reason to deny a hold over several features because of one of them.
    func denial(of feature: FeatureKey, isPriced: Bool, _ catalogue: Catalogue) -> Denial? {
        let access = access(to: feature, catalogue)
        if access == .featureNotInPlan { return access }
        return isPriced ? access : .featureNotPriced
    }

    /// The number of a feature of type limit: the override's, else that of the first subscription by slot that states one;
    /// nil for no limit.
    func number(of feature: FeatureKey, _ catalogue: Catalogue) -> Int64? {
        if case .limit(let number)? = settings.overrides[feature] { return number }
        for (_, terms) in variants(catalogue) {
            if case .limit(let number)? = terms.features[feature] { return number }
        }
        return nil
    }

    /// The metering rule of a feature in force at an instant: that of the first subscription by slot whose variant has one of
    /// its own, else the feature's.
    func rule(for feature: FeatureKey, at instant: Instant, _ catalogue: Catalogue) -> MeteringRule? {
        if !subscriptions.isEmpty, !catalogue.variantPrices.isEmpty {
            for subscription in inSlotOrder where subscription.status != .scheduled {
                let prices = catalogue.variantPrices[subscription.variant.id]?[feature]
                if let rule = prices?.rule(at: instant) { return rule }
            }
        }
        return catalogue.rule(for: feature, at: instant)
    }

    /// The overage policy and limit in force, each from the end user, else from the first subscription by slot whose
    /// variant names it, else from the environment.
    package func overageTerms(_ catalogue: Catalogue) -> OverageTerms {
        let terms = variants(catalogue).map(\.terms)
        let policy = settings.overagePolicy ?? terms.lazy.compactMap(\.overagePolicy).first
        let limit = settings.overageLimit ?? terms.lazy.compactMap(\.overageLimit).first
        return OverageTerms(
            policy: policy ?? catalogue.config.effectiveOveragePolicy, limit: limit ?? catalogue.config.overageLimit)
    }

    /// The period in which tiers of scope `period` fill: that of the first subscription by slot, else the calendar month
    /// in UTC. A period of a subscription is told by its start, because its end can move. In grace a new period has
    /// begun, paid or not.
    package func tierPeriod(at now: Instant, _ catalogue: Catalogue) -> TimeWindow {
        guard let (subscription, terms) = variants(catalogue).first else {
            return WindowLength.month.calendarWindow(containing: now, in: .utc)
        }
        let start = subscription.tierStart(at: now, terms, catalogue.config.zone)
        return TimeWindow(start: start, end: .latest)
    }

    /// The account with the subscriptions that it has at an instant: those that time changes by then, and the default one of
    /// a new end user.
    package func subscribed(at now: Instant, isNew: Bool, _ catalogue: Catalogue) -> Account {
        guard isNew || !subscriptions.isEmpty else { return self }
        var account = self
        var recorder = NoRecorder()
        if let due = account.subscriptionsDueAt, due <= now { account.advance(to: now, in: catalogue, into: &recorder) }
        if isNew {
            account.startDefaultPlan(
                SubscriptionMoment(at: now, now: now, catalogue: catalogue, isReading: true),
                into: &recorder)
        }
        return account
    }

    /// Starts the plan on which an end user begins who is seen for the first time. Does nothing where there is none.
    mutating func startDefaultPlan(_ moment: SubscriptionMoment, into recorder: inout some EffectRecorder) {
        guard !endUserID.isErased, let id = moment.catalogue.config.defaultVariantID,
            let variant = moment.catalogue.latestVariant(id), !variant.isArchived,
            let plan = moment.catalogue.plans[variant.planID], !plan.isArchived
        else { return }
        create(
            NewSubscription(variant: .id(id)), of: variant, plan, number: recorder.nextSubscriptionNumber(), moment,
            into: &recorder)
    }
}

extension Subscription {
    /// The instant at which the open window of period tiers began. A pause in grace moves the windows that are to come, and
    /// the open one goes on.
    func tierStart(at now: Instant, _ terms: VariantTerms, _ zone: ZoneRules) -> Instant {
        let boundary = tierBoundary(at: now, terms, zone)
        guard let movedTiers, movedTiers.boundary == boundary else { return boundary }
        return movedTiers.since
    }

    /// The latest boundary of periods, paid or not.
    func tierBoundary(at now: Instant, _ terms: VariantTerms, _ zone: ZoneRules) -> Instant {
        guard (pause?.statusBefore ?? status) == .pastDue else { return period.start }
        let start = period.end
        let isNewLength = periodIndex == 0 || periodInterval != nil
        // A pause stops time.
        let now = max(start, pause?.at ?? now)
        let window = terms.billingInterval.window(containing: now, from: isNewLength ? start : anchor, in: zone)
        return max(start, window.start)
    }
}

extension VariantTerms {
    /// Whether the variant includes a feature.
    fileprivate func includes(_ feature: FeatureKey) -> Bool {
        guard let grant = features[feature] else { return false }
        return grant != .enabled(false)
    }
}
