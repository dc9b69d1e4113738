import Credits
import LedgerModel
import SeededRandom
import Testing

@Suite("The model's subscriptions keep their invariants on random commands")
struct SubscriptionModelRunTests {
    @Test("Sums, slots and due instants hold after each command, and many steps of time have the result of one")
    func randomRuns() {
        var met: Set<String> = []
        for seed in UInt64(1)...40 {
            var run = ModelSubscriptionRun(seed: seed)
            for number in 1...60 {
                let problems = run.step()
                if problems.isEmpty { continue }
                Issue.record("seed \(seed), step \(number): \(problems)\n\(run.log.suffix(12).joined(separator: "\n"))")
                return
            }
            met.formUnion(run.met)
        }
        // The runs reach every state and every kind of event, so that the invariants are meaningful.
        let expected = [
            "scheduled", "trialing", "active", "past_due", "paused", "canceled", "expired", "subscription.created",
            "subscription.trial_ending", "subscription.activated", "subscription.renewal_due", "subscription.renewed",
            "subscription.past_due", "subscription.paused", "subscription.resumed", "subscription.changed",
            "subscription.canceled", "subscription.expired", "subscription.fallback_started", "contract.ending_soon",
            "contract.ended", "grant", "rollover", "expire", "revoke", "settle", "already_subscribed",
            "invalid_transition", "not_found", "unknown_subscription", "resumes_in_the_past", "subscription_paused",
            "subscription_past_due", "feature_not_in_plan", "pending", "first use", "frozen",
        ]
        for name in expected { #expect(met.contains(name), "\(name)") }
    }
}

/// Plays random commands of one end user on the model.
private struct ModelSubscriptionRun {
    private var random: SeededGenerator
    private var world: ModelWorld
    private var clock = Instant(microseconds: 1_774_000_000_000_000)
    private(set) var log: [String] = []
    private(set) var met: Set<String> = []

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        let price = ModelPrice.perUnit(1, per: 1)
        var catalogue = ModelCatalogue(features: [
            "calls": ModelLedger.Feature(prices: [(Instant(microseconds: 0), price)]),
            "other": ModelLedger.Feature(prices: [(Instant(microseconds: 0), price)]),
        ])
        for number in 1...6 { catalogue.variants[number] = random.variant(slot: number < 5 ? "base" : "more") }
        catalogue.variants[7] = ModelVariant()
        catalogue.variants[7]?.isArchived = true
        if random.chance(30) { catalogue.defaultVariant = 1 }
        if random.chance(40) { catalogue.fallbackVariant = 2 }
        if random.chance(50) { catalogue.policy = .allow }
        if random.chance(50) { catalogue.zone = ModelZone(first: 3_600, changes: Self.changes) }
        world = ModelWorld(catalogue: catalogue)
    }

    private static let changes = [
        ModelZone.Change(at: 1_774_746_000, offset: 7_200), ModelZone.Change(at: 1_792_890_000, offset: 3_600),
    ]

    private var ledger: ModelLedger { world.ledger("alice") }

    /// Plays a command and returns the rules that are broken.
    mutating func step() -> [String] {
        clock = clock.adding(seconds: random.pick([0, 0, 1, 3_600, 86_400, 400_000, 1_000_000]))
        var problems = compareSteps()
        let command = command()
        let reply = world.apply(command, to: "alice", clock: clock, key: nil)
        log.append("\(clock) \(command) -> \(reply)")
        note(reply)
        problems += violations()
        return problems
    }

    private mutating func command() -> ModelCommand {
        let live = ledger.subscriptions.filter { !$0.isFinal }.map(\.number)
        let number = live.isEmpty || random.chance(10) ? Int.random(in: 1...3, using: &random) : random.pick(live)
        switch Int.random(in: 0..<22, using: &random) {
        case 0...2:
            var wanted = ModelSubscriptionAct.Subscribe(variant: Int.random(in: 1...8, using: &random))
            wanted.quantity = Int64.random(in: 1...3, using: &random)
            if random.chance(20) { wanted.startsAt = clock.adding(seconds: 100_000) }
            if random.chance(20) { wanted.trialDays = Int64.random(in: 0...5, using: &random) }
            if random.chance(30) {
                wanted.contract = .init(
                    periods: Int64.random(in: 1...3, using: &random), renews: random.chance(50), noticeDays: 2)
            }
            return .subscription(.subscribe(wanted))
        case 3...5: return .subscription(.renew(number))
        case 6...9:
            var change = ModelSubscriptionAct.Change(random.pick([.upgrade, .downgrade, .quantity]))
            if change.verb != .quantity { change.variant = Int.random(in: 1...7, using: &random) }
            if change.verb == .quantity || random.chance(30) {
                change.quantity = Int64.random(in: 1...4, using: &random)
            }
            change.effective = random.pick([nil, .now, .periodEnd])
            change.restarts = random.chance(25)
            return .subscription(.change(number, change))
        case 10, 11:
            let length: Int64 = random.pick([0, 50_000, 500_000])
            return .subscription(.pause(number, until: random.chance(50) ? clock.adding(seconds: length) : nil))
        case 12, 13: return .subscription(.resume(number))
        case 14:
            return .subscription(.cancel(number, now: random.chance(40), revokes: random.chance(40)))
        case 15: return .subscription(random.chance(50) ? .uncancel(number) : .withdrawChange(number))
        case 16: return .grant(.init(credits: Int64.random(in: 1...50, using: &random)))
        case 17:
            return .reserve(
                .init(feature: "calls", demand: .units(Int64.random(in: 1...60, using: &random))), ttl: 90_000)
        case 18:
            let number = max(1, ledger.reservations.count)
            return random.chance(50) ? .commit(number, .units(20), shortfall: nil) : .release(number)
        default:
            return .use(
                .init(
                    feature: random.pick(["calls", "other"]), demand: .units(Int64.random(in: 0...90, using: &random))))
        }
    }

