import Catalogue
import Credits
import Metering

// The charges of a job: a commit charges it for its total, and a report of progress for its total so far.

/// The growth of a job to a total, by the rule version that it was reserved with.
private struct JobGrowth {
    /// The amount still to be charged, in millicredits. It is negative when the total costs less than what was charged.
    var due: Int64
    /// The units by which period tiers fill. They are negative where a commit takes units of its progress out.
    var periodUnits: [String: Int64] = [:]
    /// The remainders of prices that carry fractions.
    var remainders: [CounterID: Int64] = [:]
    /// The part of all charges of the job so far that prices which carry fractions have charged, by dimension.
    var carried: [String: Int64] = [:]
}

/// The amount of one charge of a reservation and the credits that pay it.
private struct Charge {
    /// The total of hold, other blocks and overage, in millicredits.
    var amount: Int64
    /// The part that the hold pays, by block.
    var fromHold: [Allocation]
    /// The part that the hold and other blocks pay, by block.
    var allocations: [Allocation]
    var overage: Int64
}

extension AccountDraft {
    /// Charges a reservation for its total of a feature and ends it. The other features are charged at their watermarks
    /// already.
    ///
    /// - Parameter place: The place of the feature among the parts of the reservation.
    mutating func commit(
        _ before: Reservation, _ place: Int, _ actual: Demand, shortfall: Shortfall?, _ context: ActionContext
    ) throws(Refusal) -> (Reservation, ReservationChange) {
        var reservation = before
        let part = before.parts[place]
        var total = before.total(of: part, actual, isFinal: true)
        let mode = shortfall ?? account.defaultShortfall(context)
        let limits = account.limits(of: before, at: total.attributes, context)
        if mode == .cap { total = limits.fitting(total, of: before, place) }
        var growth = try growth(of: before, part, to: total, context)
        func usage(charging amount: Int64) -> CountedUsage {
            var usage = before.counted
            usage.leastCredits = 0
            usage.isActive = false
            if total.isMeasured { usage.parts[place].demands = [total] }
            usage.parts[place].credits += amount
            return usage
        }
        if mode != .overage, let failing = limits.failing(usage(charging: growth.due), isCapped: mode == .cap) {
            throw .limitReached(part.featureKey, failing.limit, required: failing.growth)
        }
        // A feature gives back at most what it was charged, also where others alone exceed a limit.
        if mode == .cap { growth.due = max(limits.fitting(growth.due, of: before, place), -part.charged.rawValue) }
        try requireCompensation(for: growth)
        try account.requireCounters(limits.newCounters(usage(charging: growth.due)))
        let charge = try charge(max(0, growth.due), of: before, part, mode, field: actual.field, context)
        let held = before.held
        let change = charge.amount + min(0, growth.due)
        reservation.parts[place].watermark = before.finalWatermark(of: part, total)
        reservation.parts[place].charged = part.charged.changed(by: change)
        reservation.parts[place].carried = growth.carried
        if total.isMeasured { reservation.parts[place].state(total, of: before) }
        reservation.status = .committed
        reservation.finishedAt = context.now
        reservation.holds = []
        let entry = post(
            Posting(
                .commit, amount: -charge.amount, reservedDelta: -held, overageDelta: charge.overage,
                allocations: charge.allocations, holds: before.holds.negated,
                cause: cause(of: before, part, total, context), effectiveAt: context.now), now: context.now)
        account.count(growth, of: part.featureKey, context)
        account.bill(
            part.featureKey, units: max(0, total.units - (part.watermark?.units ?? 0)), cost: change,
            context.catalogue)
        account.recount(before, limits, to: usage(charging: change), now: context.now)
        account.set(reservation, into: &recorder)
        let returned = held + charge.fromHold.total
        account.tell(reservation, returned: returned, at: context.now, now: context.now, into: &recorder)
        tellLimits(limits.states, context)
        let refunded = growth.due < 0 ? settle(before, part, givingBack: -growth.due, context) : 0
        account.sweep(before.holds.map(\.block), at: context.now, now: context.now, into: &recorder)
        return (
            reservation,
            ReservationChange(
                charged: charge.amount, refunded: refunded, returned: returned, overage: charge.overage, entry: entry)
        )
    }

