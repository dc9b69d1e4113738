import Catalogue
import Credits
import Metering

// The turns of a subscription: what happens when it starts, when a period begins or ends, when it is paused and resumed,
// and when it ends. Each turn happens at one instant and is complete in itself.

extension Account {
    /// Starts a new or a scheduled subscription, with its trial or with period 1.
    mutating func start(
        _ before: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        let terms = moment.terms(of: subscription)
        subscription.lines = terms.grants.map { LineState($0, anchor: moment.at) }
        subscription.termsSince = moment.at
        subscription.take(terms)
        guard subscription.trialDays > 0 else {
            return beginPeriod(subscription, from: moment.at, moment, startsLines: true, into: &recorder)
        }
        let end = moment.zone.adding(months: 0, days: Int64(subscription.trialDays), to: moment.at)
        subscription.status = .trialing
        subscription.period = TimeWindow(start: moment.at, end: end)
        subscription.trialEndsAt = end
        subscription.notices.trialEnding = end
        subscription.recountNotices(terms, moment.zone)
        set(subscription, into: &recorder)
        if terms.trialCredits > .zero {
            land(
                Landing(
                    credits: terms.trialCredits.times(subscription.quantity), source: .trial, expiresAt: end,
                    endsWithPeriod: true), of: subscription, moment, into: &recorder)
        }
        for (index, line) in terms.grants.enumerated() {
            if case .every = line.cadence { landEvery(index, of: &subscription, moment, into: &recorder) }
        }
        set(subscription, into: &recorder)
    }

    /// Begins the next period, which is paid for: the old period's credits end and roll over, a pending change takes
    /// effect, and the credits of the new period land.
    ///
    /// - Parameters:
    ///   - start: The start of the period, which is before the moment when it is paid for in grace.
    ///   - startsLines: Whether all `every` lines start anew, as in a new subscription.
    mutating func beginPeriod(
        _ before: Subscription, from start: Instant, _ moment: SubscriptionMoment, startsLines: Bool = false,
        into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        let old = moment.terms(of: subscription)
        let isFirst = subscription.periodIndex == 0
        let ended = endPeriodBlocks(of: subscription, moment, into: &recorder)
        let unused = isFirst ? [:] : ended
        openWindows(of: &subscription, moment, into: &recorder)
        var details = SubscriptionEvent.Details.none
        if old.billingMode == .postpaid {
            let summary = summary(of: before, moment)
            if !isFirst { details.summary = summary }
        }
        if let change = subscription.pendingChange {
            subscription.pendingChange = nil
            let next = moment.terms(of: change.variant).grants
            openLastWindows(of: subscription, before: next, moment, into: &recorder)
            apply(change.variant, quantity: change.quantity, to: &subscription, moment)
            tell(.subscriptionChanged, &subscription, moment, into: &recorder)
        }
        let terms = moment.terms(of: subscription)
        let oldInterval = before.periodInterval ?? old.billingInterval
        if isFirst || startsLines || terms.billingInterval != oldInterval { subscription.anchor = start }
        subscription.periodInterval = nil
        let end = terms.billingInterval.firstEnd(after: start, from: subscription.anchor, in: moment.zone)
        subscription.period = TimeWindow(start: start, end: end)
        subscription.periodIndex += 1
        subscription.status = .active
        subscription.pausedTime = 0
        subscription.graceEndsAt = nil
        // A renewal ends the trial before its time.
        if before.status == .trialing { subscription.trialEndsAt = moment.at }
        // A restart leaves the next period paid for.
        subscription.isRenewedAhead = startsLines && !isFirst && subscription.isRenewedAhead
        subscription.deniesOverdueUsage = false
        subscription.notices.trialEnding = nil
        subscription.planNotices(terms, moment.zone)
        subscription.lines = Array(subscription.lines.prefix(terms.grants.count))
        for index in subscription.lines.indices { subscription.lines[index].periodGranted = 0 }
        tell(
            isFirst ? .subscriptionActivated : .subscriptionRenewed, &subscription, moment, details: details,
            into: &recorder)
        closeOverage(details.summary?.settledOverage ?? 0, of: before, moment, into: &recorder)
        for index in 0..<max(old.grants.count, terms.grants.count) {
            if old.grants.indices.contains(index), let credits = unused[index] {
                rollOver(
                    credits, line: index, old.grants[index], quantity: before.quantity, of: subscription, moment,
                    into: &recorder)
            }
            guard terms.grants.indices.contains(index) else { continue }
            switch terms.grants[index].cadence {
            case .activation:
                if isFirst { landLine(index, of: &subscription, moment, into: &recorder) }
            case .period: landLine(index, of: &subscription, moment, into: &recorder)
            case .every:
                // A window that opens with a use waited for the end of a grace without usage.
                let hasWaited =
                    before.deniesUsage && subscription.lines[index].opensWithUse
                    && subscription.lines[index].window.map { $0.end <= moment.at } ?? false
                if startsLines {
                    subscription.lines[index] = LineState(terms.grants[index], anchor: moment.at)
                    landEvery(index, of: &subscription, moment, into: &recorder)
                } else if hasWaited {
                    landEvery(index, of: &subscription, moment, into: &recorder)
                }
            }
        }
        set(subscription, into: &recorder)
    }

