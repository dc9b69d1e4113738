import Credits
import JSON
import LedgerModel
import SeededRandom

/// A client whose end users are on a test clock that it moves. It sends one request after another and repeats each with
/// its key until it is decided, so that the clock's instant at every decision is known.
struct ClockClient {
    private static let endUsers = 3
    /// The jumps of a clock. Then the client begins with another clock and other end users, because the model searches
    /// the whole history of an end user.
    private static let jumps = 25
    private static let steps: [Int64] = [1, 5, 6, 12, 24, 30, 72, 100, 200, 744]

    private let environment: Environment
    private let fleet: Fleet
    private let http: HTTPCaller
    private let control: LoadControl
    private let objects: KnownObjects
    private let violations: Violations
    private let name: String
    private var mix: OperationMix
    private(set) var journal: ClientJournal
    /// The instants that the end users' clocks show in the end.
    private(set) var clocks: [EndUser: Instant] = [:]
    private var clock: PublicID?
    private var jumpsLeft = 0
    private var clockCount = 0

    init(
        number: Int, seed: UInt64, environment: Environment, environmentCount: Int, fleet: Fleet, http: HTTPCaller,
        control: LoadControl, objects: KnownObjects, violations: Violations
    ) {
        self.environment = environment
        self.fleet = fleet
        self.http = http
        self.control = control
        self.objects = objects
        self.violations = violations
        name = "clock-\(number)"
        let client = 1_000 + number
        mix = OperationMix(seed: seed, client: client, environmentCount: environmentCount, objects: objects)
        journal = ClientJournal(client: client)
    }

    mutating func run() async {
        while !control.isOver {
            if jumpsLeft == 0 {
                guard await begin() else { return }
                continue
            }
            if mix.random.chance(20) {
                await jump()
            } else {
                await decide(mix.commandOfClock(endUser(Int.random(in: 0..<Self.endUsers, using: &mix.random))))
            }
        }
    }

    private func endUser(_ number: Int) -> EndUser {
        EndUser(environment: environment.number, id: "\(name)-\(clockCount)-\(number)")
    }

    /// Makes a clock and its end users. Returns false when the storm is over before that.
    private mutating func begin() async -> Bool {
        let days = Int64.random(in: 0...200, using: &mix.random)
        // 1 February 2027, 10:30 UTC, and later.
        let start = Instant(microseconds: 1_801_477_800_000_000).adding(seconds: days * 86_400)
        clockCount += 1
        let owner = EndUser(environment: environment.number, id: "")
        let made = await decide(Operation(endUser: owner, action: .makeClock(start), key: mix.key(owner)))
        guard let id = made?["id"]?.text.flatMap({ PublicID(.testClock, parsing: $0) }) else { return false }
        clock = id
        mix.clock = start
        for number in 0..<Self.endUsers {
            let endUser = endUser(number)
            let create = Operation(
                endUser, .create(ModelCommand.Settings()), about: id, key: mix.key(endUser), clock: start)
            guard await decide(create) != nil else { return false }
            clocks[endUser] = start
        }
        jumpsLeft = Self.jumps
        return true
    }

    private mutating func jump() async {
        guard let clock, let shown = mix.clock else { return }
        let instant = shown.adding(
            seconds: mix.random.pick(Self.steps) * 3_600 + Int64.random(in: 0...59, using: &mix.random))
        let owner = EndUser(environment: environment.number, id: "")
        jumpsLeft -= 1
        // An advance that is not decided when the storm ends is repeated afterwards.
        mix.clock = instant
        for number in 0..<Self.endUsers { clocks[endUser(number)] = instant }
        await decide(Operation(endUser: owner, action: .advanceClock(clock, to: instant), key: mix.key(owner)))
    }

    /// Sends an operation until it is decided.
    ///
    /// - Returns: The body of its answer; nil if the operation is refused, or the storm is over before.
    @discardableResult
    private mutating func decide(_ operation: Operation) async -> JSONValue? {
        await control.send(1)
        var (outcome, body) = await send(operation, 0)
        let first = outcome
        for attempt in 1... {
            if case .decided = outcome { break }
            if control.isOver { break }
            try? await Task.sleep(for: .milliseconds(100))
            let (next, nextBody) =
                if case .accepted(let identifier) = outcome {
                    await follow(identifier, attempt)
                } else {
                    await send(operation, attempt)
                }
            guard let joined = Outcome.joined(outcome, next) else {
                violations.add("I11: two outcomes of \(operation.key): \(outcome) and \(next)")
                break
            }
            outcome = joined
            if case .decided = next { body = nextBody }
        }
        journal.records.append(Record(operation: operation, firstOutcome: first, outcome: outcome, answer: nil))
        guard case .decided(let decision) = outcome else { return nil }
        if decision.status == 400 || decision.status == 422 {
            violations.add("\(operation.key) was answered \(decision.status) \(decision.mark)")
        }
        guard decision.status < 300 else { return nil }
        journal.confirmed[operation.endUser, default: []].append(journal.records.count - 1)
        objects.learn(operation, body)
        return body
    }

    /// Asks for the result of an accepted operation.
    private func follow(_ identifier: String, _ attempt: Int) async -> (Outcome, JSONValue) {
        let result = await http.send(
            "GET", fleet.apiNodes[attempt % fleet.apiNodes.count], "/v1/operations/\(identifier)",
            key: environment.apiKey)
        guard case .answered(let answer) = result, answer.status == 200, let shown = answer.json["operation"],
            shown["status"]?.text != "pending", let status = shown["result"]?["status"]?.integer
        else { return (.accepted(operation: identifier), .null) }
        let body = shown["result"]?["body"] ?? .null
        return (Outcome(status: Int(status), body: body), body)
    }

    private func send(_ operation: Operation, _ attempt: Int) async -> (Outcome, JSONValue) {
        let result = await http.send(
            operation.method, fleet.apiNodes[attempt % fleet.apiNodes.count], operation.path, key: environment.apiKey,
            body: operation.body().bytes, headers: [("Idempotency-Key", operation.key)])
        guard case .answered(let answer) = result else { return (Outcome(result), .null) }
        return (Outcome(result), answer.json)
    }
}
