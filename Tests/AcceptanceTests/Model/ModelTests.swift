import Credits
import LedgerModel
import JSON
import Testing

extension Acceptance {
    @Suite struct ModelTests {
        /// `QUOTASTACK_TEST_COMMANDS` sets the number of commands (the default is what CI can afford), and
        /// `QUOTASTACK_TEST_SEED` repeats a failure.
        @Test("Random commands are answered as the written rules say")
        func random() async throws {
            let client = try await makeTenant().test
            let features = try await sell(client)
            let commands = count("QUOTASTACK_TEST_COMMANDS", inCI: 3_000)
            let seed = variable("QUOTASTACK_TEST_SEED").flatMap(UInt64.init) ?? UInt64.random(in: 0...UInt64.max)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        var run = ModelRun(
                            client: client, endUser: "user-\(number)", isHasty: number % 2 == 0,
                            seed: seed &+ UInt64(number), features: features)
                        do {
                            try await run.run(commands: commands / 16)
                        } catch {
                            Issue.record("QUOTASTACK_TEST_SEED=\(seed): \(error)")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }

        /// Creates the same catalogue in the server and in the model.
        private func sell(_ client: Client) async throws -> [String: ModelLedger.Feature] {
            let start = Instant.now.adding(seconds: -40 * 86_400)
            let recently = Instant.now.adding(seconds: -10 * 86_400)
            let later = Instant.now.adding(seconds: 86_400)
            let prices: [String: [(from: Instant, price: ModelPrice)]] = [
                "calls": [(start, .perUnit(7, per: 1))], "tokens": [(start, .perUnit(3, per: 1_000))],
                "flat": [(start, .flat(250))], "free": [(start, .perUnit(0, per: 1))], "unpriced": [],
                "archived": [(start, .flat(1))],
                "dated": [
                    (start.adding(seconds: 20 * 86_400), .perUnit(2, per: 1)), (recently, .perUnit(5, per: 1)),
                    (later, .perUnit(9, per: 1)),
                ],
            ]
            var features: [String: ModelLedger.Feature] = [:]
            for (key, versions) in prices {
                try await client.post("/v1/features", ["key": .string(key), "name": "F", "type": "metered"]).expect(201)
                for (from, price) in versions {
                    let model: [(String, JSONValue?)] =
                        switch price {
                        case .flat(let amount): [("model", "flat"), ("amount", .integer(amount))]
                        case .perUnit(let cost, let per, _):
                            [("model", "per_unit"), ("unit_cost", .integer(cost)), ("per_units", .integer(per))]
                        default: []
                        }
                    let rule =
                        [
                            ("feature_key", JSONValue.string(key)), ("effective_from", .string(from.description)),
                        ] + model
                    try await client.post("/v1/metering-rules", .members(rule)).expect(201)
                }
                features[key] = ModelLedger.Feature(isArchived: key == "archived", prices: versions)
            }
            try await client.patch("/v1/features/archived", ["archived": true]).expect(200)
            return features
        }
    }
}
