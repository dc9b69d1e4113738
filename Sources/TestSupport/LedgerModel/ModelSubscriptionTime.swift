package import Credits

// All that time does to subscriptions. Each effect is stamped with the instant at which it was due, also one that a
// command makes due in the past.

extension ModelLedger {
    /// The instants at which time changes a subscription.
    package var subscriptionInstants: [Instant] {
        subscriptions.flatMap { subscription -> [Instant] in
            switch subscription.status {
            case .canceled, .expired: return []
            case .scheduled: return [subscription.start]
            case .paused: return subscription.resumeAt.map { [$0] } ?? []
            case .trialing, .active, .pastDue:
                let notices = [trialNotice(subscription), renewalNotice(subscription), contractNotice(subscription)]
                return [subscription.deadline] + notices.compactMap(\.self)
                    + subscription.lines.indices.compactMap { lineInstant(subscription.number - 1, $0) }
            }
        }
    }

    /// Applies everything of subscriptions that is due, one subscription after the other.
    mutating func turnSubscriptions(due: Instant) {
        var place = 0
        while place < subscriptions.count {
            while turn(place, due: due) {}
            for line in subscriptions[place].lines.indices {
                while let next = lineInstant(place, line), next <= due { land(place, line, due: next, at: next) }
            }
            place += 1
        }
    }

    /// The next landing of a line. One of `first_use` waits while the subscription permits no use.
    private func lineInstant(_ place: Int, _ line: Int) -> Instant? {
        let subscription = subscriptions[place]
        guard subscription.isRunning, subscription.status != .paused else { return nil }
        if case .every(_, .firstUse) = variant(of: subscription).lines[line].cadence, !permits(subscription) {
            return nil
        }
        return subscription.lines[line].next
    }

    /// Applies one effect that is due, except the landing of an `every` line; returns whether there was one.
    private mutating func turn(_ place: Int, due: Instant) -> Bool {
        let subscription = subscriptions[place]
        let instant = due
        switch subscription.status {
        case .canceled, .expired: return false
        case .scheduled:
            guard subscription.start <= due else { return false }
            begin(place, at: instant)
        case .paused:
            guard let resumeAt = subscription.resumeAt, resumeAt <= due else { return false }
            resume(place, at: instant)
        case .trialing, .active, .pastDue:
            if let notice = trialNotice(subscription), notice <= due {
                subscriptions[place].hasToldTrialEnding = true
                tell("subscription.trial_ending", place, [subscription.end.microseconds], at: instant)
            } else if let notice = contractNotice(subscription), notice <= due {
                let end = contractEnd(subscription)?.microseconds ?? 0
                subscriptions[place].contract?.isAnnounced = true
                tell("contract.ending_soon", place, [end], at: instant)
            } else if let notice = renewalNotice(subscription), notice <= due {
                subscriptions[place].hasToldRenewalDue = true
                tell("subscription.renewal_due", place, [subscription.end.microseconds], at: instant)
            } else if subscription.deadline <= due {
                reachDeadline(place, at: instant)
            } else {
                return false
            }
        }
        return true
    }

    // MARK: - Notices

    private func trialNotice(_ subscription: ModelSubscription) -> Instant? {
        guard subscription.status == .trialing, !subscription.hasToldTrialEnding else { return nil }
        return max(subscription.start, catalogue.zone.later(subscription.end, months: 0, days: -3))
    }

    private func renewalNotice(_ subscription: ModelSubscription) -> Instant? {
        let variant = variant(of: subscription)
        guard subscription.status == .active, !variant.isPostpaid, !subscription.renewedAhead, !subscription.cancels,
            !subscription.hasToldRenewalDue
        else { return nil }
        return max(
            subscription.start, catalogue.zone.later(subscription.end, months: 0, days: -variant.renewalDueDays))
    }

    private func contractNotice(_ subscription: ModelSubscription) -> Instant? {
        guard let contract = subscription.contract, !contract.isAnnounced, let end = contractEnd(subscription) else {
            return nil
        }
        return max(subscription.start, catalogue.zone.later(end, months: 0, days: -contract.noticeDays))
    }

