import ChildProcesses
import JSON
import Testing

extension Acceptance {
    /// Quotas, caps, overrides and overage: a check announces what a use does.
    @Suite struct EntitlementTests {
        @Test("A check shows every figure that decides, and the same use is decided alike")
        func check() async throws {
            let client = try await makeTenant().test
            try await client.post(
                "/v1/features",
                [
                    "key": "api", "name": "API", "type": "metered",
                    "quota": ["limit": 10, "window": "month", "anchor": "calendar"],
                ]
            ).expect(201)
            try await client.post(
                "/v1/metering-rules", ["feature_key": "api", "model": "per_unit", "unit_cost": 10]
            ).expect(201)
            _ = try await client.make("alice", at: "2030-01-15T12:00:00Z")
            try await client.grant("alice", 1_000).expect(201)
            let cap = try await client.cap("alice", 60, window: "day").expect(201)
            try await client.use("alice", "api", 2).expect(201)

            let allowed = try await client.check("alice", "api", 4).expect(200)
            let expected: [(String, JSONValue)] = [
                ("allowed", true), ("reason", .null), ("estimated_cost", 40), ("balance", 980), ("balance_after", 940),
                ("spendable_balance", 980), ("affordable_units", 4), ("units", 4), ("quantities", .null),
                ("attributes", .object([:])), ("limit", .null), ("overage_policy", "block"),
                ("overage_limit", .null), ("subscription_status", .null), ("quota.limit", 10), ("quota.used", 2),
                ("quota.remaining", 8), ("quota.window", "month"), ("quota.anchor", "calendar"),
                ("spend_caps.0.credits", 60), ("spend_caps.0.spent", 20), ("spend_caps.0.remaining", 40),
                ("spend_caps.0.window", "day"), ("spend_caps.0.feature_key", .null),
            ]
            for (name, value) in expected { #expect(allowed[name] == value, "\(name): \(allowed)") }
            #expect(allowed["spend_caps.0.id"] == cap["id"])
            #expect(allowed["quota.resets_at"] == "2030-02-01T00:00:00.000Z")
            #expect(allowed["spend_caps.0.resets_at"] == "2030-01-16T00:00:00.000Z")

            let capped = try await client.check("alice", "api", 5).expect(200)
            #expect(capped["allowed"] == false && capped["reason"] == "spend_cap_reached")
            #expect(capped["balance_after"] == 980)
            let refused = try await client.use("alice", "api", 5).expect(402, "spend_cap_reached")
            #expect(refused["required"] == 50 && refused["remaining"] == 40)
            #expect(refused["spend_cap_id"] == cap["id"] && refused["resets_at"] == capped["spend_caps.0.resets_at"])
            #expect(try await client.check("alice", "api", 9)["reason"] == "quota_exceeded")
            let beyond = try await client.use("alice", "api", 9).expect(402, "quota_exceeded")
            #expect(beyond["remaining"] == 8 && beyond["resets_at"] == capped["quota.resets_at"])
            try await client.use("alice", "api", 4).expect(201)
            #expect(try await client.check("alice", "api")["affordable_units"] == 0)
        }

        @Test("A spend cap is made, shown with its spending, listed, deleted, and gone")
        func caps() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            _ = try await client.make("alice", at: "2030-01-15T12:00:00Z")
            try await client.grant("alice", 1_000).expect(201)
            let made = try await client.cap("alice", 50, window: "PT1H", feature: "api").expect(201)
            expectMutationHeaders(made)
            #expect(
                made.json.names.sorted() == ["created_at", "credits", "end_user_id", "feature_key", "id", "window"])
            let id = try made.text("id")
            #expect(id.hasPrefix("cap_") && made["feature_key"] == "api" && made["window"] == "PT1H")
            try await client.use("alice", "api", 3).expect(201)
            let shown = try await client.get("/v1/spend-caps/\(id)").expect(200)
            #expect(shown["spent"] == 30 && shown["remaining"] == 20)
            let second = try await client.cap("alice", 70).expect(201)
            let listed = try await client.all("/v1/spend-caps", [("end_user_id", "alice")])
            #expect(listed.map { $0[path: "id"] ?? .null } == [second["id"], made["id"]])
            #expect(listed.last == shown.json)
            #expect(try await client.pages("/v1/spend-caps", [("end_user_id", "alice")], limit: 1).count == 2)

