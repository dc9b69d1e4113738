import Credits
import LedgerModel
import SeededRandom

/// One step of a random run: an action, its end user and its instant.
struct RandomStep {
    enum Act {
        case command(ModelCommand, by: String)
        case check(ModelCommand.Use, by: String)
        case config(policy: ModelCatalogue.Policy?, limit: Int64?, createsEndUsers: Bool)
        /// Sets what is told of: the thresholds, the lead in hours and the types.
        case news([ModelLedger.Threshold], hours: Int64?, types: String)
        case moveClock(Int, to: Instant)
        /// Publishes the second version of a variant.
        case publish(Int)
        /// Sets the variants on which end users start, and to which they fall back.
        case plans(start: Int?, fallback: Int?)
    }

    let clock: Instant
    let act: Act
    /// Whether the batch of the end user ends before the step.
    let endsBatch: Bool
    /// Whether everything is compared after the step.
    let isThorough: Bool

    /// The statement of a ledger script for the step.
    var text: String {
        switch act {
        case .command(let command, let endUser): Syntax.text(command, of: endUser)
        case .check(let use, let endUser): (["check", endUser] + Syntax.text(use)).joined(separator: " ")
        case .config(let policy, let limit, let createsEndUsers):
            "config policy \(policy?.rawValue ?? "none") limit \(limit.map { "\($0)" } ?? "none") users "
                + (createsEndUsers ? "implicit" : "explicit")
        case .news(let thresholds, let hours, let types):
            "config low \(Syntax.text(thresholds)) lead \(hours ?? 72) events \(types)"
        case .moveClock(let number, let instant): "clock \(number) \(instant)"
        case .publish(let number): "publish v\(number)"
        case .plans(let start, let fallback):
            "plans default \(start.map { "v\($0)" } ?? "none") fallback \(fallback.map { "v\($0)" } ?? "none")"
        }
    }
}

/// Draws steps at the edges of the rules.
struct StepGenerator {
    var random: SeededGenerator
    var clock: Instant
    /// Whether credits are short, as in half of the runs.
    private let isPoor: Bool
    /// Nil for a run without plans.
    let pace: PlanPace?
    /// The end user whose job is followed without a pause, and the number of steps for which it still is.
    private var followed = (endUser: "alice", steps: 0)
    static let endUsers = ["alice", "bob", "carol"]

    init(seed: UInt64, start: Instant) {
        random = SeededGenerator(seed: seed)
        isPoor = seed % 2 == 0
        pace = PlanPace(seed: seed)
        clock = start
    }

    /// - Parameter world: The model before the step.
    mutating func next(_ world: ModelWorld) -> RandomStep {
        var endUser = random.chance(60) ? "alice" : random.pick(Self.endUsers)
        let erased = Self.erased(in: world)
        if !erased.isEmpty, random.chance(4) { endUser = random.pick(erased) }
        let (endsBatch, isThorough) = (random.chance(20), random.chance(8))
        if let act = jobAct(world) {
            return RandomStep(clock: clock, act: act, endsBatch: endsBatch, isThorough: isThorough)
        }
        passTime(world.ledger(endUser), world)
        let act: RandomStep.Act =
            switch Int.random(in: 0..<100, using: &random) {
            case 0 where random.chance(50):
                .news(
                    thresholds(), hours: random.pick([nil, 1, 24, 200]),
                    types: random.pick(["usual", "all", "all", "credits,quota", "balance,limit"]))
            case 0:
                .config(
                    policy: random.pick([nil, .block, .allow, .notify]), limit: random.pick([nil, 0, 50, 500]),
                    createsEndUsers: random.chance(60))
            case 1, 2: moveClock(world)
            case 9 where pace != nil: plansAct(world)
            case 10..<38 where pace != nil:
                .command(.subscription(subscriptionAct(world.advanced(endUser, clock))), by: endUser)
            case 3..<9: .check(use(world.advanced(endUser, clock), isNow: true), by: endUser)
            default: .command(command(world.advanced(endUser, clock)), by: endUser)
            }
        if case .command(.reserve, _) = act { followed = (endUser, Int.random(in: 0...8, using: &random)) }
        return RandomStep(clock: clock, act: act, endsBatch: endsBatch, isThorough: isThorough)
    }

