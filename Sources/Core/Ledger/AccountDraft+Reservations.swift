import Credits
import Metering

extension AccountDraft {
    mutating func apply(_ request: ReservationRequest, _ context: ActionContext) throws(Refusal) -> Outcome {
        let now = context.now
        guard account.reservations.count < Reservation.maximumActive else { throw .tooMany(.reservations) }
        let entitlement = try admit(
            EntitlementRequest(feature: request.featureKey, demand: request.estimate), context)
        let cost = entitlement.cost ?? .zero
        let (allocations, uncovered) = account.burn(cost.rawValue) { $0.isOpen(to: request.featureKey) }
        let reservation = Reservation(
            number: account.reservationCount + 1, featureKey: request.featureKey, estimate: request.estimate,
            ruleID: entitlement.ruleID, estimatedCost: cost, status: .active, holds: allocations.negated,
            uncovered: Millicredits.zero.changed(by: uncovered), watermark: nil, charged: .zero,
            expiresAt: now.adding(seconds: request.ttlSeconds), createdAt: now, finishedAt: nil,
            windows: ReservationWindows(
                quota: entitlement.quota?.window.start,
                caps: Dictionary(uniqueKeysWithValues: entitlement.caps.map { ($0.cap.number, $0.window.start) })),
            metadata: request.metadata)
        account.reservationCount = reservation.number
        var cause = EntryCause(
            feature: request.featureKey, demand: request.estimate, ruleID: reservation.ruleID,
            reservation: reservation.number)
        cause.idempotencyKey = context.idempotencyKey
        cause.metadata = request.metadata
        post(
            Posting(
                .reserve, reservedDelta: reservation.held, holds: reservation.holds, cause: cause, effectiveAt: now),
            now: now)
        count(request.estimate.units, credits: cost.rawValue, entitlement, feature: request.featureKey)
        account.counters.forgetEnded(by: now)
        account.reservations.append(reservation)
        changedReservations[reservation.number] = reservation
        exist(now: now)
        change()
        return .reserved(reservation, account.balances)
    }

    mutating func apply(
        _ action: ReservationAction, to number: Int32, _ context: ActionContext
    ) throws(Refusal) -> Outcome {
        guard let reservation = account.reservations.first(where: { $0.number == number }) else {
            throw (1...max(1, account.reservationCount)).contains(number) && account.reservationCount > 0
                ? .reservationNotActive(number) : .unknownReservation(number)
        }
        let result: (Reservation, ReservationChange)
        switch action {
        case .commit(let actual, let shortfall):
            result = try commit(reservation, actual, shortfall: shortfall, context)
        case .progress(let progress):
            result = try advance(reservation, to: progress, context)
        case .release:
            result = end(reservation, as: .released, at: context.now, now: context.now, key: context.idempotencyKey)
        case .extend(let ttlSeconds):
            result = extend(reservation, ttlSeconds: ttlSeconds, now: context.now)
        }
        return .reservationChanged(result.0, result.1, account.balances)
    }

    /// A reservation whose deadline has come: all that is still held is given back.
    mutating func lapse(_ reservation: Reservation, at instant: Instant, now: Instant) {
        _ = end(reservation, as: .expired, at: instant, now: now, key: nil)
    }
}

// MARK: - Charging

/// What a charge of a reservation takes, from where.
private struct Charge {
    /// Everything: hold, other blocks, overage; mc.
    var amount: Int64
    /// What the hold pays, by block.
    var fromHold: [Allocation]
    /// What hold and other blocks pay, by block.
    var allocations: [Allocation]
    var overage: Int64
}

extension AccountDraft {
    private mutating func commit(
        _ before: Reservation, _ actual: Demand, shortfall: Shortfall?, _ context: ActionContext
    ) throws(Refusal) -> (Reservation, ReservationChange) {
        var reservation = before
        let total = before.total(actual)
        let growth = try growth(of: before, to: total, context)
        let charge = try charge(growth.due, of: before, shortfall: shortfall, field: actual.field, context)
        let held = before.held
        reservation.watermark = before.watermark == nil ? nil : total
        reservation.charged = before.charged.changed(by: charge.amount)
        reservation.status = .committed
        reservation.finishedAt = context.now
        reservation.holds = []
        let entry = post(
            Posting(
                .commit, amount: -charge.amount, reservedDelta: -held, overageDelta: charge.overage,
                allocations: charge.allocations, holds: before.holds.negated,
                cause: cause(of: before, total, context), effectiveAt: context.now), now: context.now)
        let units = total.isMeasured ? total.units : before.countedUnits
        recount(before, units: units, credits: reservation.charged.rawValue, growth.periodUnits, now: context.now)
        close(reservation)
        sweep(at: context.now, now: context.now)
        change()
        return (
            reservation,
            ReservationChange(
                charged: charge.amount, returned: held + charge.fromHold.total, overage: charge.overage, entry: entry)
        )
    }

