package import Credits

extension ModelLedger {
    /// A limit on an end user's usage.
    package struct Limit: Hashable, Sendable {
        /// `units`, `credits` or `concurrent`.
        package var unit: String
        package var amount: Int64
        /// Nil for `concurrent`.
        package var window: ModelWindow?
        package var opensWithUse = false
        /// Whether windows are counted from the subscription's start, where there is one.
        package var countsFromStart = false
        /// Empty means all.
        package var features: [String] = []
        package var match: [String: [String]] = [:]
        package var per: String?
        package var dimension: String?
        package var warnAt: [Int64] = []

        package init(unit: String, amount: Int64, window: ModelWindow?) {
            self.unit = unit
            self.amount = amount
            self.window = window
        }

        /// Whether the limit covers a feature, with any attributes.
        func names(_ feature: String) -> Bool { features.isEmpty || features.contains(feature) }

        /// Whether the limit covers an event of any of the features.
        func covers(_ features: [String], _ attributes: [String: String]) -> Bool {
            features.contains(where: names)
                && match.allSatisfy { name, values in attributes[name].map(values.contains) ?? false }
        }

        func amount(_ demand: ModelDemand, cost: Int64) -> Int64 {
            switch (unit, dimension, demand) {
            case ("credits", _, _): cost
            case ("concurrent", _, _): 1
            case (_, let dimension?, .quantities(let quantities)): quantities[dimension] ?? 0
            case (_, _?, _): 0
            default: demand.total
            }
        }

        /// Whether an event counts where a job of the same features with other attributes counts.
        func counts(_ features: [String], _ attributes: [String: String], like others: [String: String]) -> Bool {
            covers(features, attributes) && covers(features, others)
                && per.map { attributes[$0] == others[$0] } ?? true
        }

        /// The units or credits of the features that the limit covers.
        func amount(_ tally: Tally) -> Int64 {
            if unit == "credits" {
                return max(ModelLedger.sum(tally.credits.filter { names($0.key) }.map(\.value)), tally.least)
            }
            let usages = tally.usages.filter { names($0.key) }
            return ModelLedger.sum(usages.map { $0.value.map { amount($0, cost: 0) }.max() ?? 0 })
        }

        func amount(_ event: Counted) -> Int64 {
            if unit == "concurrent" { return event.reservation != nil && event.isActive ? 1 : 0 }
            return amount(event.tally)
        }
    }

    /// A limit that was set on the end user.
    package struct OwnLimit: Hashable, Sendable {
        /// Nil means that the limit with the key was lifted.
        package let limit: Limit?
        let defined: Definition
    }

    /// The moment at which a limit was defined.
    struct Definition: Hashable, Sendable {
        /// The number of uses that were counted before.
        let count: Int
        let at: Instant
        let zone: ModelZone
        /// The starts of the subscriptions of that time, by slot.
        let starts: [String: Instant]
    }

    /// A limit that applies to the end user.
    package struct Applied: Sendable {
        package let key: String
        package let limit: Limit
        /// The number of the spend cap.
        package var cap: Int?
        var isQuota = false
        /// Whether the limit is one of a variant. It counts while it applies.
        var isOfVariant = false
        /// The slot of the subscription that brings the limit or the quota.
        var slot: String?
        /// Nil for a quota of the catalogue or of an override, and for a variant's limit, which count from when they
        /// applied.
        let defined: Definition?

        /// Whether it counts from when it applied, and not from a definition.
        var counts: Bool { defined == nil }

        /// The name of the limit by all that its counters belong to.
        var name: String {
            "\(slot.map { $0 == "base" ? "" : $0 + "/" } ?? "")\(key) \(limit.unit) \(limit.window.map { "\($0)" } ?? "") \(limit.opensWithUse) "
                + "\(limit.countsFromStart) \(defined?.count ?? -1)"
        }
    }

    /// The state of a limit's counter.
    package struct Standing: Sendable {
        package let applied: Applied
        package let used: Int64
        package let start: Instant
        package let end: Instant
        /// Whether an event has opened the window.
        var isOpen = false
        /// The places of the events that are counted in the window.
        var members: Set<Int> = []

        var left: Int64 { max(0, applied.limit.amount - used) }

        init(
            applied: Applied, used: Int64, start: Instant, end: Instant, isOpen: Bool = false, members: Set<Int> = []
        ) {
            self.applied = applied
            self.used = used
            self.start = start
            self.end = end
            self.isOpen = isOpen
            self.members = members
        }

        /// The limit for a job whose window is over, which is compared by itself.
        init(alone applied: Applied, used: Int64, end: Instant) {
            self.init(applied: applied, used: used, start: Instant(microseconds: .min), end: end)
        }
    }

    var definition: Definition { Definition(count: counted.count, at: now, zone: catalogue.zone, starts: starts) }