    /// Charges a reservation up to a watermark of a feature, which never falls. Grows the hold by one step when it is used up.
    ///
    /// - Parameter place: The place of the feature among the parts of the reservation.
    mutating func advance(
        _ before: Reservation, _ place: Int, to progress: Demand, _ context: ActionContext
    ) throws(Refusal) -> (Reservation, ReservationChange) {
        var reservation = before
        let part = before.parts[place]
        let watermark = before.total(of: part, progress, isFinal: false)
        guard watermark != part.watermark else { return (before, .none) }
        if let last = part.watermark, last.isMeasured != progress.isMeasured {
            throw .wrongMeasure(last.expectation)
        }
        let mode = account.defaultShortfall(context)
        let growth = try growth(of: before, part, to: watermark, context)
        try requireCompensation(for: growth)
        reservation.parts[place].watermark = watermark
        reservation.parts[place].carried = growth.carried
        let limits = account.limits(of: before, at: before.estimate.attributes, context)
        var grown = reservation.counted
        grown.parts[place].credits += growth.due
        if mode != .overage, let failing = limits.failing(grown, isCapped: false) {
            throw .limitReached(part.featureKey, failing.limit, required: failing.growth)
        }
        try account.requireCounters(limits.newCounters(grown))
        let charge = try charge(max(0, growth.due), of: before, part, mode, field: progress.field, context)
        reservation.parts[place].charged = part.charged.changed(by: growth.due)
        reservation.holds = before.holds.taking(charge.fromHold)
        var entry: Entry?
        if growth.due != 0 {
            if watermark.isMeasured { reservation.parts[place].state(watermark, of: before) }
            entry = post(
                Posting(
                    .commit, amount: -charge.amount, reservedDelta: charge.fromHold.total,
                    overageDelta: charge.overage, allocations: charge.allocations, holds: charge.fromHold,
                    cause: cause(of: before, part, watermark, context), effectiveAt: context.now), now: context.now)
            if growth.due > 0, reservation.holds.isEmpty { growHold(of: &reservation, context) }
        }
        account.count(growth, of: part.featureKey, context)
        account.bill(
            part.featureKey, units: watermark.units - (part.watermark?.units ?? 0), cost: growth.due,
            context.catalogue)
        reservation.counts = account.recount(before, limits, to: reservation.counted, now: context.now)
        account.set(reservation, into: &recorder)
        tellLimits(limits.states, context)
        let refunded = growth.due < 0 ? settle(before, part, givingBack: -growth.due, context) : 0
        return (
            reservation,
            ReservationChange(
                charged: charge.amount, refunded: refunded, returned: 0, overage: charge.overage, entry: entry)
        )
    }

    /// Refuses a report that gives credits back while the account has no place for a block that may have to take them.
    private func requireCompensation(for growth: JobGrowth) throws(Refusal) {
        guard growth.due >= 0 || openBlocks < Block.maximumOpen else { throw .tooMany(.blocks) }
    }

    /// Holds another step, as far as the spendable credits suffice.
    private mutating func growHold(of reservation: inout Reservation, _ context: ActionContext) {
        let (allocations, _) = account.burn(reservation.estimatedCost.rawValue) {
            $0.isOpen(to: reservation.featureKeys)
        }
        guard !allocations.isEmpty, account.canHold(partsOf: allocations.count) else { return }
        reservation.holds = allocations.negated
        var cause = reservation.cause(of: nil)
        cause.idempotencyKey = context.idempotencyKey
        post(
            Posting(
                .reserve, reservedDelta: reservation.held, holds: reservation.holds, cause: cause,
                effectiveAt: context.now), now: context.now)
    }

