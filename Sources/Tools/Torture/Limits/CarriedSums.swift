import Credits
import JSON
import SeededRandom
import Synchronization

/// Many small events under prices that carry fractions, while ledger workers are killed and all processes are restarted. Every end user must have paid the
/// exact price of all its units, rounded up once for each price.
///
/// The units come in batches, in jobs with progress, and on a test clock that moves. The expected sums are counted from
/// the requests alone, in whole numbers.
struct CarriedSums {
    /// A price of `cost` millicredits for `per` units of a feature, or of a dimension of it.
    private struct Price {
        let feature: String
        let dimension: String?
        let cost: Int64
        let per: Int64
    }

    struct Result: Sendable {
        var events = 0
        var jobs = 0
        var jumps = 0
        var faults = RaceFaults()
        var sums = 0
        var violations: [String] = []
    }

    let installation: Installation
    let seed: UInt64
    let events: Int

    private static let callers = 8
    /// All processes are restarted after each tenth kill of a worker, some 15 seconds.
    private static let killsPerRestart = 10
    private static let eventsPerBatch = 500
    /// 1 January 2030.
    private static let clockStart = Instant(microseconds: 1_893_456_000_000_000)
    private static let endUsers = 20
    private static let prices = [
        Price(feature: "carry-small", dimension: nil, cost: 3, per: 1_000),
        Price(feature: "carry-third", dimension: nil, cost: 7, per: 30),
        Price(feature: "carry-voice", dimension: "in", cost: 3, per: 10),
        Price(feature: "carry-voice", dimension: "out", cost: 5, per: 3),
    ]

    /// The live and the test environment of the first tenant. The end users of the second are on a test clock.
    private var environments: [Environment] { Array(installation.environments.prefix(2)) }

    func run() async throws -> Result {
        let clock = try await setUp()
        let end = RaceEnd()
        let units = UnitCounts(endUsers: Self.endUsers * environments.count, prices: Self.prices.count)
        return try await withThrowingTaskGroup(of: Part.self) { group in
            group.addTask {
                .faults(try await installation.fleet.disturb(until: end, restartingAfter: Self.killsPerRestart))
            }
            group.addTask { .jumps(try await moveClock(clock, until: end)) }
            for caller in 0..<Self.callers {
                group.addTask { try await call(caller, units) }
            }
            var result = Result(events: events)
            var calling = Self.callers
            while let part = try await group.next() {
                switch part {
                case .faults(let faults): result.faults = faults
                case .jumps(let jumps): result.jumps = jumps
                case .jobs(let jobs):
                    result.jobs += jobs
                    calling -= 1
                    if calling == 0 { end.isReached.store(true, ordering: .relaxed) }
                }
            }
            try await compare(units, &result)
            result.violations += installation.fleet.reports
            return result
        }
    }

    private enum Part: Sendable {
        case faults(RaceFaults)
        case jumps(Int)
        case jobs(Int)
    }

    // MARK: - Setting up

    /// Makes the features, the rules and the end users.
    ///
    /// - Returns: The id of the test clock.
    private func setUp() async throws -> String {
        for environment in environments {
            for feature in Set(Self.prices.map(\.feature)) {
                try await make(
                    "/v1/features",
                    [("key", .string(feature)), ("name", .string(feature)), ("type", .string("metered"))], environment)
                try await make("/v1/metering-rules", rule(feature), environment)
            }
        }
        let clock = try await make("/v1/test-clocks", [("now", .string("\(Self.clockStart)"))], environments[1])
        guard let id = clock["id"]?.text else { throw TortureError("a test clock has no id: \(clock)") }
        for (number, environment) in environments.enumerated() {
            for endUser in 0..<Self.endUsers {
                let name = name(endUser)
                if number == 1 {
                    try await make(
                        "/v1/end-users", [("end_user_id", .string(name)), ("test_clock_id", .string(id))], environment)
                }
                try await make(
                    "/v1/credits/grant", [("end_user_id", .string(name)), ("credits", .integer(1_000_000_000_000))],
                    environment)
            }
        }
        return id
    }