    /// The limits that apply to the end user for any feature.
    package var applied: [Applied] {
        let metered = catalogue.features.filter { $0.value.kind == .metered && !$0.value.isArchived }.keys.sorted()
        let caps = caps.map { cap in
            var limit = Limit(unit: "credits", amount: cap.credits, window: cap.window)
            limit.features = cap.feature.map { [$0] } ?? []
            return Applied(key: "cap:\(cap.number)", limit: limit, cap: cap.number, defined: cap.defined)
        }
        let own = limits.filter { !$0.key.hasPrefix("quota:") }.sorted { $0.key < $1.key }
        let keyed =
            own.compactMap { key, own in own.limit.map { Applied(key: key, limit: $0, defined: own.defined) } }
            + variantLimits
        return metered.flatMap { quotaLimits(of: $0) } + caps
            + keyed.enumerated().sorted { ($0.element.key, $0.offset) < ($1.element.key, $1.offset) }.map(\.element)
    }

    /// The quotas of a feature as limits.
    func quotaLimits(of feature: String) -> [Applied] {
        let key = "quota:\(feature)"
        if let own = limits[key] {
            return own.limit.map { [Applied(key: key, limit: $0, isQuota: true, defined: own.defined)] } ?? []
        }
        return quotas(of: feature).map { quota, slot in
            var limit = Limit(unit: "units", amount: quota.limit, window: quota.window)
            limit.opensWithUse = quota.opensWithUse
            limit.countsFromStart = quota.countsFromStart
            limit.features = [feature]
            return Applied(key: key, limit: limit, isQuota: true, slot: slot, defined: nil)
        }
    }

    /// The states of the limits that cover a use.
    func standings(_ features: [String], _ attributes: [String: String]) -> [Standing] {
        applied.filter { $0.limit.covers(features, attributes) }.map { applied in
            standing(of: applied, value: applied.limit.per.flatMap { attributes[$0] })
        }
    }

    /// The state of a limit's counter for a value of its attribute.
    package func standing(of applied: Applied, value: String?) -> Standing {
        let limit = applied.limit
        let events = counted.enumerated().filter { _, event in
            guard limit.covers(event.features, event.attributes), !event.missed.contains(applied.name) else {
                return false
            }
            if let only = event.only, only != applied.name { return false }
            if let per = limit.per, event.attributes[per] != value { return false }
            // A commit that stays in the counter of its reservation is counted there.
            if let reserved = event.reserved,
                limit.counts(event.features, event.attributes, like: reserved.attributes)
            {
                return false
            }
            if applied.isOfVariant { return event.variantLimits.contains(applied.name) }
            guard applied.isQuota, applied.defined == nil else { return true }
            return limit.features.first.flatMap { event.quotas[$0] }?.contains(applied.name) ?? false
        }
        func amount(_ event: Counted) -> Int64 {
            if let final = event.final, !limit.counts(event.features, event.attributes, like: final) { return 0 }
            return limit.amount(event)
        }
        guard let window = limit.window else {
            let sum = Self.sum(events.map { amount($0.element) })
            return Standing(
                applied: applied, used: sum, start: Instant(microseconds: .min), end: Instant(microseconds: .max))
        }
        var open: (start: Instant, end: Instant)?
        var used: [(place: Int, amount: Int64)] = []
        var rest = events[...]
        if let defined = applied.defined {
            let before = rest.prefix { $0.offset < defined.count }
            rest = rest[before.endIndex...]
            if !limit.opensWithUse {
                let (start, end) = span(applied, window, at: defined.at, in: defined.zone, defined.starts)
                used = before.filter { start <= $0.element.reserved?.at ?? $0.element.at }
                    .map { ($0.offset, amount($0.element)) }
                if !used.isEmpty { open = (start, end) }
            }
        }
        func next(
            _ instant: Instant, _ zone: ModelZone, _ starts: [String: Instant]
        ) -> (start: Instant, end: Instant) {
            if limit.opensWithUse { return (instant, window.end(openedAt: instant, in: zone)) }
            let (start, end) = span(applied, window, at: instant, in: zone, starts)
            if let open, start <= open.end && open.end < end { return (open.end, end) }
            return (start, end)
        }
        for (place, event) in rest {
            let isOpen = open.map { $0.start <= event.at && event.at < $0.end } ?? false
            let window =
                isOpen
                ? open ?? next(event.at, event.zone, event.starts) : next(event.at, event.zone, event.starts)
            // A commit enters the window in which its reservation was made, and that of a first use in any case.
            if let reserved = event.reserved, !limit.opensWithUse, reserved.at < window.start { continue }
            if !isOpen {
                guard event.past.contains(where: { limit.amount($0) > 0 }) else { continue }
                open = window
                used = []
            }
            used.append((place, amount(event)))
        }
        if let open, open.start <= now && now < open.end {
            return Standing(
                applied: applied, used: Self.sum(used.map(\.amount)), start: open.start, end: open.end, isOpen: true,
                members: Set(used.map(\.place)))
        }
        let (start, end) = next(now, catalogue.zone, starts)
        return Standing(applied: applied, used: 0, start: start, end: end)
    }

    /// A limit in which a job counts when it reaches a total, and the amount for which it counts there already.
    struct Place {
        let standing: Standing
        let counted: Int64

        func growth(_ tally: Tally) -> Int64 { standing.applied.limit.amount(tally) - counted }

        /// The most for which the job can count in the limit.
        var most: Int128 { Int128(counted) + Int128(standing.left) }
    }

