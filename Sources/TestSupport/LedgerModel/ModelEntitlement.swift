package import Credits

extension ModelLedger {
    /// The decision on a use.
    package struct Decision: Equatable, Sendable {
        package var cost: Int64 = 0
        /// The version of the price; nil without a price.
        package var version: Int?
        var filled: [String: Int64] = [:]
        var sums: [ModelSumKey: ModelSum] = [:]
        /// The part of the cost that no credits cover.
        package var short: Int64 = 0
    }

    /// The answer to a check.
    package struct Answer: Equatable, Sendable {
        /// Nil if the use is allowed.
        package var reason: String?
        package var cost: Int64?
        package var spendable: Int64
        package var affordable: Int64?

        package init(reason: String?, cost: Int64?, spendable: Int64, affordable: Int64?) {
            self.reason = reason
            self.cost = cost
            self.spendable = spendable
            self.affordable = affordable
        }
    }

    /// Everything that a decision on a feature depends on, except the demand.
    struct Situation {
        /// The only feature, or the first of several.
        let feature: String
        let price: ModelPrice?
        let version: Int?
        let filled: [String: Int64]
        let sums: [ModelSumKey: ModelSum]
        let limits: [Standing]
        let spendable: Int64
        let effective: Int64
        /// The reason for which the plans deny what they include.
        var denial: String?
    }

    /// Decides a use or a reservation, at the account's instant.
    package func decide(
        _ feature: String, _ demand: ModelDemand, attributes: [String: String] = [:], pricedAt: Instant? = nil,
        isReservation: Bool = false
    ) throws(Refusal) -> Decision {
        try decide(situation(feature, attributes, pricedAt: pricedAt), demand, attributes, isReservation)
    }

    /// Decides a reservation in credits over several features, at the account's instant.
    func decide(
        _ features: [String], credits: Int64, attributes: [String: String]
    ) throws(Refusal) -> Decision {
        try requireUsable(features)
        let situation = Situation(
            feature: features[0], price: nil, version: nil, filled: [:], sums: [:],
            limits: standings(features, attributes),
            spendable: spendable(features), effective: effective)
        return try decide(situation, .credits(credits), attributes, true)
    }

    func situation(
        _ feature: String, _ attributes: [String: String], pricedAt: Instant? = nil
    ) throws(Refusal) -> Situation {
        let reason = reason(against: feature, pricedAt: pricedAt)
        // A price is asked before the state of a subscription.
        let isOfState = reason.map { $0.hasPrefix("subscription_") } ?? false
        if let reason, !isOfState { throw Refusal(reason, of: feature) }
        let version = version(of: feature, at: pricedAt ?? now)
        return Situation(
            feature: feature, price: version.flatMap { price(of: feature, version: $0) }, version: version,
            filled: filled(feature), sums: sums(feature, version), limits: standings([feature], attributes),
            spendable: spendable(feature), effective: effective, denial: reason)
    }

    /// Throws the first reason that any of the features has, and names the first feature with it.
    private func requireUsable(_ features: [String]) throws(Refusal) {
        let reasons = features.map { reason(against: $0, pricedAt: nil) }
        let codes = [
            "unknown_feature", "feature_not_in_plan", "feature_not_priced", "subscription_paused",
            "subscription_past_due",
        ]
        for code in codes {
            if let place = reasons.firstIndex(of: code) { throw Refusal(code, of: features[place]) }
        }
    }

    /// The reason why a feature cannot be used at all; nil if it can.
    private func reason(against feature: String, pricedAt: Instant?) -> String? {
        guard let known = catalogue.features[feature], !known.isArchived else { return "unknown_feature" }
        let ofPlans = planReason(feature)
        if ofPlans == "feature_not_in_plan" { return ofPlans }
        let hasTerms =
            version(of: feature, at: pricedAt ?? now) != nil || !quotas(of: feature).isEmpty
            || limits["quota:\(feature)"] != nil
        return known.kind == .metered && hasTerms ? ofPlans : "feature_not_priced"
    }

