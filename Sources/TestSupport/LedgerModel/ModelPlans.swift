package import Credits

// The features, prices and limits of an end user's running subscriptions.

extension ModelLedger {
    /// The subscriptions that have begun and not ended: `base` first, then by slot.
    package var running: [ModelSubscription] {
        subscriptions.filter(\.isRunning).sorted { left, right in
            (left.slot == "base" ? 0 : 1, left.slot) < (right.slot == "base" ? 0 : 1, right.slot)
        }
    }

    /// The terms of a subscription.
    package func variant(of subscription: ModelSubscription) -> ModelVariant {
        catalogue.variants[subscription.variant] ?? ModelVariant()
    }

    /// Whether the subscription's state permits the use of what it gives.
    func permits(_ subscription: ModelSubscription) -> Bool {
        switch subscription.status {
        case .trialing, .active: true
        case .pastDue: variant(of: subscription).allowsUsageWhileOverdue
        default: false
        }
    }

    /// The reason for which the plans of the end user deny a feature; nil if they do not.
    func planReason(_ feature: String) -> String? {
        if let override = overrides[feature] { return override == .enabled(false) ? "feature_not_in_plan" : nil }
        // The latest version of a variant lists features, also when it is archived.
        let latest = catalogue.variants.values.filter { $0.newer == nil }
        guard latest.contains(where: { $0.features[feature] != nil }) else { return nil }
        let including = running.filter { subscription in
            variant(of: subscription).features[feature].map { $0 != .enabled(false) } ?? false
        }
        if including.contains(where: permits) { return nil }
        guard let first = including.first else { return "feature_not_in_plan" }
        return first.status == .paused ? "subscription_paused" : "subscription_past_due"
    }

    /// The number of a feature of kind `limit`; nil if nobody states one.
    func number(of feature: String) -> Int64? {
        if case .limit(let number) = overrides[feature] { return number }
        for subscription in running {
            if case .limit(let number) = variant(of: subscription).features[feature] { return number }
        }
        return nil
    }

    /// The quotas of a feature: that of the override, or those of the variants, or the feature's own.
    func quotas(of feature: String) -> [(quota: Quota, slot: String?)] {
        guard let known = catalogue.features[feature], known.kind == .metered else { return [] }
        if case .quota(let quota) = overrides[feature] { return [(quota, nil)] }
        let ofVariants = running.compactMap { subscription -> (quota: Quota, slot: String?)? in
            guard case .quota(let quota) = variant(of: subscription).features[feature] else { return nil }
            return (quota, subscription.slot)
        }
        return ofVariants.isEmpty ? known.quota.map { [($0, nil)] } ?? [] : ofVariants
    }

    /// The limits of the running subscriptions' variants that no limit of the end user replaces.
    var variantLimits: [Applied] {
        running.flatMap { subscription in
            variant(of: subscription).limits.sorted { $0.key < $1.key }.compactMap { key, stated -> Applied? in
                if limits[key] != nil { return nil }
                var limit = stated.limit
                if stated.isPerQuantity { limit.amount = Self.product(limit.amount, subscription.quantity) }
                var applied = Applied(key: key, limit: limit, defined: nil)
                applied.isOfVariant = true
                applied.slot = subscription.slot
                return applied
            }
        }
    }

