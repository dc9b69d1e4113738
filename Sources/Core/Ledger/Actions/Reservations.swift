import Catalogue
package import Credits
import Metering

/// A request to hold credits for a job.
package struct ReservationRequest: Hashable, Sendable {
    package var featureKey: FeatureKey
    package var estimate: Demand
    /// Within `Reservation.ttlSeconds`.
    package var ttlSeconds: Int64
    package var metadata: Metadata?

    package init(
        featureKey: FeatureKey, estimate: Demand, ttlSeconds: Int64 = Reservation.defaultTTLSeconds,
        metadata: Metadata? = nil
    ) {
        self.featureKey = featureKey
        self.estimate = estimate
        self.ttlSeconds = ttlSeconds
        self.metadata = metadata
    }
}

/// An action on a reservation.
package enum ReservationAction: Hashable, Sendable {
    /// Ends the job with its actual usage. A nil shortfall means the default of the overage policy.
    case commit(Demand, shortfall: Shortfall?)
    case release
    /// Within `Reservation.ttlSeconds`.
    case extend(ttlSeconds: Int64)
    /// Reports the progress of the job. A report that is not beyond the last one changes nothing.
    case progress(Demand)
}

/// The behaviour of a commit when the hold and the spendable credits do not cover the cost.
package enum Shortfall: String, Sendable, CaseIterable {
    /// Refuses the commit; the reservation stays active.
    case reject
    /// Charges only the credits that are available.
    case cap
    /// Charges the uncovered part as overage; refuses the commit if that would exceed the overage limit.
    case overage
}

extension AccountDraft {
    mutating func apply(_ request: ReservationRequest, _ context: ActionContext) throws(Refusal) -> Outcome {
        let now = context.now
        guard account.reservations.count < Reservation.maximumActive else { throw .tooMany(.reservations) }
        let entitlement = try admit(
            EntitlementRequest(feature: request.featureKey, demand: request.estimate, isReservation: true), context)
        let cost = entitlement.cost ?? .zero
        let (allocations, uncovered) = account.burn(cost.rawValue) { $0.isOpen(to: request.featureKey) }
        guard account.canHold(partsOf: allocations.count) else { throw .tooMany(.reservations) }
        let reservation = Reservation(
            number: recorder.book.reservationCount + 1, featureKey: request.featureKey, estimate: request.estimate,
            ruleID: entitlement.ruleID, estimatedCost: cost, status: .active, holds: allocations.negated,
            uncovered: Millicredits.zero.changed(by: uncovered), watermark: nil, charged: .zero,
            expiresAt: min(.latest, now.adding(seconds: request.ttlSeconds)), createdAt: now, finishedAt: nil,
            counts: entitlement.limits.map { state in
                ReservationCount(
                    counter: state.counter, unit: state.limit.unit, dimension: state.limit.dimension,
                    window: state.window)
            }, metadata: request.metadata)
        var cause = EntryCause(
            feature: request.featureKey, demand: request.estimate, ruleID: reservation.ruleID,
            reservation: reservation.number)
        cause.idempotencyKey = context.idempotencyKey
        cause.metadata = request.metadata
        post(
            Posting(
                .reserve, reservedDelta: reservation.held, holds: reservation.holds, cause: cause, effectiveAt: now),
            now: now)
        for state in entitlement.limits {
            let amount = state.limit.counted(request.estimate, cost: cost.rawValue)
            account.counters.count(amount, state.counter, used: state.used, in: state.window)
        }
        account.set(reservation, into: &recorder)
        return .reserved(reservation, account.balances)
    }

    mutating func apply(
        _ action: ReservationAction, to number: Int32, _ context: ActionContext
    ) throws(Refusal) -> Outcome {
        guard let reservation = account.reservations[at: number] else {
            throw 0 < number && number <= recorder.book.reservationCount
                ? .reservationNotActive(number) : .unknownReservation(number)
        }
        let result: (Reservation, ReservationChange)
        switch action {
        case .commit(let actual, let shortfall):
            result = try commit(reservation, actual, shortfall: shortfall, context)
        case .progress(let progress):
            result = try advance(reservation, to: progress, context)
        case .release:
            result = release(reservation, context)
        case .extend(let ttlSeconds):
            result = extend(reservation, ttlSeconds: ttlSeconds, now: context.now)
        }
        return .reservationChanged(result.0, result.1, account.balances)
    }
}

