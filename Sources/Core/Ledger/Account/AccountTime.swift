package import Catalogue
package import Credits

// The effects of time on an account follow from the account alone. `forEachDueEvent` is the one list of them. The
// worker and the replica apply it by the same `advance`. The scheduler finds accounts by `due_at`, the earliest instant
// of the list at which anything changes.

// Subscriptions have a list of their own (`Subscription.nextDue`), because each of their effects can make or move others.

/// An effect of time on holds and blocks, at the instant at which it is due.
struct DueEvent: Comparable {
    /// The order of the cases is their order at one instant.
    enum Kind: Int {
        /// The deadline of a reservation: its hold is given back.
        case reservationLapses
        /// The next effect of time on the subscriptions.
        case subscriptionTurns
        /// The expiry of a block: its available credits are taken.
        case blockExpires
        /// The start of a grant that was made before: its credits come in.
        case grantLands
        /// The start of a new window of a limit that was exhausted: the tenant is told.
        case limitResets
        /// The lead before the expiry of a block: the tenant is told.
        case expiryIsAnnounced
        /// The lapse of an open request for a top-up, or the end of what keeps the next one back.
        case topUpIsJudged
    }

    let at: Instant
    let kind: Kind
    /// The number of the reservation or the block; 0 for the subscriptions, the limits and the automatic top-up.
    let number: Int32

    static func < (left: DueEvent, right: DueEvent) -> Bool {
        (left.at, left.kind.rawValue, left.number) < (right.at, right.kind.rawValue, right.number)
    }
}

extension Account {
    /// The largest number of effects of time that one step has, or a little more. A step of a day has a few; only a test
    /// clock that jumps over years of recurring grants has more, and then takes several steps.
    package static let maximumEffects = 20_000

    /// Calls the body with every effect that is due at some instant, in no particular order.
    ///
    /// - Parameter heldBlocks: Whether to include blocks that have no available credits now. Their expiry has an effect
    ///   only if a hold ends before it, or if their credits land before it.
    /// - Parameter lead: The microseconds before an expiry at which the tenant is told of it; nil for a reader, to whom
    ///   what the tenant is told means nothing.
    private func forEachDueEvent(heldBlocks: Bool, announcing lead: Int64?, _ body: (DueEvent) -> Void) {
        for reservation in reservations {
            body(DueEvent(at: reservation.expiresAt, kind: .reservationLapses, number: reservation.number))
        }
        let paused = pausedSubscriptions
        for block in blocks where heldBlocks || block.available > 0 {
            guard let expiresAt = block.expiresAt, !block.isFrom(paused) else { continue }
            body(DueEvent(at: expiresAt, kind: .blockExpires, number: block.number))
            if let instant = announcement(of: block, lead) {
                body(DueEvent(at: instant, kind: .expiryIsAnnounced, number: block.number))
            }
        }
        for block in scheduled {
            body(DueEvent(at: block.since, kind: .grantLands, number: block.number))
            // A block expires after it lands, so its expiry is never the next event.
            guard heldBlocks, let expiresAt = block.expiresAt else { continue }
            body(DueEvent(at: expiresAt, kind: .blockExpires, number: block.number))
            if let instant = announcement(of: block, lead) {
                body(DueEvent(at: instant, kind: .expiryIsAnnounced, number: block.number))
            }
        }
        for limit in exhausted { body(DueEvent(at: limit.resetsAt, kind: .limitResets, number: 0)) }
        if let instant = subscriptionsDueAt {
            body(DueEvent(at: instant, kind: .subscriptionTurns, number: 0))
        }
        if let instant = autoTopUpDueAt { body(DueEvent(at: instant, kind: .topUpIsJudged, number: 0)) }
    }

    /// The instant at which the tenant is told that a block is going to expire; nil if that has passed, or if the block
    /// came within the lead, so that its grant has told it.
    ///
    /// The account goes through every instant once, so what is not after `advancedTo` was told or never will be.
    private func announcement(of block: Block, _ lead: Int64?) -> Instant? {
        guard let lead, let expiresAt = block.expiresAt else { return nil }
        let instant = Instant(microseconds: expiresAt.microseconds - lead)
        return instant > max(advancedTo, block.since) ? instant : nil
    }

    /// Whether a block has expired. Time stands still for the blocks of a paused subscription.
    func hasExpired(_ block: Block, at instant: Instant) -> Bool {
        guard let expiresAt = block.expiresAt, expiresAt <= instant else { return false }
        guard let origin = block.origin, let pause = subscriptions[at: origin.subscription]?.pause else {
            return true
        }
        return expiresAt <= pause.at
    }

    /// The numbers of the subscriptions whose blocks do not expire now.
    private var pausedSubscriptions: [Int32] { subscriptions.filter { $0.status == .paused }.map(\.number) }

