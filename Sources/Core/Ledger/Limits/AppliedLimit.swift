package import Catalogue
package import Credits

package import Metering

/// A limit that applies to an end user.
package struct AppliedLimit: Hashable, Sendable {
    /// The thing that the limit was set on.
    package enum Source: String, Sendable {
        case feature
        case variant
        case endUser = "end_user"
    }

    /// The endpoint that the limit was set with.
    package enum Face: Hashable, Sendable {
        case quota(FeatureKey)
        case cap(SpendCap)
        case limit
    }

    package let key: LimitKey
    package let limit: Limit
    package let source: Source
    package let face: Face
    /// Rises whenever the limit of an end user is defined anew, so that its counters begin anew.
    let generation: Int32
    /// The slot of the subscription whose variant has the limit; nil for every other limit.
    var slot: PlanSlot?
    /// The start of the subscription from which windows of that anchor are counted; nil without one.
    var subscribedAt: Instant?
    /// The instant from which the limit of a feature or a variant counts, if it is known; nil for a limit of an end user,
    /// which counts its whole window.
    package var since: Instant?

    /// The window at an instant for which nothing has been counted yet.
    func newWindow(at now: Instant, in zone: ZoneRules) -> TimeWindow {
        limit.newWindow(at: now, from: subscribedAt, in: zone)
    }

    /// The value of the attribute that the limit counts apart, in the form in which answers show it; nil when the limit
    /// counts all together or the attributes have none.
    func value(in attributes: Attributes) -> String? {
        guard let per = limit.per, let value = attributes.values[per] else { return nil }
        return value.text
    }

    /// The counter of a value of `per`.
    func counterID(value: String?) -> CounterID {
        var name = key.rawValue
        if case .cap(let cap) = face { name = "cap:\(cap.number)" }
        // Equal limits of subscriptions in two slots have counters of their own. No key has a slash. The quota of a
        // variant in the slot `base` goes on counting where the feature's has.
        let isBaseQuota = if case .quota = face { slot == .base } else { false }
        if let slot, !isBaseQuota { name = "\(slot.rawValue)/\(name)" }
        var parts = [name, limit.unit.rawValue, limit.window?.text ?? "", limit.anchor.rawValue, "\(generation)"]
        if let value { parts.append(value) }
        return CounterID(parts)
    }
}

extension AttributeValue {
    /// A string as it is, another value as its JSON text.
    package var text: String {
        switch self {
        case .string(let text): text
        case .integer(let integer): "\(integer)"
        case .boolean(let boolean): boolean ? "true" : "false"
        }
    }
}

/// A limit that covers an event, with the state of its counter.
package struct LimitState: Hashable, Sendable {
    package let applied: AppliedLimit
    /// The value of `per` that the counter belongs to; nil for null and for a limit without `per`.
    package let value: String?
    package let counter: CounterID
    /// The open window, or the one that a first use would open now.
    package let window: TimeWindow
    /// In units, millicredits or reservations.
    package let used: Int64
    /// Whether the counter would be one more in the account.
    let isNew: Bool
    /// Whether a job is compared whose window is over.
    var isOver = false

    package var limit: Limit { applied.limit }

    /// Never negative, even if a job used more than it was admitted for.
    package var remaining: Int64 { max(0, limit.amount - used) }

    /// The end of the window; nil for a limit without windows, and for a window that is over.
    package var resetsAt: Instant? { limit.window == nil || isOver ? nil : window.end }
}

extension Account {
    /// The limits that apply to the end user, for whatever feature: quotas by feature, spend caps, and limits by key.
    /// Costs a walk over the features of the catalogue.
    package func limits(_ catalogue: Catalogue) -> [AppliedLimit] {
        let metered = catalogue.features.values.filter { $0.type == .metered && !$0.isArchived }
        return limits(covering: metered.sorted { $0.key < $1.key }, catalogue)
    }

    /// The limits that may cover an event of a feature, or a reservation of several.
    func limits(covering features: [Feature], _ catalogue: Catalogue) -> [AppliedLimit] {
        guard !features.isEmpty else { return [] }
        return features.flatMap { quotaLimits(of: $0, catalogue) } + keyedLimits(catalogue)
    }