    /// The growth of a part of a reservation to a total, which is not behind its watermark.
    private func growth(
        of reservation: Reservation, _ part: JobPart, to total: Demand, _ context: ActionContext
    ) throws(Refusal) -> JobGrowth {
        let charged = part.charged.rawValue
        guard case .measured(let measure, let attributes) = total else {
            guard case .credits(let credits, _) = total else { return JobGrowth(due: 0) }
            let due = max(0, credits.rawValue - charged)
            guard due <= reservation.room else { throw .amountOutOfRange(field: total.field) }
            return JobGrowth(due: due, carried: part.carried)
        }
        guard let ruleID = part.ruleID else {
            guard case .units = measure else { throw .wrongMeasure(.unitsExpected) }
            return JobGrowth(due: -charged)
        }
        guard let rule = context.catalogue.rule(id: ruleID, of: part.featureKey) else {
            throw .featureNotPriced(part.featureKey)
        }
        do throws(PricingFailure) {
            let growth = try account.growth(
                of: part, madeAt: reservation.createdAt, to: measure, attributes, rule, context)
            // The growth of a job is priced by itself, so its total must be in the range of amounts too.
            guard growth.due <= reservation.room else { throw .outOfRange }
            return growth
        } catch {
            switch error {
            case .outOfRange: throw .amountOutOfRange(field: total.field)
            case .noMatchingRow: throw .featureNotPriced(part.featureKey)
            case .wrongMeasure(let wrong): throw .wrongMeasure(wrong)
            }
        }
    }

    /// Takes the due amount from the hold, then from spendable credits, then according to the shortfall mode.
    private func charge(
        _ due: Int64, of reservation: Reservation, _ part: JobPart, _ mode: Shortfall, field: String,
        _ context: ActionContext
    ) throws(Refusal) -> Charge {
        // Expiries of a subscription's blocks may have moved since they were held.
        let holds =
            account.subscriptions.isEmpty ? reservation.holds : reservation.holds.inBurnOrder(of: account.blocks)
        let fromHold = holds.burned(due)
        let excess = due + fromHold.total
        let (others, missing) = account.burn(excess) { $0.isOpen(to: [part.featureKey]) }
        var charge = Charge(
            amount: due, fromHold: fromHold, allocations: fromHold.adding(others), overage: 0)
        guard missing > 0 else { return charge }
        let terms = account.overageTerms(context.catalogue)
        switch mode {
        case .reject: break
        case .cap:
            charge.amount -= missing
            return charge
        case .overage:
            guard missing <= terms.room(beyond: account.overage.rawValue) ?? .max else { break }
            guard account.balance.rawValue - due >= -Millicredits.limit,
                account.overage.rawValue + missing <= Millicredits.limit
            else { throw .amountOutOfRange(field: field) }
            charge.overage = missing
            return charge
        }
        throw .insufficientCredits(
            effectiveBalance: account.balances.effective, spendable: account.spendable(for: [part.featureKey]),
            required: excess)
    }

    private func cause(
        of reservation: Reservation, _ part: JobPart, _ total: Demand, _ context: ActionContext
    ) -> EntryCause {
        var cause = EntryCause(
            feature: part.featureKey, demand: total, ruleID: part.ruleID, reservation: reservation.number)
        if reservation.parts.count > 1, total.isMeasured {
            cause.details.addedUnits = max(0, total.units - part.stated)
        }
        cause.idempotencyKey = context.idempotencyKey
        return cause
    }
}

// MARK: - Pricing

