import ChildProcesses
import Credits
import JSON
import SeededRandom
import Testing

extension Acceptance.Processes {
    /// Two API nodes, an entitlement node and two workers on the same books.
    @Suite struct TwoNodeTests {
        /// `QUOTASTACK_TEST_NODE_PAIRS` sets the number of write and check pairs; the default is what CI can afford.
        @Test("A check on one node with the token of a write on another node shows the write")
        func tokens() async throws {
            try await withInstallation(serves: false) { installation in
                _ = try await installation.startNodes("quotastack-ledger", 2)
                let apis = try await installation.startNodes("quotastack-api", 2)
                let entitlements = try await installation.startNodes("quotastack-entitlements", 1)[0]
                let key = try await installation.makeTenant(through: apis[0]).test.key
                let writer = Client(url: apis[0].url, key: key)
                try await writer.sell("api", unitCost: 1)
                let readers = [apis[1], entitlements].map { Client(url: $0.url, key: key) }
                let pairs = count("QUOTASTACK_TEST_NODE_PAIRS", inCI: 2_000)
                let seed = UInt64.random(in: 0...UInt64.max)
                let delays = try await withThrowingTaskGroup(of: [Duration].self) { group in
                    for number in 0..<16 {
                        group.addTask {
                            try await run(
                                writer, readers[number % 2], endUser: "user-\(number)", pairs: pairs / 16,
                                seed: seed &+ UInt64(number))
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                let sorted = delays.sorted()
                func show(_ share: Double) -> String {
                    "\(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))])"
                }
                let later = sorted.filter { $0 > .zero }.count
                print(
                    "without the token: \(later) of \(sorted.count) first checks on the other node were older;"
                        + " p50 \(show(0.5)), p99 \(show(0.99)), longest \(show(1)) until they showed the write")
            }
        }

        /// Half of the writes are followed by a check with the token. After the other writes, checks without it are
        /// repeated until one shows the write.
        ///
        /// - Returns: The delay after each write without a token; zero when the first check showed the write.
        private func run(
            _ writer: Client, _ reader: Client, endUser: String, pairs: Int, seed: UInt64
        ) async throws -> [Duration] {
            var random = SeededGenerator(seed: seed)
            var balance: Int64 = 0
            var delays: [Duration] = []
            for pair in 0..<pairs {
                let units = Int64.random(in: 1...9, using: &random)
                let answer: Answer
                if balance < 10 {
                    answer = try await writer.grant(endUser, 1_000)
                    balance += 1_000
                } else {
                    answer = try await writer.use(endUser, "api", units)
                    balance -= units
                }
                let token = try #require(answer.expect(201).headers["quotastack-position"])
                let query: [(String, String?)] = [("end_user_id", endUser), ("feature_key", "api")]
                if random.chance(50) {
                    let seen = try await reader.get(
                        "/v1/entitlements/check", query, headers: ["QuotaStack-Min-Position": token])
                    try #require(
                        seen.expect(200)["balance"] == .integer(balance),
                        "seed \(seed), \(endUser), pair \(pair): \(seen)")
                } else {
                    let start = ContinuousClock.now
                    var delay = Duration.zero
                    while try await reader.get("/v1/entitlements/check", query)["balance"] != .integer(balance) {
                        delay = ContinuousClock.now - start
                        try #require(delay < .seconds(10), "seed \(seed), \(endUser), pair \(pair)")
                    }
                    delays.append(delay)
                }
            }
            return delays
        }

        @Test("A key that is revoked on one node is refused by every other node within five seconds")
        func revocation() async throws {
            try await withInstallation(serves: false) { installation in
                _ = try await installation.startNodes("quotastack-ledger", 1)
                let apis = try await installation.startNodes("quotastack-api", 2)
                let entitlements = try await installation.startNodes("quotastack-entitlements", 1)[0]
                let admin = try await installation.makeTenant(through: apis[0]).test
                let made = try await admin.post("/v1/api-keys", ["name": "K"]).expect(201)
                let nodes = [apis[1], entitlements].map { Client(url: $0.url, key: try? made.text("key")) }
                for node in nodes {
                    try await waitUntil("\(node.url) knows the key") { try await node.check("a", "f").status == 200 }
                }
                try await admin.post("/v1/api-keys/\(try made.text("id"))/revoke").expect(200)
                for node in nodes {
                    try await waitUntil("\(node.url) refuses the key", within: 5) {
                        try await node.check("a", "f").status == 401
                    }
                }
            }
        }

        /// `QUOTASTACK_TEST_RACED_KEYS` sets the number of keys; the default is what CI can afford.
        @Test(
            "64 clients race the same keys over two nodes: one effect per key, equal replays, 422 for other bodies")
        func races() async throws {
            try await withInstallation(serves: false) { installation in
                _ = try await installation.startNodes("quotastack-ledger", 2)
                let apis = try await installation.startNodes("quotastack-api", 2)
                let key = try await installation.makeTenant(through: apis[0]).test.key
                let clients = apis.map { Client(url: $0.url, key: key) }
                try await clients[0].sell("api", unitCost: 1)
                let endUsers = (0..<10).map { "user-\($0)" }
                for endUser in endUsers { try await clients[0].grant(endUser, 10_000_000).expect(201) }
                let keys = count("QUOTASTACK_TEST_RACED_KEYS", inCI: 60)
                let race = KeyRace(clients: clients, endUsers: endUsers, keys: keys)
                let seed = UInt64.random(in: 0...UInt64.max)
                let answers = try await withThrowingTaskGroup(of: [KeyRace.Attempt].self) { group in
                    for number in 0..<64 {
                        group.addTask { try await race.run(number, seed: seed &+ UInt64(number)) }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(answers.count == 64 * keys)
                let winners = try race.expectOneEffectPerKey(answers, "seed \(seed)")
                for endUser in endUsers {
                    let spent = winners.filter { $0.endUser == endUser }.reduce(0) { $0 + $1.units }
                    #expect(try await clients[1].balance(endUser)["balance"] == .integer(10_000_000 - spent))
                    let uses = try await clients[0].ledger(endUser, type: "use")
                    #expect(uses.count == winners.filter { $0.endUser == endUser }.count)
                }
            }
        }
    }
}

/// Many clients that send the same keys, one in five times with another body.
private struct KeyRace: Sendable {
    struct Attempt: Sendable {
        let key: Int
        let endUser: String
        let units: Int64
        let answer: Answer
    }

    let clients: [Client]
    let endUsers: [String]
    let keys: Int

    func run(_ number: Int, seed: UInt64) async throws -> [Attempt] {
        var random = SeededGenerator(seed: seed)
        var attempts: [Attempt] = []
        for key in (0..<keys).shuffled(using: &random) {
            let units = random.chance(20) ? Int64.random(in: 2...5, using: &random) : 1
            let endUser = endUsers[key % endUsers.count]
            let answer = try await clients[Int(random.next() % 2)].use(endUser, "api", units, key: "race-\(key)")
            attempts.append(Attempt(key: key, endUser: endUser, units: units, answer: answer))
        }
        return attempts
    }

    /// Expects that the first body of every key had its effect, that the same body always got the same bytes, and that
    /// every other body got 422.
    ///
    /// - Returns: The attempts that took effect, one per key.
    func expectOneEffectPerKey(_ attempts: [Attempt], _ comment: String) throws -> [Attempt] {
        try Dictionary(grouping: attempts, by: \.key).values.map { attempts in
            let first = try #require(attempts.first { $0.answer.status == 201 && !$0.answer.isReplay }, "\(comment)")
            for attempt in attempts {
                guard attempt.units == first.units else {
                    #expect(attempt.answer.status == 422, "\(comment): \(attempt)")
                    #expect(attempt.answer["code"] == "idempotency_key_reuse", "\(comment): \(attempt)")
                    continue
                }
                #expect(attempt.answer.status == 201, "\(comment): \(attempt)")
                #expect(attempt.answer.bytes == first.answer.bytes, "\(comment): \(attempt)")
            }
            #expect(attempts.filter { $0.answer.status == 201 && !$0.answer.isReplay }.count == 1, "\(comment)")
            return first
        }
    }
}
