import Catalogue
import Credits
import Metering

// The credits that subscriptions give and take back.

/// The subscription and the line that a block or an entry comes from.
package struct SubscriptionOrigin: Hashable, Sendable {
    /// The number of the subscription.
    package let subscription: Int32
    /// The place of the line in the variant; nil for the credits of a trial, and for an entry of the whole subscription.
    package let line: Int16?
    /// The period in which the block was granted, or the entry written; 0 for a trial.
    package let periodIndex: Int32

    package init(subscription: Int32, line: Int16?, periodIndex: Int32) {
        self.subscription = subscription
        self.line = line
        self.periodIndex = periodIndex
    }
}

/// Credits of a subscription that land as one block.
struct Landing {
    var type = EntryType.grant
    let credits: Int64
    let source: BlockSource
    var priority: Int16?
    let expiresAt: Instant?
    let endsWithPeriod: Bool
    var line: Int?
    var featureKeys: [FeatureKey] = []
    /// The most that may remain of the line's credits.
    var cap: Int64?
}

extension Account {
    /// The open blocks that a subscription gave, by number. Costs a walk over the blocks.
    func blocks(of subscription: Int32) -> [Block] {
        blocks.filter { $0.origin?.subscription == subscription }.sorted { $0.number < $1.number }
    }

    /// The open blocks that end with what runs: the trial, the period or the grace. Those that ended with an earlier period
    /// have only held credits.
    func blocksEndingWithPeriod(of subscription: Subscription) -> [Block] {
        let end = min(subscription.periodBlocksEndAt, .latest)
        return blocks(of: subscription.number).filter { $0.endsWithPeriod && $0.expiresAt == end }
    }

    /// The remaining credits of a line.
    private func remaining(of subscription: Int32, line: Int) -> Int64 {
        blocks(of: subscription).reduce(0) { $0 + ($1.origin?.line == Int16(line) ? $1.remaining.rawValue : 0) }
    }

    /// Gives a block another expiry.
    mutating func move(_ block: Block, to expiresAt: Instant?, into recorder: inout some EffectRecorder) {
        guard block.expiresAt != expiresAt else { return }
        var moved = block
        moved.expiresAt = expiresAt
        blocks.set(moved)
        recorder.changed(moved)
    }

    // MARK: - Landing

    /// Brings credits in as a new block. They are cut to what the line's cap, the range of amounts and the number of
    /// blocks allow, and nothing is written if that is nothing.
    ///
    /// - Returns: The number of the block; nil if there is none.
    @discardableResult
    mutating func land(
        _ landing: Landing, of subscription: Subscription, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) -> Int32? {
        var credits = landing.credits
        if let cap = landing.cap, let line = landing.line {
            credits = min(credits, cap - remaining(of: subscription.number, line: line))
        }
        if landing.type == .grant {
            credits = min(credits, roomForGrants)
        }
        guard credits > 0, blocks.count + scheduled.count < Block.maximumOpen, let number = recorder.nextBlockNumber()
        else { return nil }
        let amount = Millicredits.zero.changed(by: credits)
        let origin = SubscriptionOrigin(
            subscription: subscription.number, line: landing.line.flatMap { Int16(exactly: $0) },
            periodIndex: subscription.periodIndex)
        let block = Block(
            number: number, original: amount, remaining: .zero, held: .zero,
            priority: landing.priority ?? landing.source.defaultPriority,
            expiresAt: landing.expiresAt.map { min($0, .latest) }, isPaid: false,
            featureSet: FeatureSet(landing.featureKeys), since: moment.at, origin: origin,
            endsWithPeriod: landing.endsWithPeriod)
        open(
            GrantedBlock(block: block, source: landing.source, reason: nil, metadata: nil, createdAt: moment.at),
            into: &recorder)
        if landing.type == .grant { lifetimeGranted = lifetimeGranted.changed(by: credits) }
        post(
            Posting(
                landing.type, amount: credits, allocations: [Allocation(block: block.number, amount: credits)],
                cause: subscription.cause(line: origin.line, moment), effectiveAt: moment.at),
            now: moment.now, into: &recorder)
        if landing.type == .grant { settle(from: [block.number], at: moment.at, now: moment.now, into: &recorder) }
        return block.number
    }

    /// Brings in the credits of an `activation` or a `period` line.
    mutating func landLine(
        _ index: Int, of subscription: inout Subscription, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) {
        let line = moment.terms(of: subscription).grants[index]
        let credits = line.credits.times(subscription.quantity)
        if line.cadence == .period { subscription.lines[index].periodGranted = credits }
        land(
            subscription.landing(credits, line, index, source: .plan, nextLanding: nil, moment), of: subscription,
            moment, into: &recorder)
    }