extension Account {
    /// The growth of a job's use of a feature to a total by a rule.
    ///
    /// While the row of the rule stays the same, models that depend on earlier events price the growth alone, and all
    /// others the total. A commit whose attributes choose another row is priced as a whole: the charges on the way are
    /// given back, and the remainders of their row with them.
    fileprivate func growth(
        of part: JobPart, madeAt created: Instant, to measure: Measure, _ attributes: Attributes, _ rule: MeteringRule,
        _ context: ActionContext
    ) throws(PricingFailure) -> JobGrowth {
        let (price, feature) = (rule.price, part.featureKey)
        guard let row = price.row(for: attributes), let terms = price.terms(for: attributes) else {
            throw .noMatchingRow
        }
        func ids(_ remainders: [String: Int64]) -> [CounterID: Int64] {
            Dictionary(
                uniqueKeysWithValues: remainders.map { name, remainder in
                    (UsageCounters.remainder(rule.id, row: row, name), remainder)
                })
        }
        let prior = priorUsage(of: feature, rule, attributes, context.catalogue, now: context.now)
        let charged = part.charged.rawValue
        guard case .measured(let earlier, let own)? = part.watermark, let oldRow = price.row(for: own) else {
            let priced = try price.priced(measure, attributes: attributes, used: prior)
            return JobGrowth(
                due: priced.cost.rawValue - charged, periodUnits: priced.periodUnits,
                remainders: ids(priced.remainders), carried: priced.carriedCosts)
        }
        if oldRow == row {
            guard terms.isCumulative else {
                let priced = try price.priced(measure, attributes: attributes, used: prior)
                return JobGrowth(due: priced.cost.rawValue - charged)
            }
            let growth = try price.growth(from: earlier, to: measure, attributes: attributes, used: prior)
            return JobGrowth(
                due: growth.cost.rawValue, periodUnits: growth.periodUnits, remainders: ids(growth.remainders),
                carried: part.carried.merging(growth.carriedCosts) { $0 + $1 })
        }
        // A job of this period has filled the tiers of this period. For an earlier one that is not known, and nothing is
        // taken out.
        let period = tierPeriod(at: context.now, context.catalogue)
        let counted = period.contains(created) ? price.periodDimensions(for: own) : []
        var before = prior
        for name in counted { before.used[name] = max(0, (prior.used[name] ?? 0) - earlier.units(of: name)) }
        let priced = try price.priced(measure, attributes: attributes, used: before)
        var growth = JobGrowth(
            due: priced.cost.rawValue - charged, periodUnits: priced.periodUnits, remainders: ids(priced.remainders),
            carried: priced.carriedCosts)
        for name in counted { growth.periodUnits[name, default: 0] -= earlier.units(of: name) }
        let kept = priorUsage(of: feature, rule, own, context.catalogue, now: context.now).remainders
        for name in price.carriedDimensions(for: own) where earlier.units(of: name) > 0 {
            let remainder = price.terms(for: own)?.model(of: name)?.remainder(
                after: -earlier.units(of: name), costing: -(part.carried[name] ?? 0), before: kept[name] ?? 0)
            guard let remainder else { throw .outOfRange }
            growth.remainders[UsageCounters.remainder(rule.id, row: oldRow, name)] = remainder
        }
        return growth
    }

    /// Keeps what a job's growth leaves to later prices.
    fileprivate mutating func count(_ growth: JobGrowth, of feature: FeatureKey, _ context: ActionContext) {
        let period = tierPeriod(at: context.now, context.catalogue)
        counters.count(growth.periodUnits, feature: feature, in: period)
        for (id, remainder) in growth.remainders { counters.carry(remainder, id) }
    }

    /// Refuses counters for which the account has no place.
    fileprivate func requireCounters(_ count: Int) throws(Refusal) {
        guard count == 0 || counters.storedCount + count <= UsageCounters.maximumOpen else {
            throw .tooMany(.counters)
        }
    }

    /// The shortfall mode of a charge that names none.
    fileprivate func defaultShortfall(_ context: ActionContext) -> Shortfall {
        overageTerms(context.catalogue).isAllowed ? .overage : .reject
    }
}

