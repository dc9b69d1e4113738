import ChildProcesses
import JSON
import SeededRandom
import Testing

extension Acceptance.Processes {
    @Suite struct CrashTests {
        /// `QUOTASTACK_TEST_KILLS` sets the number of kills; the default is what CI can afford.
        @Test(
            "Wherever the process is killed, every keyed request has one outcome and the books are clean"
        )
        func killed() async throws {
            try await withInstallation { installation in
                let seed = UInt64.random(in: 0...UInt64.max)
                let rounds = count("QUOTASTACK_TEST_KILLS", inCI: 20)
                let client = try await installation.makeTenant().test
                try await client.sell("api", unitCost: 3)
                var journal = Journal(client: client, seed: seed)
                for user in Journal.users { try await journal.grant(user, 2_000) }
                for round in 0..<rounds {
                    try await journal.run(round: round, killing: installation)
                    try await installation.startServer()
                    try await journal.decideUnknowns(round: round)
                    try await journal.expectBalances("seed \(seed), round \(round)")
                }
                #expect(journal.interrupted > 0, "seed \(seed): no request was ever interrupted")
                try await journal.expectLedger("seed \(seed)")
                #expect(await installation.stopServer() == 0)
                let books = try await installation.run("verify")
                #expect(books.status == 0, "seed \(seed): \(books.output)")
                #expect(books.output.contains("The books are clean"), "seed \(seed): \(books.output)")
            }
        }

        @Test("A server that is asked to stop answers the requests that it has accepted and exits with 0")
        func stopped() async throws {
            try await withInstallation { installation in
                let client = try await installation.makeTenant().test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 100_000).expect(201)
                let answered = Counter()
                let statuses = try await withThrowingTaskGroup(of: Int?.self) { group in
                    for number in 0..<64 {
                        group.addTask {
                            let status = try? await client.use("alice", "api", key: "k\(number)").status
                            _ = answered.next()
                            return status
                        }
                    }
                    try await waitUntil("some are answered", within: 10) { answered.value > 4 }
                    #expect(await installation.stopServer() == 0)
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                try await installation.startServer()
                for number in 0..<64 { try await client.use("alice", "api", key: "k\(number)").expect(201) }
                #expect(statuses.allSatisfy { $0 == nil || $0 == 201 || $0 == 202 || $0 == 503 }, "\(statuses)")
                #expect(try await client.balance("alice")["balance"] == 99_936)
            }
        }
    }
}

/// A client's knowledge of its own requests: each has a key, and is decided or unknown.
private struct Journal {
    static let users = (0..<6).map { "user-\($0)" }

    struct Use: Sendable {
        let key: String
        let user: String
        let units: Int64
        var json: JSONValue { event(user, "api", units, key: key) }
    }

    enum Outcome: Equatable {
        case used(id: String)
        case refused
    }

    let client: Client
    let seed: UInt64
    var granted: [String: Int64] = [:]
    var decided: [String: (use: Use, outcome: Outcome)] = [:]
    var unknown: [[Use]] = []
    /// The number of requests without an answer.
    var interrupted = 0

    init(client: Client, seed: UInt64) {
        self.client = client
        self.seed = seed
    }

    mutating func grant(_ user: String, _ credits: Int64) async throws {
        try await client.grant(user, credits).expect(201)
        granted[user, default: 0] += credits
    }

    /// Sends single uses and batches from 16 clients, and kills the server when some have been answered.
    mutating func run(round: Int, killing installation: Installation) async throws {
        var random = SeededGenerator(seed: seed &+ UInt64(round))
        let killAfter = Int.random(in: 0...60, using: &random)
        let requests = (0..<16).map { sender in
            (0..<8).map { number -> [Use] in
                let size = random.chance(25) ? Int.random(in: 2...12, using: &random) : 1
                return (0..<size).map { index in
                    Use(
                        key: "\(round)-\(sender)-\(number)-\(index)", user: random.pick(Self.users),
                        units: Int64.random(in: 0...9, using: &random))
                }
            }
        }
        let client = client
        let answered = Counter()
        let sent = await withTaskGroup(of: [(uses: [Use], answer: Answer?)].self) { group in
            for sender in requests {
                group.addTask {
                    var sent: [(uses: [Use], answer: Answer?)] = []
                    for uses in sender {
                        let answer = try? await Self.send(uses, client)
                        sent.append((uses, answer))
                        guard answer != nil else { break }
                        if answered.next() == killAfter + 1 { await installation.killServer() }
                    }
                    return sent
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        await installation.killServer()
        for (uses, answer) in sent {
            if answer == nil { interrupted += 1 }
            if !record(uses, answer) { unknown.append(uses) }
        }
    }

    /// Repeats unknown requests with their keys until they are decided, and some decided ones, which must keep their
    /// result.
    mutating func decideUnknowns(round: Int) async throws {
        while let uses = unknown.popLast() {
            for attempt in 0... {
                if record(uses, try await Self.send(uses, client)) { break }
                try #require(attempt < 20, "seed \(seed), round \(round): \(uses) stays undecided")
            }
        }
        for (use, outcome) in decided.values.prefix(20) {
            let again = try await Self.send([use], client)
            #expect(again.isReplay, "seed \(seed), round \(round), \(use): \(again)")
            #expect(Self.outcome(again.status, again["id"]?.text) == outcome, "seed \(seed), round \(round), \(use)")
        }
    }

    private static func send(_ uses: [Use], _ client: Client) async throws -> Answer {
        if uses.count == 1 { return try await client.post("/v1/usage", uses[0].json) }
        return try await client.post("/v1/usage/batch", ["events": .array(uses.map(\.json))])
    }

    private static func outcome(_ status: Int, _ id: String?) -> Outcome? {
        switch (status, id) {
        case (201, let id?): .used(id: id)
        case (402, _): .refused
        default: nil
        }
    }

    /// Records the decisions in an answer; false when a use is still unknown.
    private mutating func record(_ uses: [Use], _ answer: Answer?) -> Bool {
        guard let answer else { return false }
        let outcomes: [Outcome?]
        if uses.count == 1 {
            outcomes = [Self.outcome(answer.status, answer["id"]?.text)]
        } else {
            outcomes = (answer["results"]?.items ?? []).map { result in
                Self.outcome(
                    result[path: "error.status"]?.integer.map(Int.init) ?? 201, result[path: "id"]?.text)
            }
        }
        guard outcomes.count == uses.count else { return false }
        for (use, outcome) in zip(uses, outcomes) {
            guard let outcome else { continue }
            if let before = decided[use.key] {
                #expect(before.outcome == outcome, "seed \(seed): \(use) was \(before.outcome), is \(outcome)")
            }
            decided[use.key] = (use, outcome)
        }
        return outcomes.allSatisfy { $0 != nil }
    }

    private func used(by user: String) -> [Use] {
        decided.values.compactMap { use, outcome in use.user == user && outcome != .refused ? use : nil }
    }

    func expectBalances(_ comment: String) async throws {
        for user in Self.users {
            let spent = used(by: user).reduce(0) { $0 + $1.units * 3 }
            let balance = try await client.balance(user).expect(200)
            #expect(balance["balance"] == .integer((granted[user] ?? 0) - spent), "\(comment), \(user)")
        }
    }

    /// Expects every decided use in the ledger once, and nothing else.
    func expectLedger(_ comment: String) async throws {
        for user in Self.users {
            let keys = try await client.ledger(user, type: "use").compactMap { $0[path: "idempotency_key"]?.text }
            #expect(keys.sorted() == used(by: user).map(\.key).sorted(), "\(comment), \(user)")
        }
    }
}
