import JSON
import SeededRandom
import Synchronization

/// Races of many callers against the limits of one end user, while ledger workers are killed. No race may pass a limit, and
/// together the callers must reach each limit exactly.
///
/// One race after another takes a new end user with a limit of a week, a limit of credits in five hours over a class of
/// models, budgets of three members, and a limit of three jobs at once.
struct LimitRace {
    /// The limits of an end user, in units.
    fileprivate enum Limits {
        static let week: Int64 = 3_000
        static let member: Int64 = 800
        static let large: Int64 = 1_000
        static let jobs = 3
        static let members = ["ann", "ben", "cat"]
    }

    /// The results of all races.
    struct Result: Sendable {
        var races = 0
        var accepted = 0
        var refused = 0
        var repeated = 0
        var jobs = 0
        var kills = 0
        var violations: [String] = []
    }

    let installation: Installation
    let callers: Int
    let seconds: Int

    private var environment: Environment { installation.environments[0] }

    func run() async throws -> Result {
        let end = RaceEnd()
        let deadline = ContinuousClock.now + .seconds(seconds)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask { try await installation.fleet.disturb(until: end).kills }
            var result = Result()
            repeat {
                result.races += 1
                try await race(result.races, &result)
                progress("after race \(result.races): \(result.accepted) accepted, \(result.refused) refused")
            } while ContinuousClock.now < deadline && result.violations.isEmpty
            end.isReached.store(true, ordering: .relaxed)
            result.kills = try await group.next() ?? 0
            result.violations += installation.fleet.reports
            return result
        }
    }

    // MARK: - One race

    private func race(_ number: Int, _ result: inout Result) async throws {
        let endUser = "racer-\(number)"
        try await setUp(endUser)
        let scores = Scores()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<callers {
                let name = "race-\(number)-\(caller)"
                let seed = UInt64(number) << 32 | UInt64(caller)
                group.addTask {
                    if caller % 8 == 0 {
                        try await runJobs(endUser, name, scores)
                    } else {
                        try await use(endUser, name, seed: seed, scores)
                    }
                }
            }
            try await group.waitForAll()
        }
        let state = scores.state
        result.accepted += state.accepted
        result.refused += state.refused
        result.repeated += state.repeated
        result.jobs += state.jobs
        var violations = state.violations
        func expect(_ name: String, _ reached: Int64, _ limit: Int64) {
            if reached != limit { violations.append("\(endUser): \(name) has \(reached) of \(limit)") }
        }
        expect("the week", state.total, Limits.week)
        expect("the class of models", state.large, Limits.large)
        for member in Limits.members { expect("the member \(member)", state.members[member] ?? 0, Limits.member) }
        expect("jobs at once", Int64(state.mostJobs), Int64(Limits.jobs))
        // The node that is asked may show the last effects a moment after the node that has answered them.
        var differences = try await differences(endUser, state)
        for _ in 0..<100 where !differences.isEmpty {
            try await Task.sleep(for: .milliseconds(50))
            differences = try await self.differences(endUser, state)
        }
        result.violations += violations + differences
    }

    /// Compares what the server shows with what its answers have added up to.
    private func differences(_ endUser: String, _ state: Scores.State) async throws -> [String] {
        var violations: [String] = []
        let unitCost = try await unitCost(endUser)
        for (query, expected) in [
            ("", ["week": state.total, "large": state.large * unitCost, "jobs": 0])
        ] + Limits.members.map({ ("?per_value=\($0)", ["member": state.members[$0] ?? 0]) }) {
            let shown = try await definite("GET", "/v1/end-users/\(endUser)/limits\(query)", nil, key: nil)
            guard shown.status == 200, case .array(let limits)? = shown.json["data"] ?? shown.json["limits"] else {
                throw TortureError("the limits of \(endUser): \(shown.text)")
            }
            for (key, used) in expected {
                let limit = limits.first { $0["key"]?.text == key }
                if limit?["used"]?.integer != used {
                    violations.append("\(endUser): the limit \(key)\(query) shows \(limit ?? .null), and not \(used)")
                }
            }
        }
        let totals = try await definite("GET", "/v1/usage?end_user_id=\(endUser)", nil, key: nil)
        if case .array(let rows)? = totals.json["data"] {
            let units = rows.reduce(0) { $0 + ($1["units"]?.integer ?? 0) }
            if units != state.total { violations.append("\(endUser): the books have \(units), and not \(state.total)") }
        }
        return violations
    }

    private func unitCost(_ endUser: String) async throws -> Int64 {
        let check = try await definite(
            "GET", "/v1/entitlements/check?end_user_id=\(endUser)&feature_key=calls&units=1", nil, key: nil)
        guard let cost = check.json["estimated_cost"]?.integer else { throw TortureError("a check: \(check.text)") }
        return cost
    }

    private func setUp(_ endUser: String) async throws {
        let granted = try await definite(
            "POST", "/v1/credits/grant",
            [("end_user_id", .string(endUser)), ("credits", .integer(1_000_000_000))], key: "grant-\(endUser)")
        guard granted.status == 201 else { throw TortureError("a grant: \(granted.text)") }
        let unitCost = try await unitCost(endUser)
        let calls = JSONValue.array([.string("calls")])
        let limits: [(String, [(String, JSONValue?)])] = [
            (
                "week",
                [
                    ("unit", .string("units")), ("limit", .integer(Limits.week)), ("window", .string("week")),
                    ("feature_keys", calls),
                ]
            ),
            (
                "member",
                [
                    ("unit", .string("units")), ("limit", .integer(Limits.member)), ("window", .string("week")),
                    ("per", .string("member")), ("feature_keys", calls),
                ]
            ),
            (
                "large",
                [
                    ("unit", .string("credits")), ("limit", .integer(Limits.large * unitCost)),
                    ("window", .string("PT5H")), ("match", .members([("class", .string("large"))])),
                    ("anchor", .string("first_use")),
                ]
            ),
            ("jobs", [("unit", .string("concurrent")), ("limit", .integer(Int64(Limits.jobs)))]),
        ]
        for (key, members) in limits {
            let answer = try await definite(
                "PUT", "/v1/end-users/\(endUser)/limits/\(key)", members, key: "limit-\(endUser)-\(key)")
            guard answer.status == 201 else { throw TortureError("the limit \(key): \(answer.text)") }
        }
    }

    // MARK: - Callers

    /// Uses units until every limit is reached.
    private func use(_ endUser: String, _ name: String, seed: UInt64, _ scores: Scores) async throws {
        var random = SeededGenerator(seed: seed)
        var number = 0
        while let wish = scores.wish(&random) {
            number += 1
            var attributes: [(String, JSONValue?)] = [("class", .string(wish.isLarge ? "large" : "small"))]
            if let member = wish.member { attributes.append(("member", .string(member))) }
            let answer = try await definite(
                "POST", "/v1/usage",
                [
                    ("end_user_id", .string(endUser)), ("feature_key", .string("calls")),
                    ("units", .integer(wish.units)), ("attributes", .members(attributes)),
                ], key: "\(name)-\(number)", node: number, scores)
            switch answer.status {
            case 201: scores.accept(wish)
            case 402: scores.refuse(wish, answer.json)
            default: throw TortureError("a use was answered \(answer.text)")
            }
        }
    }

    /// Runs jobs, which use nothing in the end, until the limit of the week is reached.
    private func runJobs(_ endUser: String, _ name: String, _ scores: Scores) async throws {
        var number = 0
        while !scores.isDone || scores.state.mostJobs < Limits.jobs {
            number += 1
            let made = try await definite(
                "POST", "/v1/reservations",
                [
                    ("end_user_id", .string(endUser)), ("feature_key", .string("flat")), ("units", .integer(1)),
                    ("ttl_seconds", .integer(600)),
                ], key: "\(name)-job-\(number)", node: number, scores)
            guard made.status == 201, let id = made.json["id"]?.text else {
                guard made.status == 402, made.json["limit_key"]?.text == "jobs" else {
                    throw TortureError("a reservation was answered \(made.text)")
                }
                scores.refuseJob()
                continue
            }
            scores.beginJob(most: Limits.jobs)
            try await Task.sleep(for: .milliseconds(20))
            scores.endJob()
            let released = try await definite(
                "POST", "/v1/reservations/\(id)/release", [], key: "\(name)-release-\(number)", node: number, scores)
            guard released.status == 200 else { throw TortureError("a release was answered \(released.text)") }
        }
    }

    private func definite(
        _ method: String, _ path: String, _ members: [(String, JSONValue?)]?, key: String?, node: Int = 0,
        _ scores: Scores? = nil
    ) async throws -> Answer {
        try await installation.definite(
            method, path, members.map { .members($0) }, key: key, in: environment, node: node
        ) { scores?.repeatRequest() }
    }
}

