import Credits
import LedgerModel
import SeededRandom

/// The speed of a run's plans. Windows of minutes and jumps of years together would make too many entries.
enum PlanPace {
    /// Periods of hours to weeks, and jumps of days.
    case fast
    /// Periods of months and years, and jumps of years.
    case slow

    /// Nil for the third of the runs that has no plans.
    init?(seed: UInt64) {
        switch seed / 2 % 3 {
        case 1: self = .fast
        case 2: self = .slow
        default: return nil
        }
    }
}

/// The plans of a run.
struct RandomPlans {
    /// The first versions, by number: 1 to 5 are of `base`, 6 to 8 of `more`, 9 of `extra`. 5 and 8 are archived.
    private(set) var variants: [Int: ModelVariant] = [:]
    /// The second versions, which are published during the run, by number.
    private(set) var newVersions: [Int: ModelVariant] = [:]
    private(set) var defaultVariant: Int?
    private(set) var fallbackVariant: Int?

    /// - Parameter start: The instant around which prices change.
    init?(seed: UInt64, start: Instant) {
        guard let pace = PlanPace(seed: seed) else { return nil }
        var random = SeededGenerator(seed: seed ^ 0x5EED)
        for number in 1...9 {
            variants[number] = random.variant(number, pace, start)
            guard random.chance(50) else { continue }
            var newer = random.variant(number, pace, start)
            newer.isArchived = variants[number]?.isArchived ?? false
            newer.prices = [:]
            newVersions[number + 100] = newer
        }
        if random.chance(35) { defaultVariant = random.pick([1, 2, 3]) }
        if random.chance(50) { fallbackVariant = random.pick([1, 4, 5, 7]) }
    }

    func add(to catalogue: inout ModelCatalogue) {
        let unit = ModelPrice.perUnit(1, per: 1)
        let price = [(from: Instant(microseconds: 0), price: unit)]
        // Features that only plans include.
        catalogue.features["pro"] = ModelLedger.Feature(prices: price)
        catalogue.features["team"] = ModelLedger.Feature(
            quota: ModelLedger.Quota(limit: 30, window: .day, opensWithUse: false), prices: price)
        catalogue.variants = variants
        catalogue.defaultVariant = defaultVariant
        catalogue.fallbackVariant = fallbackVariant
    }

    /// Publishes the next version of a variant. A second time does nothing.
    func publish(_ number: Int, in catalogue: inout ModelCatalogue, at instant: Instant) {
        guard var newer = newVersions[number + 100], catalogue.variants[number]?.newer == nil else { return }
        newer.madeAt = instant
        catalogue.variants[number]?.newer = number + 100
        catalogue.variants[number + 100] = newer
    }
}

extension SeededGenerator {
    fileprivate mutating func variant(_ number: Int, _ pace: PlanPace, _ start: Instant) -> ModelVariant {
        let isFast = pace == .fast
        var variant =
            isFast
            ? ModelVariant(pick([.hour, .day, .day, .week]), count: pick([1, 3, 6]))
            : ModelVariant(pick([.month, .month, .week, .year]), count: pick([1, 1, 3]))
        if variant.unit == .hour { variant.count = pick([6, 30]) }
        variant.slot = number < 6 ? "base" : number < 9 ? "more" : "extra"
        variant.isArchived = number == 5 || number == 8
        variant.isPostpaid = chance(40)
        variant.graceDays = isFast ? pick([0, 1, 3]) : pick([0, 3, 20])
        variant.renewalDueDays = isFast ? pick([0, 1, 3]) : pick([0, 3, 40])
        variant.trialDays = isFast ? pick([0, 0, 1, 5]) : pick([0, 0, 7, 30])
        variant.trialCredits = pick([0, 15, 60])
        variant.allowsUsageWhileOverdue = chance(50)
        if chance(70) { variant.features["pro"] = pick([.enabled(true), .enabled(true), .enabled(false)]) }
        if chance(50) {
            variant.features["team"] = .quota(
                ModelLedger.Quota(
                    limit: pick([5, 20, 100]), window: pick([.day, .week]), opensWithUse: chance(30)))
        }
        if chance(15) { variant.features["seats"] = .limit(pick([0, 10, 50])) }
        if chance(15) { variant.features["sso"] = .enabled(chance(70)) }
        if chance(25) { variant.policy = pick([.allow, .notify, .block]) }
        if chance(20) { variant.overageLimit = pick([0, 60, 500]) }
        if chance(30) { variant.fallback = variant.slot == "base" ? pick([2, 3, 5]) : pick([6, 7, 9]) }
        for _ in 0..<Int.random(in: 0...4, using: &self) { variant.lines.append(line(isFast: isFast)) }
        addLimits(to: &variant)
        if chance(40) {
            let hours = Int64.random(in: -100...400, using: &self)
            variant.prices[pick(["unit", "pro", "month", "mails"])] = [
                (Instant(microseconds: 0), pick([.perUnit(2, per: 1), .perUnit(1, per: 3, carries: true)])),
                (start.adding(seconds: hours * 3_600), pick([.flat(3), .perUnit(3, per: 2)])),
            ]
        }
        return variant
    }