    /// The limits that judge the growth of a reservation whose total has these attributes.
    func places(of number: Int, _ attributes: [String: String]) -> [Place] {
        guard let made = counted.firstIndex(where: { $0.reservation == number }) else { return [] }
        let event = counted[made]
        let covering = applied.filter { $0.limit.covers(event.features, attributes) && $0.limit.unit != "concurrent" }
        return covering.compactMap { applied -> Place? in
            let limit = applied.limit
            let standing = standing(of: applied, value: limit.per.flatMap { attributes[$0] })
            let isOfWindow = standing.start <= event.at && event.at < standing.end
            guard limit.counts(event.features, event.attributes, like: attributes) else {
                if limit.opensWithUse || isOfWindow { return Place(standing: standing, counted: 0) }
                return Place(standing: Standing(alone: applied, used: 0, end: event.at), counted: 0)
            }
            let index = counted.firstIndex { $0.reservation == number && $0.only == applied.name } ?? made
            let amount = limit.amount(counted[index])
            if standing.members.contains(index) { return Place(standing: standing, counted: amount) }
            guard isCounted(made, in: applied) else { return nil }
            if amount == 0, limit.opensWithUse || isOfWindow { return Place(standing: standing, counted: 0) }
            return Place(standing: Standing(alone: applied, used: amount, end: event.at), counted: amount)
        }
    }

    /// Whether a reservation counts in a limit: it was made after the limit was set, or in the window in which it was set.
    private func isCounted(_ made: Int, in applied: Applied) -> Bool {
        if counted[made].ends[applied.name] != nil { return true }
        guard let defined = applied.defined, let window = applied.limit.window, !applied.limit.opensWithUse,
            made < defined.count
        else { return false }
        return span(applied, window, at: defined.at, in: defined.zone, defined.starts).start <= counted[made].at
    }

    /// The window of a limit that contains an instant: one of the calendar, or one that is counted from the start of the
    /// limit's subscription, or else of the first by slot.
    private func span(
        _ applied: Applied, _ window: ModelWindow, at instant: Instant, in zone: ModelZone, _ starts: [String: Instant]
    ) -> (start: Instant, end: Instant) {
        let first = starts.min { ($0.key == "base" ? 0 : 1, $0.key) < ($1.key == "base" ? 0 : 1, $1.key) }
        guard applied.limit.countsFromStart, let start = applied.slot.flatMap({ starts[$0] }) ?? first?.value,
            start <= instant
        else { return window.around(instant, in: zone) }
        return window.around(instant, from: start, in: zone)
    }

    /// Counts growth as an event of its own in the limits in which the job has counted nothing so far, if it has not opened
    /// a window that is still open.
    mutating func openWindows(for number: Int, _ tally: Tally, _ attributes: [String: String]) {
        guard let made = counted.firstIndex(where: { $0.reservation == number }) else { return }
        let event = counted[made]
        for applied in applied
        where applied.limit.opensWithUse && isCounted(made, in: applied) && !event.missed.contains(applied.name)
            && applied.limit.counts(event.features, event.attributes, like: attributes)
        {
            let limit = applied.limit
            let standing = standing(of: applied, value: limit.per.flatMap { event.attributes[$0] })
            let before = limit.amount(event)
            let isOwn =
                standing.isOpen
                ? standing.start <= event.at : event.ends[applied.name].map { now < $0 } ?? false
            guard before == 0, !isOwn, limit.amount(tally) > 0 else { continue }
            counted[made].missed.insert(applied.name)
            var opening = Counted(
                features: event.features, attributes: event.attributes, at: now, tally: tally, quotas: event.quotas,
                reservation: number, isActive: true, zone: catalogue.zone, past: [tally])
            opening.only = applied.name
            (opening.variantLimits, opening.starts) = (event.variantLimits, starts)
            counted.append(opening)
        }
    }

    /// - Returns: Whether there was no limit with the key.
    package mutating func setLimit(_ key: String, _ limit: Limit?) throws(Refusal) -> Bool {
        try requireFeatures(limit?.features.sorted() ?? [])
        var limit = limit
        if key.hasPrefix("quota:") {
            let feature = String(key.dropFirst(6))
            try requireFeatures([feature])
            if let given = limit, given.unit != "units" || !given.features.allSatisfy({ $0 == feature }) {
                throw Refusal("wrong_quota")
            }
            limit?.features = [feature]
        }
        let (before, countBefore) = (limits, applied.count)
        var same = limits[key]?.limit
        if let limit {
            same?.amount = limit.amount
            same?.warnAt = limit.warnAt
        }
        let keeps = limit != nil && same == limit
        limits[key] = OwnLimit(limit: limit, defined: keeps ? before[key]?.defined ?? definition : definition)
        if applied.count > max(50, countBefore) || limits.count > 100 {
            limits = before
            throw Refusal("too_many")
        }
        exists = true
        return before[key] == nil
    }

    package mutating func deleteLimit(_ key: String) throws(Refusal) {
        guard limits.removeValue(forKey: key) != nil else { throw Refusal("unknown_limit") }
    }
}