    /// Ends a period at its end: the next one begins if it is paid for or postpaid, else grace.
    mutating func endPeriod(
        _ before: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        let isLast = subscription.contract.map { $0.lastPeriod <= subscription.periodIndex } ?? false
        if isLast {
            subscription.contract?.firstPeriod = subscription.periodIndex + 1
            subscription.notices.contractEnding = nil
            tell(.contractEnded, &subscription, moment, into: &recorder)
        }
        if subscription.cancelsAtPeriodEnd {
            return end(subscription, as: .canceled, moment, into: &recorder)
        }
        if isLast, subscription.contract?.onEnd == .expire {
            return end(subscription, as: .expired, moment, into: &recorder)
        }
        if subscription.isRenewedAhead || moment.terms(of: subscription).billingMode == .postpaid {
            beginPeriod(subscription, from: subscription.period.end, moment, into: &recorder)
        } else {
            fallPastDue(subscription, moment, into: &recorder)
        }
    }

    /// Begins grace at the end of a period or of a trial that nobody has paid beyond.
    mutating func fallPastDue(
        _ before: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        let terms = moment.terms(of: subscription)
        let end = moment.zone.adding(months: 0, days: Int64(terms.gracePeriodDays), to: moment.at)
        subscription.status = .pastDue
        subscription.graceEndsAt = end
        subscription.deniesOverdueUsage = !terms.allowsUsageWhileOverdue
        subscription.notices.trialEnding = nil
        subscription.notices.renewalDue = nil
        tell(.subscriptionPastDue, &subscription, moment, into: &recorder)
        // The credits of a trial end with it.
        guard before.status != .trialing else {
            _ = endPeriodBlocks(of: before, moment, into: &recorder)
            return
        }
        for block in blocksEndingWithPeriod(of: before) {
            move(block, to: end, into: &recorder)
        }
    }

    /// Ends a subscription for good, and starts its fallback.
    mutating func end(
        _ before: Subscription, as status: SubscriptionStatus, _ moment: SubscriptionMoment, fallsBack: Bool = true,
        into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        let terms = moment.terms(of: before)
        if let pause = subscription.pause { shiftBlocks(of: subscription, from: pause, moment, into: &recorder) }
        sweep(
            blocksEndingWithPeriod(of: before).map(\.number), at: moment.at,
            now: moment.now,
            into: &recorder)
        subscription.pause = nil
        subscription.status = status
        subscription.endedAt = moment.at
        subscription.pendingChange = nil
        subscription.isRenewedAhead = false
        subscription.notices = .none
        for index in subscription.lines.indices {
            subscription.lines[index].window = nil
            subscription.lines[index].waitingBlocks = []
        }
        var details = SubscriptionEvent.Details.none
        if terms.billingMode == .postpaid {
            let summary = summary(of: before, moment)
            if before.periodIndex > 0 { details.summary = summary }
        }
        tell(
            status == .expired ? .subscriptionExpired : .subscriptionCanceled, &subscription, moment,
            details: details, into: &recorder)
        closeOverage(details.summary?.settledOverage ?? 0, of: before, moment, into: &recorder)
        if subscription.revokesCredits { revokeBlocks(of: subscription, moment, into: &recorder) }
        openLastWindows(of: before, moment, into: &recorder)
        if fallsBack { fallBack(from: subscription, moment, into: &recorder) }
    }