    func decide(
        _ situation: Situation, _ demand: ModelDemand, _ attributes: [String: String], _ isReservation: Bool = false
    ) throws(Refusal) -> Decision {
        var decision = Decision()
        if case .credits(let credits) = demand {
            decision.cost = credits
            // A reservation in credits may be committed in units, by the price in force now.
            decision.version = situation.version
        } else if let price = situation.price {
            let charge: ModelPrice.Charge
            do throws(Refusal) {
                charge = try price.charge(
                    demand, attributes: attributes, used: situation.filled, sums: situation.sums)
            } catch {
                throw error.code == "feature_not_priced" ? Refusal(error.code, of: situation.feature) : error
            }
            decision.version = situation.version
            decision.cost = charge.cost
            decision.filled = charge.filled
            decision.sums = charge.sums
        } else if case .quantities = demand {
            throw Refusal("units_expected")
        }
        if let denial = situation.denial { throw Refusal(denial, of: situation.feature) }
        try refuse(
            situation.limits.filter { standing in
                (standing.applied.limit.unit != "concurrent" || isReservation)
                    && standing.applied.limit.amount(demand, cost: decision.cost) > standing.left
            })
        decision.short = max(0, decision.cost - situation.spendable)
        if decision.short > 0 {
            let insufficient = Refusal.insufficient(
                effective: situation.effective, spendable: situation.spendable, required: decision.cost)
            guard terms.isAllowed else { throw insufficient }
            if let limit = terms.limit, overage + decision.short > limit { throw insufficient }
            try requireOwing(decision.short, charging: decision.cost)
        }
        return decision
    }

    /// Throws the refusal of the limit that is named of several that fail.
    func refuse(_ failing: [Standing]) throws(Refusal) {
        // Units and jobs come before credits; then the limit that resets last; then the smaller key.
        let named = failing.min { left, right in
            let credits = [left, right].map { $0.applied.limit.unit == "credits" }
            if credits[0] != credits[1] { return credits[1] }
            return left.end != right.end ? left.end > right.end : left.applied.order < right.applied.order
        }
        if let named { throw named.applied.refusal }
    }

    func requireOwing(_ short: Int64, charging cost: Int64) throws(Refusal) {
        if overage + short > Self.largestAmount || balance - cost < -Self.largestAmount {
            throw Refusal("amount_out_of_range")
        }
    }

    /// Answers a check. Unlike a use, a check is possible for features that are not metered.
    ///
    /// - Throws: The refusal of a check that is itself invalid.
    package func check(
        _ feature: String, _ demand: ModelDemand, attributes: [String: String] = [:]
    ) throws(Refusal) -> Answer {
        if !exists && !isErased && catalogue.defaultVariant != nil {
            var seen = self
            seen.exists = true
            seen.startDefault()
            return try seen.check(feature, demand, attributes: attributes)
        }
        var answer = Answer(reason: nil, cost: nil, spendable: spendable(feature), affordable: 0)
        if let known = catalogue.features[feature], !known.isArchived, known.kind != .metered {
            answer.reason = planReason(feature)
            if answer.reason != nil { return answer }
            answer.affordable = Self.largestAmount
            if known.kind == .limit, let limit = number(of: feature) {
                answer.affordable = limit
                if demand.total > limit { answer.reason = "quota_exceeded" }
            }
            return answer
        }
        answer.affordable = affordable(feature, demand, attributes: attributes)
        do throws(Refusal) {
            answer.cost = try decide(feature, demand, attributes: attributes).cost
        } catch {
            let reasons = [
                "unknown_feature", "feature_not_in_plan", "feature_not_priced", "subscription_paused",
                "subscription_past_due", "quota_exceeded", "spend_cap_reached", "insufficient_credits",
            ]
            let code = String(error.code.prefix { $0 != " " })
            guard reasons.contains(code) else { throw error }
            answer.reason = code
            if reasons[3...].contains(code) { answer.cost = try cost(feature, demand, attributes) }
        }
        return answer
    }

    private func cost(
        _ feature: String, _ demand: ModelDemand, _ attributes: [String: String]
    ) throws(Refusal) -> Int64 {
        if case .credits(let credits) = demand { return credits }
        guard let version = version(of: feature, at: now), let price = price(of: feature, version: version) else {
            return 0
        }
        return try price.charge(
            demand, attributes: attributes, used: filled(feature), sums: sums(feature, version)
        ).cost
    }

