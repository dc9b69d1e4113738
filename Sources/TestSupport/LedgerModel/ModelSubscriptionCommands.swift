import Credits

extension ModelLedger {
    /// Applies a command for subscriptions and returns the number of the subscription.
    mutating func apply(_ act: ModelSubscriptionAct) throws(Refusal) -> [Int64] {
        switch act {
        case .subscribe(let wanted):
            try subscribe(wanted)
            return [Int64(subscriptions.count)]
        case .renew(let number): try renew(number)
        case .change(let number, let change): try self.change(number, change)
        case .pause(let number, let resumeAt): try pause(number, until: resumeAt)
        case .resume(let number):
            let place = try place(of: number, in: .paused)
            resume(place, at: now)
        case .cancel(let number, let isNow, let revokes): try cancel(number, now: isNow, revokes: revokes)
        case .uncancel(let number):
            let place = try place(of: number, in: .scheduled, .trialing, .active, .pastDue)
            guard subscriptions[place].cancels else { throw Refusal("invalid_transition") }
            subscriptions[place].cancels = false
            subscriptions[place].revokesAtEnd = false
            tell("subscription.changed", place, [], "uncancel", at: now)
        case .withdrawChange(let number):
            let place = try place(of: number, in: .trialing, .active, .pastDue)
            guard subscriptions[place].pending != nil else { throw Refusal("invalid_transition") }
            subscriptions[place].pending = nil
            tell("subscription.changed", place, [], "withdrawn", at: now)
        }
        switch act {
        case .subscribe: return []
        case .renew(let number), .change(let number, _), .pause(let number, _), .resume(let number),
            .cancel(let number, _, _), .uncancel(let number), .withdrawChange(let number):
            return [Int64(number)]
        }
    }

    /// The place of a subscription that is in one of the given states.
    private func place(of number: Int, in states: ModelSubscription.Status...) throws(Refusal) -> Int {
        guard subscriptions.indices.contains(number - 1) else {
            throw Refusal("unknown_subscription", Int64(number))
        }
        guard states.contains(subscriptions[number - 1].status) else { throw Refusal("invalid_transition") }
        return number - 1
    }

    /// The number of the variant's latest version, which can be subscribed to.
    private func open(variant number: Int) throws(Refusal) -> Int {
        guard let latest = catalogue.latestVersion(of: number) else { throw Refusal("not_found") }
        return latest
    }

    // MARK: - Beginning

    private mutating func subscribe(_ wanted: ModelSubscriptionAct.Subscribe) throws(Refusal) {
        let number = try open(variant: wanted.variant)
        let variant = catalogue.variants[number] ?? ModelVariant()
        if subscriptions.contains(where: { !$0.isFinal && $0.slot == variant.slot }) {
            throw Refusal("already_subscribed")
        }
        let count = applied.count
        let before = self
        exists = true
        addSubscription(
            number, quantity: wanted.quantity, startsAt: wanted.startsAt,
            trialDays: wanted.trialDays ?? variant.trialDays, contract: wanted.contract, at: now)
        do throws(Refusal) {
            try requireFewLimits(of: subscriptions.count - 1, atLeast: count)
        } catch {
            self = before
            throw error
        }
    }

    /// Refuses terms that would bring the 51st limit. A planned subscription is judged as if it had begun.
    private func requireFewLimits(of place: Int, atLeast count: Int) throws(Refusal) {
        var begun = self
        if begun.subscriptions[place].status == .scheduled { begun.subscriptions[place].status = .active }
        if begun.applied.count > max(50, count) { throw Refusal("too_many") }
    }

    /// Starts a new end user on the default plan.
    mutating func startDefault(without act: ModelSubscriptionAct? = nil) {
        guard let number = catalogue.latestVersion(of: catalogue.defaultVariant),
            let variant = catalogue.variants[number]
        else { return }
        let command = key
        key = nil
        defer { key = command }
        // An end user who begins by a subscription in the slot of the default plan has that one in its place.
        if case .subscribe(let wanted) = act, catalogue.variants[wanted.variant]?.slot == variant.slot { return }
        addSubscription(number, quantity: 1, startsAt: nil, trialDays: variant.trialDays, at: now)
        advance(to: now)
    }

