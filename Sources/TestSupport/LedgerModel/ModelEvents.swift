import Credits

extension ModelLedger {
    /// A level of the effective balance below which the tenant is told.
    package enum Threshold: Hashable, Sendable {
        case credits(Int64)
        /// Of the credits of all blocks that are not used up.
        case percent(Int64)
    }

    /// The parts of the state that decide what is told of the balance.
    struct BalanceState {
        let effective: Int64
        let overage: Int64
        let hasHadCredits: Bool
        let granted: Int64
    }

    /// A limit and its counter before a command.
    struct LimitMark {
        let applied: Applied
        let value: String?
        let before: Standing
    }

    /// The percentage that was told last of a counter in the window with this start.
    struct Told: Sendable {
        let start: Instant
        let percentage: Int64
    }

    /// A limit that was exhausted, and the end of the window.
    struct Exhausted: Sendable {
        let limit: String
        let end: Instant
    }

    private static let lastPercentage: Int64 = 1_000

    /// Whether events of a type are recorded.
    func records(_ type: String) -> Bool {
        if isErased { return false }
        return catalogue.eventTypes.map { $0.contains(type) } ?? (type != "credits.used")
    }

    mutating func record(_ event: Event) {
        if records(event.type) { events.append(event) }
    }

    private mutating func tell(_ type: String, _ figures: [Int64], _ text: String? = nil, at instant: Instant) {
        record(Event(type: type, figures: figures, text: text, request: 0, at: instant, recordedAt: now))
    }

    // MARK: - Entries and reservations

    mutating func tell(of entry: Entry, at instant: Instant) {
        let block = entry.allocation.count == 1 ? entry.allocation[0].block : 0
        func figures(_ credits: Int64, _ others: Int64...) -> [Int64] {
            [entry.sequence, credits, Int64(block), entry.balanceAfter, entry.reservedAfter, entry.overageAfter]
                + others
        }
        switch entry.type {
        case "grant", "rollover", "adjust", "transfer":
            guard entry.amount > 0, let first = entry.allocation.first else { return }
            let end = block > 0 ? blocks[block - 1].expiresAt?.microseconds : nil
            tell(
                "credits.granted", figures(entry.amount, end ?? -1, Int64(entry.subscription ?? 0)),
                blocks[first.block - 1].source, at: instant)
        case "use", "commit":
            let units = entry.units ?? (entry.quantities.isEmpty ? -1 : Self.sum(Array(entry.quantities.values)))
            tell(
                "credits.used", figures(-entry.amount, units, Int64(entry.reservation ?? 0)), entry.feature,
                at: instant)
        case "expire": tell("credits.expired", figures(-entry.amount), at: instant)
        case "refund":
            tell(
                "credits.refunded",
                figures(entry.amount, entry.refunds ?? 0, Int64(entry.reservation ?? 0), entry.forfeited),
                entry.feature, at: instant)
        case "revoke": tell("credits.revoked", figures(-entry.amount), at: instant)
        case "settle": tell("overage.settled", figures(-entry.overageDelta), at: instant)
        default: break
        }
    }

    mutating func tell(reservation number: Int, returned: Int64 = 0, at instant: Instant) {
        let reservation = reservations[number - 1]
        let held = reservation.holds.reduce(0) { $0 + $1.amount }
        let type = reservation.status == "active" ? "created" : reservation.status
        tell(
            "reservation.\(type)",
            [
                Int64(number), held, reservation.uncovered, reservation.charged, returned,
                reservation.expiresAt.microseconds, balance, reserved,
            ], reservation.features.joined(separator: ","), at: instant)
    }

    // MARK: - The balance

    var balanceState: BalanceState {
        BalanceState(
            effective: effective, overage: overage, hasHadCredits: lifetime > 0,
            granted: Self.sum(blocks.filter { $0.remaining > 0 }.map(\.original)))
    }

    private var isToldOfOverage: Bool {
        let ofVariant = policySubscription.flatMap { variant(of: $0).policy }
        return (policy ?? ofVariant ?? catalogue.policy) == .notify
    }