    /// Brings in the credits of an `every` line, and opens its next window.
    mutating func landEvery(
        _ index: Int, of subscription: inout Subscription, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) {
        let grants = moment.terms(of: subscription).grants
        guard grants.indices.contains(index), case .every(let duration, let anchor) = grants[index].cadence else {
            subscription.lines[index].window = nil
            return set(subscription, into: &recorder)
        }
        let line = grants[index]
        let window = subscription.lines[index].nextWindow(duration, anchor, at: moment.at, in: moment.zone)
        let credits = line.credits.times(subscription.quantity)
        let block = land(
            subscription.landing(credits, line, index, source: .recurring, nextLanding: window?.end, moment),
            of: subscription, moment, into: &recorder)
        subscription.lines[index].granted = credits
        subscription.lines[index].window = window
        subscription.lines[index].waitingBlocks = window == nil ? [block].compactMap { $0 } : []
        // Credits that were cut to nothing cannot be used, so nothing opens their window.
        if window == nil, block == nil {
            subscription.lines[index].window = TimeWindow(
                start: moment.at, end: moment.zone.adding(duration, to: moment.at))
        }
        set(subscription, into: &recorder)
        openWindows(of: &subscription, moment, into: &recorder)
    }

    /// Takes the next landing of an `every` line, whose window has ended. In grace without usage it passes without credits.
    mutating func landNext(
        _ index: Int, of before: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        let ending = blocks(of: subscription.number).filter {
            $0.origin?.line == Int16(index) && $0.hasExpired(at: moment.at)
        }
        sweep(ending.map(\.number), at: moment.at, now: moment.now, into: &recorder)
        let grants = moment.terms(of: subscription).grants
        guard subscription.deniesUsage, grants.indices.contains(index),
            case .every(let duration, let anchor) = grants[index].cadence
        else { return landEvery(index, of: &subscription, moment, into: &recorder) }
        // A change of variant adds to what the window would have given.
        subscription.lines[index].granted = grants[index].credits.times(subscription.quantity)
        subscription.lines[index].window = subscription.lines[index].nextWindow(
            duration, anchor, at: moment.at, in: moment.zone)
        set(subscription, into: &recorder)
    }

    /// Opens the windows of `first_use` lines from whose waiting blocks something was taken.
    mutating func openWindows(
        of subscription: inout Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        for (index, state) in subscription.lines.enumerated() where !state.waitingBlocks.isEmpty {
            let isTouched = state.waitingBlocks.contains { number in
                blocks.block(number).map { $0.remaining < $0.original || $0.held > .zero } ?? true
            }
            let grants = moment.terms(of: subscription).grants
            guard grants.indices.contains(index) else { continue }
            let line = grants[index]
            guard isTouched, case .every(let duration, _) = line.cadence else { continue }
            let end = moment.zone.adding(duration, to: moment.at)
            subscription.lines[index].waitingBlocks = []
            subscription.lines[index].window = TimeWindow(start: moment.at, end: end)
            set(subscription, into: &recorder)
            guard line.expiry == .nextGrant else { continue }
            for number in state.waitingBlocks {
                // The use may have emptied the block, to which a refund still gives back.
                guard let block = blocks.block(number) ?? recorder.changedBlock(number) else { continue }
                move(block, to: min(end, .latest), into: &recorder)
            }
        }
    }

    /// Opens the windows of `first_use` lines that go no further, so that their unused credits end like used ones.
    ///
    /// - Parameter next: The lines that follow, by place; a line of the same cadence goes on.
    mutating func openLastWindows(
        of subscription: Subscription, before next: [GrantLine] = [], _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) {
        let grants = moment.terms(of: subscription).grants
        for (index, state) in subscription.lines.enumerated()
        where !state.waitingBlocks.isEmpty && grants.indices.contains(index) {
            let goesOn = next.indices.contains(index) && next[index].cadence == grants[index].cadence
            guard !goesOn, grants[index].expiry == .nextGrant, case .every(let duration, _) = grants[index].cadence
            else { continue }
            let end = moment.zone.adding(duration, to: moment.at)
            for block in state.waitingBlocks.compactMap({ blocks.block($0) }) where block.revokedAt == nil {
                move(block, to: min(end, .latest), into: &recorder)
            }
        }
    }

    // MARK: - Ending

    /// Ends the blocks that end with the period that is over, and takes their available credits.
    ///
    /// - Returns: The credits that were unused, by line.
    mutating func endPeriodBlocks(
        of subscription: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) -> [Int: Int64] {
        var unused: [Int: Int64] = [:]
        let ending = blocksEndingWithPeriod(of: subscription)
        for block in ending {
            if let line = block.origin?.line { unused[Int(line), default: 0] += block.available }
            move(block, to: moment.at, into: &recorder)
        }
        sweep(ending.map(\.number), at: moment.at, now: moment.now, into: &recorder)
        return unused
    }