    /// An action on a job that was made shortly before, or a refund of its commits. Jobs would otherwise lapse before
    /// they have several reports.
    private mutating func jobAct(_ world: ModelWorld) -> RandomStep.Act? {
        guard followed.steps > 0 else { return nil }
        followed.steps -= 1
        let ledger = world.advanced(followed.endUser, clock)
        guard let last = ledger.reservations.last, random.chance(80) else { return nil }
        let isActive = last.status == "active"
        guard isActive || random.chance(30) else { return nil }
        let command = isActive && random.chance(92) ? reservationAction(ledger) : refund(ledger)
        return .command(command, by: followed.endUser)
    }

    /// The end users that were erased, by the names under which they are kept.
    static func erased(in world: ModelWorld) -> [String] {
        world.ledgers.values.filter(\.isErased).map(\.endUser).sorted()
    }

    private mutating func passTime(_ ledger: ModelLedger, _ world: ModelWorld) {
        let due = ledger.due?.microseconds
        var time = clock.microseconds
        switch Int.random(in: 0..<34, using: &random) {
        case 0..<12: break
        case 12: time += 1
        case 13..<17: time += Int64.random(in: 0...60_000_000, using: &random)
        case 17..<20: time += Int64.random(in: 0...7_200_000_000, using: &random)
        case 20: time += Int64.random(in: 0...longestJump * 86_400_000_000, using: &random)
        case 21: time -= Int64.random(in: 0...600_000_000, using: &random)
        case 22, 23, 24: time = due ?? time
        case 25, 26: time = due.map { $0 - 1 } ?? time
        case 27: time = due.map { $0 + 1 } ?? time
        case 28, 29: time = (windowEnd(ledger)?.microseconds ?? time) + random.pick([-1, 0, 1])
        default: time = max(time, ledger.testClock == nil ? ledger.now.microseconds : time)
        }
        // An account on a test clock may have deadlines far from the real time.
        if time < clock.microseconds - 600_000_000 || time > clock.microseconds + 800 * 86_400_000_000 { return }
        // Short windows over a long time would make too many entries.
        if pace == .fast, time > clock.microseconds + 25 * 86_400_000_000 { return }
        clock = Instant(microseconds: time)
    }

    /// The days of a jump in time.
    private var longestJump: Int64 {
        mutating get {
            switch pace {
            case nil: 40
            case .fast: random.chance(10) ? 20 : 4
            case .slow: random.chance(15) ? 730 : 60
            }
        }
    }

    private mutating func windowEnd(_ ledger: ModelLedger) -> Instant? {
        guard ledger.now.microseconds > 0 else { return nil }
        let feature = random.pick(["mails", "calls", "jobs"])
        let applied = ledger.applied.filter { applied in
            applied.limit.window != nil && (applied.key == "quota:\(feature)" || !applied.key.hasPrefix("quota:"))
        }
        return applied.randomElement(using: &random).map { ledger.standing(of: $0, value: nil).end }
    }

    private mutating func moveClock(_ world: ModelWorld) -> RandomStep.Act {
        let number = random.pick([1, 2])
        let now = world.catalogue.clocks[number] ?? clock
        let users = world.ledgers.values.filter { $0.testClock == number }.sorted { $0.endUser < $1.endUser }
        let due = random.chance(50) ? users.first?.due : clock.adding(seconds: random.pick([0, 1_000, 1_000_000]))
        let seconds = random.pick([Int64(1), 600, 90_000, 3_000_000])
        let target = random.chance(50) ? due ?? now : now.adding(seconds: Int64.random(in: 0...seconds, using: &random))
        return .moveClock(number, to: max(now, target))
    }