    /// The starts of the running subscriptions, by slot.
    var starts: [String: Instant] {
        Dictionary(running.map { ($0.slot, $0.begunAt) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: - Prices

    /// The version of the price rule in force at an instant: that of the first running subscription whose variant has
    /// one, or the feature's own.
    ///
    /// The versions of variant `n` are `n × 1,000 + 1`, `n × 1,000 + 2` and so on.
    package func version(of feature: String, at instant: Instant) -> Int? {
        for subscription in running {
            // Prices belong to the variant, whatever its version.
            let first = catalogue.firstVersion(of: subscription.variant)
            let rules = catalogue.variants[first]?.prices[feature] ?? []
            if let place = rules.lastIndex(where: { $0.from <= instant }) { return first * 1_000 + place + 1 }
        }
        return catalogue.features[feature]?.version(at: instant)
    }

    /// The price of a version that `version(of:at:)` names.
    package func price(of feature: String, version: Int) -> ModelPrice? {
        if version > 1_000 {
            return catalogue.variants[version / 1_000]?.prices[feature]?[version % 1_000 - 1].price
        }
        return catalogue.features[feature]?.prices[version - 1].price
    }

    /// The start of the window in which period tiers fill now: that of the period of the first running subscription,
    /// or of the UTC month.
    var tierStart: Instant {
        guard let first = running.first else { return ModelWindow.month.around(now, in: .utc).start }
        return tierStart(of: first, at: first.pausedAt ?? now)
    }

    /// The start of the open window of a subscription's tiers. One that was open in a pause goes on from where it began.
    func tierStart(of subscription: ModelSubscription, at instant: Instant) -> Instant {
        let boundary = lastBoundary(of: subscription, at: instant)
        return subscription.tierStarts[boundary] ?? boundary
    }

    /// The start of the period. In grace the unpaid periods follow each other.
    func lastBoundary(of subscription: ModelSubscription, at instant: Instant) -> Instant {
        var period = subscription
        guard period.innerStatus == .pastDue else { return period.start }
        let interval = variant(of: period).interval
        if period.index == 0 || period.interval != interval {
            (period.anchor, period.boundary, period.interval) = (period.end, 0, interval)
        }
        repeat {
            period.start = period.end
            setEnd(&period)
        } while period.end <= instant
        return period.start
    }

    /// The first running postpaid subscription, whose summary has the usage of now.
    var biller: ModelSubscription? { running.first { variant(of: $0).isPostpaid } }

    /// Takes note of usage for the summary of a postpaid subscription.
    mutating func bill(_ feature: String, units: Int64, cost: Int64) {
        guard let biller else { return }
        bills.append(Bill(subscription: biller.number, usage: Usage(feature: feature, units: units, cost: cost)))
    }

    // MARK: - Frozen credits

    /// The subscription that gave a block, if it still lives.
    func liveSubscription(of block: Block) -> ModelSubscription? {
        block.subscription.map { subscriptions[$0 - 1] }.flatMap { $0.isFinal ? nil : $0 }
    }

    /// Whether a block is unspendable because of the state of its subscription.
    func isFrozen(_ block: Block) -> Bool {
        liveSubscription(of: block).map { !permits($0) } ?? false
    }

    /// The available credits of blocks that are frozen.
    package var frozen: Int64 { available.filter { isFrozen($0.block) }.reduce(0) { $0 + $1.amount } }

    /// Whether a block has expired by an instant. Time stands still for the blocks of a paused subscription, and the
    /// turn of a period, trial or grace itself ends the blocks that end with it.
    func isOver(_ block: Block, at instant: Instant) -> Bool {
        guard let expiry = block.expiresAt, expiry <= instant else { return false }
        guard let subscription = liveSubscription(of: block) else { return true }
        if let pausedAt = subscription.pausedAt { return expiry <= pausedAt }
        return !(block.endsWithPeriod && expiry == subscription.deadline)
    }

    // MARK: - Overage

    /// The first running subscription that names an overage policy.
    var policySubscription: ModelSubscription? { running.first { variant(of: $0).policy != nil } }

    /// Whether a postpaid subscription reports the overage at its period's end, so that credits do not pay it.
    func reportsOverage(_ subscription: ModelSubscription) -> Bool {
        variant(of: subscription).isPostpaid && policy == nil && policySubscription?.number == subscription.number
    }

    static func product(_ amount: Int64, _ quantity: Int64) -> Int64 {
        let (product, overflows) = amount.multipliedReportingOverflow(by: quantity)
        return overflows ? .max : product
    }
}