    private mutating func renew(_ number: Int) throws(Refusal) {
        let place = try place(of: number, in: .trialing, .active, .pastDue)
        let subscription = subscriptions[place]
        if subscription.cancels { throw Refusal("invalid_transition") }
        if let contract = subscription.contract, !contract.renews, contract.begun >= contract.periods {
            throw Refusal("invalid_transition")
        }
        switch subscription.status {
        case .active:
            if variant(of: subscription).isPostpaid || subscription.renewedAhead {
                throw Refusal("invalid_transition")
            }
            subscriptions[place].renewedAhead = true
            tell("subscription.changed", place, [], "renewed_ahead", at: now)
        case .trialing: beginPeriod(place, from: now, at: now)
        default: beginPeriod(place, from: subscription.end, at: now)
        }
    }

    // MARK: - Changes

    private mutating func change(_ number: Int, _ change: ModelSubscriptionAct.Change) throws(Refusal) {
        let place = try place(of: number, in: .trialing, .active)
        let before = subscriptions[place]
        var wanted = before.variant
        if let variant = change.variant { wanted = try open(variant: variant) }
        if catalogue.variants[wanted]?.slot != before.slot { throw Refusal("invalid_transition") }
        let quantity = change.quantity ?? before.quantity
        if wanted == before.variant && quantity == before.quantity { return }
        let isNow: Bool
        switch (change.effective, change.verb) {
        case (_, _) where before.status == .trialing && wanted != before.variant: isNow = true
        case (.now?, _): isNow = true
        case (.periodEnd?, _): isNow = false
        case (nil, .upgrade): isNow = true
        case (nil, .downgrade): isNow = false
        case (nil, .quantity): isNow = quantity > before.quantity
        }
        let (state, count) = (self, applied.count)
        if isNow {
            changeNow(place, to: wanted, quantity, restarts: change.restarts)
            do throws(Refusal) {
                try requireFewLimits(of: place, atLeast: count)
            } catch {
                self = state
                throw error
            }
        } else {
            subscriptions[place].pending = ModelSubscription.Pending(variant: wanted, quantity: quantity)
            tell("subscription.changed", place, [Int64(wanted), quantity], "pending", at: now)
        }
    }

    private mutating func changeNow(_ place: Int, to number: Int, _ quantity: Int64, restarts: Bool) {
        let before = subscriptions[place]
        let old = variant(of: before)
        if before.status == .trialing {
            switchTerms(place, variant: number, quantity: quantity, at: now)
            tell("subscription.changed", place, [], "now", at: now)
        } else if restarts {
            revokeBlocks(of: place, at: now)
            subscriptions[place].pending = ModelSubscription.Pending(variant: number, quantity: quantity)
            beginPeriod(place, from: now, at: now, restarts: true)
        } else {
            let isBilled = old.isPostpaid && catalogue.variants[number]?.isPostpaid == false
            let usage = isBilled ? closeUsage(place, at: now) : nil
            switchTerms(place, variant: number, quantity: quantity, at: now)
            prorate(place, from: old, changesVariant: number != before.variant)
            tell(
                "subscription.changed", place, usage == nil ? [] : [overageClosed], "now", usage: usage, at: now)
        }
    }

    /// Gives a subscription other terms. An `every` line that stays as it is goes on in its window; a new one lands first
    /// one duration after the change.
    mutating func switchTerms(_ place: Int, variant number: Int, quantity: Int64, at instant: Instant) {
        let old = variant(of: subscriptions[place])
        let next = catalogue.variants[number]?.lines ?? []
        for line in old.lines.indices
        where !(next.indices.contains(line) && next[line].cadence == old.lines[line].cadence) {
            openWindow(place, line, at: instant)
        }
        subscriptions[place].variant = number
        subscriptions[place].quantity = quantity
        subscriptions[place].pending = nil
        let states = subscriptions[place].lines
        let new = variant(of: subscriptions[place]).lines
        for block in blocks where block.subscription == place + 1 && block.waitsForUse {
            // The credits of a line that is replaced open no window of the new one.
            guard let line = block.line else { continue }
            let stays = new.indices.contains(line) && new[line].cadence == old.lines[line].cadence
            if !stays { blocks[block.number - 1].waitsForUse = false }
        }
        subscriptions[place].lines = variant(of: subscriptions[place]).lines.enumerated().map { number, line in
            guard case .every(let duration, _) = line.cadence else { return ModelSubscription.LineState() }
            if old.lines.indices.contains(number), old.lines[number].cadence == line.cadence { return states[number] }
            var state = ModelSubscription.LineState()
            state.anchor = instant
            state.next = duration.end(from: instant, in: catalogue.zone)
            return state
        }
    }

