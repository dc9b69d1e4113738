package import Catalogue
package import Credits
import Metering

/// A limit that was set on an end user.
package struct OwnLimit: Hashable, Sendable {
    /// Nil means that the limit with the key does not apply to the end user.
    package let limit: Limit?
    /// Rises whenever a limit is defined anew.
    package let generation: Int32

    package init(limit: Limit?, generation: Int32) {
        self.limit = limit
        self.generation = generation
    }
}

/// The question what an end user has used in a window, for a limit that is set within it.
package struct UsageQuery: Hashable, Sendable {
    package let limit: Limit
    /// The start of the window that is open. Entries and reservations from that instant on count.
    package let since: Instant
}

extension AccountDraft {
    /// Sets a limit or, with nil, lifts it. A limit that is defined anew counts what was used in its open window. One
    /// of which only the amount changes keeps its counters.
    mutating func setLimit(_ key: LimitKey, _ limit: Limit?, _ context: ActionContext) throws(Refusal) -> Outcome {
        for feature in (limit?.features ?? []).sorted() where context.catalogue.activeFeature(feature) == nil {
            throw .unknownFeature(feature)
        }
        if let feature = key.quotaFeature {
            guard context.catalogue.activeFeature(feature) != nil else { throw .unknownFeature(feature) }
            if let limit, limit.unit != .units || !limit.features.isSubset(of: [feature]) { throw .wrongQuota(key) }
        }
        let limit = limit?.of(key)
        let settings = account.settings
        let before = settings.limits[key]
        let countBefore = account.limits(context.catalogue).count
        let appliedBefore = account.applied(key, context.catalogue)
        let keepsCounters = before?.limit != nil && before?.limit == limit?.with(amount: before?.limit?.amount ?? 0)
        if !keepsCounters { account.settings.limitGeneration += 1 }
        let generation = keepsCounters ? before?.generation ?? 0 : account.settings.limitGeneration
        let own = OwnLimit(limit: limit, generation: generation)
        account.settings.limits[key] = own
        let count = account.limits(context.catalogue).count
        let applied = account.applied(key, context.catalogue)
        let isTooMany =
            count > max(Limit.maximumCount, countBefore) || account.settings.limits.count > 2 * Limit.maximumCount
        guard !isTooMany, keepsCounters || applied.map({ hasRoomForUsage(before: $0, context) }) ?? true else {
            account.settings = settings
            throw isTooMany ? .tooMany(.limits) : .tooMany(.counters)
        }
        if !keepsCounters, let appliedBefore { stopCounting(appliedBefore) }
        if let applied, !keepsCounters { self.count(usageBefore: applied, context) }
        let state = applied.map { account.state(of: $0, value: nil, context.catalogue, now: context.now) }
        return .limitSet(key, state, created: before == nil)
    }

    mutating func deleteLimit(_ key: LimitKey, _ context: ActionContext) throws(Refusal) -> Outcome {
        guard account.settings.limits[key] != nil else { throw .unknownLimit(key) }
        if let applied = account.applied(key, context.catalogue) { stopCounting(applied) }
        account.settings.limits[key] = nil
        return .limitDeleted
    }

    /// Takes a limit that ends out of the counts of the active reservations, so that these do not grow with every
    /// definition.
    mutating func stopCounting(_ applied: AppliedLimit) {
        for var reservation in account.reservations {
            let id = applied.counterID(value: applied.value(in: reservation.estimate.attributes))
            guard reservation.counts.contains(where: { $0.counter == id }) else { continue }
            reservation.counts.removeAll { $0.counter == id }
            account.set(reservation, into: &recorder)
        }
    }

    /// Whether the account has place for the counters of the usage before a limit was set.
    func hasRoomForUsage(before applied: AppliedLimit, _ context: ActionContext) -> Bool {
        guard let query = applied.limit.usageQuery(context.catalogue, now: context.now) else { return true }
        let values = history.usage[query]?.count ?? 0
        return values + account.reservations.count <= UsageCounters.maximumOpen - account.counters.storedCount
            || values <= 1
    }

    /// Counts the usage in the open window of a limit before it was set. Active reservations of that window count on
    /// as if the limit had been there when they were made.
    mutating func count(usageBefore applied: AppliedLimit, _ context: ActionContext) {
        let limit = applied.limit
        guard limit.anchor == .calendar else { return }
        let window = limit.newWindow(at: context.now, in: context.catalogue.config.zone)
        var usage: [String?: Int64] = [:]
        if let query = limit.usageQuery(context.catalogue, now: context.now) { usage = history.usage[query] ?? [:] }
        // The reservations that have lapsed in this batch were active when the usage of before was read.
        let lapsed = recorder.changedReservations.values.filter { $0.status != .active }
        for var reservation in Array(account.reservations) + lapsed {
            let attributes = reservation.estimate.attributes
            guard window.contains(reservation.createdAt), limit.covers(reservation.featureKey, attributes) else {
                continue
            }
            let value = applied.value(in: attributes)
            let amount = reservation.counted(by: limit.unit, limit.dimension, committed: nil)
            usage[value] = usage[value, default: 0].addingSaturated(amount)
            guard reservation.status == .active else { continue }
            reservation.counts.append(
                ReservationCount(
                    counter: applied.counterID(value: value), unit: limit.unit, dimension: limit.dimension,
                    window: window))
            account.set(reservation, into: &recorder)
        }
        for (value, amount) in usage {
            account.counters.count(amount, applied.counterID(value: value), used: 0, in: window)
        }
    }
}

extension Limit {
    /// The limit as it counts under a key: one with a quota's key is for that feature.
    func of(_ key: LimitKey) -> Limit {
        guard let feature = key.quotaFeature else { return self }
        return Limit(
            unit: unit, amount: amount, window: window, anchor: anchor, features: [feature], match: match, per: per,
            dimension: dimension)
    }

    /// The past usage that a limit counts which is set now; nil for one whose window opens with the first use after that,
    /// and for one of reservations, which the account has.
    func usageQuery(_ catalogue: Catalogue, now: Instant) -> UsageQuery? {
        guard unit != .concurrent, anchor == .calendar else { return nil }
        return UsageQuery(limit: with(amount: 0), since: newWindow(at: now, in: catalogue.config.zone).start)
    }
}

extension Account {
    /// The limit of a spend cap.
    func applied(cap number: Int32) -> AppliedLimit? {
        ownLimits.first { if case .cap(let cap) = $0.face { cap.number == number } else { false } }
    }

    /// The limit with a key, if it applies to the end user.
    package func applied(_ key: LimitKey, _ catalogue: Catalogue) -> AppliedLimit? {
        limits(catalogue).first { $0.key == key }
    }
}
