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
        /// Empty means all.
        package var features: [String] = []
        package var match: [String: [String]] = [:]
        package var per: String?
        package var dimension: String?

        package init(unit: String, amount: Int64, window: ModelWindow?) {
            self.unit = unit
            self.amount = amount
            self.window = window
        }

        func covers(_ feature: String, _ attributes: [String: String]) -> Bool {
            (features.isEmpty || features.contains(feature))
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

        /// Whether an event counts where a job of the same feature with other attributes counts.
        func counts(_ feature: String, _ attributes: [String: String], like others: [String: String]) -> Bool {
            covers(feature, attributes) && covers(feature, others)
                && per.map { attributes[$0] == others[$0] } ?? true
        }

        func amount(_ event: Counted, _ usages: [ModelDemand], credits: Int64) -> Int64 {
            if unit == "concurrent" { return event.reservation != nil && event.isActive ? 1 : 0 }
            if unit == "credits" { return credits }
            return usages.map { amount($0, cost: 0) }.max() ?? 0
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
    }

    /// A limit that applies to the end user.
    package struct Applied: Sendable {
        package let key: String
        package let limit: Limit
        /// The number of the spend cap.
        package var cap: Int?
        var isQuota = false
        /// Nil for the quota of a feature or of an override, which counts from when it applied.
        let defined: Definition?

        /// The name of the limit by all that its counters belong to.
        var name: String {
            "\(key) \(limit.unit) \(limit.window.map { "\($0)" } ?? "") \(limit.opensWithUse) \(defined?.count ?? -1)"
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
    }

    var definition: Definition { Definition(count: counted.count, at: now, zone: catalogue.zone) }

    /// The limits that apply to the end user for any feature.
    package var applied: [Applied] {
        let metered = catalogue.features.filter { $0.value.kind == .metered && !$0.value.isArchived }.keys.sorted()
        let caps = caps.map { cap in
            var limit = Limit(unit: "credits", amount: cap.credits, window: cap.window)
            limit.features = cap.feature.map { [$0] } ?? []
            return Applied(key: "cap:\(cap.number)", limit: limit, cap: cap.number, defined: cap.defined)
        }
        let own = limits.filter { !$0.key.hasPrefix("quota:") }.sorted { $0.key < $1.key }
        return metered.compactMap { quotaLimit(of: $0) } + caps
            + own.compactMap { key, own in own.limit.map { Applied(key: key, limit: $0, defined: own.defined) } }
    }

    /// The quota of a feature as a limit.
    func quotaLimit(of feature: String) -> Applied? {
        let key = "quota:\(feature)"
        if let own = limits[key] {
            return own.limit.map { Applied(key: key, limit: $0, isQuota: true, defined: own.defined) }
        }
        return quota(of: feature).map { quota in
            var limit = Limit(unit: "units", amount: quota.limit, window: quota.window)
            limit.opensWithUse = quota.opensWithUse
            limit.features = [feature]
            return Applied(key: key, limit: limit, isQuota: true, defined: nil)
        }
    }

    /// The states of the limits that cover a use.
    func standings(_ feature: String, _ attributes: [String: String]) -> [Standing] {
        applied.filter { $0.limit.covers(feature, attributes) }.map { applied in
            standing(of: applied, value: applied.limit.per.flatMap { attributes[$0] })
        }
    }

    /// The state of a limit's counter for a value of its attribute.
    package func standing(of applied: Applied, value: String?) -> Standing {
        let limit = applied.limit
        let events = counted.enumerated().filter { _, event in
            guard limit.covers(event.feature, event.attributes), !event.missed.contains(applied.name) else {
                return false
            }
            if let per = limit.per, event.attributes[per] != value { return false }
            // A commit that stays in the counter of its reservation is counted there.
            if let reserved = event.reserved,
                limit.counts(event.feature, event.attributes, like: reserved.attributes)
            {
                return false
            }
            guard applied.isQuota, applied.defined == nil else { return true }
            return event.quota?.window == limit.window && event.quota?.opensWithUse == limit.opensWithUse
        }
        func amount(_ event: Counted) -> Int64 {
            if let final = event.final, !limit.counts(event.feature, event.attributes, like: final) { return 0 }
            return limit.amount(event, event.usages, credits: event.credits)
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
                let (start, end) = window.around(defined.at, in: defined.zone)
                used = before.filter { start <= $0.element.reserved?.at ?? $0.element.at }
                    .map { ($0.offset, amount($0.element)) }
                if !used.isEmpty { open = (start, end) }
            }
        }
        func next(_ instant: Instant, _ zone: ModelZone) -> (start: Instant, end: Instant) {
            if limit.opensWithUse { return (instant, window.end(openedAt: instant, in: zone)) }
            let (start, end) = window.around(instant, in: zone)
            if let open, start <= open.end && open.end < end { return (open.end, end) }
            return (start, end)
        }
        for (place, event) in rest {
            let isOpen = open.map { $0.start <= event.at && event.at < $0.end } ?? false
            let window = isOpen ? open ?? next(event.at, event.zone) : next(event.at, event.zone)
            // A commit enters the window in which its reservation was made, or opens one.
            if let reserved = event.reserved, isOpen || !limit.opensWithUse, reserved.at < window.start { continue }
            if !isOpen {
                guard limit.amount(event, event.most, credits: event.mostCredits) > 0 else { continue }
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
        let (start, end) = next(now, catalogue.zone)
        return Standing(applied: applied, used: 0, start: start, end: end)
    }

    /// A limit in which a job counts when it reaches a total, and the amount for which it counts there already.
    struct Place {
        let standing: Standing
        let counted: Int64

        func growth(_ usages: [ModelDemand], credits: Int64) -> Int64 {
            let limit = standing.applied.limit
            let amount = limit.unit == "credits" ? credits : usages.map { limit.amount($0, cost: 0) }.max() ?? 0
            return amount - counted
        }
    }

    /// The limits that judge the growth of a reservation whose total has these attributes.
    func places(of number: Int, _ attributes: [String: String]) -> [Place] {
        guard let index = counted.firstIndex(where: { $0.reservation == number && $0.reserved == nil }) else {
            return []
        }
        let event = counted[index]
        let covering = applied.filter { $0.limit.covers(event.feature, attributes) && $0.limit.unit != "concurrent" }
        return covering.compactMap { applied -> Place? in
            let limit = applied.limit
            let standing = standing(of: applied, value: limit.per.flatMap { attributes[$0] })
            guard limit.counts(event.feature, event.attributes, like: attributes) else {
                let isEntered =
                    limit.opensWithUse && !standing.isOpen || standing.start <= event.at && event.at < standing.end
                return isEntered ? Place(standing: standing, counted: 0) : nil
            }
            if event.missed.contains(applied.name) { return nil }
            let amount = limit.amount(event, event.usages, credits: event.credits)
            if standing.members.contains(index) { return Place(standing: standing, counted: amount) }
            // A job that counted nothing so far has opened no window.
            guard amount == 0 else { return nil }
            let isCounted = event.ends[applied.name] != nil || !limit.opensWithUse && standing.start <= event.at
            guard isCounted else { return nil }
            let isInWindow =
                standing.isOpen
                ? standing.start <= event.at
                : now < event.ends[applied.name] ?? standing.end && (limit.opensWithUse || standing.start <= event.at)
            return isInWindow ? Place(standing: standing, counted: 0) : nil
        }
    }

    /// Notes the limits whose window others have opened after a job was made that has counted nothing in it.
    mutating func missWindows(of number: Int) {
        guard let index = counted.firstIndex(where: { $0.reservation == number && $0.reserved == nil }) else { return }
        let event = counted[index]
        for applied in applied where applied.limit.opensWithUse && applied.limit.covers(event.feature, event.attributes)
        {
            let standing = standing(of: applied, value: applied.limit.per.flatMap { event.attributes[$0] })
            let amount = applied.limit.amount(event, event.most, credits: event.mostCredits)
            if amount == 0, standing.isOpen, event.at < standing.start { counted[index].missed.insert(applied.name) }
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
        if let limit { same?.amount = limit.amount }
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
