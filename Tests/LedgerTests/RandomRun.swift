import Credits
import LedgerModel
import SeededRandom

/// One seeded run: random steps on the core and the model, compared after each.
struct RandomRun {
    /// Late enough in a year, a month and a day for all of them to turn early in a run.
    static let start = Instant(microseconds: 1_830_290_400_000_007)  // 2027-12-31T22:00:00.000007Z

    let seed: UInt64
    private var generator: StepGenerator
    private var player: StepPlayer
    private(set) var steps: [RandomStep] = []
    /// What happened at least once.
    private(set) var met: Set<String> = []

    init(seed: UInt64) throws {
        self.seed = seed
        generator = StepGenerator(seed: seed, start: Self.start)
        player = try StepPlayer()
    }

    /// Compares everything at the end of a run.
    mutating func finish() throws -> [String] {
        try StepGenerator.endUsers.flatMap { try player.compareAll(of: $0) }
    }

    /// Draws and plays one step; what differs, in words.
    mutating func step() throws -> [String] {
        let step = generator.next(player.twins.model)
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
        let ledger = player.twins.model.ledger(endUser)
        guard let last = ledger.entries.last else { return }
        met.insert("entry \(last.type)")
        if last.allocation.count > 2 { met.insert("entry of several blocks") }
        if last.overageDelta > 0 { met.insert("overage by \(last.type)") }
        if last.type == "refund" && last.overageDelta < 0 { met.insert("refund of overage") }
        if last.forfeited > 0 { met.insert("refund to a revoked block") }
        if last.isDeadline { met.insert("lapse") }
        if ledger.testClock != nil { met.insert("on a test clock") }
    }

    /// The shortest script that was found to fail like the run did.
    func shrunk() -> String {
        var failing = steps
        func fails(_ steps: [RandomStep]) -> Int? {
            guard var player = try? StepPlayer() else { return nil }
            for (index, step) in steps.enumerated() {
                guard let (_, problems) = try? player.play(step) else { return nil }
                if !problems.isEmpty { return index }
            }
            return nil
        }
        var length = max(1, failing.count / 2)
        while true {
            var start = 0
            var isShorter = false
            while start < failing.count {
                var fewer = failing
                fewer.removeSubrange(start..<min(start + length, failing.count))
                if let last = fails(fewer) {
                    failing = Array(fewer[...last])
                    isShorter = true
                } else {
                    start += length
                }
            }
            if length == 1 && !isShorter { break }
            if !isShorter { length = max(1, length / 2) }
        }
        return Self.script(failing)
    }

    /// The steps as a ledger script, with what the model says to each.
    private static func script(_ steps: [RandomStep]) -> String {
        var lines = ["at \(start)", "market"]
        guard var player = try? StepPlayer() else { return "" }
        var clock = start
        for step in steps {
            if step.clock != clock { lines.append("at \(step.clock)") }
            clock = step.clock
            let said = (try? player.play(step).said) ?? []
            lines.append(step.text + (said.isEmpty ? "" : " -> " + said.joined(separator: " ")))
        }
        return lines.joined(separator: "\n")
    }
}

/// Plays steps on an environment of its own.
struct StepPlayer {
    private(set) var twins: Twins

    init() throws {
        twins = try Twins(catalogue: Market.catalogue(around: RandomRun.start))
    }

    mutating func compareAll(of endUser: String) throws -> [String] { try twins.compareAll(of: endUser) }

    /// What the model says, and what differs.
    mutating func play(_ step: RandomStep) throws -> (said: [String], problems: [String]) {
        switch step.act {
        case .config(let policy, let limit):
            try twins.change { catalogue in
                catalogue.policy = policy
                catalogue.overageLimit = limit
            }
            return ([], [])
        case .moveClock(let number, let instant):
            try twins.change { $0.clocks[number] = instant }
            return ([], [])
        case .check(let use, let endUser):
            let (answer, problems) = try twins.check(use, by: endUser, clock: step.clock)
            let said = answer.map { [$0.reason ?? "allowed", $0.affordable.map { "\($0)" } ?? "any"] }
            return (said ?? ["unanswered"], problems)
        case .command(let command, let endUser):
            if step.endsBatch { try twins.commit(endUser) }
            let steps = try twins.compareSteps(of: endUser, to: step.clock, [1, 60_000_000, 86_400_000_000])
            let (reply, problems) = try twins.play(
                command, by: endUser, clock: step.clock, isThorough: step.isThorough)
            return (LedgerRunner.words(reply), steps + problems)
        }
    }
}
