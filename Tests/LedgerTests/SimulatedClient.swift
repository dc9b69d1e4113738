import Credits
import Ledger
import LedgerModel
import SeededRandom

/// An end user that sends one command after another, and repeats it with the same key until there is an answer.
struct SimulatedClient {
    let endUser: String
    private let commandCount: Int
    /// The keys of all commands so far, in order.
    private(set) var keys: [String] = []
    private(set) var answers: [String: Outcome] = [:]
    private var wish: Simulation.Message?
    private var restsUntil: Instant?
    /// The charges that can be refunded, and the reservations that can be committed.
    private var charges: [Int64] = []
    private var reservations: [Int] = []
    /// The features of each reservation over several.
    private var features: [Int: [String]] = [:]
    private var blockCount = 0
    /// The number of subscriptions that the end user knows of.
    private var subscriptionCount = 0
    /// The number of requests for top-ups that the end user knows of.
    private var requestCount = 0

    init(endUser: String, commandCount: Int) {
        self.endUser = endUser
        self.commandCount = commandCount
    }

    var isWaiting: Bool { wish != nil }
    var isDone: Bool { wish == nil && keys.count == commandCount }

    /// Sends no new command before an instant.
    mutating func rest(until instant: Instant) { restsUntil = instant }

    /// The command that is not answered yet, or a new one; nil when there are no more, and while the end user rests.
    mutating func next(at clock: Instant, using random: inout SeededGenerator) -> Simulation.Message? {
        if let wish { return wish }
        guard keys.count < commandCount, restsUntil.map({ $0 <= clock }) ?? true else { return nil }
        let key = "\(endUser)-\(keys.count + 1)"
        keys.append(key)
        let message = Simulation.Message(endUser: endUser, command: command(at: clock, using: &random), key: key)
        wish = message
        return message
    }

    /// Receives an answer; false when it had arrived before.
    mutating func receive(_ message: Simulation.Message, _ outcome: Outcome) -> Bool {
        guard let key = message.key, wish?.key == key else { return false }
        wish = nil
        answers[key] = outcome
        switch outcome {
        case .used(let entry, _): charges.append(entry.sequence)
        case .reserved(let reservation, _):
            let number = Int(reservation.number)
            reservations.append(number)
            if reservation.featureKeys.count > 1 { features[number] = reservation.featureKeys.map(\.rawValue) }
        case .reservationChanged(let reservation, let change, _):
            if let entry = change.entry, entry.type == .commit { charges.append(entry.sequence) }
            if reservation.status != .active { reservations.removeAll { $0 == Int(reservation.number) } }
        case .granted(let granted, _, _): blockCount = Int(granted.block.number)
        case .autoTopUpSet(let autoTopUp, _), .topUpRequestFailed(_, _, let autoTopUp):
            requestCount = Int(autoTopUp.requestCount)
        case .subscribed(let subscription): subscriptionCount = max(subscriptionCount, Int(subscription.number))
        case .refused(.reservationNotActive(let number)): reservations.removeAll { $0 == Int(number) }
        default: break
        }
        return true
    }

    private func command(at clock: Instant, using random: inout SeededGenerator) -> ModelCommand {
        switch Int.random(in: 0..<28, using: &random) {
        case 20...: return .subscription(subscriptionAct(at: clock, using: &random))
        case 0..<5: return grant(at: clock, using: &random)
        case 5..<10: return .use(use(using: &random))
        case 10, 11:
            let charge = charges.randomElement(using: &random) ?? 1
            return .refund(
                charge: charge, random.chance(50) ? .rest : .credits(random.magnitude(upTo: 20) + 1), expiry: nil)
        case 12: return .adjust(random.pick([25, -10, -40]))
        case 13:
            let others = Simulation.endUsers.filter { $0 != endUser }
            return .transfer(to: random.pick(others), Int64.random(in: 1...60, using: &random))
        case 14 where blockCount > 0: return .revoke(block: Int.random(in: 1...blockCount, using: &random))
        case 15:
            var settings = ModelCommand.Settings()
            settings.policy = .some(random.pick([nil, .allow, .block]))
            settings.limit = .some(random.pick([nil, 50]))
            return .create(settings)
        case 16: return topUp(using: &random)
        default:
            guard let number = reservations.randomElement(using: &random), random.chance(60) else {
                return .reserve(reservation(using: &random), ttl: random.pick([5, 30, 120, 3_600]))
            }
            let feature = features[number].map { random.pick($0) }
            return random.pick([
                .commit(number, .units(Int64.random(in: 0...60, using: &random)), of: feature, shortfall: nil),
                .progress(number, .units(Int64.random(in: 0...60, using: &random)), of: feature), .release(number),
                .extend(number, ttl: 600),
            ])
        }
    }