/// The sums of the answers of one race.
private final class Scores: Sendable {
    struct Wish {
        let units: Int64
        let isLarge: Bool
        let member: String?
    }

    /// The most units of one use.
    private static let mostUnits: Int64 = 12

    struct State {
        var total: Int64 = 0
        var large: Int64 = 0
        var members: [String: Int64] = [:]
        /// The keys of limits that have refused one unit, with the member of a budget.
        var full: Set<String> = []
        /// The most units to ask for, which falls when a limit is nearly reached.
        var most = mostUnits
        var accepted = 0
        var refused = 0
        var repeated = 0
        var jobs = 0
        var runningJobs = 0
        var mostJobs = 0
        var violations: [String] = []
    }

    private let content = Mutex(State())

    var state: State { content.withLock { $0 } }
    var isDone: Bool { content.withLock { $0.full.contains("week") } }

    /// The next use, nil when the week is full. Members come before uses without one, so that every budget can be reached.
    func wish(_ random: inout SeededGenerator) -> Wish? {
        let state = state
        guard !state.full.contains("week") else { return nil }
        let open = LimitRace.Limits.members.filter { !state.full.contains("member \($0)") }
        return Wish(
            units: Int64.random(in: 1...state.most, using: &random),
            isLarge: !state.full.contains("large") && random.chance(70),
            member: open.isEmpty ? nil : random.pick(open))
    }