    /// Advances the account once and in steps from one due instant to the next.
    private func compareSteps() -> [String] {
        let once = world.advanced("alice", clock)
        var often = ledger
        for _ in 0..<3 {
            guard let due = often.due, due < clock else { break }
            often.advance(to: Instant(microseconds: due.microseconds + 1))
        }
        often.advance(to: clock)
        func told(_ ledger: ModelLedger) -> [String] {
            ledger.entries.map {
                "\($0.type) \($0.amount) \($0.balanceAfter) \($0.effectiveAt ?? clock) \($0.allocation)"
            }
                + ledger.events.map { "\($0.type) \($0.figures) \($0.at)" }
                + ledger.subscriptions.map(\.description)
                + ledger.blocks.map { "\($0.remaining) \($0.expiresAt as Any)" }
        }
        return told(once) == told(often) ? [] : ["one step of time and many differ"]
    }

    private func violations() -> [String] {
        let (ledger, clock) = (ledger, clock)
        var problems: [String] = []
        func require(_ condition: Bool, _ problem: String) {
            if !condition { problems.append(problem) }
        }
        require(ledger.balance == ledger.entries.reduce(0) { $0 + $1.amount }, "the balance is no sum of amounts")
        for block in ledger.blocks {
            let sum = ledger.entries.flatMap(\.allocation).filter { $0.block == block.number }.reduce(0) {
                $0 + $1.amount
            }
            require(sum == block.remaining && sum >= 0, "block \(block.number) does not have what was allocated")
            require((ledger.held[block.number] ?? 0) <= block.remaining, "block \(block.number) holds too much")
        }
        let slots = ledger.subscriptions.filter { !$0.isFinal }.map(\.slot)
        require(Set(slots).count == slots.count, "a slot has two live subscriptions")
        require(ledger.due.map { $0 > clock } ?? true, "something is overdue: \(ledger.due as Any)")
        require(ledger.effective + ledger.frozen + ledger.reserved == ledger.balance, "the balances do not add up")
        for subscription in ledger.subscriptions where subscription.isRunning {
            require(subscription.start < subscription.end, "a period is empty: \(subscription)")
            if subscription.status != .paused { require(subscription.deadline > clock, "overdue: \(subscription)") }
        }
        return problems
    }

    private mutating func note(_ reply: ModelReply) {
        if case .refused(let refusal) = reply { met.insert(refusal.code) }
        met.formUnion(ledger.subscriptions.map(\.status.rawValue))
        met.formUnion(ledger.events.map(\.type))
        met.formUnion(ledger.entries.suffix(5).map(\.type))
        if ledger.subscriptions.contains(where: { $0.pending != nil }) { met.insert("pending") }
        if ledger.subscriptions.contains(where: { $0.lines.contains(where: \.isWaiting) }) { met.insert("first use") }
        if ledger.frozen > 0 { met.insert("frozen") }
    }
}

extension SeededGenerator {
    fileprivate mutating func variant(slot: String) -> ModelVariant {
        var variant = ModelVariant(pick([.day, .week, .month]), count: pick([1, 3]))
        variant.slot = slot
        variant.isPostpaid = chance(30)
        variant.graceDays = pick([0, 1, 3])
        variant.renewalDueDays = pick([0, 1, 3])
        variant.trialDays = pick([0, 0, 2, 7])
        variant.trialCredits = pick([0, 15])
        variant.allowsUsageWhileOverdue = chance(50)
        if chance(60) { variant.features = ["calls": .enabled(true)] }
        if chance(25) { variant.policy = pick([.allow, .block]) }
        if chance(20) { variant.fallback = slot == "base" ? 3 : 6 }
        for _ in 0..<Int.random(in: 0...3, using: &self) { variant.lines.append(line()) }
        return variant
    }

    private mutating func line() -> ModelLine {
        let duration = pick([
            ModelDuration(seconds: 90_000), ModelDuration(days: 2), ModelDuration(days: 7), ModelDuration(months: 1),
        ])
        let cadence = pick([
            ModelLine.Cadence.activation, .period, .period, .every(duration, .subscription),
            .every(duration, .calendar), .every(duration, .firstUse),
        ])
        let credits = Int64.random(in: 1...100, using: &self)
        let expiry = pick([ModelLine.Expiry.periodEnd, .periodEnd, .nextGrant, .never, .after(duration)])
        var line = ModelLine(credits, cadence, expires: expiry)
        if expiry == .periodEnd && chance(50) {
            line.rollover = .init(
                percentage: pick([1, 50, 100]), cap: pick([nil, 30]), expiry: pick([.periodEnd, .never]))
        }
        if chance(30) { line.accumulationCap = pick([20, 150]) }
        if chance(20) { line.priority = pick([0, 100]) }
        if chance(20) { line.features = ["calls"] }
        return line
    }
}
