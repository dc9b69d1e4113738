import Credits
import Ledger
import LedgerModel
import SeededRandom

/// One seeded run: random steps on the core and the model, compared after each.
struct RandomRun {
    /// Shortly before the end of a year, a month and a day, so that all of them turn early in a run.
    static let start = Instant(microseconds: 1_830_290_400_000_007)  // 2027-12-31T22:00:00.000007Z

    let seed: UInt64
    private var generator: StepGenerator
    private var player: StepPlayer
    private(set) var steps: [RandomStep] = []
    /// The outcomes that happened at least once.
    private(set) var met: Set<String> = []

    init(seed: UInt64) throws {
        self.seed = seed
        generator = StepGenerator(seed: seed, start: Self.start)
        player = try StepPlayer(seed: seed)
    }

    /// Compares everything at the end of a run.
    mutating func finish() throws -> [String] {
        try player.compareAll()
    }

    /// All events of the run, with their accounts.
    func events() throws -> [(account: AccountID, event: Event)] {
        try (StepGenerator.endUsers + StepGenerator.erased(in: player.both.model)).flatMap { endUser in
            let participant = try player.both.core.participant(endUser)
            return participant.events.map { (participant.draft.account.id, $0) }
        }
    }

    /// Draws and plays one step. Returns the differences in words.
    mutating func step() throws -> [String] {
        let step = generator.next(player.both.model)
        steps.append(step)
        let (said, problems) = try player.play(step)
        met.insert(Self.kind(of: step) + " " + (said.first ?? ""))
        if case .command(_, let endUser) = step.act { note(endUser) }
        return problems
    }

    private static func kind(of step: RandomStep) -> String {
        String(step.text.prefix { $0 != " " })
    }

    private mutating func note(_ endUser: String) {
        let ledger = player.both.model.ledger(endUser)
        guard let last = ledger.entries.last else { return }
        met.insert("entry \(last.type)")
        if last.allocation.count > 2 { met.insert("entry of several blocks") }
        if last.overageDelta > 0 { met.insert("overage by \(last.type)") }
        if last.type == "refund" && last.overageDelta < 0 { met.insert("refund of overage") }
        let blocks = last.allocation.map { ledger.blocks[$0.block - 1] }
        if last.type == "refund" && blocks.contains(where: { $0.source == "compensation" && $0.remaining > 0 }) {
            met.insert("compensation")
        }
        if last.type == "expire" && last.effectiveAt != blocks.first?.expiresAt { met.insert("expiry of a hold") }
        if ledger.entries.suffix(2).contains(where: { $0.type == "revoke" && $0.key == nil }) {
            met.insert("revocation of a hold")
        }
        if last.forfeited > 0 { met.insert("refund to a revoked block") }
        if last.isDeadline { met.insert("lapse") }
        if last.isSettlement { met.insert("settlement") }
        if last.type == "commit", let made = last.reservation.map({ ledger.reservations[$0 - 1] }),
            !last.attributes.isEmpty, last.attributes != made.attributes
        {
            met.insert("commit as another")
        }
        noteSeveral(last, ledger)
        let recent = ledger.entries.suffix(2)
        if recent.contains(where: { $0.type == "grant" && $0.effectiveAt != $0.recordedAt }) { met.insert("landing") }
        if recent.map(\.type) == ["grant", "settle"], last.effectiveAt != last.recordedAt {
            met.insert("landing that settles")
        }
        if ledger.blocks.contains(where: { $0.isPlanned && !$0.isAwaited && $0.remaining == 0 && $0.revokedAt != nil })
        {
            met.insert("revocation before the landing")
        }
        if ledger.testClock != nil { met.insert("on a test clock") }
        noteSubscriptions(ledger)
        for event in ledger.events.suffix(3) {
            met.formUnion(["event \(event.type)", "event \(event.type) \(event.text ?? "")"])
        }
        if ledger.events.contains(where: { $0.type == "topup.requested" && $0.at != $0.recordedAt }) {
            met.insert("request by time")
        }
    }

    /// Notes what subscriptions have met.
    private mutating func noteSubscriptions(_ ledger: ModelLedger) {
        for status in ledger.subscriptions.map(\.status.rawValue) { met.insert("state \(status)") }
        let recent = ledger.entries.suffix(6)
        for entry in recent where entry.subscription != nil {
            met.formUnion(["entry \(entry.type)", "\(entry.type) of a subscription"])
        }
        if zip(recent, recent.dropFirst()).contains(where: { before, after in
            after.type == "expire" && before.effectiveAt.flatMap { at in after.effectiveAt.map { $0 < at } } ?? false
        }) {
            met.insert("expiry in the past")
        }
        if ledger.subscriptions.contains(where: { $0.lines.contains(where: \.isWaiting) }) {
            met.insert("waits for use")
        }
        if ledger.frozen > 0 { met.insert("frozen") }
        for event in ledger.events.suffix(6) where event.subscription != nil {
            met.insert("event \(event.type)")
            if !event.usage.isEmpty { met.insert("usage in a summary") }
            if event.facts?.summary.map({ $0[2] > 0 }) ?? false { met.insert("overage in a summary") }
        }
    }