    /// Brings back a share of a line's unused credits.
    ///
    /// - Parameter quantity: The quantity of the period that has ended.
    mutating func rollOver(
        _ unused: Int64, line index: Int, _ line: GrantLine, quantity: Int32, of subscription: Subscription,
        _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        guard let rollover = line.rollover else { return }
        var credits = unused.share(Int64(rollover.percentage), of: 100)
        if let cap = rollover.cap { credits = min(credits, cap.times(quantity)) }
        let state = subscription.lines.indices.contains(index) ? subscription.lines[index] : nil
        var landing = subscription.landing(
            credits, line, index, source: .rollover, expiry: rollover.expiry,
            nextLanding: state?.window?.end, moment)
        landing.type = .rollover
        landing.cap = line.accumulationCap.map { $0.times(quantity) }
        land(landing, of: subscription, moment, into: &recorder)
    }

    /// Takes back the unspent credits of a subscription. What a hold keeps is taken when the hold ends.
    mutating func revokeBlocks(
        of subscription: Subscription, _ moment: SubscriptionMoment, into recorder: inout some EffectRecorder
    ) {
        for var block in blocks(of: subscription.number) where block.revokedAt == nil {
            if block.hasExpired(at: moment.at) { continue }
            block.revokedAt = moment.at
            blocks.set(block)
            recorder.changed(block)
            guard block.available > 0 else { continue }
            post(
                Posting(
                    .revoke, amount: -block.available,
                    allocations: [Allocation(block: block.number, amount: -block.available)],
                    cause: subscription.cause(line: block.origin?.line, moment), effectiveAt: moment.at),
                now: moment.now, into: &recorder)
        }
    }

    /// Moves the expiries of a subscription's blocks by the length of its pause.
    mutating func shiftBlocks(
        of subscription: Subscription, from pause: Subscription.Pause, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) {
        let shift = moment.at.microseconds - pause.at.microseconds
        for block in blocks(of: subscription.number) {
            guard let expiresAt = block.expiresAt, expiresAt > pause.at else { continue }
            move(block, to: min(.latest, expiresAt.moved(by: shift)), into: &recorder)
        }
    }

    // MARK: - Changes of the variant

    /// Grants what a change of variant or quantity adds to the rest of the open period, and to the rest of the open
    /// windows of `every` lines: of each line the part that exceeds the highest amount that it has given in that time.
    ///
    /// - Parameter isOfVariant: Whether the variant has changed. A change of quantity alone counts for `every` lines from
    ///   their next landing.
    /// - Precondition: The subscription has its new variant.
    mutating func prorate(
        _ before: Subscription, isOfVariant: Bool, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        let period = subscription.period
        for (index, line) in moment.terms(of: subscription).grants.enumerated() {
            let credits = line.credits.times(subscription.quantity)
            let state = subscription.lines[index]
            let excess = credits - (line.cadence == .period ? state.periodGranted : state.granted)
            var added: Int64 = 0
            switch line.cadence {
            case .activation: continue
            case .period:
                guard excess > 0 else { continue }
                added = excess.share(
                    period.end.microseconds - moment.at.microseconds,
                    of: period.end.microseconds - period.start.microseconds - subscription.pausedTime)
            case .every:
                // A line that is new has given nothing, and its first credits land after a whole window.
                guard isOfVariant, excess > 0, subscription.lines[index].granted > 0 else { continue }
                let window = subscription.lines[index].window
                added =
                    window.map {
                        excess.share(
                            $0.end.microseconds - moment.at.microseconds,
                            of: $0.end.microseconds - $0.start.microseconds)
                    } ?? excess
            }
            let isWaiting = !subscription.lines[index].waitingBlocks.isEmpty
            let block = land(
                subscription.landing(
                    added, line, index, source: line.isEvery ? .recurring : .plan,
                    nextLanding: subscription.lines[index].window?.end, moment), of: subscription, moment,
                into: &recorder)
            if line.isEvery {
                subscription.lines[index].granted = credits
            } else {
                subscription.lines[index].periodGranted = credits
            }
            if isWaiting, let block { subscription.lines[index].waitingBlocks.append(block) }
            set(subscription, into: &recorder)
        }
    }

    // MARK: - Overage of postpaid subscriptions

    /// Whether a postpaid subscription settles the account's overage at the end of its periods: its overage policy is the
    /// one in force.
    func settlesOverage(_ subscription: Subscription) -> Bool {
        billingSubscription?.number == subscription.number
    }