    /// The end of the present run of the contract; nil between two runs and before the first.
    private func contractEnd(_ subscription: ModelSubscription) -> Instant? {
        guard let contract = subscription.contract, contract.begun > 0 else { return nil }
        var later = subscription
        for _ in 0..<max(0, contract.periods - contract.begun) {
            later.start = later.end
            let interval = variant(of: later).interval
            if later.interval != interval { (later.interval, later.anchor, later.boundary) = (interval, later.end, 0) }
            setEnd(&later)
        }
        return later.end
    }

    // MARK: - Beginnings

    /// Makes a subscription. It begins at once, or at the planned start.
    mutating func addSubscription(
        _ number: Int, quantity: Int64, startsAt: Instant?, trialDays: Int64,
        contract: ModelSubscription.Contract? = nil, at instant: Instant, replacing ended: Int? = nil
    ) {
        let variant = catalogue.variants[number] ?? ModelVariant()
        let start = max(startsAt ?? instant, instant)
        subscriptions.append(
            ModelSubscription(
                number: subscriptions.count + 1, slot: variant.slot, variant: number, quantity: quantity,
                createdAt: instant, trialDays: trialDays, begunAt: start, start: start, end: start, anchor: start,
                interval: variant.interval, contract: contract))
        let place = subscriptions.count - 1
        subscriptions[place].status = start > instant ? .scheduled : trialDays > 0 ? .trialing : .active
        if subscriptions[place].status == .trialing {
            subscriptions[place].end = catalogue.zone.later(start, months: 0, days: trialDays)
        }
        if let ended {
            tell("subscription.fallback_started", place, [Int64(ended)], ended: ended, at: instant)
        } else {
            tell("subscription.created", place, [], subscriptions[place].status.rawValue, at: instant)
        }
        if start <= instant { begin(place, at: instant) }
    }

    /// Begins the trial, or period 1.
    private mutating func begin(_ place: Int, at instant: Instant) {
        let subscription = subscriptions[place]
        let variant = variant(of: subscription)
        guard subscription.trialDays > 0 else {
            beginPeriod(place, from: subscription.start, at: instant)
            return
        }
        subscriptions[place].status = .trialing
        subscriptions[place].end = catalogue.zone.later(subscription.start, months: 0, days: subscription.trialDays)
        grant(
            place, nil, Self.product(variant.trialCredits, subscription.quantity),
            Terms(source: "trial", expiresAt: subscriptions[place].end), endsWithPeriod: true, at: instant)
        openLines(place, from: subscription.start)
        for (number, line) in variant.lines.enumerated() where line.isEvery {
            land(place, number, due: subscription.start, at: instant)
        }
    }

    // MARK: - Ends

    /// Ends the trial, the period or the grace.
    private mutating func reachDeadline(_ place: Int, at instant: Instant) {
        let subscription = subscriptions[place]
        let variant = variant(of: subscription)
        switch subscription.status {
        case .pastDue:
            expirePeriod(place, at: instant)
            finish(place, as: subscription.cancels ? .canceled : .expired, at: instant)
        case .trialing where subscription.cancels:
            expirePeriod(place, at: instant)
            finish(place, as: .canceled, at: instant)
        case .trialing where variant.isPostpaid:
            beginPeriod(place, from: subscription.end, at: instant)
        case .trialing:
            expirePeriod(place, at: instant)
            awaitPayment(place, at: instant)
        default:
            var isOver = subscription.cancels
            if let contract = subscription.contract, contract.begun >= contract.periods {
                tell("contract.ended", place, [], contract.renews ? "renew" : "expire", at: instant)
                subscriptions[place].contract?.begun = 0
                if !contract.renews { isOver = true }
            }
            if isOver {
                expirePeriod(place, at: instant)
                finish(place, as: subscription.cancels ? .canceled : .expired, at: instant)
            } else if variant.isPostpaid || subscription.renewedAhead {
                beginPeriod(place, from: subscription.end, at: instant)
            } else {
                awaitPayment(place, at: instant)
            }
        }
    }