    /// The largest number of units that would be allowed now; nil if the demand is in credits or the price has
    /// dimensions.
    func affordable(_ feature: String, _ demand: ModelDemand, attributes: [String: String]) -> Int64? {
        guard let situation = try? situation(feature, attributes) else { return 0 }
        func isAllowed(_ units: Int64) -> Bool {
            (try? decide(situation, .units(units), attributes)) != nil
        }
        if case .credits = demand { return nil }
        // A volume price can fall only where a tier begins.
        var edges = [0, Self.largestAmount]
        switch situation.price?.chosen(by: attributes) {
        case .dimensions: return nil
        case .volume(let tiers): edges += tiers.compactMap(\.upTo).flatMap { [$0, $0 + 1] }
        default: break
        }
        edges = edges.filter { $0 <= Self.largestAmount }.sorted()
        while let high = edges.popLast(), let low = edges.last {
            if isAllowed(high) { return high }
            guard isAllowed(low) else { continue }
            var (allowed, denied) = (low, high)
            while denied - allowed > 1 {
                let middle = allowed + (denied - allowed) / 2
                if isAllowed(middle) { allowed = middle } else { denied = middle }
            }
            return allowed
        }
        return 0
    }
}

// MARK: - Counting

extension ModelLedger {
    /// The units of a feature in this period, or UTC month, that fill the tiers of period-scoped prices.
    package func filled(_ feature: String) -> [String: Int64] {
        var sums: [String: Int64] = [:]
        // Counting begins anew with the first units of another window.
        var windows: [String: Instant] = [:]
        for filling in fillings where filling.feature == feature {
            for (name, units) in filling.units {
                let isOpen = windows[name] == filling.window
                if units < 0 {
                    if isOpen { sums[name] = max(0, (sums[name] ?? 0) + units) }
                } else if units > 0 {
                    sums[name] = Self.sum([isOpen ? sums[name] ?? 0 : 0, units])
                    windows[name] = filling.window
                }
            }
        }
        let start = tierStart
        return sums.filter { $0.value != 0 && windows[$0.key] == start }
    }

    /// The sums of prices of a version of a feature that carry fractions.
    package func sums(_ feature: String, _ version: Int?) -> [ModelSumKey: ModelSum] {
        sums["\(feature) \(version ?? 0)"] ?? [:]
    }

    mutating func keep(_ changed: [ModelSumKey: ModelSum], _ feature: String, _ version: Int?) {
        sums["\(feature) \(version ?? 0)", default: [:]].merge(changed) { $1 }
    }

    static func sum(_ numbers: [Int64]) -> Int64 {
        let exact = numbers.reduce(Int128(0)) { $0 + Int128($1) }
        return Int64(min(exact, Int128(Int64.max)))
    }

    /// Counts an event, or the estimate of a reservation, in the limits.
    mutating func count(
        _ features: [String], _ attributes: [String: String], _ tally: Tally, reservation: Int? = nil
    ) {
        var ends: [String: Instant] = [:]
        if reservation != nil {
            for standing in standings(features, attributes) { ends[standing.applied.name] = standing.end }
        }
        var quotas: [String: Set<String>] = [:]
        for feature in features { quotas[feature] = Set(quotaLimits(of: feature).filter(\.counts).map(\.name)) }
        var event = Counted(
            features: features, attributes: attributes, at: now, tally: tally, quotas: quotas,
            reservation: reservation, isActive: true, zone: catalogue.zone, past: [tally], ends: ends)
        event.variantLimits = Set(variantLimits.map(\.name))
        event.starts = starts
        counted.append(event)
    }

    /// Replaces the usage of a reservation in the counts.
    mutating func recount(_ reservation: Int, _ tally: Tally, isActive: Bool) {
        for index in counted.indices where counted[index].reservation == reservation {
            counted[index].tally = tally
            counted[index].isActive = isActive
            counted[index].past.append(tally)
        }
    }
}

extension ModelLedger.Applied {
    /// The key as the server orders it. The ids of caps rise with their numbers and begin with `cap_`.
    fileprivate var order: String { cap.map { number in "cap_\(1_000 + number)" } ?? key }

    fileprivate var refusal: ModelLedger.Refusal {
        if let cap { return ModelLedger.Refusal("spend_cap_reached", Int64(cap)) }
        let code = limit.unit == "credits" ? "spend_cap_reached" : "quota_exceeded"
        return ModelLedger.Refusal(isQuota ? code : "\(code) \(key)")
    }
}
