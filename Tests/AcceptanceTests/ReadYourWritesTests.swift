import JSON
import SeededRandom
import Testing

extension Acceptance {
    @Suite struct ReadYourWritesTests {
        /// `QUOTASTACK_TEST_PAIRS` sets the number of mutation and check pairs; the default is what CI can afford.
        @Test("A check right after a mutation shows its effect, for 16 clients at once")
        func neverStale() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            try await client.sell("api", unitCost: 3)
            let pairs = count("QUOTASTACK_TEST_PAIRS", inCI: 2_000)
            let seed = UInt64.random(in: 0...UInt64.max)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        try await run(
                            client, endUser: "user-\(number)", pairs: pairs / 16, seed: seed &+ UInt64(number))
                    }
                }
                try await group.waitForAll()
            }
        }

        private func run(_ client: Client, endUser: String, pairs: Int, seed: UInt64) async throws {
            var random = SeededGenerator(seed: seed)
            var balance: Int64 = 0
            for pair in 0..<pairs {
                let units = Int64.random(in: 0...20, using: &random)
                let answer: Answer
                if random.chance(30) || balance == 0 {
                    answer = try await client.grant(endUser, units * 10 + 1)
                    balance += units * 10 + 1
                    answer.expect(201)
                } else {
                    answer = try await client.use(endUser, "api", units)
                    answer.expect(units * 3 <= balance ? 201 : 402)
                    if units * 3 <= balance { balance -= units * 3 }
                }
                let seen: Answer
                switch random.next() % 3 {
                case 0: seen = try await client.balance(endUser)
                case 1: seen = try await client.check(endUser, "api")
                default:
                    seen = try await client.post(
                        "/v1/entitlements/check", ["end_user_id": .string(endUser), "feature_key": "api"])
                }
                try #require(
                    seen["balance"] == .integer(balance),
                    "seed \(seed), \(endUser), pair \(pair): \(balance) after \(answer), seen \(seen)")
                if let price = seen["estimated_cost"]?.integer {
                    try #require(seen["allowed"] == .bool(price <= balance), "seed \(seed), \(endUser), pair \(pair)")
                }
            }
        }

        @Test("The keys of a new tenant work as soon as they are shown, and so does a new key")
        func keys() async throws {
            let installation = try await SharedInstallation.get()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<24 {
                    group.addTask {
                        for _ in 0..<6 {
                            let tenant = try await installation.makeTenant()
                            try await tenant.test.get("/v1/features").expect(200)
                            let made = try await tenant.live.post("/v1/api-keys", ["name": "K"]).expect(201)
                            let key = installation.client(try made.text("key"))
                            try await key.get("/v1/features").expect(200)
                            try await key.post("/v1/api-keys/\(try made.text("id"))/revoke").expect(200)
                            try await key.get("/v1/features").expect(401)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }

        @Test("A change of the catalogue applies to the next request")
        func catalogue() async throws {
            let client = try await makeTenant().test
            try await client.grant("alice", 1_000_000).expect(201)
            for number in 0..<40 {
                let feature = "f\(number)"
                #expect(try await client.check("alice", feature)["reason"] == "unknown_feature")
                try await client.post("/v1/features", ["key": .string(feature), "name": "F", "type": "metered"]).expect(
                    201)
                #expect(try await client.check("alice", feature)["reason"] == "feature_not_priced")
                for amount in [Int64(5), 8] {
                    try await client.post(
                        "/v1/metering-rules",
                        ["feature_key": .string(feature), "model": "flat", "amount": .integer(amount)]
                    ).expect(201)
                    #expect(try await client.check("alice", feature)["estimated_cost"] == .integer(amount))
                    #expect(try await client.use("alice", feature).expect(201)["cost"] == .integer(amount))
                }
                try await client.patch("/v1/features/\(feature)", ["archived": true]).expect(200)
                #expect(try await client.check("alice", feature)["reason"] == "unknown_feature")
            }
        }
    }
}