    /// Begins the grace of an unpaid period. The credits that end with the period live until the grace ends.
    private mutating func awaitPayment(_ place: Int, at instant: Instant) {
        let subscription = subscriptions[place]
        let graceEnd = catalogue.zone.later(
            subscription.end, months: 0, days: variant(of: subscription).graceDays)
        for block in blocks where block.subscription == subscription.number && block.endsWithPeriod {
            if block.expiresAt == subscription.end, block.remaining > 0, subscription.status == .active {
                blocks[block.number - 1].expiresAt = graceEnd
            }
        }
        subscriptions[place].status = .pastDue
        subscriptions[place].graceEnd = graceEnd
        tell("subscription.past_due", place, [graceEnd.microseconds], at: instant)
    }

    /// Ends a subscription, and starts the one that it falls back to.
    mutating func finish(
        _ place: Int, as status: ModelSubscription.Status, at instant: Instant, fallsBack: Bool = true
    ) {
        let subscription = subscriptions[place]
        if let pausedAt = subscription.pausedAt { shiftBlocks(of: place, from: pausedAt, to: instant) }
        subscriptions[place].pausedAt = nil
        let isBilled = subscription.index > 0 && variant(of: subscription).isPostpaid
        let usage = isBilled ? closeUsage(place, at: instant) : nil
        if subscription.revokesAtEnd { revokeBlocks(of: place, at: instant, ends: true) }
        // Credits that waited for a use end like used ones.
        for line in subscription.lines.indices { openWindow(place, line, at: instant) }
        subscriptions[place].status = status
        subscriptions[place].pausedStatus = nil
        subscriptions[place].resumeAt = nil
        subscriptions[place].pending = nil
        subscriptions[place].lines = []
        subscriptions[place].endedAt = instant
        tell(
            "subscription.\(status.rawValue)", place, usage == nil ? [] : [overageClosed], usage: usage, at: instant)
        if !fallsBack { return }
        let named = variant(of: subscription).fallback ?? catalogue.fallbackVariant
        guard let next = catalogue.latestVersion(of: named, at: testClock == nil ? instant : nil),
            catalogue.variants[next]?.slot == subscription.slot,
            !subscriptions.contains(where: { !$0.isFinal && $0.slot == subscription.slot })
        else { return }
        addSubscription(
            next, quantity: 1, startsAt: nil, trialDays: 0, at: instant, replacing: subscription.number)
    }

    // MARK: - Periods

    /// Begins the next period.
    ///
    /// - Parameter start: The end of the trial or of the period before.
    mutating func beginPeriod(
        _ place: Int, from start: Instant, at instant: Instant, restarts: Bool = false
    ) {
        let before = subscriptions[place]
        let (old, isFirst) = (variant(of: before), before.index == 0)
        let unused = isFirst || restarts ? [:] : unusedCredits(of: place)
        expirePeriod(place, at: instant)
        var usage: [Usage]?
        if !isFirst, old.isPostpaid { usage = closeUsage(place, at: instant) }
        let overage = usage == nil ? [] : [overageClosed]
        if let pending = before.pending {
            switchTerms(place, variant: pending.variant, quantity: pending.quantity, at: instant)
            tell("subscription.changed", place, [], restarts ? "restart" : "applied", at: instant)
        }
        let variant = variant(of: subscriptions[place])
        var subscription = subscriptions[place]
        subscription.status = .active
        subscription.index += 1
        subscription.start = start
        subscription.graceEnd = nil
        if isFirst || restarts || subscription.interval != variant.interval {
            subscription.anchor = start
            subscription.boundary = 0
            subscription.interval = variant.interval
        }
        setEnd(&subscription)
        if !restarts { subscription.renewedAhead = false }
        subscription.hasToldRenewalDue = false
        subscription.pauses = 0
        subscription.billsBefore = bills.count
        if var contract = subscription.contract {
            contract.begun += 1
            if contract.begun == 1 { (contract.begunAt, contract.isAnnounced) = (start, false) }
            subscription.contract = contract
        }
        subscription.best = [:]
        subscriptions[place] = subscription
        let isNew = subscription.lines.isEmpty || restarts
        if isNew { openLines(place, from: start) }
        for number in 0..<max(old.lines.count, variant.lines.count) {
            if let credits = unused[number], old.lines.indices.contains(number) {
                rollOver(place, number, old.lines[number], credits, quantity: before.quantity, at: instant)
            }
            guard variant.lines.indices.contains(number) else { continue }
            let line = variant.lines[number]
            let credits = Self.product(line.credits, subscription.quantity)
            switch line.cadence {
            case .activation: if isFirst { grant(place, number, line, credits, at: instant) }
            case .period:
                subscriptions[place].best[number] = credits
                grant(place, number, line, credits, at: instant)
            case .every:
                if isNew {
                    land(place, number, due: start, at: instant)
                } else if case .every(_, .firstUse) = line.cadence, !permits(before),
                    let next = subscription.lines[number].next, next <= instant
                {
                    land(place, number, due: instant, at: instant)
                }
            }
        }
        let type = isFirst ? "subscription.activated" : "subscription.renewed"
        tell(
            type, place, [start.microseconds, subscription.end.microseconds] + overage, usage: usage,
            from: before.start, at: instant)
    }

