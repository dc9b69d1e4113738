import Catalogue
package import Credits
package import Metering

/// One metered event.
package struct UsageEvent: Hashable, Sendable {
    /// The maximum age of an event.
    package static let maximumAgeSeconds: Int64 = 35 * 86_400
    /// The maximum time by which an event may be ahead of the account's clock.
    package static let maximumLeadSeconds: Int64 = 5 * 60

    package var featureKey: FeatureKey
    package var measure: Measure
    package var attributes: Attributes
    /// Nil means the instant at which the ledger applies the event.
    package var occurredAt: Instant?
    package var metadata: Metadata?

    package init(
        featureKey: FeatureKey, measure: Measure, attributes: Attributes = .none, occurredAt: Instant? = nil,
        metadata: Metadata? = nil
    ) {
        self.featureKey = featureKey
        self.measure = measure
        self.attributes = attributes
        self.occurredAt = occurredAt
        self.metadata = metadata
    }

    /// An event of a number of units, which must not be negative.
    package init(featureKey: FeatureKey, units: Int64, occurredAt: Instant? = nil, metadata: Metadata? = nil) {
        self.init(featureKey: featureKey, measure: .units(units), occurredAt: occurredAt, metadata: metadata)
    }
}

extension AccountDraft {
    mutating func apply(_ event: UsageEvent, _ context: ActionContext) throws(Refusal) -> Outcome {
        let now = context.now
        let occurredAt = event.occurredAt ?? now
        if occurredAt < now.adding(seconds: -UsageEvent.maximumAgeSeconds) {
            throw .occurredTooLongAgo(occurredAt, now: now)
        }
        if occurredAt > now.adding(seconds: UsageEvent.maximumLeadSeconds) {
            throw .occursInTheFuture(occurredAt, now: now)
        }
        let demand = Demand.measured(event.measure, event.attributes)
        let entitlement = try admit(
            EntitlementRequest(feature: event.featureKey, demand: demand, occurredAt: occurredAt), context)
        let cost = entitlement.cost?.rawValue ?? 0
        let (allocations, shortfall) = account.burn(cost) { $0.isOpen(to: event.featureKey) }
        var cause = EntryCause(feature: event.featureKey, demand: demand, ruleID: entitlement.ruleID)
        cause.idempotencyKey = context.idempotencyKey
        cause.metadata = event.metadata
        let entry = post(
            Posting(
                .use, amount: -cost, overageDelta: shortfall, allocations: allocations, cause: cause,
                effectiveAt: occurredAt), now: now)
        count(demand, cost: cost, against: entitlement.limits)
        account.bill(event.featureKey, units: demand.units, cost: cost, context.catalogue)
        if let priced = entitlement.priced, let ruleID = entitlement.ruleID {
            let period = account.tierPeriod(at: now, context.catalogue)
            account.counters.count(priced.periodUnits, feature: event.featureKey, in: period)
            for (dimension, remainder) in priced.remainders {
                account.counters.carry(
                    remainder, UsageCounters.remainder(ruleID, row: entitlement.row, dimension))
            }
        }
        tellLimits(entitlement.limits, context)
        return .used(entry, account.balances)
    }

    /// Decides a use by the function that answers checks; throws the refusal of a denial.
    func admit(_ request: EntitlementRequest, _ context: ActionContext) throws(Refusal) -> Entitlement {
        let entitlement: Entitlement
        do throws(EntitlementFailure) {
            entitlement = try Entitlement.decide(
                account: account, catalogue: context.catalogue, request: request, now: context.now)
        } catch {
            switch error {
            case .outOfRange: throw .amountOutOfRange(field: request.demand.field)
            case .wrongMeasure(let wrong): throw .wrongMeasure(wrong)
            }
        }
        // Only metered features can be used or reserved.
        if request.features.count == 1, let feature = context.catalogue.activeFeature(request.feature),
            feature.type != .metered, entitlement.denial != .featureNotInPlan
        {
            throw .featureNotPriced(request.feature)
        }
        if let refusal = entitlement.refusal(request, account: account) { throw refusal }
        return entitlement
    }

    /// Counts an admitted use, in the windows that the decision read. Uses count in no limit of reservations.
    private mutating func count(_ demand: Demand, cost: Int64, against limits: [LimitState]) {
        for state in limits where state.limit.unit != .concurrent {
            let amount = state.limit.counted(demand, cost: cost)
            account.counters.count(amount, in: state)
        }
    }
}

extension Entitlement {
    /// The refusal of a mutation that the denial causes; nil if the use is allowed.
    fileprivate func refusal(_ request: EntitlementRequest, account: Account) -> Refusal? {
        let required = cost?.rawValue ?? 0
        let insufficient = Refusal.insufficientCredits(
            effectiveBalance: account.balances.effective, spendable: spendable, required: required)
        switch denial {
        case nil: return nil
        case .unknownFeature: return .unknownFeature(deniedFeature ?? request.feature)
        case .featureNotInPlan: return .featureNotInPlan(deniedFeature ?? request.feature)
        case .featureNotPriced: return .featureNotPriced(deniedFeature ?? request.feature)
        case .subscriptionPaused: return .subscriptionPaused(deniedFeature ?? request.feature)
        case .subscriptionPastDue: return .subscriptionPastDue(deniedFeature ?? request.feature)
        case .quotaExceeded, .spendCapReached:
            guard let denyingLimit else { return insufficient }
            let amount = denyingLimit.limit.counted(request.demand, cost: required)
            // The account has no place for another counter.
            guard amount > denyingLimit.remaining else { return .tooMany(.counters) }
            return .limitReached(request.feature, denyingLimit, required: required)
        case .insufficientCredits: return insufficient
        }
    }
}

extension Demand {
    /// The request's field that contains the amount.
    var field: String {
        switch self {
        case .measured(.units, _): "units"
        case .measured(.quantities, _): "quantities"
        case .credits: "credits"
        }
    }
}

extension EntryCause {
    /// The cause of an entry for an event or a job.
    init(feature: FeatureKey, demand: Demand, ruleID: PublicID?, reservation: Int32? = nil) {
        self.init(featureKey: feature, ruleID: ruleID, reservation: reservation)
        measure(demand)
    }

    /// Adds the measure and the attributes of an event or a job.
    mutating func measure(_ demand: Demand) {
        details.attributes = demand.attributes
        guard case .measured(let measure, _) = demand else { return }
        switch measure {
        case .units(let units): self.units = units
        case .quantities(let quantities):
            details.quantities = quantities
            // An entry stores no empty quantities. Without a measure it would look like one in credits, and a limit that
            // is set later would count the estimate of its job.
            if quantities.isEmpty { units = 0 }
        }
    }
}