    /// Tells what has become of the balance since an earlier state.
    mutating func judgeBalance(since before: BalanceState, at instant: Instant) {
        let (balance, reserved, frozen, after, debt) = (balance, reserved, frozen, effective, overage)
        let figures = [balance, reserved, frozen, after, debt]
        if before.overage == 0, debt > 0, isToldOfOverage { tell("overage.started", figures, at: instant) }
        let levels = (thresholds ?? catalogue.thresholds).map { threshold -> (level: Int64, percent: Int64) in
            switch threshold {
            case .credits(let credits): (credits, 0)
            case .percent(let percent): (Int64(Int128(before.granted) * Int128(percent) / 100), percent)
            }
        }
        for (level, percent) in levels.sorted(by: {
            $0.level == $1.level ? $0.percent < $1.percent : $0.level > $1.level
        })
        where before.effective >= level && after < level {
            tell("balance.low", [level, percent] + figures, at: instant)
        }
        if before.effective > 0, after <= 0 { tell("balance.depleted", figures, at: instant) }
        if before.effective <= 0, after > 0, before.hasHadCredits { tell("balance.recovered", figures, at: instant) }
    }

    // MARK: - Limits

    /// The limits that cover an event, with their counters.
    func marks(_ features: [String], _ attributes: [String: String]) -> [LimitMark] {
        applied.filter { $0.limit.covers(features, attributes) }.map { applied in
            let value = applied.limit.per.flatMap { attributes[$0] }
            return LimitMark(applied: applied, value: value, before: standing(of: applied, value: value))
        }
    }

    /// Tells of the limits whose usage has risen.
    mutating func tellLimits(_ marks: [LimitMark]) {
        for mark in marks {
            let (applied, limit) = (mark.applied, mark.applied.limit)
            let after = standing(of: applied, value: mark.value)
            let before = after.start == mark.before.start ? mark.before.used : 0
            guard after.used > before else { continue }
            let counter = "\(applied.name) \(mark.value.map { "=" + $0 } ?? "")"
            let told = told[counter].flatMap { $0.start == after.start ? $0.percentage : nil } ?? 0
            func isReached(_ percentage: Int64, _ used: Int64) -> Bool {
                Int128(used) * 100 >= Int128(limit.amount) * Int128(percentage)
            }
            let hasWindow = limit.window != nil
            let end = hasWindow ? after.end.microseconds : -1
            func text() -> String { applied.key + (limit.per == nil ? "" : " by " + (mark.value ?? "null")) }
            var highest = told
            for percentage in limit.warnAt.sorted() where isReached(percentage, after.used) {
                if hasWindow ? told >= percentage : isReached(percentage, before) { continue }
                tell("limit.warning", [after.used, limit.amount, end, percentage], text(), at: now)
                highest = percentage
            }
            let wasExhausted = hasWindow ? told == Self.lastPercentage : before >= limit.amount
            if after.used >= limit.amount, !wasExhausted {
                tell(
                    limit.unit == "credits" ? "spend_cap.reached" : "quota.exhausted", [after.used, limit.amount, end],
                    text(), at: now)
                highest = Self.lastPercentage
                if limit.unit == "units", limit.per == nil, records("quota.reset") {
                    exhausted.append(Exhausted(limit: applied.name, end: after.end))
                }
            }
            self.told[counter] = Told(start: after.start, percentage: highest)
        }
    }

    /// Tells that windows of exhausted limits are over.
    mutating func resetLimits(at instant: Instant) {
        let over = exhausted.filter { $0.end <= instant }
        exhausted.removeAll { $0.end <= instant }
        for applied in applied where applied.limit.per == nil && over.contains(where: { $0.limit == applied.name }) {
            tell("quota.reset", [0, applied.limit.amount, -1], applied.key, at: instant)
        }
    }

    // MARK: - Expiries

    /// The instants at which the expiry of credits is told, with the blocks.
    var notices: [(at: Instant, block: Block, credits: Int64)] {
        guard records("credits.expiring_soon") else { return [] }
        return available.compactMap { block, credits in
            guard let end = block.expiresAt, liveSubscription(of: block)?.status != .paused else { return nil }
            let at = end.adding(seconds: -3_600 * (catalogue.expiringSoonHours ?? 72))
            return at > block.arrivesAt && at > reached ? (at, block, credits) : nil
        }
    }

    mutating func tellExpiries(at instant: Instant) {
        for (at, block, credits) in notices where at == instant {
            tell(
                "credits.expiring_soon", [Int64(block.number), credits, block.expiresAt?.microseconds ?? 0],
                at: instant)
        }
    }
}