    /// All effects on holds and blocks that may be due in a span of time, in the order in which they happen.
    /// Subscriptions and the automatic top-up are not among them, because each of their effects can make others due.
    private func dueEvents(
        from start: Instant = Instant(microseconds: .min), by now: Instant, announcing lead: Int64?
    ) -> ArraySlice<DueEvent> {
        var events: [DueEvent] = []
        forEachDueEvent(heldBlocks: true, announcing: lead) { event in
            guard event.at <= now, event.at >= start else { return }
            if event.kind != .topUpIsJudged, event.kind != .subscriptionTurns { events.append(event) }
        }
        return events.sorted()[...]
    }

    /// The next instant at which time changes what a reader sees of the account; nil if there is none.
    package var dueAt: Instant? { dueAt(announcing: nil) }

    /// The next instant at which time changes the account or the tenant is told of something; nil if there is none.
    ///
    /// - Parameter lead: The microseconds before an expiry at which the tenant is told of it; nil if it is not told.
    package func dueAt(announcing lead: Int64?) -> Instant? {
        var first: Instant?
        forEachDueEvent(heldBlocks: false, announcing: lead) { first = min(first ?? $0.at, $0.at) }
        return first
    }

    /// Whether an effect is due by `now`.
    package func hasDue(at now: Instant) -> Bool {
        guard let dueAt else { return false }
        return dueAt <= now
    }

    /// The account's current instant: its test clock's instant or real time, but never before `advancedTo`.
    package func currentInstant(clock: Instant, catalogue: Catalogue) -> Instant {
        // An account on a test clock never falls back to real time, even if the catalogue does not contain the clock
        // yet.
        let shown = settings.testClock.map { catalogue.testClocks[$0] ?? advancedTo } ?? clock
        return max(shown, advancedTo)
    }

    /// The account at `now`, for a check or a balance. No entry is made and nothing is hashed. The revision of the
    /// result is not a position that a client could wait for, because nothing has been written.
    ///
    ///
    /// - Returns: An account of before `now` if more is due than one step may cost; its `advancedTo` tells.
    package func advanced(to now: Instant, in catalogue: Catalogue) -> Account {
        guard hasDue(at: now) else { return self }
        var copy = self
        var recorder = NoRecorder()
        copy.advance(to: now, in: catalogue, into: &recorder)
        return copy
    }

    /// Applies every effect that is due by `now`, each at the instant at which it was due, in due order. For n blocks and
    /// reservations of which k are due, it costs O(n + k log n), and O(n log n) more for each instant at which a
    /// subscription turns.
    mutating func advance(to now: Instant, in catalogue: Catalogue, into recorder: inout some EffectRecorder) {
        let lead = recorder.recorded.expiryLead(catalogue)
        var rest = dueEvents(by: now, announcing: lead)
        var reached = advancedTo
        var announced: Instant?
        var standing = recorder.judgesBalance ? balanceStanding(catalogue) : nil
        func judge(_ account: inout Account, at instant: Instant, into recorder: inout some EffectRecorder) {
            guard let before = standing else { return }
            account.judgeBalance(
                since: before, at: max(instant, account.advancedTo), now: now, in: catalogue, into: &recorder)
            standing = account.balanceStanding(catalogue)
        }
        while let instant = earlier(rest.first?.at, earlier(subscriptionsDueAt, autoTopUpDueAt)), instant <= now {
            guard !recorder.isFull else {
                judge(&self, at: reached, into: &recorder)
                advancedTo = reached
                return
            }
            reached = max(reached, instant)
            var events = rest.prefix { $0.at <= instant }
            rest = rest[events.endIndex...]
            // The first lapse takes what expires with it. Later ones free no more of these blocks than they held. Blocks of
            // subscriptions wait, because a turn at the same instant may move them.
            let live = subscriptions.map(\.number)
            var expiring: [Int32] = []
            var waiting: [Int32] = []
            for event in events where event.kind == .blockExpires {
                if blocks.block(event.number)?.isFrom(live) ?? false {
                    waiting.append(event.number)
                } else {
                    expiring.append(event.number)
                }
            }
            for event in events where event.kind == .reservationLapses {
                guard let reservation = reservations[at: event.number] else { continue }
                end(
                    reservation, as: .expired, at: instant, now: now, taking: expiring, leavingTo: live,
                    into: &recorder)
                expiring = []
            }
            if let due = subscriptionsDueAt, due <= instant {
                advanceSubscriptions(to: instant, now: now, in: catalogue, into: &recorder)
                // Turns open blocks and move expiries.
                rest = dueEvents(from: instant, by: now, announcing: lead)
                events = rest.prefix { $0.at <= instant }
                rest = rest[events.endIndex...]
                expiring = events.filter { $0.kind == .blockExpires }.map(\.number)
                waiting = []
            }
            expiring += waiting
            sweep(expiring, at: instant, now: now, into: &recorder)
            for event in events where event.kind == .grantLands { land(event.number, now: now, into: &recorder) }
            for var subscription in subscriptions {
                let moment = SubscriptionMoment(
                    at: instant, now: now, catalogue: catalogue, isReading: recorder is NoRecorder)
                openWindows(of: &subscription, moment, into: &recorder)
            }
            resetLimits(at: instant, now: now, in: catalogue, into: &recorder)
            // A second turn at the same instant announces nothing again.
            for event in events where event.kind == .expiryIsAnnounced && announced != instant {
                announceExpiry(of: event.number, at: instant, now: now, into: &recorder)
            }
            announced = instant
            // An instant is judged when nothing more is due at it.
            let isOver = earlier(rest.first?.at, subscriptionsDueAt).map { $0 > instant } ?? true
            if isOver { judge(&self, at: instant, into: &recorder) }
            // A worker of a release without automatic top-ups may have left a request undone. It is due at once.
            judgeAutoTopUp(
                at: max(instant, advancedTo), now: now, in: catalogue.config.zone, into: &recorder)
        }
        advancedTo = max(advancedTo, now)
    }

