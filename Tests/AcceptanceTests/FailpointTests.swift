import ChildProcesses
import Glibc
import JSON
import Postgres
import Testing

extension Acceptance.Processes {
    /// Processes that end or freeze at a given instruction.
    @Suite struct FailpointTests {
        @Test("A command that kills every worker it comes to is parked; its neighbours are applied")
        func poison() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let worker = try await installation.startNodes("quotastack-ledger", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                let neighbours = (0..<8).map { "neighbour-\($0)" }
                for endUser in neighbours + ["poison"] { try await client.grant(endUser, 100).expect(201) }
                #expect(await worker.stop() == 0)

                // All commands wait in the queues when the first worker starts.
                var operations: [String] = []
                for endUser in neighbours + ["poison"] + neighbours {
                    let events = JSONValue.object([
                        "end_user_id": .string(endUser), "feature_key": "api", "units": 1,
                    ])
                    let answer = try await client.post("/v1/usage", events, headers: ["Prefer": "respond-async"])
                    operations.append(try answer.expect(202).text("operation.id"))
                }
                let poison = operations[neighbours.count]
                var deaths = 0
                while try await client.status(of: poison) == "pending" {
                    try await worker.begin(["QUOTASTACK_FAIL": "worker.during_decide:kill:subject=poison"])
                    try await waitUntil("the worker dies or the command is parked") {
                        if worker.hasEnded { return true }
                        return try await client.status(of: poison) != "pending"
                    }
                    if worker.hasEnded { deaths += 1 }
                    try #require(deaths < 20)
                }
                #expect(deaths >= 3)
                for operation in operations where operation != poison {
                    try await waitUntil("\(operation) is decided") {
                        try await client.status(of: operation) == "succeeded"
                    }
                }
                #expect(try await client.status(of: poison) == "failed")
                #expect(try await client.balance("poison")["balance"] == 100)
                for endUser in neighbours { #expect(try await client.balance(endUser)["balance"] == 98) }
                let books = try await installation.run("verify")
                #expect(books.output.contains("1 commands are parked"), "\(books.output)")
            }
        }

        @Test("Two commands of a batch that kill workers are parked, the rest is applied, and none is redelivered")
        func poisonedBatch() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try installation.node("quotastack-api")
                try await api.start(["QUOTASTACK_COMMAND_WAIT_MS": "1000"])
                let worker = try await installation.startNodes("quotastack-ledger", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                let neighbours = (0..<12).map { "neighbour-\($0)" }
                for endUser in neighbours + ["poison"] {
                    try await waitUntil("\(endUser) has credits") {
                        try await client.grant(endUser, 100, key: endUser).status == 201
                    }
                }
                #expect(await worker.stop() == 0)
                // Some of the neighbours are in the same message as the two commands that kill.
                let order = neighbours.prefix(4) + ["poison"] + neighbours[4..<8] + ["poison"] + neighbours.suffix(4)
                let events = order.enumerated().map { event($1, "api", 1, key: "k\($0)") }
                try await client.post("/v1/usage/batch", ["events": .array(events)]).expect(200)

                let failing = ["QUOTASTACK_FAIL": "worker.during_decide:kill:subject=poison"]
                var deaths = 0
                while try await parkedCount(installation) < 2 {
                    try await worker.begin(failing)
                    try await waitUntil("the worker dies or both are parked") {
                        if worker.hasEnded { return true }
                        return try await parkedCount(installation) == 2
                    }
                    if worker.hasEnded { deaths += 1 }
                    try #require(deaths < 20)
                }
                for endUser in neighbours {
                    try await waitUntil("\(endUser) is charged") { try await client.balance(endUser)["balance"] == 99 }
                }
                #expect(await worker.stop() == 0)
                // A parked command must not be delivered again, or this worker dies.
                try await worker.start(failing)
                for endUser in neighbours {
                    try await waitUntil("\(endUser) is charged again") {
                        try await client.use(endUser, "api", 1, key: "again-\(endUser)").status == 201
                    }
                }
                #expect(try await client.balance("poison")["balance"] == 100)
                #expect(!worker.hasEnded)
                #expect(try await parkedCount(installation) == 2)
            }
        }

        private func parkedCount(_ installation: Installation) async throws -> Int64 {
            try await PostgresConnection.lent(installation.database) { connection in
                try await connection.run(PostgresQuery("select count(*) from parked_commands")).first?.int64(0) ?? 0
            }
        }

        @Test(
            "A lost reply is found in the database, and a key of another request is still refused")
        func lostReply() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let worker = try await installation.startNodes("quotastack-ledger", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 100).expect(201)
                #expect(await worker.stop() == 0)
                try await worker.start(["QUOTASTACK_FAIL": "worker.after_commit:freeze:n=1"])
                let start = ContinuousClock.now
                // A request id that never changes must not make a replay look like a first answer.
                func use(_ units: Int64) async throws -> Answer {
                    let use: JSONValue = ["end_user_id": "alice", "feature_key": "api", "units": .integer(units)]
                    return try await client.post("/v1/usage", use, key: "k", headers: ["X-Request-Id": "constant"])
                }
                #expect(try await !use(7).expect(201).isReplay)
                #expect(ContinuousClock.now - start < .seconds(9), "not only after the whole wait")
                #expect(try await use(7).expect(201).isReplay)
                let other = try await use(8)
                #expect(other["code"] == "idempotency_key_reuse", "\(other)")
                let found = try await api.metric("quotastack_api_lost_replies_total") ?? 0
                #expect(found >= 3, "\(worker.log)")
                worker.signal(SIGCONT)
                try await client.use("alice", "api", 7, key: "k").expect(201)
                #expect(try await client.balance("alice")["balance"] == 93)
            }
        }

        @Test("After a worker dies between commit and acknowledgement, the next worker gives the same answer")
        func diesAfterCommit() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let endUsers = (0..<16).map { "user-\($0)" }
                let client: Client
                do {
                    let worker = try await installation.startNodes("quotastack-ledger", 1)[0]
                    client = try await installation.makeTenant(through: api).test
                    try await client.sell("api", unitCost: 1)
                    for endUser in endUsers { try await client.grant(endUser, 100).expect(201) }
                    #expect(await worker.stop() == 0)
                }
                let mortal = try installation.node("quotastack-ledger")
                try await mortal.start(["QUOTASTACK_FAIL": "worker.after_commit:kill:n=1"])
                let standby = try await installation.startNodes("quotastack-ledger", 1)[0]
                // Each worker has some of the shards; the mortal one applies once and dies.
                for endUser in endUsers { try await client.use(endUser, "api", 1, key: endUser).expect(201) }
                #expect(mortal.hasEnded)
                for endUser in endUsers {
                    #expect(try await client.use(endUser, "api", 1, key: endUser).expect(201).isReplay)
                    #expect(try await client.balance(endUser)["balance"] == 99)
                }
                #expect(await standby.stop() == 0)
            }
        }
    }
}

extension Client {
    /// `pending`, `succeeded` or `failed`.
    func status(of operation: String) async throws -> String {
        try await get("/v1/operations/\(operation)").expect(200).text("operation.status")
    }
}