            let deleted = try await client.send("DELETE", "/v1/spend-caps/\(id)").expect(204)
            #expect(deleted.bytes.isEmpty && deleted.position?.isEmpty == false)
            try await client.get("/v1/spend-caps/\(id)").expect(404, "not_found")
            try await client.send("DELETE", "/v1/spend-caps/\(id)").expect(404, "not_found")
            try await client.use("alice", "api", 3).expect(201)
            // The cap of 70 counts the 30 that its day held before it was made.
            try await client.use("alice", "api", 2).expect(402, "spend_cap_reached")
            try await client.use("alice", "api", 1).expect(201)
        }

        @Test("A deletion that is repeated with its key, or asked for later, is answered again")
        func repeatedDeletion() async throws {
            let client = try await makeTenant().test
            let id = try await client.cap("alice", 5).expect(201).text("id")
            let headers = ["Idempotency-Key": "del-1", "Prefer": "respond-async"]
            let accepted = try await client.send("DELETE", "/v1/spend-caps/\(id)", headers: headers).expect(202)
            let operation = try #require(accepted.headers["location"])
            try await waitUntil("\(operation) is decided", within: 10) {
                try await client.get(operation).expect(200)["operation.status"] == "succeeded"
            }
            let result = try await client.get(operation)
            #expect(result["operation.result.status"] == 204 && result["operation.result.body"] == .null)
            let again = try await client.send(
                "DELETE", "/v1/spend-caps/\(id)", headers: ["Idempotency-Key": "del-1"]
            ).expect(204)
            #expect(again.isReplay && again.bytes.isEmpty)
        }

        @Test("An end user is shown with policy, limit and overrides, which a change replaces, keeps or clears")
        func endUsers() async throws {
            let client = try await makeTenant().test
            for (key, type) in [("seats", "limit"), ("sso", "boolean"), ("api", "metered")] {
                try await client.post(
                    "/v1/features", ["key": .string(key), "name": "F", "type": .string(type)]
                ).expect(201)
            }
            let quota: JSONValue = ["limit": 5, "window": "week", "anchor": "first_use"]
            let made = try await client.post(
                "/v1/end-users",
                [
                    "end_user_id": "alice", "name": "Alice", "overage_policy": "notify", "overage_limit": 500,
                    "feature_overrides": [
                        ["feature_key": "sso", "enabled": false], ["feature_key": "seats", "limit": 3],
                        ["feature_key": "api", "quota": quota],
                    ],
                ]
            ).expect(201)
            #expect(made["overage_policy"] == "notify" && made["overage_limit"] == 500)
            #expect(made["test_clock_id"] == .null)
            #expect(
                try made.items("feature_overrides").map { $0[path: "feature_key"]?.text ?? "" } == [
                    "api", "seats", "sso",
                ])
            #expect(made["feature_overrides.0.quota.limit"] == 5 && made["feature_overrides.1.limit"] == 3)
            #expect(made["feature_overrides.2.enabled"] == false)
            #expect(try await client.get("/v1/end-users/alice").expect(200).json == made.json)
            #expect(try await client.all("/v1/end-users") == [made.json])

            let seats = try await client.check("alice", "seats", 3).expect(200)
            #expect(seats["allowed"] == true && seats["limit"] == 3 && seats["affordable_units"] == 3)
            #expect(try await client.check("alice", "seats", 4)["reason"] == "quota_exceeded")
            #expect(try await client.check("alice", "sso")["reason"] == "feature_not_in_plan")
            #expect(try await client.check("bob", "sso")["allowed"] == true)
            try await client.use("alice", "seats").expect(409, "feature_not_priced")
            try await client.use("alice", "api", 5).expect(201)
            try await client.use("alice", "api", 1).expect(402, "quota_exceeded")