    private func rule(_ feature: String) -> [(String, JSONValue?)] {
        func price(_ price: Price) -> [(String, JSONValue?)] {
            [
                ("model", .string("per_unit")), ("unit_cost", .integer(price.cost)), ("per_units", .integer(price.per)),
                ("rounding", .string("carry")),
            ]
        }
        let prices = Self.prices.filter { $0.feature == feature }
        let dimensions = prices.compactMap { part in part.dimension.map { ($0, JSONValue.members(price(part))) } }
        return [("feature_key", .string(feature))]
            + (dimensions.isEmpty ? price(prices[0]) : [("dimensions", .members(dimensions))])
    }

    @discardableResult
    private func make(
        _ path: String, _ members: [(String, JSONValue?)], _ environment: Environment
    ) async throws -> JSONValue {
        let body = JSONValue.members(members)
        let key = "carry-\(path)-\(environment.number)-\(body)"
        let answer = try await installation.definite(
            "POST", path, body, key: String(key.filter { $0 != "\"" }.prefix(200)), in: environment)
        guard (200..<300).contains(answer.status) else { throw TortureError("\(path): \(answer.text)") }
        return answer.json
    }

    private func name(_ endUser: Int) -> String { "saver-\(endUser)" }

    // MARK: - Using

    /// Sends batches, with a job after each tenth one, until all events are taken.
    private func call(_ caller: Int, _ units: UnitCounts) async throws -> Part {
        var random = SeededGenerator(seed: seed ^ UInt64(caller) << 32)
        var (jobs, batches) = (0, 0)
        while true {
            let first = units.takeEvents(Self.eventsPerBatch)
            guard first < events else { return .jobs(jobs) }
            let environment = environments[random.chance(50) ? 0 : 1]
            try await send(
                min(Self.eventsPerBatch, events - first), as: "carry-\(first)", in: environment, &random, units)
            batches += 1
            if batches % 10 == 0 {
                try await runJob("carry-job-\(caller)-\(jobs)", in: environment, &random, units)
                jobs += 1
            }
        }
    }

