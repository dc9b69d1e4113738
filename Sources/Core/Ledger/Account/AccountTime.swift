package import Catalogue
package import Credits

// Time is a function (decisions/0006): everything that an instant does to an account follows from the account alone.
// `dueEvents` is the one list of such things. The worker and the replica walk it by the same `advance`, and `due_at`, by
// which the scheduler finds accounts, is its first element.

/// Something that time does to an account, at the instant at which it is due.
struct DueEvent: Comparable {
    /// The order of the cases is the order at one instant.
    enum Kind: Int {
        /// The deadline of a reservation has come: what it still holds is given back.
        case reservationLapses
        /// The expiry of a block has come: what is free of it is taken.
        case blockExpires
    }

    let at: Instant
    let kind: Kind
    /// Of the reservation or the block.
    let number: Int32

    static func < (left: DueEvent, right: DueEvent) -> Bool {
        (left.at, left.kind.rawValue, left.number) < (right.at, right.kind.rawValue, right.number)
    }
}

extension Account {
    /// Calls the body with everything that will happen by itself, in no order.
    ///
    /// - Parameter heldBlocks: Whether to name blocks of which nothing is free now. Their expiry takes nothing by itself, but
    ///   it does when a hold ends before it.
    private func forEachDueEvent(heldBlocks: Bool, _ body: (DueEvent) -> Void) {
        for reservation in reservations {
            body(DueEvent(at: reservation.expiresAt, kind: .reservationLapses, number: reservation.number))
        }
        for block in blocks where heldBlocks || block.available > 0 {
            guard let expiresAt = block.expiresAt else { continue }
            body(DueEvent(at: expiresAt, kind: .blockExpires, number: block.number))
        }
    }

    /// Everything that may happen by an instant, in the order in which it happens.
    private func dueEvents(by now: Instant) -> [DueEvent] {
        var events: [DueEvent] = []
        forEachDueEvent(heldBlocks: true) { if $0.at <= now { events.append($0) } }
        return events.sorted()
    }

    /// The next instant at which time changes the account; nil when nothing is ahead.
    package var dueAt: Instant? {
        var first: Instant?
        forEachDueEvent(heldBlocks: false) { first = min(first ?? $0.at, $0.at) }
        return first
    }

    /// The instant at which the scheduler should send the account a command; nil where a test clock decides what time it is.
    package var scheduledAt: Instant? { settings.testClock == nil ? dueAt : nil }

    /// Whether something was due by `now`.
    package func hasDue(at now: Instant) -> Bool {
        guard let dueAt else { return false }
        return dueAt <= now
    }

    /// The account's current instant: the one that its test clock shows, else the real time; never before anything that has
    /// happened to it.
    package func currentInstant(clock: Instant, catalogue: Catalogue) -> Instant {
        // An end user on a test clock never falls back to the real time, even when the clock is not known here yet.
        let shown = settings.testClock.map { catalogue.testClocks[$0] ?? advancedTo } ?? clock
        return max(shown, advancedTo)
    }

    /// The account as it is at `now`, for a check or a balance: no entry is made and nothing is hashed. Its revision is not
    /// a position that a client could wait for, since nothing has been written.
    package func advanced(to now: Instant) -> Account {
        guard hasDue(at: now) else { return self }
        var copy = self
        var recorder = NoRecorder()
        copy.advance(to: now, into: &recorder)
        return copy
    }

    /// Lets everything happen that was due by `now`, each at the instant at which it was due, in due order.
    mutating func advance(to now: Instant, into recorder: inout some EffectRecorder) {
        let events = dueEvents(by: now)
        var next = events.startIndex
        while next < events.endIndex {
            let event = events[next]
            switch event.kind {
            case .reservationLapses:
                next += 1
                guard let reservation = reservations.first(where: { $0.number == event.number }) else { continue }
                end(reservation, as: .expired, at: event.at, now: now, into: &recorder)
            case .blockExpires:
                // The sweep takes all blocks of the instant at once, and those that a lapse swept before are gone.
                let group = events[next...].prefix { $0.at == event.at }
                next = group.endIndex
                sweep(at: event.at, now: now, into: &recorder)
            }
        }
        advancedTo = max(advancedTo, now)
    }

    /// Takes what is free and may not stay: the rest of revoked blocks and of blocks whose expiry has come.
    mutating func sweep(at instant: Instant, now: Instant, into recorder: inout some EffectRecorder) {
        let over = blocks.filter { block in
            block.available > 0 && (block.revokedAt != nil || block.hasExpired(at: instant))
        }
        for block in over.sorted(by: { $0.number < $1.number }) {
            let type: EntryType = block.revokedAt != nil ? .revoke : .expire
            post(
                Posting(
                    type, amount: -block.available,
                    allocations: [Allocation(block: block.number, amount: -block.available)], effectiveAt: instant),
                now: now, into: &recorder)
        }
    }

    /// Ends a reservation: all that it holds is given back, and its counters are corrected to what it was charged for.
    ///
    /// - Parameter key: The idempotency key of the request that asked; nil at the deadline.
    mutating func end(
        _ before: Reservation, as status: ReservationStatus, at instant: Instant, now: Instant, key: String? = nil,
        into recorder: inout some EffectRecorder
    ) {
        var reservation = before
        reservation.status = status
        reservation.finishedAt = instant
        reservation.holds = []
        post(
            Posting(
                .release, reservedDelta: -before.held, holds: before.holds.negated,
                cause: EntryCause(
                    featureKey: before.featureKey, reservation: before.number, idempotencyKey: key,
                    details: EntryDetails(isDeadline: status == .expired)), effectiveAt: instant),
            now: now, into: &recorder)
        recount(before, units: before.watermark?.units ?? 0, credits: before.charged.rawValue, [:], now: now)
        set(reservation, into: &recorder)
        sweep(at: instant, now: now, into: &recorder)
    }
}
