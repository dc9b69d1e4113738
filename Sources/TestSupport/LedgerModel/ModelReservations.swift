import Credits

extension ModelLedger {
    /// The effect of an action on a reservation.
    package struct Change: Equatable, Sendable {
        package var charged: Int64 = 0
        package var refunded: Int64 = 0
        package var returned: Int64 = 0
        package var overage: Int64 = 0

        package var figures: [Int64] { [charged, returned, overage, refunded] }
    }

    /// Reserves for one feature, or in credits for several.
    package mutating func reserve(
        _ features: [String], _ demand: ModelDemand, attributes: [String: String], ttl: Int64
    ) throws(Refusal) -> Int {
        let decision: Decision
        if features.count > 1, case .credits(let credits) = demand {
            decision = try decide(features, credits: credits, attributes: attributes)
        } else {
            decision = try decide(features[0], demand, attributes: attributes, isReservation: true)
        }
        let number = reservations.count + 1
        let reservation = Reservation(
            number: number,
            parts: features.map { Part(feature: $0, version: version(of: $0, at: now)) },
            estimate: demand, attributes: attributes, estimatedCost: decision.cost,
            holds: portions(decision.cost - decision.short, of: eligible(features)), uncovered: decision.short,
            expiresAt: now.adding(seconds: ttl), createdAt: now)
        let marks = marks(features, attributes)
        count(features, attributes, reservation.tally(0, [demand], isActive: true), reservation: number)
        writeReserve(reservation, reservation.holds) { entry in
            entry.measure(demand)
            entry.attributes = attributes
        }
        reservations.append(reservation)
        tell(reservation: number, at: now)
        tellLimits(marks)
        exists = true
        return number
    }

    private mutating func writeReserve(
        _ reservation: Reservation, _ holds: [Share], _ change: (inout Entry) -> Void = { _ in }
    ) {
        write("reserve", [], holds: holds) { entry in
            if reservation.isOfSeveral {
                entry.features = reservation.features
            } else {
                entry.feature = reservation.feature
                entry.version = reservation.parts[0].version
            }
            entry.reservation = reservation.number
            change(&entry)
        }
    }

    private func active(_ number: Int) throws(Refusal) -> Reservation {
        guard reservations.indices.contains(number - 1) else { throw Refusal("unknown_reservation", Int64(number)) }
        let reservation = reservations[number - 1]
        guard reservation.status == "active" else { throw Refusal("reservation_not_active", Int64(number)) }
        return reservation
    }

    /// The active reservation, and the place of the feature that an action names in it. An action on a reservation of
    /// one feature need not name it.
    private func active(_ number: Int, of feature: String?) throws(Refusal) -> (Reservation, place: Int) {
        let reservation = try active(number)
        let named = feature ?? (reservation.isOfSeveral ? nil : reservation.feature)
        guard let named, let place = reservation.features.firstIndex(of: named) else { throw Refusal("wrong_feature") }
        return (reservation, place)
    }

    /// The total progress of a feature after a report, which never lowers it. A report in another measure replaces it.
    private func reached(_ part: Part, _ demand: ModelDemand) -> ModelDemand {
        part.watermark?.maximum(demand) ?? demand
    }

    /// The growth of one feature of a job to a total.
    private struct Growth {
        /// Negative when the total costs less than what was charged.
        var due: Int64
        /// The cost of all growth so far by prices that depend on earlier events.
        var ofGrowth: Int64 = 0
        var filled: [String: Int64] = [:]
        var sums: [ModelSumKey: ModelSum] = [:]
        var carried: [String: Int64] = [:]
    }