    /// Starts the subscription to which the end user falls back. The fallback of the variant comes before that of the
    /// environment, and is used only in the slot of its plan. Its version is that of the instant, so that a late advance
    /// starts the same one. The instants of a test clock are not those at which versions are made: there the latest counts.
    private mutating func fallBack(
        from ended: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        let catalogue = moment.catalogue
        let named = moment.terms(of: ended).fallbackVariantID ?? catalogue.config.fallbackVariantID
        let instant = settings.testClock == nil ? moment.at : .latest
        guard let variant = named.flatMap({ catalogue.latestVariant($0, at: instant) }), !variant.isArchived,
            let plan = catalogue.plans[variant.planID], !plan.isArchived(at: instant), plan.slot == ended.slot,
            !subscriptions.contains(where: { $0.slot == ended.slot })
        else { return }
        var fallback = Subscription(
            number: recorder.nextSubscriptionNumber(), planID: plan.id, slot: plan.slot, variant: variant.reference,
            quantity: 1, status: .active, period: TimeWindow(start: moment.at, end: moment.at), anchor: moment.at,
            termsSince: moment.at, startsAt: moment.at, createdAt: moment.at)
        tell(
            .subscriptionFallbackStarted, &fallback, moment,
            details: SubscriptionEvent.Details(endedSubscription: ended.number), into: &recorder)
        start(fallback, moment, into: &recorder)
    }

    /// Stops time for a subscription.
    mutating func pause(
        _ before: Subscription, until: Instant?, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        subscription.pause = Subscription.Pause(at: moment.at, until: until, statusBefore: subscription.status)
        subscription.status = .paused
        tell(.subscriptionPaused, &subscription, moment, into: &recorder)
    }

    /// Lets time go on for a paused subscription: everything that was to come is later by the pause.
    mutating func resume(
        _ before: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        guard let pause = subscription.pause else { preconditionFailure("only a paused subscription can resume") }
        let shift = moment.at.microseconds - pause.at.microseconds
        let terms = moment.terms(of: subscription)
        let tiersSince = subscription.tierStart(at: pause.at, terms, moment.zone)
        subscription.pause = nil
        subscription.status = pause.statusBefore
        subscription.pausedTime += shift
        subscription.period = TimeWindow(
            start: subscription.period.start, end: subscription.period.end.moved(by: shift))
        // Later periods count from the moved end.
        subscription.anchor = subscription.period.end
        if subscription.status == .trialing { subscription.trialEndsAt = subscription.period.end }
        subscription.graceEndsAt = subscription.graceEndsAt?.moved(by: shift)
        if subscription.status == .pastDue {
            subscription.movedTiers = Subscription.MovedTiers(
                boundary: subscription.tierBoundary(at: moment.at, terms, moment.zone), since: tiersSince)
        }
        subscription.recountNotices(terms, moment.zone)
        for (index, line) in terms.grants.enumerated() {
            subscription.lines[index].resume(line, shift: shift, at: moment.at, in: moment.zone)
        }
        tell(.subscriptionResumed, &subscription, moment, into: &recorder)
        shiftBlocks(of: subscription, from: pause, moment, into: &recorder)
        sweep(blocks(of: subscription.number).map(\.number), at: moment.at, now: moment.now, into: &recorder)
    }