    private func topUp(using random: inout SeededGenerator) -> ModelCommand {
        guard requestCount > 0, random.chance(70) else {
            var rule = ModelLedger.TopUpRule(threshold: random.pick([0, 40, 200]), credits: 30, package: nil)
            rule.most = random.pick([nil, 2])
            rule.cooldown = random.pick([0, 60, 900])
            return .setRule(rule)
        }
        let number = requestCount + Int.random(in: -1...1, using: &random)
        if random.chance(40) { return .failRequest(number, reason: "declined") }
        var topUp = ModelCommand.TopUp(credits: nil, package: nil)
        topUp.request = number
        return .topUp(topUp)
    }

    private func grant(at clock: Instant, using random: inout SeededGenerator) -> ModelCommand {
        var grant = ModelCommand.Grant(credits: Int64.random(in: 1...200, using: &random))
        grant.expiry = random.pick([.never, .after(months: 0, seconds: Int64.random(in: 1...600, using: &random))])
        if random.chance(20) { grant.startsAt = clock.adding(seconds: Int64.random(in: 0...400, using: &random)) }
        grant.features = random.chance(20) ? ["unit"] : []
        return .grant(grant)
    }

    private func reservation(using random: inout SeededGenerator) -> ModelCommand.Use {
        guard random.chance(25) else { return use(using: &random) }
        var estimate = ModelCommand.Use(
            feature: "unit", demand: .credits(Int64.random(in: 1...60, using: &random)))
        estimate.others = random.pick([["mails"], ["month", "calls"]])
        return estimate
    }

    private func use(using random: inout SeededGenerator) -> ModelCommand.Use {
        ModelCommand.Use(
            feature: random.pick(["unit", "unit", "mails", "month", "calls", "packs"]),
            demand: .units(Int64.random(in: 0...40, using: &random)))
    }
}

// MARK: - Subscriptions

extension SimulatedClient {
    /// Adds plans whose periods and windows turn several times in a simulation, which lasts some hours.
    static func addPlans(to catalogue: inout ModelCatalogue, hasDefault: Bool) {
        func every(_ credits: Int64, minutes: Int64, _ anchor: ModelLine.Anchor) -> ModelLine {
            ModelLine(credits, .every(ModelDuration(seconds: minutes * 60), anchor), expires: .nextGrant)
        }
        var hourly = ModelVariant(.hour)
        hourly.features["unit"] = .enabled(true)
        hourly.allowsUsageWhileOverdue = false
        hourly.graceDays = 0
        hourly.fallback = 3
        var credits = ModelLine(60, .period)
        credits.rollover = ModelLine.Rollover(percentage: 50, cap: 20)
        hourly.lines = [credits, every(5, minutes: 10, .subscription), every(8, minutes: 15, .firstUse)]
        var metered = ModelVariant(.hour, count: 2)
        metered.isPostpaid = true
        metered.features["unit"] = .enabled(true)
        metered.policy = .allow
        metered.lines = [ModelLine(10, .activation, expires: .never), every(7, minutes: 20, .calendar)]
        var free = ModelVariant(.hour, count: 3)
        free.isPostpaid = true
        free.features["unit"] = .enabled(true)
        free.lines = [ModelLine(4, .period)]
        var addOn = ModelVariant(.hour)
        addOn.slot = "more"
        addOn.graceDays = 1
        addOn.lines = [ModelLine(30, .period)]
        addOn.limits["jobs"] = ModelVariantLimit(
            ModelLedger.Limit(unit: "concurrent", amount: 2, window: nil), isPerQuantity: true)
        catalogue.variants = [1: hourly, 2: metered, 3: free, 4: addOn]
        if hasDefault { catalogue.defaultVariant = 3 }
    }

    private func subscriptionAct(
        at clock: Instant, using random: inout SeededGenerator
    ) -> ModelSubscriptionAct {
        func soon() -> Instant { clock.adding(seconds: Int64.random(in: 0...1_200, using: &random)) }
        // A default plan and a fallback have numbers that no answer has told.
        let number = max(1, subscriptionCount + random.pick([0, 0, 0, 1, -1]))
        switch Int.random(in: 0..<16, using: &random) {
        case 0..<4:
            var wanted = ModelSubscriptionAct.Subscribe(variant: random.pick([1, 1, 2, 4]))
            wanted.quantity = Int64.random(in: 1...2, using: &random)
            if random.chance(20) { wanted.startsAt = soon() }
            return .subscribe(wanted)
        case 4..<7: return .renew(number)
        case 7..<10:
            var change = ModelSubscriptionAct.Change(random.pick([.upgrade, .downgrade, .quantity]))
            if change.verb != .quantity { change.variant = random.pick([1, 2, 4]) }
            if change.verb == .quantity { change.quantity = Int64.random(in: 1...3, using: &random) }
            change.restarts = random.chance(25)
            return .change(number, change)
        case 10, 11: return .pause(number, until: random.chance(80) ? soon() : nil)
        case 12, 13: return .resume(number)
        case 14: return .cancel(number, now: random.chance(70), revokes: random.chance(40))
        default: return random.chance(50) ? .uncancel(number) : .withdrawChange(number)
        }
    }
}
