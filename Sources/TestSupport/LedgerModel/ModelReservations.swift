import Credits

extension ModelLedger {
    /// The effect of an action on a reservation.
    package struct Change: Equatable, Sendable {
        package var charged: Int64 = 0
        package var returned: Int64 = 0
        package var overage: Int64 = 0
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

    /// The amount still to be charged for a job at a total progress, by the price of its reservation, and the part that
    /// fills the month's tiers.
    private func growth(
        _ reservation: Reservation, _ total: ModelDemand
    ) throws(Refusal) -> (due: Int64, ofPeriod: Int64, filled: [String: Int64]) {
        if case .credits(let credits) = total { return (max(0, credits - reservation.charged), 0, [:]) }
        guard let version = reservation.version else {
            if case .quantities = total { throw Refusal("units_expected") }
            return (0, 0, [:])
        }
        let prices = catalogue.features[reservation.feature]?.prices ?? []
        guard let price = prices[version - 1].price.chosen(by: reservation.attributes) else {
            throw Refusal("feature_not_priced")
        }
        let used = filled(reservation.feature)
        // Earlier charges of period-scoped tiers stay. Only the growth is priced, after the units counted so far.
        let growth = price.part(total, ofPeriod: true, beyond: reservation.watermark)
        let grown = try price.charge(growth, attributes: [:], used: used)
        let rest = try price.charge(price.part(total, ofPeriod: false), attributes: [:], used: used)
        let ofPeriod = (periodCosts[reservation.number] ?? 0) + grown.cost
        let due = max(0, ofPeriod + rest.cost - reservation.charged)
        if due > Self.largestAmount - reservation.charged { throw Refusal("amount_out_of_range") }
        return (due, ofPeriod, grown.filled)
    }

    package mutating func commit(
        _ number: Int, _ demand: ModelDemand, shortfall: String?
    ) throws(Refusal) -> Change {
        let reservation = try active(number)
        let total = reached(reservation, demand)
        let growth = try growth(reservation, total)
        let held = reservation.holds.reduce(0) { $0 + $1.amount }
        var charge = growth.due
        var short = max(0, charge - held - spendable(reservation.feature))
        if short > 0 {
            let refused = Refusal.insufficient(
                effective: effective, spendable: spendable(reservation.feature), required: charge - held)
            switch shortfall ?? (terms.isAllowed ? "overage" : "reject") {
            case "reject": throw refused
            case "cap":
                charge -= short
                short = 0
            default:
                if let limit = terms.limit, overage + short > limit { throw refused }
                try requireOwing(short, charging: charge)
            }
        }
        let taken = taking(charge - short, of: reservation)
        reservations[number - 1].holds = []
        reservations[number - 1].status = "committed"
        reservations[number - 1].finishedAt = now
        reservations[number - 1].watermark = reservation.watermark == nil ? nil : total
        reservations[number - 1].charged += charge
        fill(reservation, growth.filled, growth.ofPeriod)
        var usages = [total]
        if case .credits = total { usages = [reservation.estimate] + (reservation.watermark.map { [$0] } ?? []) }
        recount(number, usages, credits: reservation.charged + charge, isActive: false)
        writeCommit(reservation, total, taken, short: short, holds: Self.negative(reservation.holds))
        sweep(at: now)
        return Change(
            charged: charge, returned: held - taken.held.reduce(0) { $0 + $1.amount }, overage: short)
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
        let growth = try growth(reservation, total)
        let held = reservation.holds.reduce(0) { $0 + $1.amount }
        let charge = growth.due
        let short = max(0, charge - held - spendable(reservation.feature))
        if short > 0 {
            let refused = Refusal.insufficient(
                effective: effective, spendable: spendable(reservation.feature), required: charge - held)
            guard terms.isAllowed else { throw refused }
            if let limit = terms.limit, overage + short > limit { throw refused }
            try requireOwing(short, charging: charge)
        }
        reservations[number - 1].watermark = total
        fill(reservation, growth.filled, growth.ofPeriod)
        recount(
            number, [reservation.estimate, total],
            credits: max(reservation.estimatedCost, reservation.charged + charge), isActive: true)
        if charge == 0 { return Change() }
        let taken = taking(charge - short, of: reservation)
        reservations[number - 1].charged += charge
        reservations[number - 1].holds = reservation.holds.compactMap { hold in
            let used = taken.held.first { $0.block == hold.block }?.amount ?? 0
            return hold.amount > used ? Share(block: hold.block, amount: hold.amount - used) : nil
        }
        writeCommit(reservation, total, taken, short: short, holds: Self.negative(taken.held))
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
        _ reservation: Reservation, _ total: ModelDemand, _ taken: (held: [Share], others: [Share]), short: Int64,
        holds: [Share]
    ) {
        let allocation = Self.negative(Self.joined(taken.held, taken.others))
        let entry = write("commit", allocation, overage: short, holds: holds) { entry in
            entry.feature = reservation.feature
            entry.measure(total)
            entry.attributes = total.isCredits ? [:] : reservation.attributes
            entry.version = reservation.version
            entry.reservation = reservation.number
        }
        if short > 0 { debts.append(Debt(entry: entry.sequence, amount: short)) }
    }

    /// Counts the charged units of a reservation in the month's tiers.
    private mutating func fill(_ reservation: Reservation, _ units: [String: Int64], _ cost: Int64) {
        periodCosts[reservation.number] = cost
        if !units.isEmpty { fillings.append(Filling(feature: reservation.feature, at: now, units: units)) }
    }
}
