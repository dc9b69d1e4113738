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

    package mutating func reserve(
        _ feature: String, _ demand: ModelDemand, attributes: [String: String], ttl: Int64
    ) throws(Refusal) -> Int {
        var attributes = attributes
        if case .credits = demand { attributes = [:] }
        let decision = try decide(feature, demand, attributes: attributes, isReservation: true)
        let holds = portions(decision.cost - decision.short, of: eligible(feature))
        let number = reservations.count + 1
        count(feature, demand, attributes, credits: decision.cost, reservation: number)
        write("reserve", [], holds: holds) { entry in
            entry.feature = feature
            entry.measure(demand)
            entry.attributes = attributes
            entry.version = decision.version
            entry.reservation = number
        }
        reservations.append(
            Reservation(
                number: number, feature: feature, estimate: demand, attributes: attributes,
                version: decision.version, estimatedCost: decision.cost, holds: holds, uncovered: decision.short,
                expiresAt: now.adding(seconds: ttl), createdAt: now))
        exists = true
        return number
    }

    private func active(_ number: Int) throws(Refusal) -> Reservation {
        guard reservations.indices.contains(number - 1) else { throw Refusal("unknown_reservation", Int64(number)) }
        let reservation = reservations[number - 1]
        guard reservation.status == "active" else { throw Refusal("reservation_not_active", Int64(number)) }
        return reservation
    }

    /// The total progress of a job after a report; a report never lowers it. A report in another measure replaces it.
    private func reached(_ reservation: Reservation, _ demand: ModelDemand) -> ModelDemand {
        reservation.watermark?.maximum(demand) ?? demand
    }

    /// The growth of a job to a total.
    private struct Growth {
        /// Negative when the total costs less than what was charged.
        var due: Int64
        /// The cost of all growth so far by prices that depend on earlier events.
        var ofGrowth: Int64 = 0
        var filled: [String: Int64] = [:]
        var sums: [ModelSumKey: ModelSum] = [:]
        var carried: [String: Int64] = [:]
    }

    /// The growth of a job to a total progress, by the price of its reservation.
    private func growth(
        _ reservation: Reservation, _ total: ModelDemand, _ attributes: [String: String]
    ) throws(Refusal) -> Growth {
        let number = reservation.number
        if case .credits(let credits) = total {
            return Growth(due: max(0, credits - reservation.charged), carried: carriedCosts[number] ?? [:])
        }
        guard let version = reservation.version else {
            if case .quantities = total { throw Refusal("units_expected") }
            return Growth(due: -reservation.charged)
        }
        let price = (catalogue.features[reservation.feature]?.prices ?? [])[version - 1].price
        guard let (row, own) = price.row(for: attributes) else { throw Refusal("feature_not_priced") }
        let used = filled(reservation.feature)
        let sums = sums(reservation.feature, version)
        var growth: Growth
        let before = reservation.watermark.flatMap { $0.isCredits ? nil : $0 }
        if let before, let (oldRow, old) = price.row(for: reservation.attributes), oldRow != row {
            growth = try priceAnew(total, own, row, after: before, old, oldRow, number, used: used, sums: sums)
            growth.due -= reservation.charged
        } else {
            // Earlier charges stay. Only the growth is priced, after all that was counted so far.
            let part = own.part(total, ofPeriod: true, beyond: reservation.watermark)
            let grown = try own.charge(part, attributes: [:], used: used, sums: sums, row: row)
            let rest = try own.charge(
                own.part(total, ofPeriod: false), attributes: [:], used: used, sums: sums, row: row)
            let ofGrowth = (growthCosts[number] ?? 0) + grown.cost
            growth = Growth(
                due: ofGrowth + rest.cost - reservation.charged, ofGrowth: ofGrowth, filled: grown.filled,
                sums: grown.sums, carried: (carriedCosts[number] ?? [:]).merging(grown.carried) { $0 + $1 })
        }
        if growth.due > Self.largestAmount - reservation.charged { throw Refusal("amount_out_of_range") }
        return growth
    }

    /// Prices the total of a job by another row than its progress, whose units are taken out of the sums of their row.
    private func priceAnew(
        _ total: ModelDemand, _ price: ModelPrice, _ row: Int, after before: ModelDemand, _ old: ModelPrice,
        _ oldRow: Int, _ number: Int, used: [String: Int64], sums: [ModelSumKey: ModelSum]
    ) throws(Refusal) -> Growth {
        var used = used
        let names = ["", "in", "out", "steps"]
        // The units of an earlier month are not known.
        let isOfMonth = ModelWindow.month.around(now, in: .utc).start <= reservations[number - 1].createdAt
        func fills(_ name: String) -> Bool {
            guard isOfMonth, case .graduated(_, perPeriod: true) = old.price(of: name) else { return false }
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
            sum.charged -= Int128(carriedCosts[number]?[name] ?? 0)
            growth.sums[key] = sum
        }
        return growth
    }

    /// The mode of a charge that names none.
    private func mode(_ shortfall: String?) -> String { shortfall ?? (terms.isAllowed ? "overage" : "reject") }

    /// Refuses growth that does not fit a limit.
    private func judge(
        _ places: [Place], _ usages: [ModelDemand], credits: Int64, isCapped: Bool
    ) throws(Refusal) {
        try refuse(
            places.filter { place in
                if isCapped && place.standing.applied.limit.unit != "units" { return false }
                let growth = place.growth(usages, credits: credits)
                return growth > 0 && growth > place.standing.left
            }.map(\.standing))
    }

    /// The part of a due amount that no credits cover; refuses a charge that may not be short.
    private func short(_ due: Int64, of reservation: Reservation, _ mode: String) throws(Refusal) -> Int64 {
        let held = reservation.holds.reduce(0) { $0 + $1.amount }
        let spendable = spendable(reservation.feature)
        let short = max(0, due - held - spendable)
        if short == 0 || mode == "cap" { return short }
        let refused = Refusal.insufficient(effective: effective, spendable: spendable, required: due - held)
        if mode == "reject" { throw refused }
        if let limit = terms.limit, overage + short > limit { throw refused }
        try requireOwing(short, charging: due)
        return short
    }

    package mutating func commit(
        _ number: Int, _ demand: ModelDemand, attributes own: [String: String] = [:], shortfall: String?
    ) throws(Refusal) -> Change {
        let reservation = try active(number)
        let attributes = own.isEmpty || demand.isCredits ? reservation.attributes : own
        var total = reached(reservation, demand)
        let mode = mode(shortfall)
        let places = places(of: number, attributes)
        if mode == "cap", case .units(let units) = total {
            let fitting = places.filter {
                $0.standing.applied.limit.unit == "units" && $0.standing.applied.limit.dimension == nil
            }.map { Self.sum([$0.counted, $0.standing.left]) }
            total = .units(max(min(units, fitting.min() ?? units), reservation.watermark?.total ?? 0))
        }
        let growth = try growth(reservation, total, attributes)
        let held = reservation.holds.reduce(0) { $0 + $1.amount }
        var usages = [total]
        if case .credits = total { usages = [reservation.estimate] + (reservation.watermark.map { [$0] } ?? []) }
        if mode != "overage" {
            try judge(places, usages, credits: reservation.charged + growth.due, isCapped: mode == "cap")
        }
        var due = growth.due
        if mode == "cap" {
            for place in places where place.standing.applied.limit.unit == "credits" {
                due = min(due, Self.sum([place.counted, place.standing.left]) - reservation.charged)
            }
        }
        var charge = max(0, due)
        var short = try short(charge, of: reservation, mode)
        if mode == "cap" {
            charge -= short
            short = 0
        }
        let taken = taking(charge - short, of: reservation)
        let change = charge + min(0, due)
        reservations[number - 1].holds = []
        reservations[number - 1].status = "committed"
        reservations[number - 1].finishedAt = now
        reservations[number - 1].watermark = reservation.watermark == nil ? nil : total
        reservations[number - 1].charged += change
        keep(growth, of: reservation)
        openWindows(for: number, usages, credits: reservation.charged + change, attributes)
        finish(number, usages, credits: reservation.charged + change, attributes)
        writeCommit(reservation, total, attributes, taken, short: short, holds: Self.negative(reservation.holds))
        let refunded = due < 0 ? try settle(reservation: number, givingBack: -due) : 0
        sweep(at: now)
        return Change(
            charged: charge, refunded: refunded, returned: held - taken.held.reduce(0) { $0 + $1.amount },
            overage: short)
    }

    /// Counts a commit with its total: in the counters of its reservation that also count its own attributes, and in those
    /// of its own attributes.
    private mutating func finish(
        _ number: Int, _ usages: [ModelDemand], credits: Int64, _ attributes: [String: String]
    ) {
        recount(number, usages, credits: credits, isActive: false)
        guard let index = counted.firstIndex(where: { $0.reservation == number }),
            attributes != counted[index].attributes
        else { return }
        for place in counted.indices where counted[place].reservation == number { counted[place].final = attributes }
        let made = counted[index]
        var entered = Counted(
            feature: made.feature, attributes: attributes, at: now, usages: usages, credits: credits, quota: made.quota,
            reservation: number, isActive: false, zone: catalogue.zone, most: usages, mostCredits: credits)
        entered.reserved = (made.attributes, made.at)
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

    package mutating func progress(_ number: Int, _ demand: ModelDemand) throws(Refusal) -> Change {
        let reservation = try active(number)
        let total = reached(reservation, demand)
        if total == reservation.watermark { return Change() }
        if let last = reservation.watermark, last.isCredits != demand.isCredits {
            switch last {
            case .credits: throw Refusal("credits_expected")
            case .units: throw Refusal("units_expected")
            case .quantities: throw Refusal("quantities_expected")
            }
        }
        let growth = try growth(reservation, total, reservation.attributes)
        let charge = max(0, growth.due)
        let credits = max(reservation.estimatedCost, reservation.charged + growth.due)
        if mode(nil) != "overage" {
            try judge(
                places(of: number, reservation.attributes), [reservation.estimate, total], credits: credits,
                isCapped: false)
        }
        let short = try short(charge, of: reservation, mode(nil))
        reservations[number - 1].watermark = total
        keep(growth, of: reservation)
        openWindows(for: number, [reservation.estimate, total], credits: credits, reservation.attributes)
        recount(number, [reservation.estimate, total], credits: credits, isActive: true)
        if growth.due == 0 { return Change() }
        let taken = taking(charge - short, of: reservation)
        reservations[number - 1].charged += growth.due
        reservations[number - 1].holds = reservation.holds.compactMap { hold in
            let used = taken.held.first { $0.block == hold.block }?.amount ?? 0
            return hold.amount > used ? Share(block: hold.block, amount: hold.amount - used) : nil
        }
        writeCommit(
            reservation, total, reservation.attributes, taken, short: short, holds: Self.negative(taken.held))
        if growth.due < 0 {
            return Change(refunded: try settle(reservation: number, givingBack: -growth.due))
        }
        if reservations[number - 1].holds.isEmpty { grow(number) }
        return Change(charged: charge, overage: short)
    }

    /// Holds another step after the hold was used up, as far as the spendable credits suffice.
    private mutating func grow(_ number: Int) {
        let reservation = reservations[number - 1]
        let step = portions(reservation.estimatedCost, of: eligible(reservation.feature))
        if step.isEmpty { return }
        reservations[number - 1].holds = step
        write("reserve", [], holds: step) { entry in
            entry.feature = reservation.feature
            entry.version = reservation.version
            entry.reservation = number
        }
    }

    /// The shares that pay an amount: first from the hold, then from other blocks, both in burn order.
    private func taking(_ amount: Int64, of reservation: Reservation) -> (held: [Share], others: [Share]) {
        var owed = amount
        var held: [Share] = []
        let holding = reservation.holds.map { blocks[$0.block - 1] }.sorted(by: Self.burnsBefore)
        for block in holding where owed > 0 {
            let hold = reservation.holds.first { $0.block == block.number }?.amount ?? 0
            held.append(Share(block: block.number, amount: min(owed, hold)))
            owed -= min(owed, hold)
        }
        return (held, portions(owed, of: eligible(reservation.feature)))
    }

    private mutating func writeCommit(
        _ reservation: Reservation, _ total: ModelDemand, _ attributes: [String: String],
        _ taken: (held: [Share], others: [Share]), short: Int64, holds: [Share]
    ) {
        let allocation = Self.negative(Self.joined(taken.held, taken.others))
        let entry = write("commit", allocation, overage: short, holds: holds) { entry in
            entry.feature = reservation.feature
            entry.measure(total)
            entry.attributes = total.isCredits ? [:] : attributes
            entry.version = reservation.version
            entry.reservation = reservation.number
        }
        if short > 0 { debts.append(Debt(entry: entry.sequence, amount: short)) }
    }

    /// Keeps what the growth of a reservation leaves to later prices.
    private mutating func keep(_ growth: Growth, of reservation: Reservation) {
        growthCosts[reservation.number] = growth.ofGrowth
        carriedCosts[reservation.number] = growth.carried
        keep(growth.sums, reservation.feature, reservation.version)
        if !growth.filled.isEmpty {
            fillings.append(Filling(feature: reservation.feature, at: now, units: growth.filled))
        }
    }
}