    private mutating func command(_ ledger: ModelLedger) -> ModelCommand {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<15: .grant(grant(ledger))
        case 15..<17: topUpRule(ledger)
        case 17..<22: .topUp(topUp(ledger))
        case 22..<47: .use(use(ledger, isNow: false))
        case 47..<57: refund(ledger)
        case 57..<60: revocation(ledger)
        case 60..<63: .adjust(adjustment(ledger))
        case 63..<67: transfer(ledger)
        case 67..<75: .reserve(reservation(ledger), ttl: random.pick([1, 60, 300, 3_600, 604_800]))
        case 75..<90: reservationAction(ledger)
        case 90, 91:
            .createCap(
                feature: random.chance(50) ? random.pick(["unit", "mails", "tokens", "month"]) : nil,
                credits: random.pick([0, 10, 100, 1_000, ModelLedger.largestAmount]),
                random.pick([
                    .day, .week, .month, .duration(months: 0, seconds: 600), .duration(months: 2, seconds: 86_400),
                ]))
        case 92: .deleteCap(random.chance(80) ? number(upTo: ledger.capCount) : ledger.capCount + 1)
        case 93..<97: random.chance(30) ? .create(settings(ledger)) : .update(settings(ledger))
        case 97: .setLimit(random.pick(["five", "week", "member", "quota:mails", "jobs"]), limit())
        case 98 where random.chance(50):
            .deleteLimit(random.pick(["five", "week", "member", "quota:mails", "jobs"]))
        case 99 where random.chance(25): .erase
        default: .advance
        }
    }

    mutating func limit() -> ModelLedger.Limit? {
        if random.chance(20) { return nil }
        let unit = random.pick(["units", "units", "credits", "credits", "concurrent"])
        var limit = ModelLedger.Limit(
            unit: unit,
            amount: random.chance(10) ? 0 : random.pick([3, 20, 100, 1_000, 10_000, ModelLedger.largestAmount]),
            window: nil)
        if unit != "concurrent" {
            limit.window = random.pick([.day, .week, .month, .duration(months: 0, seconds: 18_000)])
            limit.opensWithUse = random.chance(30)
        }
        if random.chance(40) {
            limit.features = random.pick([
                ["mails"], ["unit", "mails", "tokens"], ["tokens"], ["month", "chat"],
                ["bits", "model", "mails", "jobs"],
            ])
        }
        if random.chance(30) { limit.match = ["model": random.pick([["large"], ["large", "small"]])] }
        if random.chance(30) { limit.per = "model" }
        if unit == "units", random.chance(20) { limit.dimension = "in" }
        if random.chance(50) { limit.warnAt = random.pick([[50], [80, 100], [1, 20, 50, 90]]) }
        return limit
    }

    mutating func thresholds() -> [ModelLedger.Threshold] {
        let all: [ModelLedger.Threshold] = [
            .credits(0), .credits(20), .credits(100), .credits(500), .credits(10_000), .percent(1), .percent(20),
            .percent(50), .percent(100),
        ]
        return all.filter { _ in random.chance(30) }
    }

    mutating func number(upTo count: Int) -> Int { Int.random(in: 1...max(1, count), using: &random) }
}

// MARK: - Credits

extension StepGenerator {
    mutating func credits(_ ledger: ModelLedger) -> Int64 {
        if isPoor && random.chance(95) { return Int64.random(in: 1...40, using: &random) }
        let room = min(ModelLedger.largestAmount - ledger.balance, ModelLedger.largestAmount - ledger.lifetime)
        switch Int.random(in: 0..<90, using: &random) {
        case 0: return max(1, min(room + 1, ModelLedger.largestAmount))
        case 1: return max(1, min(room, ModelLedger.largestAmount))
        case 2: return ModelLedger.largestAmount
        case 3..<10: return Int64.random(in: 1...1_000_000_000, using: &random)
        case 10..<16: return min(max(1, ledger.overage + random.pick([-1, 0, 1])), ModelLedger.largestAmount)
        default: return Int64.random(in: 1...300, using: &random)
        }
    }