// MARK: - Charging

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
        account.recount(
            before,
            to: CountedUsage(
                demands: total.isMeasured ? [total] : before.counted.demands,
                credits: reservation.charged.rawValue, isActive: false), growth.periodUnits, now: context.now)
        account.set(reservation, into: &recorder)
        account.sweep(before.holds.map(\.block), at: context.now, now: context.now, into: &recorder)
        return (
            reservation,
            ReservationChange(
                charged: charge.amount, returned: held + charge.fromHold.total, overage: charge.overage, entry: entry)
        )
    }

    /// Charges a reservation up to a watermark, which never falls. Grows the hold by one step when it is used up.
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
        account.recount(before, to: reservation.counted, growth.periodUnits, now: context.now)
        account.set(reservation, into: &recorder)
        return (
            reservation,
            ReservationChange(charged: charge.amount, returned: 0, overage: charge.overage, entry: entry)
        )
    }

    /// Holds another step, as far as the spendable credits suffice.
    private mutating func growHold(of reservation: inout Reservation, _ context: ActionContext) {
        let (allocations, _) = account.burn(reservation.estimatedCost.rawValue) {
            $0.isOpen(to: reservation.featureKey)
        }
        guard !allocations.isEmpty, account.canHold(partsOf: allocations.count) else { return }
        reservation.holds = allocations.negated
        let cause = EntryCause(
            featureKey: reservation.featureKey, ruleID: reservation.ruleID, reservation: reservation.number,
            idempotencyKey: context.idempotencyKey)
        post(
            Posting(
                .reserve, reservedDelta: reservation.held, holds: reservation.holds, cause: cause,
                effectiveAt: context.now), now: context.now)
    }

    /// The amount still to be charged when a reservation reaches `total`, by the rule version that it was made with.
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
        let used = account.periodUsage(of: reservation.featureKey, rule, attributes, now: context.now)
        do throws(PricingFailure) {
            // With volume pricing more units may cost less. Amounts that were charged by progress stay charged and
            // count.
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
            case .wrongMeasure(let wrong): throw .wrongMeasure(wrong)
            }
        }
    }

    /// Takes the due amount from the hold, then from spendable credits, then according to the shortfall mode.
    private func charge(
        _ due: Int64, of reservation: Reservation, shortfall: Shortfall?, field: String, _ context: ActionContext
    ) throws(Refusal) -> Charge {
        // Period-scoped tiers are charged increment by increment, so the running total must be checked against the
        // amount limit too.
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
    private mutating func release(
        _ before: Reservation, _ context: ActionContext
    ) -> (Reservation, ReservationChange) {
        account.end(
            before, as: .released, at: context.now, now: context.now, key: context.idempotencyKey, into: &recorder)
        let ended = recorder.changedReservations[before.number] ?? before
        // The release entry comes first. Entries after it take credits that it gave back to expired or revoked blocks.
        let entry = recorder.entries.last { $0.type == .release && $0.cause.reservation == before.number }
        return (ended, ReservationChange(charged: 0, returned: before.held, overage: 0, entry: entry))
    }

    private mutating func extend(
        _ before: Reservation, ttlSeconds: Int64, now: Instant
    ) -> (Reservation, ReservationChange) {
        var reservation = before
        reservation.expiresAt = max(before.expiresAt, min(.latest, now.adding(seconds: ttlSeconds)))
        if reservation.expiresAt != before.expiresAt { account.set(reservation, into: &recorder) }
        return (reservation, .none)
    }
}

extension Account {
    /// Whether the active reservations together hold parts of few enough blocks for some more.
    fileprivate func canHold(partsOf blocks: Int) -> Bool {
        reservations.reduce(blocks) { $0 + $1.holds.count } <= Reservation.maximumHeldParts
    }

    /// Stores the present state of a reservation among the active ones; removes it if it has ended.
    mutating func set(_ reservation: Reservation, into recorder: inout some EffectRecorder) {
        reservations[at: reservation.number] = reservation.status == .active ? reservation : nil
        recorder.changed(reservation)
    }

    /// Corrects the usage that the reservation counts in its limits, and counts units of its period-scoped tiers.
    mutating func recount(
        _ before: Reservation, to usage: CountedUsage, _ periodUnits: [String: Int64], now: Instant
    ) {
        for count in before.counts {
            let growth = count.amount(usage) - count.amount(before.counted)
            counters.correct(count.counter, in: count.window, by: growth, now: now)
        }
        counters.count(periodUnits, feature: before.featureKey, now: now)
    }
}

extension ReservationChange {
    fileprivate static let none = ReservationChange(charged: 0, returned: 0, overage: 0, entry: nil)
}

extension Reservation {
    /// The maximum number of active reservations of an account.
    package static let maximumActive = 10_000
    /// The maximum number of blocks that an account's active reservations hold parts of, each block counted once for
    /// each reservation.
    package static let maximumHeldParts = 100_000

    /// The usage for which the active reservation counts: its estimate, or what it has used beyond that.
    var counted: CountedUsage {
        CountedUsage(
            demands: [estimate] + (watermark.map { [$0] } ?? []),
            credits: max(estimatedCost.rawValue, charged.rawValue),
            isActive: true)
    }

    /// The total progress after a report. It is never behind the watermark, and has the attributes of the estimate.
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