    func accept(_ wish: Wish) {
        content.withLock { state in
            state.accepted += 1
            state.total += wish.units
            if wish.isLarge { state.large += wish.units }
            if let member = wish.member { state.members[member, default: 0] += wish.units }
        }
    }

    func refuse(_ wish: Wish, _ problem: JSONValue) {
        content.withLock { state in
            state.refused += 1
            guard let key = problem["limit_key"]?.text, let remaining = problem["remaining"]?.integer else {
                state.violations.append("a refusal names no limit: \(problem)")
                return
            }
            if remaining == 0 {
                state.full.insert(key == "member" ? "member \(wish.member ?? "")" : key)
                state.most = Self.mostUnits
            } else {
                // Requests under way may take what remains. The next ones ask for less.
                state.most = max(1, min(state.most, wish.units / 2))
            }
        }
    }

    func repeatRequest() { content.withLock { $0.repeated += 1 } }

    func refuseJob() { content.withLock { $0.refused += 1 } }

    func beginJob(most: Int) {
        content.withLock { state in
            state.jobs += 1
            state.runningJobs += 1
            state.mostJobs = max(state.mostJobs, state.runningJobs)
            if state.runningJobs > most { state.violations.append("\(state.runningJobs) jobs run at once") }
        }
    }

    func endJob() { content.withLock { $0.runningJobs -= 1 } }
}

extension LimitRace.Result {
    /// The table that the command prints.
    func table(took: Duration) -> String {
        """
        | callers against the limits of one end user | |
        |---|---|
        | races, each with an end user of its own | \(races) |
        | uses accepted, refused | \(accepted), \(refused) |
        | jobs run | \(jobs) |
        | requests repeated, because their outcome was not known | \(repeated) |
        | ledger workers killed | \(kills) |
        | limits passed, or not reached exactly | \(violations.count) |
        | took | \(took.components.seconds) s |
        """
    }
}