    /// The growth of one feature of a job to a total progress, by the price of its reservation.
    private func growth(
        _ reservation: Reservation, _ part: Part, _ total: ModelDemand, _ attributes: [String: String]
    ) throws(Refusal) -> Growth {
        let key = PartKey(reservation: reservation.number, feature: part.feature)
        var growth: Growth
        if case .credits(let credits) = total {
            growth = Growth(due: max(0, credits - part.charged), carried: carriedCosts[key] ?? [:])
        } else if let version = part.version {
            guard let price = price(of: part.feature, version: version),
                let (row, own) = price.row(for: attributes)
            else {
                throw Refusal("feature_not_priced", of: part.feature)
            }
            let used = filled(part.feature)
            let sums = sums(part.feature, version)
            let before = part.watermark.flatMap { $0.isCredits ? nil : $0 }
            if let before, let (oldRow, old) = price.row(for: reservation.attributes), oldRow != row {
                growth = try priceAnew(total, own, row, after: before, old, oldRow, key, used: used, sums: sums)
                growth.due -= part.charged
            } else {
                try own.requireKnownDimensions(total)
                // Earlier charges stay. Only the growth is priced, after all that was counted so far.
                let grown = try own.charge(
                    own.part(total, ofPeriod: true, beyond: part.watermark), attributes: [:], used: used, sums: sums,
                    row: row)
                let rest = try own.charge(
                    own.part(total, ofPeriod: false), attributes: [:], used: used, sums: sums, row: row)
                let ofGrowth = (growthCosts[key] ?? 0) + grown.cost
                growth = Growth(
                    due: ofGrowth + rest.cost - part.charged, ofGrowth: ofGrowth, filled: grown.filled,
                    sums: grown.sums, carried: (carriedCosts[key] ?? [:]).merging(grown.carried) { $0 + $1 })
            }
        } else {
            if case .quantities = total { throw Refusal("units_expected") }
            growth = Growth(due: -part.charged)
        }
        // The charges of all features of a job add up to an amount.
        if growth.due > Self.largestAmount - reservation.charged { throw Refusal("amount_out_of_range") }
        return growth
    }

    /// Prices the total of a job by another row than its progress, whose units are taken out of the sums of their row.
    private func priceAnew(
        _ total: ModelDemand, _ price: ModelPrice, _ row: Int, after before: ModelDemand, _ old: ModelPrice,
        _ oldRow: Int, _ part: PartKey, used: [String: Int64], sums: [ModelSumKey: ModelSum]
    ) throws(Refusal) -> Growth {
        var used = used
        let names = ["", "in", "out", "steps"]
        // The units of an earlier window are not known.
        let isOfWindow = tierStart <= reservations[part.reservation - 1].createdAt
        func fills(_ name: String) -> Bool {
            guard isOfWindow, case .graduated(_, perPeriod: true) = old.price(of: name) else { return false }
            return true
        }
        for name in names where fills(name) { used[name] = max(0, (used[name] ?? 0) - before.units(of: name)) }
        let charge = try price.charge(total, attributes: [:], used: used, sums: sums, row: row)
        var growth = Growth(due: charge.cost, filled: charge.filled, sums: charge.sums, carried: charge.carried)
        for name in names where fills(name) { growth.filled[name, default: 0] -= before.units(of: name) }
        growth.filled = growth.filled.filter { $0.value != 0 }
        for name in names where before.units(of: name) > 0 {
            guard case .perUnit(let cost, _, carries: true) = old.price(of: name) else { continue }
            let key = ModelSumKey(row: oldRow, dimension: name)
            var sum = sums[key] ?? ModelSum()
            sum.exact -= Int128(before.units(of: name)) * Int128(cost)
            sum.charged -= Int128(carriedCosts[part]?[name] ?? 0)
            growth.sums[key] = sum
        }
        return growth
    }

    /// The mode of a charge that names none.
    private func mode(_ shortfall: String?) -> String { shortfall ?? (terms.isAllowed ? "overage" : "reject") }

    /// Refuses growth that does not fit a limit.
    private func judge(_ places: [Place], _ tally: Tally, isCapped: Bool) throws(Refusal) {
        try refuse(
            places.filter { place in
                if isCapped && place.standing.applied.limit.unit != "units" { return false }
                let growth = place.growth(tally)
                return growth > 0 && growth > place.standing.left
            }.map(\.standing))
    }

