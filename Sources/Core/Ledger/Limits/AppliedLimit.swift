package import Catalogue
package import Credits

package import Metering

/// A limit that applies to an end user.
package struct AppliedLimit: Hashable, Sendable {
    /// The thing that the limit was set on.
    package enum Source: String, Sendable {
        case feature
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
    /// The instant from which a feature's quota counts, if it is known; nil for a limit of an end user, which counts its
    /// whole window.
    package var since: Instant?

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
        return metered.sorted { $0.key < $1.key }.compactMap { quotaLimit(of: $0) } + ownLimits
    }

    /// The limits that may cover an event of a feature, or a reservation of several.
    func limits(covering features: [Feature]) -> [AppliedLimit] {
        features.isEmpty ? [] : features.compactMap { quotaLimit(of: $0) } + ownLimits
    }

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

    /// The quota of a metered feature: the end user's own limit with its key, else the override's, else the feature's.
    private func quotaLimit(of feature: Feature) -> AppliedLimit? {
        let key = LimitKey(quotaOf: feature.key)
        func applied(_ limit: Limit, _ source: AppliedLimit.Source, _ generation: Int32 = 0) -> AppliedLimit {
            AppliedLimit(key: key, limit: limit, source: source, face: .quota(feature.key), generation: generation)
        }
        if let own = settings.limits[key] { return own.limit.map { applied($0, .endUser, own.generation) } }
        if case .quota(let quota)? = settings.overrides[feature.key] {
            return applied(Limit(quota, of: feature.key), .endUser)
        }
        var quota = feature.quota.map { applied(Limit($0, of: feature.key), .feature) }
        quota?.since = feature.quotaSince
        return quota
    }

    /// Whether a feature has a quota, also one that the end user's own limit has lifted: it may be used without a price.
    func hasQuota(_ feature: Feature) -> Bool {
        if case .quota? = settings.overrides[feature.key] { return true }
        return feature.quota != nil || settings.limits[LimitKey(quotaOf: feature.key)] != nil
    }

    /// The states of the limits that cover an event: the quota first, then spend caps, then limits by key.
    ///
    /// - Precondition: The counters that `counterIDs` names were loaded.
    func limitStates(
        _ features: [Feature], _ attributes: Attributes, _ catalogue: Catalogue, now: Instant
    ) -> [LimitState] {
        limits(covering: features).filter { applied in
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
        var window = applied.limit.newWindow(at: now, in: catalogue.config.zone)
        var used: Int64 = 0
        if let counter {
            if counter.window.contains(now) {
                // An open window ends when it would have ended, also when the zone has changed since.
                (window, used) = (counter.window, counter.used)
            } else if applied.limit.anchor == .calendar, window.contains(counter.window.end) {
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
        return limits(covering: [known]).compactMap { $0.counterID(of: [feature], attributes) }
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