    /// The end user's spend caps, and the limits by key: those of the end user and those of its variants that the end user
    /// has no limit of the same key for.
    func keyedLimits(_ catalogue: Catalogue) -> [AppliedLimit] {
        guard !subscriptions.isEmpty else { return ownLimits }
        let start = subscribedAt
        var own = ownLimits
        for index in own.indices { own[index].subscribedAt = start }
        var ofVariants: [AppliedLimit] = []
        for subscription in inSlotOrder where subscription.status != .scheduled {
            guard let terms = catalogue.variant(subscription.variant)?.terms else { continue }
            for (key, variantLimit) in terms.limits where settings.limits[key] == nil {
                let amount =
                    variantLimit.isPerQuantity
                    ? variantLimit.limit.amount(times: subscription.quantity) : variantLimit.limit.amount
                ofVariants.append(
                    applied(key, variantLimit.limit.with(amount: amount), face: .limit, of: subscription))
            }
        }
        guard !ofVariants.isEmpty else { return own }
        let caps = own.prefix { if case .cap = $0.face { true } else { false } }
        let limits = (own.dropFirst(caps.count) + ofVariants).sorted { left, right in
            left.key == right.key ? left.slot ?? .base < right.slot ?? .base : left.key < right.key
        }
        return caps + limits
    }

    /// A limit of the variant of a subscription.
    private func applied(
        _ key: LimitKey, _ limit: Limit, face: AppliedLimit.Face, of subscription: Subscription
    ) -> AppliedLimit {
        AppliedLimit(
            key: key, limit: limit, source: .variant, face: face, generation: 0, slot: subscription.slot,
            subscribedAt: subscription.startsAt, since: subscription.termsSince)
    }

    /// The start of the first subscription by slot that has started; nil without one.
    var subscribedAt: Instant? { inSlotOrder.first { $0.status != .scheduled }?.startsAt }

    /// The end user's spend caps, in the order of their creation, and limits, by key.
    var ownLimits: [AppliedLimit] {
        let caps = settings.caps.map { cap in
            AppliedLimit(
                key: LimitKey(cap: cap.number, of: id), limit: cap.limit, source: .endUser, face: .cap(cap),
                generation: 0)
        }
        let limits = settings.limits.sorted { $0.key < $1.key }.compactMap { key, own -> AppliedLimit? in
            guard let limit = own.limit, key.quotaFeature == nil else { return nil }
            return AppliedLimit(
                key: key, limit: limit, source: .endUser, face: .limit, generation: own.generation)
        }
        return caps + limits
    }

    /// The quotas of a metered feature: the end user's own limit with its key, else the override's, else those of the
    /// variants, else the feature's. Only variants can make it several.
    private func quotaLimits(of feature: Feature, _ catalogue: Catalogue) -> [AppliedLimit] {
        let key = LimitKey(quotaOf: feature.key)
        func applied(_ limit: Limit, _ source: AppliedLimit.Source, _ generation: Int32 = 0) -> AppliedLimit {
            AppliedLimit(
                key: key, limit: limit, source: source, face: .quota(feature.key), generation: generation,
                subscribedAt: subscriptions.isEmpty ? nil : subscribedAt)
        }
        if let own = settings.limits[key] {
            return own.limit.map { [applied($0, .endUser, own.generation)] } ?? []
        }
        if case .quota(let quota)? = settings.overrides[feature.key] {
            return [applied(Limit(quota, of: feature.key), .endUser)]
        }
        let ofVariants = variantQuotas(of: feature.key, catalogue)
        guard ofVariants.isEmpty else {
            return ofVariants.map { subscription, quota in
                self.applied(key, Limit(quota, of: feature.key), face: .quota(feature.key), of: subscription)
            }
        }
        guard let quota = feature.quota else { return [] }
        var limit = applied(Limit(quota, of: feature.key), .feature)
        limit.since = feature.quotaSince
        return [limit]
    }