extension Reservation {
    /// Whether a part of what was charged for a feature may have to be given back when the job reaches a total. Its charges
    /// are loaded only then.
    func mayGiveBack(
        of part: JobPart, at report: Demand, isFinal: Bool, _ shortfall: Shortfall?, _ catalogue: Catalogue
    ) -> Bool {
        guard part.charged > .zero, let watermark = part.watermark else { return false }
        // A commit that is cut to fit can cost less than its total.
        if shortfall == .cap { return true }
        guard case .measured(let measure, let attributes) = total(of: part, report, isFinal: isFinal) else {
            return false
        }
        guard case .measured(let earlier, let own) = watermark, let ruleID = part.ruleID,
            let price = catalogue.rule(id: ruleID, of: part.featureKey)?.price,
            let terms = price.terms(for: attributes), price.row(for: own) == price.row(for: attributes)
        else { return true }
        guard terms.mayFall else { return false }
        // The growth of the other dimensions, which depend on earlier events, costs at least nothing.
        func cost(_ measure: Measure) -> Int64? {
            let fixed = measure.keeping { terms.model(of: $0)?.isCumulative == false }
            return try? price.priced(fixed, attributes: attributes, used: PriorUsage()).cost.rawValue
        }
        guard let before = cost(earlier), let after = cost(measure) else { return true }
        return after < before || !terms.isCumulative && after < part.charged.rawValue
    }

    /// The total of a job's feature after a report. It is never behind the watermark. It has the attributes of the
    /// estimate, unless the final report names others.
    fileprivate func total(of part: JobPart, _ report: Demand, isFinal: Bool) -> Demand {
        let own = report.attributes
        let attributes = isFinal && !own.values.isEmpty ? own : estimate.attributes
        switch (report, part.watermark) {
        case (.credits(let credits, _), .credits(let watermark, _)?):
            return .credits(max(credits, watermark), attributes)
        case (.credits(let credits, _), _): return .credits(credits, attributes)
        case (.measured(let measure, _), .measured(let earlier, _)?):
            return .measured(earlier.larger(measure), attributes)
        case (.measured(let measure, _), _): return .measured(measure, attributes)
        }
    }

    /// The watermark of a feature after the commit of a total. Units stay where the total is in credits, because a limit that
    /// is set later counts them. So does the total of a reservation over several features.
    fileprivate func finalWatermark(of part: JobPart, _ total: Demand) -> Demand? {
        guard let watermark = part.watermark else { return parts.count > 1 ? total : nil }
        return total.isMeasured || !watermark.isMeasured ? total : watermark
    }

    /// The credits that may still be charged before the sum leaves the range of an amount.
    fileprivate var room: Int64 { Millicredits.limit - charged.rawValue }
}

extension JobPart {
    /// Takes note of the total of an entry. A reservation of one feature needs none.
    fileprivate mutating func state(_ total: Demand, of reservation: Reservation) {
        if reservation.parts.count > 1 { stated = max(stated, total.units) }
    }
}

extension Demand {
    /// The measure that the next report must have.
    fileprivate var expectation: WrongMeasure {
        switch self {
        case .credits: .creditsExpected
        case .measured(.units, _): .unitsExpected
        case .measured(.quantities, _): .quantitiesExpected
        }
    }

    fileprivate var isMeasured: Bool {
        if case .measured = self { true } else { false }
    }
}

extension [Allocation] {
    /// The holds in the order in which their blocks burn now.
    fileprivate func inBurnOrder(of blocks: BlockList) -> [Allocation] {
        compactMap { hold in blocks.block(hold.block).map { (hold: hold, place: $0.place) } }
            .sorted { $0.place < $1.place }.map(\.hold)
    }

    /// The debits by which each hold pays a charge, in order.
    fileprivate func burned(_ due: Int64) -> [Allocation] {
        var owed = due
        var burned: [Allocation] = []
        for hold in self where owed > 0 {
            let share = Swift.min(owed, hold.amount)
            burned.append(Allocation(block: hold.block, amount: -share))
            owed -= share
        }
        return burned
    }

    /// The holds after the given debits.
    fileprivate func taking(_ burned: [Allocation]) -> [Allocation] {
        let places = AllocationPlaces(burned)
        return compactMap { hold in
            let left = hold.amount + (places[hold.block].map { burned[$0].amount } ?? 0)
            return left > 0 ? Allocation(block: hold.block, amount: left) : nil
        }
    }
}
