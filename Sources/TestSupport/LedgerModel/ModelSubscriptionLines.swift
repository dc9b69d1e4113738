import Credits

// The lines of grants: what lands, what fits, and when it expires.

extension ModelLedger {
    /// Gives each `every` line its first landing, at the start of the subscription or of a restarted period.
    mutating func openLines(_ place: Int, from start: Instant) {
        subscriptions[place].lines = variant(of: subscriptions[place]).lines.map { line in
            var state = ModelSubscription.LineState()
            state.anchor = start
            if line.isEvery { state.next = start }
            return state
        }
    }

    /// Lands the credits of an `every` line.
    ///
    /// - Parameter due: The start of the window.
    mutating func land(_ place: Int, _ number: Int, due: Instant, at instant: Instant) {
        let subscription = subscriptions[place]
        let line = variant(of: subscription).lines[number]
        guard case .every(let duration, let anchor) = line.cadence else { return }
        var state = subscription.lines[number]
        let credits = Self.product(line.credits, subscription.quantity)
        let isSkipped = !permits(subscription)
        (state.opened, state.best, state.isWaiting) = (due, credits, false)
        switch anchor {
        case .subscription:
            state.landings = max(0, state.landings - 2)
            while duration.end(of: state.landings, from: state.anchor, in: catalogue.zone) <= due {
                state.landings += 1
            }
            state.next = duration.end(of: state.landings, from: state.anchor, in: catalogue.zone)
        case .calendar: state.next = duration.window.around(due, in: catalogue.zone).end
        case .firstUse:
            (state.next, state.opened, state.isWaiting) = (nil, nil, true)
        }
        subscriptions[place].lines[number] = state
        for block in blocks where block.subscription == subscription.number && block.line == number {
            if isOver(block, at: instant) { expire(block.number, at: instant) }
        }
        if isSkipped { return }
        grant(place, number, line, credits, at: instant)
        // Credits that were cut to nothing cannot be used, so their window opens at once.
        if !blocks.contains(where: { $0.subscription == place + 1 && $0.line == number && $0.waitsForUse }) {
            openWindow(place, number, at: instant)
        }
    }

    /// Grants credits of a line, as much as fits.
    mutating func grant(_ place: Int, _ number: Int, _ line: ModelLine, _ credits: Int64, at instant: Instant) {
        let subscription = subscriptions[place]
        let cap = line.accumulationCap.map { Self.product($0, subscription.quantity) }
        let (expiresAt, ends, endsWithWindow) = expiry(of: line.expiry, line, place, number, at: instant)
        var terms = Terms(
            source: line.isEvery ? "recurring" : "plan", priority: line.priority ?? (line.isEvery ? 50 : 10),
            expiresAt: expiresAt)
        terms.features = line.features
        grant(
            place, number, room(for: credits, place, number, cap: cap), terms, endsWithPeriod: ends,
            endsWithWindow: endsWithWindow, at: instant)
    }

    mutating func grant(
        _ place: Int, _ number: Int?, _ wanted: Int64, _ terms: Terms, endsWithPeriod: Bool,
        endsWithWindow: Bool = false, at instant: Instant
    ) {
        let coming = awaited.reduce(0) { $0 + $1.original }
        let credits = min(
            wanted, Self.largestAmount - balance - overage - coming, Self.largestAmount - lifetime - coming)
        guard credits > 0, hasRoomForBlock else { return }
        let share = newBlock(credits, terms, of: place, number, endsWithPeriod: endsWithPeriod, at: instant)
        if let number, subscriptions[place].lines.indices.contains(number) {
            blocks[share.block - 1].waitsForUse = subscriptions[place].lines[number].isWaiting
        }
        blocks[share.block - 1].endsWithWindow = endsWithWindow
        lifetime += credits
        let subscription = subscriptions[place]
        write("grant", [share], at: instant) { $0.mark(subscription, number) }
        settle([share], at: instant)
    }

    /// The credits that the accumulation cap of a line leaves room for.
    private func room(for credits: Int64, _ place: Int, _ line: Int, cap: Int64?) -> Int64 {
        guard let cap else { return credits }
        let number = subscriptions[place].number
        let remaining = blocks.filter { $0.subscription == number && $0.line == line }.reduce(0) { $0 + $1.remaining }
        return max(0, min(credits, cap - remaining))
    }