    /// A start around now, and often at an instant at which something else is due.
    private mutating func start(_ ledger: ModelLedger) -> Instant? {
        let now = ledger.now
        switch Int.random(in: 0..<12, using: &random) {
        case 0: return now
        case 1: return Instant(microseconds: now.microseconds + random.pick([-1, 1]))
        case 2: return now.adding(seconds: -Int64.random(in: 0...100_000, using: &random))
        case 3, 4: return ledger.awaited.randomElement(using: &random)?.arrivesAt
        case 5: return ledger.blocks.randomElement(using: &random)?.expiresAt
        case 6: return ledger.reservations.last { $0.status == "active" }?.expiresAt
        case 7: return now.adding(seconds: Int64.random(in: 0...3_000_000, using: &random))
        default: return now.adding(seconds: Int64.random(in: 0...7_200, using: &random))
        }
    }

    private mutating func expiry(_ ledger: ModelLedger, start: Instant? = nil) -> ModelLedger.Expiry {
        let now = ledger.now
        if let start, random.chance(20) { return .at(Instant(microseconds: start.microseconds + random.pick([0, 1]))) }
        switch Int.random(in: 0..<14, using: &random) {
        case 0: return .at(now)
        case 1: return .at(Instant(microseconds: now.microseconds + 1))
        case 2: return .at(Instant(microseconds: now.microseconds - Int64.random(in: 1...1_000, using: &random)))
        case 3, 4: return ledger.blocks.randomElement(using: &random)?.expiresAt.map { .at($0) } ?? .never
        case 5: return .after(months: Int64.random(in: 1...14, using: &random), seconds: 0)
        case 6: return .after(months: 1, seconds: Int64.random(in: 0...86_400, using: &random))
        case 7: return .after(months: 0, seconds: Int64.random(in: 1...3_600, using: &random))
        case 8, 9: return .after(months: 0, seconds: 3_600 * Int64.random(in: 1...100, using: &random))
        case 10: return ledger.reservations.last { $0.status == "active" }.map { .at($0.expiresAt) } ?? .never
        default: return .never
        }
    }

    mutating func features() -> [String] {
        switch Int.random(in: 0..<12, using: &random) {
        case 0: [random.pick(Self.features)]
        case 1: ["unit", "tokens", "mails"]
        case 2: ["tokens", "report", "month"]
        case 3: ["unit"]
        default: []
        }
    }

    private mutating func grant(_ ledger: ModelLedger) -> ModelCommand.Grant {
        var grant = ModelCommand.Grant(credits: credits(ledger))
        grant.source = random.pick(Syntax.sources.sorted())
        grant.priority = random.chance(50) ? nil : random.pick([0, 9, 10, 11, 50, 51, 100])
        if random.chance(30) { grant.startsAt = start(ledger) }
        grant.expiry = expiry(ledger, start: grant.startsAt)
        grant.features = features()
        grant.price = random.chance(70) ? nil : random.pick([0, 1, 500])
        return grant
    }

    private mutating func topUp(_ ledger: ModelLedger) -> ModelCommand.TopUp {
        let isPackage = random.chance(isPoor ? 10 : 60)
        var topUp = ModelCommand.TopUp(
            credits: isPackage ? nil : credits(ledger),
            package: isPackage ? random.pick(["small", "small", "gift", "gone", "none"]) : nil)
        topUp.priority = random.chance(80) ? nil : 5
        topUp.expiry = random.chance(70) ? nil : expiry(ledger)
        topUp.features = features()
        topUp.price = random.chance(60) ? nil : random.pick([0, 300])
        topUp.payment = random.chance(90) ? nil : "pay\(Int.random(in: 0..<1_000_000, using: &random))"
        guard !ledger.topUps.requests.isEmpty, random.chance(60) else { return topUp }
        topUp.request = request(ledger)
        if random.chance(70) { (topUp.credits, topUp.package) = (nil, nil) }
        return topUp
    }

