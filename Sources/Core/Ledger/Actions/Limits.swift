package import Catalogue
package import Credits
package import Metering

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
        let keepsCounters = before?.limit != nil && before?.limit?.counted == limit?.counted
        if !keepsCounters { account.settings.limitGeneration += 1 }
        let generation = keepsCounters ? before?.generation ?? 0 : account.settings.limitGeneration
        let own = OwnLimit(limit: limit, generation: generation)
        account.settings.limits[key] = own
        let count = account.limits(context.catalogue).count
        let applied = account.applied(key, context.catalogue)
        let isTooMany =
            count > max(Limit.maximumCount, countBefore) || account.settings.limits.count > 2 * Limit.maximumCount
        let fits = keepsCounters || applied.map { hasRoom(for: $0, replacing: before, context) } ?? true
        guard !isTooMany, fits else {
            account.settings = settings
            throw isTooMany ? .tooMany(.limits) : .tooMany(.counters)
        }
        if !keepsCounters, let before, before.limit != nil { end(before) }
        if let applied, !keepsCounters { self.count(usageBefore: applied, context) }
        let state = applied.map { account.state(of: $0, value: nil, context.catalogue, now: context.now) }
        return .limitSet(key, state, created: before == nil)
    }

    mutating func deleteLimit(_ key: LimitKey, _ context: ActionContext) throws(Refusal) -> Outcome {
        guard let before = account.settings.limits[key] else { throw .unknownLimit(key) }
        if before.limit != nil { end(before) }
        account.settings.limits[key] = nil
        return .limitDeleted
    }

    /// Ends a definition of a limit: takes it out of the counts of the active reservations, and deletes its counters.
    private mutating func end(_ own: OwnLimit) {
        stopCounting { $0.generation == own.generation }
        removeCounters(of: own.generation)
    }

    /// Takes a limit out of the counts of the active reservations.
    mutating func stopCounting(_ isOfLimit: (ReservationCount) -> Bool) {
        for var reservation in account.reservations where reservation.counts.contains(where: isOfLimit) {
            reservation.counts.removeAll(where: isOfLimit)
            account.set(reservation, into: &recorder)
        }
    }

    /// The usage in the open window of a limit before it is set, by counter. Active reservations of that window count as if
    /// the limit had been there when they were made.
    private func usage(before applied: AppliedLimit, _ context: ActionContext) -> PriorCounts {
        let limit = applied.limit
        guard limit.anchor != .firstUse else { return PriorCounts() }
        let window = applied.newWindow(at: context.now, in: context.catalogue.config.zone)
        var counts = PriorCounts()
        if let query = limit.usageQuery(
            from: applied.subscribedAt, context.catalogue, now: context.now)
        {
            for (value, amount) in history.usage[query] ?? [:] {
                counts.add(amount, applied.counterID(value: value?.text))
            }
        }
        // The reservations that have lapsed in this batch were active when the earlier usage was read.
        let lapsed = recorder.changedReservations.values.filter { $0.status != .active }
        for reservation in Array(account.reservations) + lapsed where window.contains(reservation.createdAt) {
            guard let id = applied.counterID(of: reservation.featureKeys, reservation.estimate.attributes) else {
                continue
            }
            counts.add(reservation.counted(by: limit, committed: nil), id)
            guard reservation.status == .active else { continue }
            counts.reservations[reservation.number] = ReservationCount(
                id, applied, in: window, of: reservation.featureKeys)
        }
        return counts
    }

    /// Whether the account has place for the counters with which a limit begins, beside those of the limits that stay.
    private func hasRoom(
        for applied: AppliedLimit, replacing before: OwnLimit?, _ context: ActionContext
    ) -> Bool {
        let freed = before.map { $0.limit == nil ? 0 : counters(of: $0.generation) } ?? 0
        let stored = account.counters.storedCount - freed
        return usage(before: applied, context).used.count <= UsageCounters.maximumOpen - stored
    }

    /// Counts the usage in the open window of a limit before it was set.
    mutating func count(usageBefore applied: AppliedLimit, _ context: ActionContext) {
        let counts = usage(before: applied, context)
        let window = applied.newWindow(at: context.now, in: context.catalogue.config.zone)
        for (number, count) in counts.reservations {
            guard var reservation = account.reservations[at: number] else { continue }
            reservation.counts.append(count)
            account.set(reservation, into: &recorder)
        }
        for (id, amount) in counts.used {
            account.counters.count(amount, id, used: 0, in: window, generation: applied.generation)
        }
    }
}

/// The counts with which a limit begins.
private struct PriorCounts {
    /// Above zero.
    var used: [CounterID: Int64] = [:]
    /// By the number of the active reservation.
    var reservations: [Int32: ReservationCount] = [:]

    mutating func add(_ amount: Int64, _ id: CounterID) {
        guard amount > 0 else { return }
        used[id] = used[id, default: 0].addingSaturated(amount)
    }
}

extension Limit {
    /// The limit as it counts under a key: one with a quota's key is for that feature.
    func of(_ key: LimitKey) -> Limit {
        guard let feature = key.quotaFeature else { return self }
        return Limit(
            unit: unit, amount: amount, window: window, anchor: anchor, features: [feature], match: match, per: per,
            dimension: dimension, warnAt: warnAt)
    }

    /// The past usage that a limit counts which is set now; nil for one whose window opens with the first use after that,
    /// and for one of reservations, which the account has.
    ///
    /// - Parameter start: The start of the end user's subscription; nil without one.
    func usageQuery(from start: Instant?, _ catalogue: Catalogue, now: Instant) -> UsageQuery? {
        guard unit != .concurrent, anchor != .firstUse else { return nil }
        return UsageQuery(
            limit: counted, since: newWindow(at: now, from: start, in: catalogue.config.zone).start)
    }
}

extension Account {
    /// The limit of a spend cap.
    func applied(cap number: Int32) -> AppliedLimit? {
        ownLimits.first { if case .cap(let cap) = $0.face { cap.number == number } else { false } }
    }

    /// The limit with a key, if it applies to the end user.
    package func applied(_ key: LimitKey, _ catalogue: Catalogue) -> AppliedLimit? {
        if let feature = key.quotaFeature {
            guard let known = catalogue.activeFeature(feature), known.type == .metered else { return nil }
            return limits(covering: [known], catalogue).first { $0.key == key }
        }
        return keyedLimits(catalogue).first { $0.key == key }
    }
}
