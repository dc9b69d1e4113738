package import Catalogue
package import Credits
package import Metering

extension Entitlement {
    /// Decides a use by an account that was advanced to `now`. Costs a walk over the account's blocks, unless the
    /// spendable credits are given.
    ///
    /// - Parameter spendable: What `account.spendable(for:)` returns for the feature.
    /// - Throws: `EntitlementFailure` if the rule cannot price the demand.
    package static func decide(
        account: Account, spendable: Int64? = nil, catalogue: Catalogue, request: EntitlementRequest, now: Instant
    ) throws(EntitlementFailure) -> Entitlement {
        let feature = request.feature
        var entitlement = Entitlement(
            spendable: spendable ?? account.spendable(for: feature),
            overage: OverageTerms(account: account.settings, config: catalogue.config), affordableUnits: 0, caps: [])
        guard let known = catalogue.activeFeature(feature) else {
            entitlement.denial = .unknownFeature
            return entitlement
        }
        let override = account.settings.overrides[feature]
        if case .enabled(false) = override {
            entitlement.denial = .featureNotInPlan
            return entitlement
        }
        switch known.type {
        case .boolean:
            entitlement.affordableUnits = Millicredits.limit
        case .limit:
            if case .limit(let number) = override { entitlement.limit = number }
            entitlement.affordableUnits = entitlement.limit ?? Millicredits.limit
            if let limit = entitlement.limit, request.demand.units > limit { entitlement.denial = .quotaExceeded }
        case .metered:
            try entitlement.meter(request, quota: known.quota(override), account, catalogue, now: now)
        }
        return entitlement
    }

    private mutating func meter(
        _ request: EntitlementRequest, quota: Quota?, _ account: Account, _ catalogue: Catalogue, now: Instant
    ) throws(EntitlementFailure) {
        let feature = request.feature
        let rule = catalogue.rule(for: feature, at: request.occurredAt ?? now)
        if let quota {
            self.quota = account.counters.state(of: quota, feature: feature, zone: catalogue.config.zone, now: now)
        }
        caps = account.settings.caps.filter { $0.counts(feature) }.map { cap in
            account.counters.state(of: cap, zone: catalogue.config.zone, now: now)
        }
        let used = account.counters.periodUsage(of: feature, now: now)
        guard rule != nil || quota != nil else {
            denial = .featureNotPriced
            return
        }
        switch request.demand {
        case .credits(let credits):
            cost = credits
            // A reservation in credits may be committed in units, by the rule in force now.
            ruleID = rule?.id
        case .measured(let measure, let attributes):
            guard let rule else {
                guard case .units = measure else { throw .wrongMeasure(.unitsExpected) }
                cost = .zero
                break
            }
            do throws(PricingFailure) {
                let priced = try rule.price.priced(measure, attributes: attributes, used: used)
                self.priced = priced
                cost = priced.cost
                ruleID = rule.id
            } catch {
                switch error {
                case .noMatchingRow:
                    denial = .featureNotPriced
                    return
                case .wrongMeasure(let wrong): throw .wrongMeasure(wrong)
                case .outOfRange: throw .outOfRange
                }
            }
        }
        affordableUnits = affordable(request.demand, rule: rule, used: used, account)
        try judge(request.demand, account)
    }

    /// Compares the demand with quota, spend caps and credits; the first that does not suffice becomes the denial.
    private mutating func judge(_ demand: Demand, _ account: Account) throws(EntitlementFailure) {
        let cost = cost?.rawValue ?? 0
        if let quota, demand.units > quota.remaining {
            denial = .quotaExceeded
        } else if let tightestCap, cost > tightestCap.remaining {
            denial = .spendCapReached
        } else if cost > spendable {
            let shortfall = cost - spendable
            if !overage.isAllowed || shortfall > overage.room(beyond: account.overage.rawValue) ?? .max {
                denial = .insufficientCredits
            } else if account.balance.rawValue - cost < -Millicredits.limit
                || account.overage.rawValue + shortfall > Millicredits.limit
            {
                throw .outOfRange
            }
        }
    }

    private func affordable(
        _ demand: Demand, rule: MeteringRule?, used: PeriodUsage, _ account: Account
    ) -> Int64? {
        guard case .measured(_, let attributes) = demand else { return nil }
        var funds = min(spendable, Millicredits.limit)
        if overage.isAllowed {
            // The overage is also limited by the range of amounts.
            let room = min(
                overage.room(beyond: account.overage.rawValue) ?? Millicredits.limit,
                Millicredits.limit - account.overage.rawValue)
            funds = min(funds + room, account.balance.rawValue + Millicredits.limit)
        }
        if let tightestCap { funds = min(funds, tightestCap.remaining) }
        let ceiling = min(quota?.remaining ?? Millicredits.limit, Millicredits.limit)
        guard let rule else { return ceiling }
        return rule.price.affordableUnits(funds: funds, ceiling: ceiling, attributes: attributes, used: used)
    }
}

extension Feature {
    /// The quota of an end user: the override's, or the feature's if there is none.
    package func quota(_ override: FeatureGrant?) -> Quota? {
        if case .quota(let quota) = override { return quota }
        return quota
    }
}