    /// The quotas that the variants of the subscriptions state for a feature, in the order of slots.
    private func variantQuotas(
        of feature: FeatureKey, _ catalogue: Catalogue
    ) -> [(subscription: Subscription, quota: Quota)] {
        guard !subscriptions.isEmpty else { return [] }
        return inSlotOrder.filter { $0.status != .scheduled }.compactMap { subscription in
            guard case .quota(let quota)? = catalogue.variant(subscription.variant)?.terms.features[feature] else {
                return nil
            }
            return (subscription, quota)
        }
    }

    /// Whether a feature has a quota, also one that the end user's own limit has lifted: it may be used without a price.
    func hasQuota(_ feature: Feature, _ catalogue: Catalogue) -> Bool {
        if case .quota? = settings.overrides[feature.key] { return true }
        return feature.quota != nil || settings.limits[LimitKey(quotaOf: feature.key)] != nil
            || !variantQuotas(of: feature.key, catalogue).isEmpty
    }

    /// The states of the limits that cover an event: the quota first, then spend caps, then limits by key.
    ///
    /// - Precondition: The counters that `counterIDs` names were loaded.
    func limitStates(
        _ features: [Feature], _ attributes: Attributes, _ catalogue: Catalogue, now: Instant
    ) -> [LimitState] {
        limits(covering: features, catalogue).filter { applied in
            features.contains { applied.limit.covers($0.key, attributes) }
        }.map { applied in
            state(of: applied, value: applied.value(in: attributes), catalogue, now: now)
        }
    }

    /// The state of a limit's counter.
    package func state(
        of applied: AppliedLimit, value: String?, _ catalogue: Catalogue, now: Instant
    ) -> LimitState {
        let id = applied.counterID(value: value)
        let counter = counters[id]
        var window = applied.newWindow(at: now, in: catalogue.config.zone)
        var used: Int64 = 0
        if let counter {
            if counter.window.contains(now) {
                // An open window ends when it would have ended, also when the zone has changed since.
                (window, used) = (counter.window, counter.used)
            } else if applied.limit.anchor != .firstUse, window.contains(counter.window.end) {
                window = TimeWindow(start: counter.window.end, end: window.end)
            }
        }
        return LimitState(
            applied: applied, value: value, counter: id, window: window, used: used, isNew: counter == nil)
    }

    /// The counters that a decision on an event needs: those of the limits that cover it, and those of its price.
    package func counterIDs(
        for feature: FeatureKey, _ attributes: Attributes, _ rule: MeteringRule?, _ catalogue: Catalogue
    ) -> [CounterID] {
        guard let known = catalogue.activeFeature(feature), known.type == .metered else { return [] }
        return limits(covering: [known], catalogue).compactMap { $0.counterID(of: [feature], attributes) }
            + (rule.map { UsageCounters.priced(by: $0, feature, attributes) } ?? [])
    }
}

extension Limit {
    init(_ quota: Quota, of feature: FeatureKey) {
        self.init(
            unit: .units, amount: quota.limit, window: quota.window, anchor: quota.anchor, features: [feature])
    }
}

extension [LimitState] {
    /// The limit that a use does not fit; nil when it fits all.
    ///
    /// - Parameter storedCounters: The number of counters that the account has.
    func failing(_ request: EntitlementRequest, cost: Int64, storedCounters: Int) -> LimitState? {
        var new = 0
        return filter { state in
            guard state.limit.unit != .concurrent || request.isReservation else { return false }
            let amount = state.limit.counted(request.demand, cost: cost)
            if state.isNew, amount > 0 { new += 1 }
            let isFull = state.isNew && amount > 0 && storedCounters + new > UsageCounters.maximumOpen
            return amount > state.remaining || isFull
        }.named
    }

    /// The one of several failing limits that a denial names; nil when there is none.
    ///
    /// Limits of units and of reservations come before those of credits. Of several, the one that resets last is
    /// named, and one without windows before all; of those that reset at one instant, the one with the smaller key.
    var named: LimitState? { self.min { $0.isNamed(before: $1) } }
}

extension LimitState {
    fileprivate func isNamed(before other: LimitState) -> Bool {
        let (isCredits, isOtherCredits) = (limit.unit == .credits, other.limit.unit == .credits)
        if isCredits != isOtherCredits { return isOtherCredits }
        if window.end != other.window.end { return window.end > other.window.end }
        return applied.key < other.applied.key
    }
}