    /// Charges a reservation up to a watermark that only rises, and lets its hold grow by a step when it is used up.
    private mutating func advance(
        _ before: Reservation, to progress: Demand, _ context: ActionContext
    ) throws(Refusal) -> (Reservation, ReservationChange) {
        var reservation = before
        let watermark = before.total(progress)
        guard watermark != before.watermark else { return (before, .none) }
        if let last = before.watermark, last.isMeasured != progress.isMeasured {
            throw .wrongMeasure(last.expectation)
        }
        let growth = try growth(of: before, to: watermark, context)
        let charge = try charge(growth.due, of: before, shortfall: nil, field: progress.field, context)
        reservation.watermark = watermark
        reservation.charged = before.charged.changed(by: charge.amount)
        reservation.holds = before.holds.taking(charge.fromHold)
        var entry: Entry?
        if charge.amount > 0 {
            entry = post(
                Posting(
                    .commit, amount: -charge.amount, reservedDelta: charge.fromHold.total,
                    overageDelta: charge.overage, allocations: charge.allocations, holds: charge.fromHold,
                    cause: cause(of: before, watermark, context), effectiveAt: context.now), now: context.now)
            if reservation.holds.isEmpty { growHold(of: &reservation, context) }
        }
        recount(
            before, units: reservation.countedUnits, credits: reservation.countedCredits, growth.periodUnits,
            now: context.now)
        replace(reservation)
        change()
        return (
            reservation,
            ReservationChange(charged: charge.amount, returned: 0, overage: charge.overage, entry: entry)
        )
    }

    /// Holds another step, as far as the spendable credits reach.
    private mutating func growHold(of reservation: inout Reservation, _ context: ActionContext) {
        let (allocations, _) = account.burn(reservation.estimatedCost.rawValue) {
            $0.isOpen(to: reservation.featureKey)
        }
        guard !allocations.isEmpty else { return }
        reservation.holds = allocations.negated
        let cause = EntryCause(
            featureKey: reservation.featureKey, ruleID: reservation.ruleID, reservation: reservation.number,
            idempotencyKey: context.idempotencyKey)
        post(
            Posting(
                .reserve, reservedDelta: reservation.held, holds: reservation.holds, cause: cause,
                effectiveAt: context.now), now: context.now)
    }

    /// What is still to be charged when a reservation has got to `total`, by the rule that it has locked.
    private func growth(
        of reservation: Reservation, to total: Demand, _ context: ActionContext
    ) throws(Refusal) -> (due: Int64, periodUnits: [String: Int64]) {
        guard case .measured(let measure, let attributes) = total else {
            guard case .credits(let credits) = total else { return (0, [:]) }
            return (max(0, credits.rawValue - reservation.charged.rawValue), [:])
        }
        guard let ruleID = reservation.ruleID else {
            guard case .units = measure else { throw .wrongMeasure(.unitsExpected) }
            return (0, [:])
        }
        guard let rule = context.catalogue.rule(id: ruleID, of: reservation.featureKey) else {
            throw .featureNotPriced(reservation.featureKey)
        }
        let used = account.counters.periodUsage(of: reservation.featureKey, now: context.now)
        do throws(PricingFailure) {
            // By volume more units may cost less; what was charged on the way stays charged, and counts.
            guard rule.price.isPeriodScoped(for: attributes), case .measured(let earlier, _) = reservation.watermark
            else {
                let priced = try rule.price.priced(measure, attributes: attributes, used: used)
                return (max(0, priced.cost.rawValue - reservation.charged.rawValue), priced.periodUnits)
            }
            let growth = try rule.price.growth(from: earlier, to: measure, attributes: attributes, used: used)
            return (max(0, growth.cost.rawValue), growth.periodUnits)
        } catch {
            switch error {
            case .outOfRange: throw .amountOutOfRange(field: total.field)
            case .noMatchingRow: throw .featureNotPriced(reservation.featureKey)
            case .unitsExpected: throw .wrongMeasure(.unitsExpected)
            case .quantitiesExpected: throw .wrongMeasure(.quantitiesExpected)
            case .unknownDimension(let name): throw .wrongMeasure(.unknownDimension(name))
            }
        }
    }

    /// Takes what is due from the hold, then from what is spendable, then as the shortfall mode says.
    private func charge(
        _ due: Int64, of reservation: Reservation, shortfall: Shortfall?, field: String, _ context: ActionContext
    ) throws(Refusal) -> Charge {
        // What fills over a period is priced growth by growth, and all of it together is an amount as well.
        guard reservation.charged.rawValue + due <= Millicredits.limit else { throw .amountOutOfRange(field: field) }
        let fromHold = reservation.holds.burned(due)
        let excess = due + fromHold.total
        let (others, missing) = account.burn(excess) { $0.isOpen(to: reservation.featureKey) }
        var charge = Charge(
            amount: due, fromHold: fromHold, allocations: fromHold.adding(others), overage: 0)
        guard missing > 0 else { return charge }
        let terms = OverageTerms(account: account.settings, config: context.catalogue.config)
        switch shortfall ?? (terms.isAllowed ? .overage : .reject) {
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
            effectiveBalance: account.balances.effective, spendable: account.spendable(for: reservation.featureKey),
            required: excess)
    }