    private var hasRoomForBlock: Bool { blocks.count { $0.remaining > 0 || $0.isAwaited } < 10_000 }

    private mutating func newBlock(
        _ credits: Int64, _ terms: Terms, of place: Int, _ line: Int?, endsWithPeriod: Bool, at instant: Instant
    ) -> Share {
        let share = newBlock(credits, terms)
        blocks[share.block - 1].arrivesAt = instant
        blocks[share.block - 1].subscription = subscriptions[place].number
        blocks[share.block - 1].line = line
        blocks[share.block - 1].endsWithPeriod = endsWithPeriod
        return share
    }

    /// The expiry of new credits of a line, whether they end with the period, and whether they end with a window that is
    /// still to open.
    private func expiry(
        of expiry: ModelLine.Expiry, _ line: ModelLine, _ place: Int, _ number: Int, at instant: Instant
    ) -> (at: Instant?, endsWithPeriod: Bool, endsWithWindow: Bool) {
        let subscription = subscriptions[place]
        switch expiry {
        case .never: return (nil, false, false)
        case .after(let duration): return (duration.end(from: instant, in: catalogue.zone), false, false)
        case .nextGrant where line.isEvery:
            guard subscription.lines.indices.contains(number) else { return (nil, false, false) }
            let state = subscription.lines[number]
            return (state.next, false, state.next == nil)
        case .periodEnd, .nextGrant: return (subscription.deadline, true, false)
        }
    }

    /// Opens the windows of `first_use` lines from whose waiting blocks an entry takes or holds credits.
    mutating func openFirstUseWindows(_ entry: Entry, at instant: Instant) {
        let taken = entry.holds.filter { $0.amount > 0 } + entry.allocation.filter { $0.amount < 0 }
        for block in taken.map({ blocks[$0.block - 1] }) where block.waitsForUse {
            guard let subscription = liveSubscription(of: block), let line = block.line else { continue }
            openWindow(subscription.number - 1, line, at: instant)
        }
    }

    mutating func openWindow(_ place: Int, _ line: Int, at instant: Instant) {
        guard subscriptions[place].lines.indices.contains(line), subscriptions[place].lines[line].isWaiting,
            case .every(let duration, .firstUse) = variant(of: subscriptions[place]).lines[line].cadence
        else { return }
        let end = duration.end(from: instant, in: catalogue.zone)
        subscriptions[place].lines[line].isWaiting = false
        subscriptions[place].lines[line].opened = instant
        subscriptions[place].lines[line].next = end
        for block in blocks where block.subscription == place + 1 && block.line == line && block.waitsForUse {
            blocks[block.number - 1].waitsForUse = false
            if block.endsWithWindow { blocks[block.number - 1].expiresAt = end }
        }
    }

    mutating func rollOver(
        _ place: Int, _ number: Int, _ line: ModelLine, _ unused: Int64, quantity: Int64, at instant: Instant
    ) {
        guard let rollover = line.rollover else { return }
        var credits = Int64(Int128(unused) * Int128(rollover.percentage) / 100)
        if let cap = rollover.cap { credits = min(credits, Self.product(cap, quantity)) }
        credits = room(for: credits, place, number, cap: line.accumulationCap.map { Self.product($0, quantity) })
        credits = min(credits, Self.largestAmount - balance)
        guard credits > 0, hasRoomForBlock else { return }
        let (expiresAt, ends, _) = expiry(of: rollover.expiry, line, place, number, at: instant)
        var terms = Terms(source: "rollover", priority: line.priority ?? 50, expiresAt: expiresAt)
        terms.features = line.features
        let share = newBlock(credits, terms, of: place, number, endsWithPeriod: ends, at: instant)
        let subscription = subscriptions[place]
        write("rollover", [share], at: instant) { $0.mark(subscription, number) }
    }
}

extension ModelLedger.Entry {
    mutating func mark(_ subscription: ModelSubscription, _ line: Int?) {
        self.subscription = subscription.number
        self.line = line
        period = subscription.index
    }
}