    /// Grants the remaining fraction of what the new terms give beyond the best terms of the period or window so far.
    private mutating func prorate(_ place: Int, from old: ModelVariant, changesVariant: Bool) {
        let subscription = subscriptions[place]
        let length = subscription.end.microseconds - subscription.start.microseconds - subscription.pauses
        let left = subscription.end.microseconds - now.microseconds
        for (number, line) in variant(of: subscription).lines.enumerated() {
            let credits = Self.product(line.credits, subscription.quantity)
            switch line.cadence {
            case .activation: break
            case .period:
                let best = subscription.best[number] ?? 0
                subscriptions[place].best[number] = max(best, credits)
                grant(place, number, line, Self.fraction(credits - best, left, of: length), at: now)
            case .every:
                guard changesVariant, old.lines.indices.contains(number), old.lines[number].cadence == line.cadence
                else { continue }
                let state = subscription.lines[number]
                subscriptions[place].lines[number].best = max(state.best, credits)
                if state.isWaiting {
                    grant(place, number, line, credits - state.best, at: now)
                } else if let opened = state.opened, let next = state.next {
                    let left = next.microseconds - now.microseconds
                    let length = next.microseconds - opened.microseconds
                    grant(place, number, line, Self.fraction(credits - state.best, left, of: length), at: now)
                }
            }
        }
    }

    private static func fraction(_ credits: Int64, _ left: Int64, of length: Int64) -> Int64 {
        if credits <= 0 || length <= 0 { return 0 }
        return Int64(Int128(credits) * Int128(left) / Int128(length))
    }

    // MARK: - Pauses and ends

    private mutating func pause(_ number: Int, until resumeAt: Instant?) throws(Refusal) {
        let place = try place(of: number, in: .trialing, .active, .pastDue)
        if let resumeAt, resumeAt <= now {
            throw Refusal("resumes_in_the_past", resumeAt.microseconds, now.microseconds)
        }
        subscriptions[place].pausedStatus = subscriptions[place].status
        subscriptions[place].status = .paused
        subscriptions[place].pausedAt = now
        subscriptions[place].resumeAt = resumeAt
        tell("subscription.paused", place, [resumeAt?.microseconds ?? -1], at: now)
    }

    private mutating func cancel(_ number: Int, now isNow: Bool, revokes: Bool) throws(Refusal) {
        let place = try place(of: number, in: .scheduled, .trialing, .active, .pastDue, .paused)
        if isNow || subscriptions[place].status == .scheduled {
            subscriptions[place].revokesAtEnd = revokes
            finish(place, as: .canceled, at: now)
            return
        }
        if subscriptions[place].cancels { throw Refusal("invalid_transition") }
        subscriptions[place].cancels = true
        subscriptions[place].revokesAtEnd = revokes
        tell("subscription.changed", place, [], "cancel", at: now)
    }

    /// Takes back the unspent credits of a subscription. Held credits follow when their hold ends.
    mutating func revokeBlocks(of place: Int, at instant: Instant, ends: Bool = false) {
        let subscription = subscriptions[place]
        let number = subscription.number
        let left = blocks.filter { $0.subscription == number && $0.remaining > 0 && $0.revokedAt == nil }
        for block in left {
            if block.isOver(at: instant) { continue }
            // At the end of the subscription no window opens.
            if ends { blocks[block.number - 1].waitsForUse = false }
            blocks[block.number - 1].revokedAt = instant
            let rest = block.remaining - (held[block.number] ?? 0)
            if rest == 0 { continue }
            write("revoke", [Share(block: block.number, amount: -rest)], at: instant) { entry in
                entry.mark(subscription, block.line)
            }
        }
    }

    /// Ends every subscription of an end user who is erased. Nothing follows them.
    mutating func cancelAll() {
        for place in subscriptions.indices where !subscriptions[place].isFinal {
            subscriptions[place].revokesAtEnd = false
            finish(place, as: .canceled, at: now, fallsBack: false)
        }
        sweep(at: now)
    }
}