    /// Gives a subscription another version of a variant and another quantity. Lines match by their place.
    func apply(
        _ variant: VariantReference, quantity: Int32, to subscription: inout Subscription, _ moment: SubscriptionMoment
    ) {
        let old = moment.terms(of: subscription).grants
        let new = moment.terms(of: variant).grants
        // The grants of a line's place count for the whole period, also while the variant has no line there.
        var lines = subscription.lines.enumerated().map { index, state in
            new.indices.contains(index)
                ? state : LineState(periodGranted: state.periodGranted, anchor: moment.at)
        }
        while lines.count > new.count, lines.last?.periodGranted == 0 { lines.removeLast() }
        for (index, line) in new.enumerated() {
            let isSame = old.indices.contains(index) && old[index].cadence == line.cadence
            var state = isSame ? lines[index] : LineState(line, anchor: moment.at)
            if lines.indices.contains(index) { state.periodGranted = lines[index].periodGranted }
            if !isSame, case .every(let duration, _) = line.cadence {
                // A line that is new lands first one duration after the change.
                state.window = TimeWindow(start: moment.at, end: moment.zone.adding(duration, to: moment.at))
            }
            if index < lines.count { lines[index] = state } else { lines.append(state) }
        }
        subscription.lines = lines
        if variant != subscription.variant { subscription.termsSince = moment.at }
        subscription.take(moment.terms(of: variant))
        subscription.variant = variant
        subscription.quantity = quantity
    }
}

extension Subscription {
    /// Copies what decisions without the catalogue need of the terms.
    mutating func take(_ terms: VariantTerms) {
        isPostpaid = terms.billingMode == .postpaid
        statesOveragePolicy = terms.overagePolicy != nil
    }

    /// The local days before a trial's end at which the tenant is told.
    static let trialNoticeDays: Int64 = 3

    /// Plans the notices of the period that has just begun.
    mutating func planNotices(_ terms: VariantTerms, _ zone: ZoneRules) {
        notices.renewalDue = period.start
        if contract?.firstPeriod == periodIndex { notices.contractEnding = period.start }
        recountNotices(terms, zone)
    }

    /// Counts the notices that are still to come from the ends as they are now.
    mutating func recountNotices(_ terms: VariantTerms, _ zone: ZoneRules) {
        func notice(_ days: Int64, before end: Instant) -> Instant {
            max(period.start, zone.subtracting(days: days, from: end))
        }
        if notices.trialEnding != nil { notices.trialEnding = notice(Self.trialNoticeDays, before: period.end) }
        if notices.renewalDue != nil {
            notices.renewalDue = notice(Int64(terms.renewalDueDays), before: period.end)
        }
        guard notices.contractEnding != nil, let contract else { return }
        let further = Int64(contract.lastPeriod - periodIndex)
        // After a change of the interval the next periods are counted from the end of this one.
        let end =
            further > 0
            ? terms.billingInterval.firstEnd(
                after: period.end, skipping: further - 1, from: periodInterval == nil ? anchor : period.end, in: zone)
            : period.end
        notices.contractEnding = notice(Int64(contract.noticeDays), before: end)
    }
}

extension LineState {
    /// Moves what is to come of a line by the length of a pause. Windows of the calendar do not move.
    fileprivate mutating func resume(_ line: GrantLine, shift: Int64, at instant: Instant, in zone: ZoneRules) {
        guard case .every(let duration, let lineAnchor) = line.cadence, let open = window else { return }
        switch lineAnchor {
        case .calendar:
            guard open.end < instant else { return }
            let current = WindowLength(calendarDuration: duration).calendarWindow(containing: instant, in: zone)
            window = TimeWindow(start: open.start, end: current.end)
        case .subscription, .firstUse:
            window = TimeWindow(start: open.start.moved(by: shift), end: open.end.moved(by: shift))
            anchor = open.end.moved(by: shift)
        }
    }
}

extension Instant {
    /// The instant that is some microseconds later. Saturates at the end of the 64-bit range.
    func moved(by microseconds: Int64) -> Instant {
        Instant(microseconds: self.microseconds.addingSaturated(microseconds))
    }
}

extension GrantLine {
    var isEvery: Bool {
        if case .every = cadence { true } else { false }
    }
}