    /// Sets the end of the period to the first boundary after its start.
    func setEnd(_ subscription: inout ModelSubscription) {
        var number = max(0, subscription.boundary - 2)
        func boundary() -> Instant {
            subscription.interval.end(of: number, from: subscription.anchor, in: catalogue.zone)
        }
        while boundary() <= subscription.start { number += 1 }
        subscription.boundary = number
        subscription.end = boundary()
    }

    /// The rest of the blocks that end with the period, by line.
    private func unusedCredits(of place: Int) -> [Int: Int64] {
        var unused: [Int: Int64] = [:]
        for (block, amount) in available where endsNow(block, place) {
            if let line = block.line { unused[line, default: 0] += amount }
        }
        return unused
    }

    /// Whether a block ends with the trial, period or grace that runs.
    private func endsNow(_ block: Block, _ place: Int) -> Bool {
        let subscription = subscriptions[place]
        return block.subscription == subscription.number && block.endsWithPeriod
            && block.expiresAt == subscription.deadline
    }

    /// Takes the available credits of the blocks that end with the trial, period or grace that runs. Held credits follow
    /// when their hold ends.
    private mutating func expirePeriod(_ place: Int, at instant: Instant) {
        let ending = blocks.filter { endsNow($0, place) && $0.remaining > 0 }
        for block in ending {
            if let expiry = block.expiresAt { blocks[block.number - 1].expiresAt = min(expiry, instant) }
            expire(block.number, at: instant)
        }
    }

    /// Takes the available credits of a block that has expired.
    mutating func expire(_ number: Int, at instant: Instant) {
        let rest = blocks[number - 1].remaining - (held[number] ?? 0)
        if rest == 0 { return }
        blocks[number - 1].hasExpired = true
        write("expire", [Share(block: number, amount: -rest)], at: instant) { $0.key = nil }
    }

    // MARK: - Pauses

    /// Ends a pause. All that time would have done meanwhile is moved by its length.
    mutating func resume(_ place: Int, at instant: Instant) {
        var subscription = subscriptions[place]
        guard let pausedAt = subscription.pausedAt, let status = subscription.pausedStatus else { return }
        let length = instant.microseconds - pausedAt.microseconds
        func moved(_ instant: Instant) -> Instant { Instant(microseconds: instant.microseconds + length) }
        shiftBlocks(of: place, from: pausedAt, to: instant)
        let tiers = tierStart(of: subscription, at: pausedAt)
        subscription.end = moved(subscription.end)
        subscription.anchor = subscription.end
        subscription.boundary = 0
        subscription.graceEnd = subscription.graceEnd.map(moved)
        subscription.pauses += length
        let lines = variant(of: subscription).lines
        for number in subscription.lines.indices where lines.indices.contains(number) {
            guard case .every(let duration, let anchor) = lines[number].cadence,
                let next = subscription.lines[number].next
            else { continue }
            if anchor != .calendar {
                subscription.lines[number].opened = subscription.lines[number].opened.map(moved)
                subscription.lines[number].next = moved(next)
                subscription.lines[number].anchor = moved(next)
                subscription.lines[number].landings = 0
            } else if next < instant {
                subscription.lines[number].next = duration.window.around(instant, in: catalogue.zone).end
            }
        }
        subscription.status = status
        subscription.pausedStatus = nil
        subscription.pausedAt = nil
        subscription.resumeAt = nil
        if status == .pastDue { subscription.tierStarts[lastBoundary(of: subscription, at: instant)] = tiers }
        subscriptions[place] = subscription
        tell("subscription.resumed", place, [length, subscription.end.microseconds], at: instant)
    }