    /// The postpaid subscription whose overage policy is in force: the overage is billed at the end of its periods, and
    /// credits that come in meanwhile do not pay it. Nil if there is none.
    var billingSubscription: Subscription? {
        guard !subscriptions.isEmpty, settings.overagePolicy == nil else { return nil }
        let first = inSlotOrder.first { $0.status != .scheduled && $0.statesOveragePolicy }
        return first.flatMap { $0.isPostpaid ? $0 : nil }
    }

    /// Sums up the usage of a postpaid period that ends, for the tenant to bill.
    mutating func summary(of subscription: Subscription, _ moment: SubscriptionMoment) -> UsageSummary {
        UsageSummary(
            period: TimeWindow(start: subscription.period.start, end: moment.at),
            usage: takeBilledUsage(of: subscription, moment.catalogue),
            settledOverage: settlesOverage(subscription) ? overage.rawValue : 0)
    }

    /// Sets overage that the tenant bills for the period back.
    mutating func closeOverage(
        _ debt: Int64, of subscription: Subscription, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) {
        guard debt > 0 else { return }
        post(
            Posting(
                .settle, amount: debt, overageDelta: -debt, cause: subscription.cause(line: nil),
                effectiveAt: moment.at), now: moment.now, into: &recorder)
    }

    /// The live subscriptions, base first, then by the name of their slots.
    package var inSlotOrder: [Subscription] {
        subscriptions.count > 1 ? subscriptions.sorted { $0.slot < $1.slot } : Array(subscriptions)
    }
}

extension Subscription {
    /// The expiry of the blocks that end with the period.
    fileprivate var periodBlocksEndAt: Instant { status == .pastDue ? graceEndsAt ?? period.end : period.end }

    /// The cause of an entry of a line, or of the whole subscription.
    ///
    /// - Parameter moment: Has the idempotency key of the request that caused it; nil for an entry that states none.
    func cause(line: Int16?, _ moment: SubscriptionMoment? = nil) -> EntryCause {
        EntryCause(
            idempotencyKey: moment?.idempotencyKey,
            details: EntryDetails(
                subscription: SubscriptionOrigin(subscription: number, line: line, periodIndex: periodIndex)))
    }

    /// The landing of credits of a line.
    ///
    /// - Parameters:
    ///   - expiry: Nil means the line's.
    ///   - nextLanding: The next landing of an `every` line; nil if it is not known yet.
    fileprivate func landing(
        _ credits: Int64, _ line: GrantLine, _ index: Int, source: BlockSource, expiry: GrantLine.Expiry? = nil,
        nextLanding: Instant?, _ moment: SubscriptionMoment
    ) -> Landing {
        var expiry = expiry ?? line.expiry
        if expiry == .nextGrant, !line.isEvery { expiry = .periodEnd }
        let expiresAt: Instant?
        switch expiry {
        case .periodEnd: expiresAt = periodBlocksEndAt
        case .nextGrant: expiresAt = nextLanding
        case .never: expiresAt = nil
        case .after(let duration): expiresAt = moment.zone.adding(duration, to: moment.at)
        }
        return Landing(
            credits: credits, source: source, priority: line.priority, expiresAt: expiresAt,
            endsWithPeriod: expiry == .periodEnd, line: index, featureKeys: line.featureKeys,
            cap: line.accumulationCap.map { $0.times(quantity) })
    }
}

extension LineState {
    /// The window that opens at a landing; nil for one that opens with the first use.
    fileprivate func nextWindow(
        _ duration: CalendarDuration, _ lineAnchor: GrantLine.Anchor, at instant: Instant, in zone: ZoneRules
    ) -> TimeWindow? {
        switch lineAnchor {
        case .firstUse: return nil
        case .subscription:
            return TimeWindow(start: instant, end: duration.firstEnd(after: instant, from: anchor, in: zone))
        case .calendar:
            let window = WindowLength(calendarDuration: duration).calendarWindow(containing: instant, in: zone)
            return TimeWindow(start: instant, end: window.end)
        }
    }
}

extension Millicredits {
    /// The amount for a number of seats, at most the largest amount.
    func times(_ quantity: Int32) -> Int64 {
        let (product, overflow) = rawValue.multipliedReportingOverflow(by: Int64(quantity))
        return overflow ? Millicredits.limit : min(product, Millicredits.limit)
    }
}

extension Int64 {
    /// `self × part / whole`, rounded down, for a part from 0 to the whole.
    fileprivate func share(_ part: Int64, of whole: Int64) -> Int64 {
        guard part > 0, whole > 0 else { return 0 }
        let product = multipliedFullWidth(by: Swift.min(part, whole))
        return whole.dividingFullWidth(product).quotient
    }
}
