import ChildProcesses
import JSON
import Testing

extension Acceptance {
    /// Limits that keep one environment from using the capacity of all.
    @Suite struct RateLimitTests {
        @Test("A rate limit bounds the requests per second of its environment and of no other")
        func requestsPerSecond() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            let scoped = try await client.post("/v1/api-keys", ["name": "k", "scopes": ["usage:write"]]).expect(201)
            let meter = Client(url: client.url, key: try scoped.text("key"))
            try await client.patch("/v1/config", ["rate_limit_per_second": 5]).expect(200)
            let start = ContinuousClock.now
            var statuses: [Int: Int] = [:]
            for round in 0..<20 {
                // Requests without the scope and malformed requests count like an answered check.
                let answers = [
                    try await client.check("alice", "api"), try await meter.check("alice", "api"),
                    try await client.post("/v1/credits/grant", ["round": .integer(Int64(round))]),
                    try await client.get("/v1/features"),
                ]
                for answer in answers {
                    statuses[answer.status, default: 0] += 1
                    guard answer.status == 429 else { continue }
                    #expect(answer.headers["retry-after"] == "1")
                    expectProblem(answer.expect(429, "rate_limited"))
                }
            }
            let elapsed = ContinuousClock.now - start
            let passed = 80 - statuses[429, default: 0]
            #expect(passed >= 5 && passed <= 6 + 5 * Int(elapsed.components.seconds + 1), "\(statuses), \(elapsed)")
            for _ in 0..<20 { try await tenant.live.check("alice", "api").expect(200) }
            try await Client(url: client.url, key: nil).get("/healthz").expect(200)

            try await waitUntil("the limit is lifted", within: 10) {
                try await client.patch("/v1/config", ["rate_limit_per_second": .null]).status == 200
            }
            for _ in 0..<20 { try await client.check("alice", "api").expect(200) }
        }

        @Test("A tenant can only lower the operator's limit, which holds for both of its environments")
        func operatorLimit() async throws {
            let installation = try await SharedInstallation.get()
            let tenant = try await makeTenant()
            let path = "/v1/admin/tenants/\(tenant.id)/limits"
            let root = installation.root
            #expect(try await root.get(path).expect(200)["rate_limit_per_second"] == .null)
            try await root.patch(path, ["rate_limit_per_second": 1]).expect(200)
            for client in [tenant.test, tenant.live] { try await Self.untilLimited(client) }
            try await waitUntil("the tenant sets a limit of its own") {
                try await tenant.test.patch("/v1/config", ["rate_limit_per_second": 1_000_000]).status == 200
            }
            try await Self.untilLimited(tenant.test)
            try await root.patch(path, ["rate_limit_per_second": .null]).expect(200)
            try await waitUntil("the tenant's own limit is in force") {
                for _ in 0..<20 where try await tenant.test.get("/v1/features").status != 200 { return false }
                return true
            }
            try await root.patch(path, ["rate_limit_per_second": 1_000_000]).expect(200)
            try await waitUntil("the tenant lowers its limit") {
                try await tenant.test.patch("/v1/config", ["rate_limit_per_second": 1]).status == 200
            }
            try await Self.untilLimited(tenant.test)
            for _ in 0..<20 { try await tenant.live.get("/v1/features").expect(200) }
            try await tenant.live.patch(path, ["rate_limit_per_second": 5]).expect(403, "forbidden_scope")
        }

        /// Sends requests until one is answered 429.
        private static func untilLimited(_ client: Client) async throws {
            try await waitUntil("a request is over the limit") {
                try await client.get("/v1/features").status == 429
            }
        }

        @Test("Undecided commands of one environment for a queue are bounded, and others still have theirs accepted")
        func undecidedCommands() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try installation.node("quotastack-api")
                try await api.start(["QUOTASTACK_COMMAND_WAIT_MS": "60000"])
                let worker = try installation.node("quotastack-ledger")
                try await worker.start()
                let (greedy, modest) = (
                    try await installation.makeTenant(through: api).test,
                    try await installation.makeTenant(through: api).test
                )
                try await greedy.sell("api", unitCost: 1)
                try await greedy.grant("alice", 20_000).expect(201)
                _ = await worker.stop()
                let batches = Task {
                    try await withThrowingTaskGroup(of: Int64.self) { group in
                        for (number, size) in [10_000, 6_380].enumerated() {
                            group.addTask {
                                let events = (0..<size).map { event("alice", "api", 1, key: "\(number)-\($0)") }
                                let answer = try await greedy.post(
                                    "/v1/usage/batch", ["events": .array(events)], headers: ["Prefer": "wait=60"])
                                return answer.expect(200)["accepted"]?.integer ?? 0
                            }
                        }
                        return try await group.reduce(0, +)
                    }
                }
                try await waitUntil("both batches are taken") {
                    try await api.metric("quotastack_api_undecided_commands") == 16_380
                }
                var statuses: [Int: Int] = [:]
                for _ in 0..<8 { statuses[try await Self.grantLater(greedy).status, default: 0] += 1 }
                #expect(statuses == [202: 4, 429: 4])
                let refused = try await Self.grantLater(greedy).expect(429, "rate_limited")
                #expect(refused.headers["retry-after"] == "1")
                expectProblem(refused)
                // Enough end users to reach every queue.
                for number in 0..<50 { try await Self.grantLater(modest, "user_\(number)").expect(202) }
                // Accepted commands are applied, refused ones are not, and then there is room again.
                try await worker.start()
                #expect(try await batches.value == 16_380)
                try await waitUntil("everything is decided") {
                    try await greedy.balance("alice")["balance"] == 3_624
                }
                try await waitUntil("there is room again") { try await Self.grantLater(greedy).status == 202 }
            }
        }

        private static func grantLater(_ client: Client, _ endUser: String = "alice") async throws -> Answer {
            try await client.post(
                "/v1/credits/grant", ["end_user_id": .string(endUser), "credits": 1],
                headers: ["Prefer": "respond-async"])
        }
    }
}