    /// The part of a due amount that no credits cover; refuses a charge that may not be short.
    private func short(
        _ due: Int64, of reservation: Reservation, _ feature: String, _ mode: String
    ) throws(Refusal) -> Int64 {
        let held = reservation.holds.reduce(0) { $0 + $1.amount }
        let spendable = spendable(feature)
        let short = max(0, due - held - spendable)
        if short == 0 || mode == "cap" { return short }
        let refused = Refusal.insufficient(effective: effective, spendable: spendable, required: due - held)
        if mode == "reject" { throw refused }
        if let limit = terms.limit, overage + short > limit { throw refused }
        try requireOwing(short, charging: due)
        return short
    }

    /// Charges the total of one feature and ends the job. The other features were charged at their watermarks before.
    package mutating func commit(
        _ number: Int, _ demand: ModelDemand, of feature: String? = nil, attributes own: [String: String] = [:],
        shortfall: String?
    ) throws(Refusal) -> Change {
        let (reservation, place) = try active(number, of: feature)
        let part = reservation.parts[place]
        let attributes = own.isEmpty ? reservation.attributes : own
        var total = reached(part, demand)
        let mode = mode(shortfall)
        let places = places(of: number, attributes)
        if mode == "cap" { total = fitting(total, of: reservation, place, places) }
        let growth = try growth(reservation, part, total, attributes)
        let held = reservation.holds.reduce(0) { $0 + $1.amount }
        var usages = [total]
        if case .credits = total { usages = [reservation.estimate] + (part.watermark.map { [$0] } ?? []) }
        func tally(_ due: Int64) -> Tally { reservation.tally(place, usages, charging: due, isActive: false) }
        if mode != "overage" { try judge(places, tally(growth.due), isCapped: mode == "cap") }
        var due = growth.due
        if mode == "cap" { due = fitting(due, of: reservation, part, places) }
        var charge = max(0, due)
        var short = try short(charge, of: reservation, part.feature, mode)
        if mode == "cap" {
            charge -= short
            short = 0
        }
        let taken = taking(charge - short, of: reservation, part.feature)
        let change = charge + min(0, due)
        let returned = held - taken.held.reduce(0) { $0 + $1.amount }
        let marks = marks(reservation.features, attributes)
        reservations[number - 1].holds = []
        reservations[number - 1].status = "committed"
        reservations[number - 1].finishedAt = now
        reservations[number - 1].parts[place].watermark = reservation.watermark(after: total, of: part)
        reservations[number - 1].parts[place].charged += change
        keep(growth, of: number, part)
        openWindows(for: number, tally(change), attributes)
        finish(number, tally(change), attributes)
        writeCommit(
            reservation, part, total, attributes, taken, short: short, holds: Self.negative(reservation.holds))
        tell(reservation: number, returned: returned, at: now)
        tellLimits(marks)
        bill(part.feature, units: max(0, total.total - (part.watermark?.total ?? 0)), cost: change)
        let refunded = due < 0 ? try settle(reservation: number, part.feature, givingBack: -due) : 0
        sweep(at: now)
        return Change(
            charged: charge, refunded: refunded, returned: returned, overage: short)
    }

    /// The most units with which the job fits its limits, and not fewer than the feature has reported. Other totals
    /// stay as they are.
    private func fitting(
        _ total: ModelDemand, of reservation: Reservation, _ place: Int, _ places: [Place]
    ) -> ModelDemand {
        guard case .units(let units) = total else { return total }
        let part = reservation.parts[place]
        let others = reservation.tally(place, [], isActive: false)
        var most = Int128(units)
        for limited in places {
            let limit = limited.standing.applied.limit
            guard limit.unit == "units", limit.dimension == nil, limit.names(part.feature) else { continue }
            most = min(most, limited.most - Int128(limit.amount(others)))
        }
        return .units(Int64(max(most, Int128(part.watermark?.total ?? 0))))
    }