    /// Moves the expiries of the subscription's credits by the length of a pause. What was spent has no expiry to move.
    private mutating func shiftBlocks(of place: Int, from pausedAt: Instant, to instant: Instant) {
        let length = instant.microseconds - pausedAt.microseconds
        for block in blocks where block.subscription == place + 1 && block.remaining > 0 {
            guard let expiry = block.expiresAt, expiry > pausedAt else { continue }
            blocks[block.number - 1].expiresAt = Instant(microseconds: expiry.microseconds + length)
        }
    }

    // MARK: - Postpaid periods

    /// The units and the cost of one feature in a period.
    package struct Usage: Hashable, Sendable {
        package let feature: String
        package var units: Int64
        package var cost: Int64

        package init(feature: String, units: Int64, cost: Int64) {
            self.feature = feature
            self.units = units
            self.cost = cost
        }
    }

    /// Sums what was applied in the period, and closes the account's overage if this subscription reports it. The
    /// closed overage is `overageClosed` afterwards.
    mutating func closeUsage(_ place: Int, at instant: Instant) -> [Usage] {
        let subscription = subscriptions[place]
        var usages: [String: Usage] = [:]
        for bill in bills.dropFirst(subscription.billsBefore) where bill.subscription == subscription.number {
            var usage = usages[bill.usage.feature] ?? Usage(feature: bill.usage.feature, units: 0, cost: 0)
            usage.units = Self.sum([usage.units, bill.usage.units])
            usage.cost = max(0, usage.cost + bill.usage.cost)
            usages[bill.usage.feature] = usage
        }
        // A later summary does not repeat usage that was told, also when the period goes on without one and gets one again.
        subscriptions[place].billsBefore = bills.count
        overageClosed = 0
        if reportsOverage(subscription), overage > 0 {
            overageClosed = overage
            debts = debts.map { Debt(entry: $0.entry, amount: 0) }
            write("settle", [], overage: -overageClosed, at: instant) { entry in
                entry.key = nil
                entry.mark(subscription, nil)
            }
        }
        return usages.values.filter { $0.units > 0 || $0.cost > 0 }.sorted { $0.feature < $1.feature }
    }

    // MARK: - Telling

    /// Records an event of a subscription. Its figures are variant, quantity and period, and then those of its type.
    ///
    /// - Parameters:
    ///   - usage: Nil without a summary.
    ///   - from: The start of the period of the summary; nil means that of the open period.
    mutating func tell(
        _ type: String, _ place: Int, _ figures: [Int64], _ text: String? = nil, usage: [Usage]? = nil,
        from start: Instant? = nil, ended: Int? = nil, at instant: Instant
    ) {
        let subscription = subscriptions[place]
        var event = Event(
            type: type,
            figures: [Int64(subscription.variant), subscription.quantity, Int64(subscription.index)] + figures,
            text: text, request: 0, at: instant, recordedAt: now)
        event.subscription = subscription.number
        event.usage = usage ?? []
        var facts = Facts(
            status: subscription.status.rawValue, start: subscription.start, end: subscription.end,
            graceEnd: subscription.graceEnd, cancels: subscription.cancels)
        if usage != nil {
            facts.summary = [(start ?? subscription.start).microseconds, instant.microseconds, overageClosed]
        }
        facts.ended = ended
        event.facts = facts
        record(event)
    }
}