    private func send(
        _ count: Int, as name: String, in environment: Environment, _ random: inout SeededGenerator, _ units: UnitCounts
    ) async throws {
        var items: [JSONValue] = []
        var wishes: [(endUser: Int, price: Int, units: Int64)] = []
        for number in 0..<count {
            let endUser = Int.random(in: 0..<Self.endUsers, using: &random)
            let price = Int.random(in: 0..<Self.prices.count, using: &random)
            let amount = Int64.random(in: 1...9, using: &random)
            let chosen = Self.prices[price]
            var members: [(String, JSONValue?)] = [
                ("end_user_id", .string(self.name(endUser))), ("feature_key", .string(chosen.feature)),
                ("idempotency_key", .string("\(name)-\(number)")),
            ]
            if let dimension = chosen.dimension {
                members.append(("quantities", .members([(dimension, .integer(amount))])))
            } else {
                members.append(("units", .integer(amount)))
            }
            items.append(.members(members))
            wishes.append((endUser, price, amount))
        }
        let body = JSONValue.members([("events", .array(items))])
        for attempt in 0..<200 {
            let answer = try await installation.definite(
                "POST", "/v1/usage/batch", body, key: nil, in: environment, node: attempt)
            guard answer.status == 200 else { throw TortureError("a batch: \(answer.text)") }
            // An event that was not decided in time counts as rejected, and its key makes the repetition safe.
            if answer.json["rejected"]?.integer == 0 {
                units.add(wishes, environment: environment.number, endUsers: Self.endUsers)
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw TortureError("the batch \(name) was not decided after 200 requests")
    }

    /// Reserves, reports progress three times, repeats a report, and commits, with one of the first two prices.
    private func runJob(
        _ name: String, in environment: Environment, _ random: inout SeededGenerator, _ units: UnitCounts
    ) async throws {
        let endUser = Int.random(in: 0..<Self.endUsers, using: &random)
        let price = Int.random(in: 0..<2, using: &random)
        func post(_ path: String, _ members: [(String, JSONValue?)], _ step: String) async throws -> JSONValue {
            let answer = try await installation.definite(
                "POST", path, .members(members), key: "\(name)-\(step)", in: environment)
            guard (200..<300).contains(answer.status) else { throw TortureError("\(path): \(answer.text)") }
            return answer.json
        }
        let made = try await post(
            "/v1/reservations",
            [
                ("end_user_id", .string(self.name(endUser))), ("feature_key", .string(Self.prices[price].feature)),
                ("units", .integer(50)), ("ttl_seconds", .integer(86_400)),
            ], "reserve")
        guard let id = made["id"]?.text else { throw TortureError("a reservation has no id: \(made)") }
        var mark: Int64 = 0
        for step in 0..<3 {
            mark += Int64.random(in: 1...30, using: &random)
            for attempt in 0..<(step == 1 ? 2 : 1) {
                _ = try await post(
                    "/v1/reservations/\(id)/progress", [("units", .integer(mark))], "progress-\(step)-\(attempt)")
            }
        }
        mark += Int64.random(in: 0...30, using: &random)
        _ = try await post("/v1/reservations/\(id)/commit", [("units", .integer(mark))], "commit")
        units.add([(endUser, price, mark)], environment: environment.number, endUsers: Self.endUsers)
    }

    /// Moves the test clock by ten minutes, again and again.
    private func moveClock(_ id: String, until end: RaceEnd) async throws -> Int {
        var jumps = 0
        var now = Self.clockStart
        while !end.isReached.load(ordering: .relaxed) {
            try await Task.sleep(for: .milliseconds(700))
            now = now.adding(seconds: 600)
            let body = JSONValue.members([("to", .string("\(now)"))])
            let answer = try await installation.definite(
                "POST", "/v1/test-clocks/\(id)/advance", body, key: "carry-jump-\(jumps)", in: environments[1])
            guard (200..<300).contains(answer.status) else { throw TortureError("a clock: \(answer.text)") }
            jumps += 1
        }
        return jumps
    }

    // MARK: - Comparing

    /// Compares the cost of each end user's feature with the exact sum of its prices, each rounded up once.
    private func compare(_ units: UnitCounts, _ result: inout Result) async throws {
        for environment in environments {
            for endUser in 0..<Self.endUsers {
                var expected: [String: Int64] = [:]
                for (index, price) in Self.prices.enumerated() {
                    let count = units.count(environment.number * Self.endUsers + endUser, price: index)
                    expected[price.feature, default: 0] += (count * price.cost + price.per - 1) / price.per
                }
                for (feature, cost) in expected.sorted(by: { $0.key < $1.key }) {
                    let path = "/v1/usage?end_user_id=\(name(endUser))&feature_key=\(feature)"
                    let answer = try await installation.definite("GET", path, nil, key: nil, in: environment)
                    guard case .array(let rows)? = answer.json["data"] else {
                        throw TortureError("the usage: \(answer.text)")
                    }
                    result.sums += 1
                    let charged = rows.reduce(0) { $0 + ($1["cost"]?.integer ?? 0) }
                    if charged != cost {
                        result.violations.append(
                            "\(name(endUser)) of environment \(environment.number) paid \(charged) for \(feature), and not \(cost)"
                        )
                    }
                }
            }
        }
    }
}

/// The units that were used, by end user and price.
private final class UnitCounts: Sendable {
    private let prices: Int
    private let content: Mutex<[Int64]>
    private let taken = Atomic(0)

    init(endUsers: Int, prices: Int) {
        self.prices = prices
        content = Mutex([Int64](repeating: 0, count: endUsers * prices))
    }

    /// Takes the next events.
    ///
    /// - Returns: The number of the first of them.
    func takeEvents(_ count: Int) -> Int { taken.add(count, ordering: .relaxed).oldValue }

    func add(_ wishes: [(endUser: Int, price: Int, units: Int64)], environment: Int, endUsers: Int) {
        content.withLock { content in
            for wish in wishes {
                content[(environment * endUsers + wish.endUser) * prices + wish.price] += wish.units
            }
        }
    }

    func count(_ endUser: Int, price: Int) -> Int64 { content.withLock { $0[endUser * prices + price] } }
}

extension CarriedSums.Result {
    /// The table that the command prints.
    func table(seed: UInt64, took: Duration) -> String {
        """
        | small events under prices that carry fractions | |
        |---|---|
        | events in batches | \(events) |
        | jobs with progress | \(jobs) |
        | jumps of the test clock | \(jumps) |
        | ledger workers killed | \(faults.kills) |
        | restarts of all processes at once, every other one by SIGKILL | \(faults.restarts) |
        | sums compared with the exact price, rounded up once | \(sums) |
        | differences | \(violations.count) |
        | seed | \(seed) |
        | took | \(took.components.seconds) s |
        """
    }
}