    /// The part of a due amount with which the job fits its limits in credits. It is negative when less than what the
    /// feature was charged fits, and at least gives all of that back.
    private func fitting(
        _ due: Int64, of reservation: Reservation, _ part: Part, _ places: [Place]
    ) -> Int64 {
        let charged = reservation.tally(isActive: false)
        var most = Int128(due)
        for limited in places {
            let limit = limited.standing.applied.limit
            guard limit.unit == "credits", limit.names(part.feature) else { continue }
            most = min(most, limited.most - Int128(limit.amount(charged)))
        }
        return Int64(max(most, Int128(-part.charged)))
    }

    /// Counts a commit with its total: in the counters of its reservation that also count its own attributes, and in those
    /// of its own attributes.
    private mutating func finish(_ number: Int, _ tally: Tally, _ attributes: [String: String]) {
        recount(number, tally, isActive: false)
        guard let index = counted.firstIndex(where: { $0.reservation == number }),
            attributes != counted[index].attributes
        else { return }
        for place in counted.indices where counted[place].reservation == number { counted[place].final = attributes }
        let made = counted[index]
        var entered = Counted(
            features: made.features, attributes: attributes, at: now, tally: tally, quotas: made.quotas,
            reservation: number, isActive: false, zone: catalogue.zone, past: [tally])
        entered.reserved = (made.attributes, made.at)
        (entered.variantLimits, entered.starts) = (made.variantLimits, made.starts)
        counted.append(entered)
    }

    package mutating func release(_ number: Int) throws(Refusal) -> Change {
        let reservation = try active(number)
        giveBack(reservation: number, status: "released", at: now)
        sweep(at: now)
        return Change(returned: reservation.holds.reduce(0) { $0 + $1.amount })
    }

    package mutating func extend(_ number: Int, ttl: Int64) throws(Refusal) {
        let reservation = try active(number)
        reservations[number - 1].expiresAt = max(reservation.expiresAt, now.adding(seconds: ttl))
    }

    package mutating func progress(
        _ number: Int, _ demand: ModelDemand, of feature: String? = nil
    ) throws(Refusal) -> Change {
        let (reservation, place) = try active(number, of: feature)
        let part = reservation.parts[place]
        let total = reached(part, demand)
        if total == part.watermark { return Change() }
        if let last = part.watermark, last.isCredits != demand.isCredits {
            switch last {
            case .credits: throw Refusal("credits_expected")
            case .units: throw Refusal("units_expected")
            case .quantities: throw Refusal("quantities_expected")
            }
        }
        let growth = try growth(reservation, part, total, reservation.attributes)
        let charge = max(0, growth.due)
        let tally = reservation.tally(
            place, [reservation.estimate, total], charging: growth.due, isActive: true)
        if mode(nil) != "overage" {
            try judge(places(of: number, reservation.attributes), tally, isCapped: false)
        }
        let short = try short(charge, of: reservation, part.feature, mode(nil))
        let marks = marks(reservation.features, reservation.attributes)
        reservations[number - 1].parts[place].watermark = total
        keep(growth, of: number, part)
        openWindows(for: number, tally, reservation.attributes)
        recount(number, tally, isActive: true)
        bill(part.feature, units: max(0, total.total - (part.watermark?.total ?? 0)), cost: growth.due)
        if growth.due == 0 {
            tellLimits(marks)
            return Change()
        }
        let taken = taking(charge - short, of: reservation, part.feature)
        reservations[number - 1].parts[place].charged += growth.due
        reservations[number - 1].holds = reservation.holds.compactMap { hold in
            let used = taken.held.first { $0.block == hold.block }?.amount ?? 0
            return hold.amount > used ? Share(block: hold.block, amount: hold.amount - used) : nil
        }
        writeCommit(
            reservation, part, total, reservation.attributes, taken, short: short, holds: Self.negative(taken.held))
        tellLimits(marks)
        if growth.due < 0 {
            return Change(refunded: try settle(reservation: number, part.feature, givingBack: -growth.due))
        }
        if reservations[number - 1].holds.isEmpty { grow(number) }
        return Change(charged: charge, overage: short)
    }

