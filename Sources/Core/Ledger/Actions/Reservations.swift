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
        guard account.reservations.count < Reservation.maximumActive, recorder.book.reservationCount < .max else {
            throw .tooMany(.reservations)
        }
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
            counts: entitlement.limits.map { ReservationCount($0) }, metadata: request.metadata)
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
            account.counters.count(amount, in: state)
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
        return (
            ended, ReservationChange(charged: 0, refunded: 0, returned: before.held, overage: 0, entry: entry)
        )
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
    func canHold(partsOf blocks: Int) -> Bool {
        reservations.reduce(blocks) { $0 + $1.holds.count } <= Reservation.maximumHeldParts
    }

    /// Stores the present state of a reservation among the active ones; removes it if it has ended.
    mutating func set(_ reservation: Reservation, into recorder: inout some EffectRecorder) {
        reservations[at: reservation.number] = reservation.status == .active ? reservation : nil
        recorder.changed(reservation)
    }
}

extension ReservationChange {
    static let none = ReservationChange(charged: 0, refunded: 0, returned: 0, overage: 0, entry: nil)
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
}
