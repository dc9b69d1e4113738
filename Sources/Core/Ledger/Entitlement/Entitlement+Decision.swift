package import Catalogue
package import Credits
import Metering

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
            spendable: spendable ?? account.spendable(for: request.features),
            overage: account.overageTerms(catalogue), affordableUnits: 0, limits: [])
        guard request.features.count == 1 else {
            try entitlement.hold(request, account, catalogue, now: now)
            return entitlement
        }
        guard let known = catalogue.activeFeature(feature) else {
            entitlement.denial = .unknownFeature
            return entitlement
        }
        let access = account.access(to: feature, catalogue)
        guard access != .featureNotInPlan else {
            entitlement.denial = .featureNotInPlan
            return entitlement
        }
        switch known.type {
        case .boolean:
            entitlement.denial = access
            entitlement.affordableUnits = access == nil ? Millicredits.limit : 0
        case .limit:
            entitlement.limit = account.number(of: feature, catalogue)
            entitlement.affordableUnits = entitlement.limit ?? Millicredits.limit
            if let limit = entitlement.limit, request.demand.units > limit { entitlement.denial = .quotaExceeded }
            if let access {
                entitlement.denial = access
                entitlement.affordableUnits = 0
            }
        case .metered:
            entitlement.access = access
            try entitlement.meter(request, known, account, catalogue, now: now)
        }
        return entitlement
    }

    /// Decides a hold in credits over several features: every one must be open to the end user and metered, and every limit
    /// that covers one of them must have room.
    private mutating func hold(
        _ request: EntitlementRequest, _ account: Account, _ catalogue: Catalogue, now: Instant
    ) throws(EntitlementFailure) {
        affordableUnits = nil
        guard case .credits(let credits, let attributes) = request.demand else {
            throw .wrongMeasure(.creditsExpected)
        }
        var known: [Feature] = []
        for key in request.features {
            var reason: Denial?
            if let feature = catalogue.activeFeature(key) {
                let isPriced =
                    feature.type == .metered
                    && (account.rule(for: key, at: now, catalogue) != nil || account.hasQuota(feature, catalogue))
                reason = account.denial(of: key, isPriced: isPriced, catalogue)
                known.append(feature)
            } else {
                reason = .unknownFeature
            }
            if let reason, denial.map({ reason.isBefore($0) }) ?? true { (denial, deniedFeature) = (reason, key) }
        }
        guard denial == nil else { return }
        limits = account.limitStates(known, attributes, catalogue, now: now)
        cost = credits
        try judge(request, account)
    }

    private mutating func meter(
        _ request: EntitlementRequest, _ known: Feature, _ account: Account, _ catalogue: Catalogue, now: Instant
    ) throws(EntitlementFailure) {
        let rule = account.rule(for: known.key, at: request.occurredAt ?? now, catalogue)
        limits = account.limitStates([known], request.attributes, catalogue, now: now)
        let used = account.priorUsage(of: known.key, rule, request.attributes, catalogue, now: now)
        guard rule != nil || account.hasQuota(known, catalogue) else {
            denial = .featureNotPriced
            return
        }
        switch request.demand {
        case .credits(let credits, _):
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
                row = rule.price.row(for: attributes) ?? 0
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
        affordableUnits = affordable(request, rule: rule, used: used, account)
        try judge(request, account)
    }

    /// Compares the demand with the limits and the credits; the first that does not suffice becomes the denial.
    private mutating func judge(_ request: EntitlementRequest, _ account: Account) throws(EntitlementFailure) {
        let cost = cost?.rawValue ?? 0
        if let access {
            denial = access
            affordableUnits = affordableUnits.map { _ in 0 }
            return
        }
        if let limit = limits.failing(request, cost: cost, storedCounters: account.counters.storedCount) {
            denyingLimit = limit
            // A limit in credits that has room denies because the account has no place for its counter.
            let isReached = limit.limit.counted(request.demand, cost: cost) > limit.remaining
            denial = limit.limit.unit == .credits && isReached ? .spendCapReached : .quotaExceeded
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
        _ request: EntitlementRequest, rule: MeteringRule?, used: PriorUsage, _ account: Account
    ) -> Int64? {
        guard case .measured(_, let attributes) = request.demand else { return nil }
        var funds = min(spendable, Millicredits.limit)
        if overage.isAllowed {
            // The overage is also limited by the range of amounts.
            let room = min(
                overage.room(beyond: account.overage.rawValue) ?? Millicredits.limit,
                Millicredits.limit - account.overage.rawValue)
            funds = min(funds + room, account.balance.rawValue + Millicredits.limit)
        }
        var ceiling = Millicredits.limit
        var new = 0
        for state in limits {
            // A limit for whose counter the account has no place leaves nothing that it counts.
            if state.isNew, state.limit.unit != .concurrent || request.isReservation { new += 1 }
            let isFull = state.isNew && account.counters.storedCount + new > UsageCounters.maximumOpen
            let remaining = isFull ? 0 : state.remaining
            switch state.limit.unit {
            case .credits: funds = min(funds, remaining)
            // An event of units counts 0 in a limit of one dimension.
            case .units where state.limit.dimension == nil: ceiling = min(ceiling, remaining)
            case .units: break
            case .concurrent: if request.isReservation, state.remaining == 0 { ceiling = 0 }
            }
        }
        guard let rule else { return ceiling }
        return rule.price.affordableUnits(funds: funds, ceiling: ceiling, attributes: attributes, used: used)
    }
}
