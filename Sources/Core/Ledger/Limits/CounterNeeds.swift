package import Catalogue
package import Credits
import Metering

/// The rows that an action reads beside its account and its history. They follow from the account's settings and the
/// catalogue, so they are known only when both were loaded.
package struct CounterNeeds: Hashable, Sendable {
    package var counters: Set<CounterID> = []
    package var usage: Set<UsageQuery> = []
    /// The numbers of the reservations whose charges may be given back.
    package var charged: Set<Int32> = []
    /// The definitions of limits whose counters may be deleted.
    package var generations: Set<Int32> = []

    package init() {}

    package mutating func formUnion(_ other: CounterNeeds) {
        counters.formUnion(other.counters)
        usage.formUnion(other.usage)
        charged.formUnion(other.charged)
        generations.formUnion(other.generations)
    }
}

extension AccountDraft {
    /// The counters and the past usage that an action needs at `clock`, by the account's present state.
    package func needs(of action: AccountAction, catalogue: Catalogue, now clock: Instant) -> CounterNeeds {
        var needs = CounterNeeds()
        var now = account.currentInstant(clock: clock, catalogue: catalogue)
        switch action {
        case .createEndUser(let change), .updateEndUser(let change):
            if let shown = change.testClock.flatMap({ catalogue.testClocks[$0] }) { now = max(now, shown) }
        default: break
        }
        needs.counters.formUnion(account.counterIDs(toAdvanceTo: now))
        needs.counters.formUnion(account.billedCounterIDs(endingBy: now, by: action, catalogue))
        // Time and the default plan can change the variants, on which prices and limits depend.
        let account = account.subscribed(at: now, isNew: profile == nil, catalogue)
        switch action {
        case .use(let event):
            let rule = account.rule(for: event.featureKey, at: event.occurredAt ?? now, catalogue)
            needs.counters.formUnion(
                account.counterIDs(for: event.featureKey, event.attributes, rule, catalogue))
            needs.counters.formUnion(account.billedCounterIDs([event.featureKey], catalogue))
        case .reserve(let request):
            for feature in request.featureKeys {
                let rule = account.rule(for: feature, at: now, catalogue)
                needs.counters.formUnion(
                    account.counterIDs(for: feature, request.estimate.attributes, rule, catalogue))
            }
        case .reservation(let number, let action):
            guard let reservation = account.reservations[at: number] else { break }
            let report = action.report
            needs.counters.formUnion(account.counterIDs(of: reservation, report?.demand, catalogue))
            needs.counters.formUnion(account.billedCounterIDs(reservation.featureKeys, catalogue))
            if let report, let place = try? reservation.place(of: report.feature),
                reservation.mayGiveBack(
                    of: reservation.parts[place], at: report.demand, isFinal: report.isFinal, report.shortfall,
                    catalogue)
            {
                needs.charged.insert(number)
            }
        case .setLimit(let key, let limit):
            needs.generations = account.settings.generations(of: key)
            guard let limit else { break }
            if let applied = account.applied(key, catalogue) { needs.counters.insert(applied.counterID(value: nil)) }
            if let query = limit.of(key).usageQuery(
                from: account.subscribedAt, catalogue, now: now)
            {
                needs.usage.insert(query)
            }
        case .createSpendCap(let cap):
            if let query = cap.limit.usageQuery(from: nil, catalogue, now: now) { needs.usage.insert(query) }
        case .deleteSpendCap(let number):
            if let applied = account.applied(cap: number) { needs.counters.insert(applied.counterID(value: nil)) }
        case .eraseEndUser: needs.counters.formUnion(account.reservations.flatMap { $0.counts.map(\.counter) })
        case .deleteLimit(let key): needs.generations = account.settings.generations(of: key)
        case .grant, .topUp, .refund, .revoke, .adjust, .transfer, .createEndUser, .updateEndUser,
            .setAutoTopUp, .deleteAutoTopUp, .failTopUpRequest, .subscribe, .subscription, .advance:
            break
        }
        return needs
    }

    /// Whether all that an action needs was loaded.
    package func has(_ needs: CounterNeeds) -> Bool {
        needs.counters.isSubset(of: loadedCounters) && needs.usage.allSatisfy { history.usage[$0] != nil }
            && needs.charged.isSubset(of: history.reservations)
            && needs.generations.allSatisfy { history.counterCounts[$0] != nil }
    }
}

extension AccountSettings {
    /// The definition that counts under a key.
    fileprivate func generations(of key: LimitKey) -> Set<Int32> {
        guard let own = limits[key], own.limit != nil else { return [] }
        return [own.generation]
    }
}

extension Account {
    /// The counters that decisions on these requests need, once the account was advanced to its instant at `clock`.
    package func counterIDs(
        for requests: [EntitlementRequest], _ catalogue: Catalogue, clock: Instant
    ) -> [CounterID] {
        let now = currentInstant(clock: clock, catalogue: catalogue)
        let account = subscribed(at: now, isNew: revision == 0, catalogue)
        return requests.reduce(into: counterIDs(toAdvanceTo: now)) { ids, request in
            let rule = account.rule(for: request.feature, at: request.occurredAt ?? now, catalogue)
            ids += account.counterIDs(for: request.feature, request.attributes, rule, catalogue)
        }
    }

    /// The counters of all limits that apply, for a value of `per`.
    package func counterIDs(ofAllLimitsFor value: String?, _ catalogue: Catalogue, clock: Instant) -> [CounterID] {
        let now = currentInstant(clock: clock, catalogue: catalogue)
        return counterIDs(toAdvanceTo: now)
            + subscribed(at: now, isNew: revision == 0, catalogue).limits(catalogue).map {
                $0.counterID(value: $0.limit.per == nil ? nil : value)
            }
    }

    /// The counters that change when the account is advanced: those of the reservations that lapse.
    fileprivate func counterIDs(toAdvanceTo now: Instant) -> [CounterID] {
        reservations.filter { $0.expiresAt <= now }.flatMap { $0.counts.map(\.counter) }
    }

    /// The counters that an action on a reservation needs: those in which it counts, those that its report names, and
    /// those of its price.
    fileprivate func counterIDs(
        of reservation: Reservation, _ report: Demand?, _ catalogue: Catalogue
    ) -> [CounterID] {
        let known = reservation.featureKeys.compactMap { catalogue.features[$0] }
        let limits = limits(covering: known, catalogue)
        var ids = reservation.counts.map(\.counter)
        for attributes in [reservation.estimate.attributes, report?.attributes].compactMap({ $0 }) {
            // Tiers and remainders of its rules count on when a feature is archived, and so do the limits.
            for part in reservation.parts {
                let rule = part.ruleID.flatMap { catalogue.rule(id: $0, of: part.featureKey) }
                ids += rule.map { UsageCounters.priced(by: $0, part.featureKey, attributes) } ?? []
            }
            ids += limits.compactMap { $0.counterID(of: reservation.featureKeys, attributes) }
        }
        return ids
    }
}

extension ReservationAction {
    /// The report of a job with the feature that it names, whether it is the last one, and its shortfall mode.
    fileprivate var report: (demand: Demand, feature: FeatureKey?, isFinal: Bool, shortfall: Shortfall?)? {
        switch self {
        case .commit(let demand, let feature, let shortfall): (demand, feature, true, shortfall)
        case .progress(let demand, let feature): (demand, feature, false, nil)
        case .release, .extend: nil
        }
    }
}