    /// Notes what a reservation over several features has met.
    private mutating func noteSeveral(_ last: ModelLedger.Entry, _ ledger: ModelLedger) {
        guard let reservation = last.reservation.map({ ledger.reservations[$0 - 1] }), reservation.isOfSeveral else {
            return
        }
        met.insert("\(last.type) of several")
        if last.isSettlement { met.insert("settlement of several") }
        if last.isDeadline { met.insert("lapse of several") }
        let commits = ledger.entries.filter { $0.type == "commit" && $0.reservation == last.reservation }
        if last.type == "reserve", !commits.isEmpty { met.insert("growth of several") }
        if Set(commits.map(\.feature)).count > 1 { met.insert("commits of several features") }
        if last.type == "commit", !last.attributes.isEmpty, last.attributes != reservation.attributes {
            met.insert("commit of several as another")
        }
    }

    /// A short script that fails in the same way as the run.
    func shrunk() -> String {
        let original = Replay(steps.enumerated().map { ($0, $1) }, seed: seed, like: nil)
        var failing = original
        var length = max(1, failing.steps.count / 2)
        while true {
            var start = 0
            var isShorter = false
            while start < failing.steps.count {
                var fewer = zip(failing.numbers, failing.numbers.map { steps[$0] }).map { ($0, $1) }
                fewer.removeSubrange(start..<min(start + length, fewer.count))
                let replay = Replay(fewer, seed: seed, like: original)
                if replay.hasFailed {
                    failing = replay
                    isShorter = true
                } else {
                    start += length
                }
            }
            if length == 1 && !isShorter { break }
            if !isShorter { length = max(1, length / 2) }
        }
        let plans = failing.variants.map { Syntax.text($0, $1) }
        return (plans + [failing.script]).joined(separator: "\n")
    }
}

/// Plays some steps of a run again, until one fails.
private struct Replay {
    /// The numbers of an end user's objects before a step.
    private struct Counts {
        var entries = 0
        var blocks = 0
        var reservations = 0
        var requests = 0
        var subscriptions = 0
    }

    /// The steps up to the failing one as they were played, and their numbers in the run.
    private(set) var steps: [RandomStep] = []
    private(set) var numbers: [Int] = []
    private(set) var hasFailed = false
    private let seed: UInt64
    /// The numbers before each step, in the order of the steps.
    private var counts: [(number: Int, before: [String: Counts])] = []
    private var said: [[String]] = []
    /// The variants to which an end user was subscribed.
    private(set) var variants: [(number: Int, variant: ModelVariant)] = []

    /// - Parameter original: The run in which the steps were drawn. A shorter run numbers its objects differently.
    init(_ steps: [(number: Int, step: RandomStep)], seed: UInt64, like original: Replay?) {
        self.seed = seed
        guard var player = try? StepPlayer(seed: seed) else { return }
        defer {
            let used = Set(player.both.model.ledgers.values.flatMap { $0.subscriptions.map(\.variant) })
            let known = player.both.model.catalogue.variants
            variants = used.sorted().compactMap { number in known[number].map { (number, $0) } }
        }
        for (number, var step) in steps {
            let ledgers = player.both.model.ledgers
            counts.append(
                (
                    number,
                    ledgers.mapValues { ledger in
                        Counts(
                            entries: ledger.entries.count, blocks: ledger.blocks.count,
                            reservations: ledger.reservations.count, requests: ledger.topUps.requests.count,
                            subscriptions: ledger.subscriptions.count)
                    }
                ))
            if let original { step = renumbered(step, from: original) }
            guard let (said, problems) = try? player.play(step) else { return }
            self.steps.append(step)
            self.said.append(said)
            numbers.append(number)
            if !problems.isEmpty || (try? player.compareAll()) != [] {
                hasFailed = true
                return
            }
        }
    }

    /// The steps as a ledger script, with the model's reply to each.
    var script: String {
        let (thresholds, hours, types) = StepPlayer.news(seed: seed)
        let news =
            "config low \(Syntax.text(thresholds)) lead \(hours ?? 72) events \(types == nil ? "usual" : "all")"
        var lines = ["at \(RandomRun.start)", "market", news]
        var clock = RandomRun.start
        for (step, said) in zip(steps, said) {
            if step.clock != clock { lines.append("at \(step.clock)") }
            clock = step.clock
            lines.append(step.text + (said.isEmpty ? "" : " -> " + said.joined(separator: " ")))
        }
        return lines.joined(separator: "\n")
    }