    /// Records that the available credits of a block are going to expire.
    private func announceExpiry(
        of number: Int32, at instant: Instant, now: Instant, into recorder: inout some EffectRecorder
    ) {
        guard let block = blocks.block(number), block.available > 0, let expiresAt = block.expiresAt else { return }
        recorder.happened(
            .expiringSoon(ExpiryNotice(block: number, credits: block.available, expiresAt: expiresAt)), at: instant,
            now: now)
    }

    /// Brings the credits of a scheduled block in at the instant of its start, and pays outstanding overage from them.
    private mutating func land(_ number: Int32, now: Instant, into recorder: inout some EffectRecorder) {
        guard var block = scheduled.block(number) else { return }
        block.isScheduled = false
        scheduled.set(block)
        blocks.insert(block)
        lifetimeGranted = lifetimeGranted.changed(by: block.original.rawValue)
        post(
            Posting(
                .grant, amount: block.original.rawValue,
                allocations: [Allocation(block: number, amount: block.original.rawValue)],
                cause: recorder.causeOfLanding(number), effectiveAt: block.since),
            now: now, into: &recorder)
        settle(from: [number], at: block.since, now: now, into: &recorder)
    }

    /// Pays overage from the given blocks, which have just received credits. Only unrestricted blocks pay, and nothing pays
    /// overage that a postpaid subscription bills at the end of its period.
    mutating func settle(
        from numbers: [Int32], at instant: Instant, now: Instant, into recorder: inout some EffectRecorder
    ) {
        guard overage > .zero, billingSubscription == nil else { return }
        let payers = Set(numbers)
        let (allocations, rest) = burn(overage.rawValue) { block in
            block.featureSet == nil && payers.contains(block.number)
        }
        let paid = overage.rawValue - rest
        guard paid > 0 else { return }
        post(
            Posting(.settle, overageDelta: -paid, allocations: allocations, effectiveAt: instant), now: now,
            into: &recorder)
    }

    /// Takes the available credits of those of the given blocks that were revoked or have expired at `instant`.
    ///
    /// - Parameters:
    ///   - numbers: The blocks whose credits may have become available, in any order.
    ///   - turning: The subscriptions that are still to turn at this instant. Their turns take what expires with it.
    mutating func sweep(
        _ numbers: [Int32], at instant: Instant, now: Instant, leavingTo turning: [Int32] = [],
        into recorder: inout some EffectRecorder
    ) {
        for number in numbers.count > 1 ? numbers.sorted() : numbers {
            guard let block = blocks.block(number), block.available > 0,
                block.revokedAt != nil || hasExpired(block, at: instant)
            else { continue }
            if block.revokedAt == nil, block.expiresAt == instant, block.isFrom(turning) { continue }
            let type: EntryType = block.revokedAt != nil ? .revoke : .expire
            post(
                Posting(
                    type, amount: -block.available,
                    allocations: [Allocation(block: number, amount: -block.available)], effectiveAt: instant),
                now: now, into: &recorder)
        }
    }

    /// Ends a reservation: gives its hold back, and reduces its counters to the amounts that were charged.
    ///
    /// - Parameters:
    ///   - key: The idempotency key of the request; nil at the deadline.
    ///   - expiring: Further blocks that expire at the same instant.
    ///   - turning: The subscriptions that are still to turn at this instant.
    mutating func end(
        _ before: Reservation, as status: ReservationStatus, at instant: Instant, now: Instant, key: String? = nil,
        taking expiring: [Int32] = [], leavingTo turning: [Int32] = [], into recorder: inout some EffectRecorder
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
        recount(before, to: before.used, now: now)
        set(reservation, into: &recorder)
        tell(reservation, returned: before.held, at: instant, now: now, into: &recorder)
        sweep(
            before.holds.map(\.block) + expiring, at: instant, now: now, leavingTo: turning, into: &recorder)
    }
}

extension EventTypes {
    private static let expiries = EventTypes([.creditsExpiringSoon])

    /// The microseconds before an expiry at which the tenant is told of it; nil if it is not told.
    package func expiryLead(_ catalogue: Catalogue) -> Int64? {
        guard intersects(Self.expiries) else { return nil }
        return Int64(catalogue.config.effectiveExpiringSoonHours) * 3_600_000_000
    }
}

/// The earlier of two instants that may be missing.
private func earlier(_ first: Instant?, _ second: Instant?) -> Instant? {
    guard let first, let second else { return first ?? second }
    return first < second ? first : second
}
