import Catalogue
package import Credits
import Metering

/// A request to hold credits for a job.
package struct ReservationRequest: Hashable, Sendable {
    /// At least one, and each once. Several are for an estimate in credits.
    package var featureKeys: [FeatureKey]
    package var estimate: Demand
    /// Within `Reservation.ttlSeconds`.
    package var ttlSeconds: Int64
    package var metadata: Metadata?

    package init(
        featureKey: FeatureKey, estimate: Demand, ttlSeconds: Int64 = Reservation.defaultTTLSeconds,
        metadata: Metadata? = nil
    ) {
        self.init(featureKeys: [featureKey], estimate: estimate, ttlSeconds: ttlSeconds, metadata: metadata)
    }

    package init(
        featureKeys: [FeatureKey], estimate: Demand, ttlSeconds: Int64 = Reservation.defaultTTLSeconds,
        metadata: Metadata? = nil
    ) {
        self.featureKeys = featureKeys
        self.estimate = estimate
        self.ttlSeconds = ttlSeconds
        self.metadata = metadata
    }
}

/// An action on a reservation.
package enum ReservationAction: Hashable, Sendable {
    /// Ends the job with its actual usage of a feature, which must be named if there are several. A nil shortfall means the
    /// default of the overage policy.
    case commit(Demand, of: FeatureKey? = nil, shortfall: Shortfall?)
    case release
    /// Within `Reservation.ttlSeconds`.
    case extend(ttlSeconds: Int64)
    /// Reports the progress of the job with a feature, which must be named if there are several. A report that is not beyond
    /// the last one changes nothing.
    case progress(Demand, of: FeatureKey? = nil)
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
            EntitlementRequest(features: request.featureKeys, demand: request.estimate, isReservation: true), context)
        let cost = entitlement.cost ?? .zero
        let (allocations, uncovered) = account.burn(cost.rawValue) { $0.isOpen(to: request.featureKeys) }
        guard account.canHold(partsOf: allocations.count) else { throw .tooMany(.reservations) }
        let reservation = Reservation(
            number: recorder.book.reservationCount + 1,
            parts: request.featureKeys.map { feature in
                JobPart(featureKey: feature, ruleID: account.rule(for: feature, at: now, context.catalogue)?.id)
            }, estimate: request.estimate, estimatedCost: cost, status: .active, holds: allocations.negated,
            uncovered: Millicredits.zero.changed(by: uncovered),
            expiresAt: min(.latest, now.adding(seconds: request.ttlSeconds)), createdAt: now, finishedAt: nil,
            counts: entitlement.limits.map { ReservationCount($0, of: request.featureKeys) }, metadata: request.metadata
        )
        var cause = reservation.cause(of: request.estimate)
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
        account.tell(reservation, at: now, now: now, into: &recorder)
        tellLimits(entitlement.limits, context)
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
        case .commit(let actual, let feature, let shortfall):
            result = try commit(
                reservation, try reservation.place(of: feature), actual, shortfall: shortfall, context)
        case .progress(let progress, let feature):
            result = try advance(reservation, try reservation.place(of: feature), to: progress, context)
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

    /// The place of the feature that a report names among the parts.
    func place(of feature: FeatureKey?) throws(Refusal) -> Int {
        if feature == nil, parts.count == 1 { return 0 }
        guard let place = parts.firstIndex(where: { $0.featureKey == feature }) else {
            throw .wrongJobFeature(featureKeys)
        }
        return place
    }

    /// The cause of an entry that holds credits.
    ///
    /// - Parameter demand: The estimate of a new reservation; nil for a further step.
    func cause(of demand: Demand?) -> EntryCause {
        var cause = EntryCause(
            featureKey: featureKey, ruleID: parts.count == 1 ? parts[0].ruleID : nil, reservation: number)
        if parts.count > 1 { cause.details.featureKeys = featureKeys }
        if let demand { cause.measure(demand) }
        return cause
    }
}