    /// The step with its references translated to the numbers of this run.
    private func renumbered(_ step: RandomStep, from original: Replay) -> RandomStep {
        guard case .command(let command, let endUser) = step.act else { return step }
        func number(_ old: Int, _ kind: KeyPath<Counts, Int>) -> Int {
            let made = original.counts.last { ($0.before[endUser] ?? Counts())[keyPath: kind] < old }
            guard let made, let here = counts.first(where: { $0.number == made.number }) else { return old }
            return old - (made.before[endUser] ?? Counts())[keyPath: kind]
                + (here.before[endUser] ?? Counts())[keyPath: kind]
        }
        let renumbered: ModelCommand
        switch command {
        case .refund(let charge, let extent, let expiry):
            renumbered = .refund(charge: Int64(number(Int(charge), \.entries)), extent, expiry: expiry)
        case .revoke(let block): renumbered = .revoke(block: number(block, \.blocks))
        case .commit(let old, let demand, let feature, let attributes, let shortfall):
            renumbered = .commit(
                number(old, \.reservations), demand, of: feature, attributes: attributes, shortfall: shortfall)
        case .release(let old): renumbered = .release(number(old, \.reservations))
        case .extend(let old, let ttl): renumbered = .extend(number(old, \.reservations), ttl: ttl)
        case .failRequest(let old, let reason): renumbered = .failRequest(number(old, \.requests), reason: reason)
        case .topUp(var topUp):
            topUp.request = topUp.request.map { number($0, \.requests) }
            renumbered = .topUp(topUp)
        case .progress(let old, let demand, let feature):
            renumbered = .progress(number(old, \.reservations), demand, of: feature)
        case .subscription(let act):
            renumbered = .subscription(act.renumbered { max(1, number($0, \.subscriptions)) })
        default: return step
        }
        return RandomStep(
            clock: step.clock, act: .command(renumbered, by: endUser), endsBatch: step.endsBatch,
            isThorough: step.isThorough)
    }
}

/// Plays steps on a new environment.
struct StepPlayer {
    private(set) var both: CoreAndModel
    private let plans: RandomPlans?

    /// - Parameter seed: The seed of the run, which decides its plans.
    init(seed: UInt64) throws {
        var catalogue = Market.catalogue(around: RandomRun.start)
        (catalogue.thresholds, catalogue.expiringSoonHours, catalogue.eventTypes) = Self.news(seed: seed)
        plans = RandomPlans(seed: seed, start: RandomRun.start)
        plans?.add(to: &catalogue)
        both = try CoreAndModel(catalogue: catalogue)
    }

    /// The thresholds, the lead and the types of events with which a run begins.
    static func news(seed: UInt64) -> ([ModelLedger.Threshold], Int64?, Set<String>?) {
        seed % 3 == 0 ? ([], nil, nil) : ([.credits(20), .percent(50)], 24, LedgerRunner.eventTypes("all"))
    }

    mutating func compareAll() throws -> [String] {
        try (StepGenerator.endUsers + StepGenerator.erased(in: both.model)).flatMap {
            try both.compareAll(of: $0) + both.audit($0)
        }
    }

    /// Plays a step. Returns the model's reply and the differences.
    mutating func play(_ step: RandomStep) throws -> (said: [String], problems: [String]) {
        switch step.act {
        case .config(let policy, let limit, let createsEndUsers):
            try both.change { catalogue in
                catalogue.createsEndUsers = createsEndUsers
                catalogue.policy = policy
                catalogue.overageLimit = limit
            }
            return ([], [])
        case .news(let thresholds, let hours, let types):
            try both.change {
                ($0.thresholds, $0.expiringSoonHours, $0.eventTypes) = (
                    thresholds, hours, LedgerRunner.eventTypes(types)
                )
            }
            return ([], [])
        case .moveClock(let number, let instant):
            try both.change { $0.clocks[number] = instant }
            return ([], [])
        case .publish(let number):
            try both.change { plans?.publish(number, in: &$0, at: step.clock) }
            return ([], [])
        case .plans(let start, let fallback):
            try both.change { ($0.defaultVariant, $0.fallbackVariant) = (start, fallback) }
            return ([], [])
        case .check(let use, let endUser):
            let (answer, problems) = try both.check(use, by: endUser, clock: step.clock)
            let said = answer.map { [$0.reason ?? "allowed", $0.affordable.map { "\($0)" } ?? "any"] }
            return (said ?? ["unanswered"], problems)
        case .command(let command, let endUser):
            if step.endsBatch { try both.commit(endUser) }
            let steps = try both.compareSteps(of: endUser, to: step.clock, [1, 60_000_000, 86_400_000_000])
            let (reply, problems) = try both.play(
                command, by: endUser, clock: step.clock, isThorough: step.isThorough)
            return (LedgerRunner.words(reply), steps + problems)
        }
    }
}

extension ModelSubscriptionAct {
    /// The same command with another number of its subscription.
    fileprivate func renumbered(_ number: (Int) -> Int) -> ModelSubscriptionAct {
        switch self {
        case .subscribe: self
        case .renew(let old): .renew(number(old))
        case .change(let old, let change): .change(number(old), change)
        case .pause(let old, let resumeAt): .pause(number(old), until: resumeAt)
        case .resume(let old): .resume(number(old))
        case .cancel(let old, let isNow, let revokes): .cancel(number(old), now: isNow, revokes: revokes)
        case .uncancel(let old): .uncancel(number(old))
        case .withdrawChange(let old): .withdrawChange(number(old))
        }
    }
}