    private func cause(of reservation: Reservation, _ total: Demand, _ context: ActionContext) -> EntryCause {
        var cause = EntryCause(
            feature: reservation.featureKey, demand: total, ruleID: reservation.ruleID,
            reservation: reservation.number)
        cause.idempotencyKey = context.idempotencyKey
        return cause
    }
}

// MARK: - Ending and extending

extension AccountDraft {
    /// Gives back all that is held.
    private mutating func end(
        _ before: Reservation, as status: ReservationStatus, at instant: Instant, now: Instant, key: String?
    ) -> (Reservation, ReservationChange) {
        var reservation = before
        let held = before.held
        reservation.status = status
        reservation.finishedAt = instant
        reservation.holds = []
        let entry = post(
            Posting(
                .release, reservedDelta: -held, holds: before.holds.negated,
                cause: EntryCause(
                    featureKey: before.featureKey, reservation: before.number, idempotencyKey: key,
                    details: EntryDetails(isDeadline: status == .expired)), effectiveAt: instant), now: now)
        recount(
            before, units: before.watermark?.units ?? 0, credits: before.charged.rawValue, [:], now: now)
        close(reservation)
        sweep(at: instant, now: now)
        // Time changes the account once, however much was due.
        if status != .expired { change() }
        return (reservation, ReservationChange(charged: 0, returned: held, overage: 0, entry: entry))
    }

    private mutating func extend(
        _ before: Reservation, ttlSeconds: Int64, now: Instant
    ) -> (Reservation, ReservationChange) {
        var reservation = before
        reservation.expiresAt = max(before.expiresAt, now.adding(seconds: ttlSeconds))
        if reservation.expiresAt != before.expiresAt {
            replace(reservation)
            change()
        }
        return (reservation, .none)
    }

    /// Corrects what the reservation counts against quota and caps, and counts what its period-scoped tiers have seen.
    private mutating func recount(
        _ before: Reservation, units: Int64, credits: Int64, _ periodUnits: [String: Int64], now: Instant
    ) {
        account.counters.correct(
            before.windows, feature: before.featureKey, units: units - before.countedUnits,
            credits: credits - before.countedCredits)
        account.counters.count(periodUnits, feature: before.featureKey, now: now)
        account.counters.forgetEnded(by: now)
    }

    private mutating func replace(_ reservation: Reservation) {
        guard let index = account.reservations.firstIndex(where: { $0.number == reservation.number }) else { return }
        account.reservations[index] = reservation
        changedReservations[reservation.number] = reservation
    }

    private mutating func close(_ reservation: Reservation) {
        account.reservations.removeAll { $0.number == reservation.number }
        changedReservations[reservation.number] = reservation
    }
}

extension ReservationChange {
    fileprivate static let none = ReservationChange(charged: 0, returned: 0, overage: 0, entry: nil)
}

extension Reservation {
    /// How many an account may have at a time.
    package static let maximumActive = 10_000

    /// What it counts against a quota while it is active.
    fileprivate var countedUnits: Int64 { max(estimate.units, watermark?.units ?? 0) }

    /// What it counts against caps while it is active.
    fileprivate var countedCredits: Int64 { max(estimatedCost.rawValue, charged.rawValue) }

    /// A report of how far the job is, never behind the watermark, with the attributes of the estimate.
    fileprivate func total(_ report: Demand) -> Demand {
        switch (report, watermark) {
        case (.credits(let credits), .credits(let watermark)?):
            return .credits(max(credits, watermark))
        case (.credits, _): return report
        case (.measured(let measure, let own), _):
            var attributes = own
            if case .measured(_, let estimated) = estimate { attributes = estimated }
            guard case .measured(let earlier, _)? = watermark else { return .measured(measure, attributes) }
            return .measured(earlier.larger(measure), attributes)
        }
    }
}

extension Demand {
    /// What a report must be to go on from this one.
    fileprivate var expectation: Refusal.WrongMeasure {
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
    /// What each hold pays of a charge, in order, as debits.
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

    /// The holds without what was burned of them.
    fileprivate func taking(_ burned: [Allocation]) -> [Allocation] {
        compactMap { hold in
            let left = hold.amount + (burned.first { $0.block == hold.block }?.amount ?? 0)
            return left > 0 ? Allocation(block: hold.block, amount: left) : nil
        }
    }

    /// These, then the others; a block that is in both is named once.
    fileprivate func adding(_ others: [Allocation]) -> [Allocation] {
        var sum = self
        for other in others {
            if let index = sum.firstIndex(where: { $0.block == other.block }) {
                sum[index] = Allocation(block: other.block, amount: sum[index].amount + other.amount)
            } else {
                sum.append(other)
            }
        }
        return sum
    }
}