    /// Holds another step after the hold was used up, as far as the credits suffice that are open to every feature.
    private mutating func grow(_ number: Int) {
        let reservation = reservations[number - 1]
        let step = portions(reservation.estimatedCost, of: eligible(reservation.features))
        if step.isEmpty { return }
        reservations[number - 1].holds = step
        writeReserve(reservation, step)
    }

    /// The shares that pay an amount: first from the hold, then from other blocks that are open to the feature, both in
    /// burn order.
    private func taking(
        _ amount: Int64, of reservation: Reservation, _ feature: String
    ) -> (held: [Share], others: [Share]) {
        var owed = amount
        var held: [Share] = []
        let holding = reservation.holds.map { blocks[$0.block - 1] }.sorted(by: Self.burnsBefore)
        for block in holding where owed > 0 {
            let hold = reservation.holds.first { $0.block == block.number }?.amount ?? 0
            held.append(Share(block: block.number, amount: min(owed, hold)))
            owed -= min(owed, hold)
        }
        return (held, portions(owed, of: eligible([feature])))
    }

    private mutating func writeCommit(
        _ reservation: Reservation, _ part: Part, _ total: ModelDemand, _ attributes: [String: String],
        _ taken: (held: [Share], others: [Share]), short: Int64, holds: [Share]
    ) {
        let allocation = Self.negative(Self.joined(taken.held, taken.others))
        let added = reservation.isOfSeveral ? added(total, reservation.number, part.feature) : nil
        let entry = write("commit", allocation, overage: short, holds: holds) { entry in
            entry.feature = part.feature
            entry.measure(total)
            entry.attributes = attributes
            entry.version = part.version
            entry.reservation = reservation.number
            entry.added = added
        }
        if short > 0 { debts.append(Debt(entry: entry.sequence, amount: short)) }
    }

    /// The units by which a total exceeds the earlier commits of the feature, dimension by dimension; nil for credits.
    private func added(_ total: ModelDemand, _ number: Int, _ feature: String) -> Int64? {
        if total.isCredits { return nil }
        let earlier = commits(of: number, feature)
        var names = [""]
        if case .quantities(let quantities) = total { names = Array(quantities.keys) }
        return Self.sum(
            names.map { name in
                let before = earlier.map { name.isEmpty ? $0.units ?? 0 : $0.quantities[name] ?? 0 }.max() ?? 0
                return max(0, total.units(of: name) - before)
            })
    }

    /// Keeps what the growth of a feature of a reservation leaves to later prices.
    private mutating func keep(_ growth: Growth, of number: Int, _ part: Part) {
        let key = PartKey(reservation: number, feature: part.feature)
        growthCosts[key] = growth.ofGrowth
        carriedCosts[key] = growth.carried
        keep(growth.sums, part.feature, part.version)
        if !growth.filled.isEmpty {
            fillings.append(Filling(feature: part.feature, window: tierStart, units: growth.filled))
        }
    }
}

extension ModelLedger.Reservation {
    /// The usage for which the job counts in limits.
    ///
    /// - Parameters:
    ///   - place: The place of the feature that has the given usages and is charged the due amount. The other features
    ///     have their watermarks.
    ///   - isActive: Whether the estimate counts in credits.
    func tally(
        _ place: Int? = nil, _ usages: [ModelDemand] = [], charging due: Int64 = 0, isActive: Bool
    ) -> ModelLedger.Tally {
        var tally = ModelLedger.Tally()
        for (index, part) in parts.enumerated() {
            let isNamed = index == place
            tally.usages[part.feature] = isNamed ? usages : part.watermark.map { [$0] } ?? []
            tally.credits[part.feature] = part.charged + (isNamed ? due : 0)
        }
        if isActive { tally.least = estimatedCost }
        return tally
    }

    /// The watermark of a feature after the commit that names it.
    fileprivate func watermark(after total: ModelDemand, of part: ModelLedger.Part) -> ModelDemand? {
        if part.watermark == nil, !isOfSeveral { return nil }
        // Progress in units or quantities goes on counting in limits after a commit in credits.
        if let watermark = part.watermark, !watermark.isCredits, total.isCredits { return watermark }
        return total
    }
}