    /// The open request, an older one, or one that does not exist.
    private mutating func request(_ ledger: ModelLedger) -> Int {
        if let open = ledger.openRequest, random.chance(60) { return open.number }
        return number(upTo: ledger.topUps.requests.count + 1)
    }

    private mutating func topUpRule(_ ledger: ModelLedger) -> ModelCommand {
        if random.chance(20) { return .deleteRule }
        if !ledger.topUps.requests.isEmpty, random.chance(60) {
            return .failRequest(request(ledger), reason: random.pick([nil, "declined"]))
        }
        let isPackage = random.chance(30)
        var rule = ModelLedger.TopUpRule(
            threshold: min(
                max(0, random.pick([0, 50, 500, 10_000, ledger.effective, ledger.effective + 1])),
                ModelLedger.largestAmount),
            credits: isPackage ? nil : Int64.random(in: 1...300, using: &random),
            package: isPackage ? random.pick(["small", "small", "gift", "gone", "none"]) : nil)
        if random.chance(70) {
            rule.most = random.pick([1, 2, 5])
            rule.window = random.pick([.day, .week, .month, .duration(months: 0, seconds: 3_600)])
        }
        rule.cooldown = random.pick([0, 0, 1, 600, 90_000])
        rule.stopAfter = random.pick([1, 2, 3, 50])
        return .setRule(rule)
    }

    private mutating func revocation(_ ledger: ModelLedger) -> ModelCommand {
        if random.chance(10) { return .revoke(block: ledger.blocks.count + 1) }
        if let awaited = ledger.awaited.randomElement(using: &random), random.chance(30) {
            return .revoke(block: awaited.number)
        }
        let held = ledger.held.filter { $0.value > 0 }.keys.sorted()
        if !held.isEmpty && random.chance(40) { return .revoke(block: random.pick(held)) }
        return .revoke(block: number(upTo: ledger.blocks.count))
    }

    private mutating func adjustment(_ ledger: ModelLedger) -> Int64 {
        if random.chance(40) { return credits(ledger) }
        let spendable = ledger.blocks.reduce(0) { $0 + $1.remaining } - ledger.reserved
        let amount = random.pick([spendable, spendable + 1, Int64.random(in: 1...100, using: &random)])
        return -min(max(1, amount), ModelLedger.largestAmount)
    }

    private mutating func transfer(_ ledger: ModelLedger) -> ModelCommand {
        let receiver = random.pick(Self.endUsers.filter { $0 != ledger.endUser })
        let open = ledger.available.filter(\.block.features.isEmpty).reduce(0) { $0 + $1.amount }
        let most = max(1, min(open, ModelLedger.largestAmount - 1))
        return .transfer(to: receiver, random.pick([most, most + 1, Int64.random(in: 1...most, using: &random)]))
    }

    private mutating func refund(_ ledger: ModelLedger) -> ModelCommand {
        let charges = ledger.entries.filter { $0.type == "use" || $0.type == "commit" }
        let recent = random.chance(60) ? Array(charges.suffix(4)) : charges
        let charge = recent.randomElement(using: &random)
        let sequence = random.chance(95) ? charge?.sequence ?? 1 : Int64(number(upTo: ledger.entries.count + 1))
        let taken = max(1, -(charge?.amount ?? 0))
        let units = max(1, charge?.units ?? 3)
        let extent: ModelLedger.Extent =
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1: .rest
            case 2: .credits(min(taken + random.pick([0, 1]), ModelLedger.largestAmount))
            case 3, 4: .credits(Int64.random(in: 1...taken, using: &random))
            case 5: .units(units)
            default: .units(Int64.random(in: 1...units, using: &random))
            }
        return .refund(charge: sequence, extent, expiry: random.chance(80) ? nil : expiry(ledger))
    }
}