    private mutating func line(isFast: Bool) -> ModelLine {
        let duration =
            isFast
            ? pick([
                ModelDuration(seconds: 18_000), ModelDuration(days: 1), ModelDuration(days: 2), ModelDuration(days: 7),
            ])
            : pick([
                ModelDuration(days: 7), ModelDuration(months: 1), ModelDuration(days: 10),
                ModelDuration(months: 1, days: 2, seconds: 5),
            ])
        let anchors: [ModelLine.Anchor] = [.subscription, .calendar, .firstUse, .firstUse]
        let cadence: ModelLine.Cadence = pick([
            ModelLine.Cadence.activation, .period, .period, .every(duration, pick(anchors)),
        ])
        let credits = chance(90) ? Int64.random(in: 1...100, using: &self) : 5_000
        let expiry: ModelLine.Expiry = pick([
            ModelLine.Expiry.periodEnd, .periodEnd, .nextGrant, .nextGrant, .never, .after(duration),
        ])
        var line = ModelLine(credits, cadence, expires: expiry)
        if chance(40) {
            line.rollover = .init(
                percentage: pick([1, 33, 50, 100]), cap: pick([nil, nil, 30]),
                expiry: pick([.periodEnd, .periodEnd, .never, .nextGrant, .after(duration)]))
        }
        if chance(30) { line.accumulationCap = pick([20, 150]) }
        if chance(20) { line.priority = pick([0, 50, 100]) }
        if chance(15) { line.features = pick([["unit"], ["mails", "pro"]]) }
        return line
    }

    /// Limits of one key, unit and window always cover the same events, because they then have one counter.
    private mutating func addLimits(to variant: inout ModelVariant) {
        func limit(_ unit: String, _ amount: Int64, _ window: ModelWindow?) -> ModelLedger.Limit {
            ModelLedger.Limit(unit: unit, amount: amount, window: window)
        }
        if chance(25) {
            variant.limits["week"] = ModelVariantLimit(
                limit("credits", pick([40, 300, 5_000]), .week), isPerQuantity: chance(50))
        }
        if chance(20) {
            var own = limit("units", pick([10, 100]), .duration(months: 0, seconds: 18_000))
            own.opensWithUse = true
            own.features = ["pro", "unit"]
            variant.limits["five"] = ModelVariantLimit(own, isPerQuantity: chance(50))
        }
        if chance(20) {
            var own = limit("units", pick([10, 200]), .duration(months: 0, seconds: 2 * 86_400))
            own.countsFromStart = true
            variant.limits["start"] = ModelVariantLimit(own)
        }
        if chance(15) {
            variant.limits["jobs"] = ModelVariantLimit(limit("concurrent", pick([1, 3]), nil), isPerQuantity: true)
        }
    }
}

// MARK: - Commands

extension StepGenerator {
    /// A change of the plans: a new version of a variant, or other variants for new and for ended subscriptions.
    mutating func plansAct(_ world: ModelWorld) -> RandomStep.Act {
        let catalogue = world.catalogue
        guard random.chance(50) else { return .publish(Int.random(in: 1...9, using: &random)) }
        return .plans(
            start: random.chance(40) ? nil : random.pick([1, 2, 3, catalogue.defaultVariant ?? 1]),
            fallback: random.chance(40) ? nil : random.pick([1, 4, 5, 7]))
    }