            let changed = try await client.patch(
                "/v1/end-users/alice", ["overage_policy": .null, "feature_overrides": []]
            ).expect(200)
            #expect(changed["overage_policy"] == .null && changed["overage_limit"] == 500 && changed["name"] == "Alice")
            #expect(changed["feature_overrides"] == [])
            #expect(try await client.check("alice", "sso")["allowed"] == true)
        }

        @Test("Many checks are answered at once, in order; all features of an end user are listed by key")
        func many() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.post("/v1/features", ["key": "llm", "name": "LLM", "type": "metered"]).expect(201)
            let dimensions: JSONValue = ["in": ["model": "per_unit", "unit_cost": 3]]
            try await client.post("/v1/metering-rules", ["feature_key": "llm", "dimensions": dimensions]).expect(201)
            try await client.post("/v1/features", ["key": "sso", "name": "SSO", "type": "boolean"]).expect(201)
            try await client.grant("alice", 100).expect(201)
            let batch = try await client.post(
                "/v1/entitlements/check-batch",
                [
                    "checks": [
                        ["end_user_id": "alice", "feature_key": "api", "units": 10],
                        ["end_user_id": "alice", "feature_key": "api", "units": 11],
                        ["end_user_id": "alice", "feature_key": "llm", "quantities": ["in": 30]],
                        ["end_user_id": "alice", "feature_key": "llm", "units": 30],
                        ["end_user_id": "nobody", "feature_key": "sso"],
                    ]
                ]
            ).expect(200)
            let results = try batch.items("results")
            #expect(results.map { $0[path: "allowed"] ?? .null } == [true, false, true, .null, true])
            #expect(results[2][path: "estimated_cost"] == 90 && results[2][path: "affordable_units"] == .null)
            #expect(results[3][path: "error.code"] == "invalid_request")
            #expect(results[3][path: "error.errors.0.pointer"] == "/quantities")
            let single = try await client.post(
                "/v1/entitlements/check",
                ["end_user_id": "alice", "feature_key": "llm", "quantities": ["in": 30], "attributes": ["a": true]]
            ).expect(200)
            #expect(single["quantities"] == ["in": 30] && single["attributes"] == ["a": true])

            let listed = try await client.all("/v1/entitlements", [("end_user_id", "alice")])
            #expect(listed.map { $0[path: "feature_key"]?.text ?? "" } == ["api", "llm", "sso"])
            #expect(listed.map { $0[path: "type"]?.text ?? "" } == ["metered", "metered", "boolean"])
            #expect(listed[0][path: "affordable_units"] == 10)
            #expect(try await client.pages("/v1/entitlements", [("end_user_id", "alice")], limit: 2).count == 2)
            let thousand = JSONValue.array(
                Array(repeating: ["end_user_id": "alice", "feature_key": "api"], count: 1_000))
            #expect(
                try await client.post("/v1/entitlements/check-batch", ["checks": thousand]).expect(200)
                    .items("results").count == 1_000)
        }

        @Test("Usage with quantities and attributes is priced by the row and its dimensions, alone and in a batch")
        func quantities() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "llm", "name": "LLM", "type": "metered"]).expect(201)
            func row(_ match: JSONValue, _ input: Int64, _ output: Int64) -> JSONValue {
                [
                    "match": match,
                    "dimensions": [
                        "input": ["model": "per_unit", "unit_cost": .integer(input), "per_units": 1_000],
                        "output": ["model": "per_unit", "unit_cost": .integer(output), "per_units": 1_000],
                    ],
                ]
            }
            try await client.post(
                "/v1/metering-rules",
                [
                    "feature_key": "llm",
                    "price_rows": [row(["model": "large"], 30, 150), row(.object([:]), 3, 15)],
                ]
            ).expect(201)
            try await client.grant("alice", 100_000).expect(201)
            let large: JSONValue = [
                "end_user_id": "alice", "feature_key": "llm", "quantities": ["input": 1_001, "output": 10],
                "attributes": ["model": "large"], "idempotency_key": "one",
            ]
            let used = try await client.post("/v1/usage", large).expect(201)
            #expect(used["cost"] == 33 && used["units"] == .null && used["attributes"] == ["model": "large"])
            #expect(used["quantities"] == ["input": 1_001, "output": 10])
            #expect(used["entry.quantities"] == ["input": 1_001, "output": 10])
            let batch = try await client.post(
                "/v1/usage/batch",
                ["events": [large, large.with("idempotency_key", "two").with("attributes", ["model": "small"])]]
            ).expect(200)
            #expect(batch["replayed"] == 1 && batch["accepted"] == 1)
            #expect(batch["results.0.id"] == used["id"])
            let lines =
                large.with("idempotency_key", "three").bytes + [10] + large.with("attributes", .object([:])).bytes
            let many = try await client.send(
                "POST", "/v1/usage/batch", bytes: lines, contentType: "application/x-ndjson"
            ).expect(200)
            #expect(many["accepted"] == 1 && many["results.1.error.code"] == "idempotency_key_reuse")
            #expect(try await client.balance("alice")["balance"] == .integer(100_000 - 33 - 5 - 33))
        }
    }
}