    mutating func subscriptionAct(_ ledger: ModelLedger) -> ModelSubscriptionAct {
        let live = ledger.subscriptions.filter { !$0.isFinal }
        if live.isEmpty, random.chance(75) { return .subscribe(subscription(ledger)) }
        var number = random.pick(live.isEmpty ? [1, 2] : live.map(\.number))
        if random.chance(4) { number = Int.random(in: 1...ledger.subscriptions.count + 1, using: &random) }
        let status = ledger.subscriptions.first { $0.number == number }?.status
        if status == .paused, random.chance(50) { return .resume(number) }
        if status == .pastDue, random.chance(50) { return .renew(number) }
        switch Int.random(in: 0..<22, using: &random) {
        case 0..<4: return .subscribe(subscription(ledger))
        case 4..<8: return .renew(number)
        case 8..<14: return .change(number, change())
        case 14, 15: return .pause(number, until: random.chance(40) ? nil : instant(ledger))
        case 16: return .resume(number)
        case 17, 18: return .cancel(number, now: random.chance(40), revokes: random.chance(40))
        case 19: return .withdrawChange(number)
        default: return .uncancel(number)
        }
    }

    private mutating func subscription(_ ledger: ModelLedger) -> ModelSubscriptionAct.Subscribe {
        var wanted = ModelSubscriptionAct.Subscribe(
            variant: random.chance(3) ? 77 : Int.random(in: 1...9, using: &random))
        wanted.quantity = quantity()
        if random.chance(20) { wanted.startsAt = instant(ledger) }
        if random.chance(25) { wanted.trialDays = random.pick([0, 1, 10]) }
        if random.chance(35) {
            wanted.contract = .init(
                periods: Int64.random(in: 1...4, using: &random), renews: random.chance(50),
                noticeDays: random.pick([0, 2, 30]))
        }
        return wanted
    }

    private mutating func quantity() -> Int64 {
        random.chance(2) ? 1_000_000 : random.pick([1, 1, 1, 2, 3, 7])
    }

    private mutating func change() -> ModelSubscriptionAct.Change {
        var change = ModelSubscriptionAct.Change(random.pick([.upgrade, .upgrade, .downgrade, .quantity]))
        if change.verb != .quantity { change.variant = Int.random(in: 1...9, using: &random) }
        if change.verb == .quantity || random.chance(30) { change.quantity = quantity() }
        change.effective = random.pick([nil, nil, .now, .periodEnd])
        change.restarts = random.chance(25)
        return change
    }

    /// An instant around now, or at which something is due.
    private mutating func instant(_ ledger: ModelLedger) -> Instant {
        let now = ledger.now
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return now
        case 1: return Instant(microseconds: now.microseconds + random.pick([-1, 1]))
        case 2, 3: return ledger.subscriptionInstants.randomElement(using: &random) ?? now
        case 4: return now.adding(seconds: Int64.random(in: 0...8_000_000, using: &random))
        default: return now.adding(seconds: Int64.random(in: 0...400_000, using: &random))
        }
    }
}

extension Syntax {
    /// A line that tells of a command for a subscription. Scripts do not play it.
    static func text(_ act: ModelSubscriptionAct, of endUser: String) -> [String] {
        switch act {
        case .subscribe(let wanted):
            ["subscribe", endUser, "v\(wanted.variant)", "x\(wanted.quantity)"]
                + (wanted.startsAt.map { ["starts", "\($0)"] } ?? [])
                + (wanted.trialDays.map { ["trial", "\($0)"] } ?? [])
                + (wanted.contract.map {
                    ["contract", "\($0.periods)", $0.renews ? "renew" : "expire", "\($0.noticeDays)"]
                }
                    ?? [])
        case .renew(let number): ["renew", endUser, "s\(number)"]
        case .change(let number, let change):
            [change.verb.rawValue, endUser, "s\(number)"] + (change.variant.map { ["v\($0)"] } ?? [])
                + (change.quantity.map { ["x\($0)"] } ?? []) + (change.effective.map { [$0.rawValue] } ?? [])
                + (change.restarts ? ["restart"] : [])
        case .pause(let number, let resumeAt):
            ["pause", endUser, "s\(number)"] + (resumeAt.map { ["until", "\($0)"] } ?? [])
        case .resume(let number): ["resume", endUser, "s\(number)"]
        case .cancel(let number, let isNow, let revokes):
            ["cancel", endUser, "s\(number)", isNow ? "now" : "period_end"] + (revokes ? ["revoke"] : [])
        case .uncancel(let number): ["uncancel", endUser, "s\(number)"]
        case .withdrawChange(let number): ["withdraw", endUser, "s\(number)"]
        }
    }

    /// A line that tells of a variant.
    static func text(_ number: Int, _ variant: ModelVariant) -> String {
        var shown = variant
        (shown.prices, shown.lines) = ([:], [])
        let lines = variant.lines.map { "    \($0)" }.joined(separator: "\n")
        return "# v\(number) \(shown) prices \(variant.prices.keys.sorted())\n\(lines)"
    }
}
