import JSON
import Testing

extension Acceptance {
    /// Environments in which only `POST /v1/end-users` creates end users.
    @Suite struct EndUserCreationTests {
        private func makeStrict() async throws -> Client {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let config = try await client.patch("/v1/config", ["create_end_users": "explicit"]).expect(200)
            #expect(config["create_end_users"] == "explicit")
            return client
        }

        @Test("Every mutation that names an end user who was never created is 404, and nothing is written")
        func refused() async throws {
            let client = try await makeStrict()
            let calls: [(String, JSONValue)] = [
                ("/v1/credits/grant", ["end_user_id": "alice", "credits": 5]),
                ("/v1/credits/grant", ["end_user_id": "alice", "credits": 5, "starts_at": "2999-01-01T00:00:00Z"]),
                ("/v1/topups", ["end_user_id": "alice", "credits": 5, "external_payment_id": "pi_1"]),
                ("/v1/credits/adjust", ["end_user_id": "alice", "amount": 5]),
                ("/v1/credits/transfer", ["from_end_user_id": "alice", "to_end_user_id": "bob", "credits": 5]),
                ("/v1/usage", ["end_user_id": "alice", "feature_key": "api", "units": 0]),
                ("/v1/reservations", ["end_user_id": "alice", "feature_key": "api", "units": 1]),
                ("/v1/spend-caps", ["end_user_id": "alice", "credits": 5, "window": "day"]),
                (
                    "/v1/credits/refund",
                    ["end_user_id": "alice", "usage_id": "use_00000000000000000000000001"]
                ),
            ]
            for (number, (path, body)) in calls.enumerated() {
                let refusal = try await client.post(path, body, key: "\(number)").expect(404, "unknown_end_user", path)
                expectProblem(refusal)
                let again = try await client.post(path, body, key: "\(number)")
                #expect(again.isReplay && again.bytes == refusal.bytes, "\(path)")
            }
            try await client.patch("/v1/end-users/alice", ["name": "A"]).expect(404, "unknown_end_user")
            try await client.balance("alice").expect(404, "unknown_end_user")
            #expect(try await client.all("/v1/end-users").isEmpty)
            let check = try await client.check("alice", "api").expect(200)
            #expect(check["allowed"] == false && check["reason"] == "insufficient_credits")

            try await client.post("/v1/end-users", ["end_user_id": "alice"]).expect(201)
            // The payment of the refused top-up is still free.
            try await client.post(
                "/v1/topups", ["end_user_id": "alice", "credits": 5, "external_payment_id": "pi_1"]
            ).expect(201)
            try await client.use("alice", "api", 5).expect(201)
        }

        @Test("Each item of a batch is refused by itself, and both sides of a transfer must exist")
        func items() async throws {
            let client = try await makeStrict()
            try await client.post("/v1/end-users", ["end_user_id": "alice"]).expect(201)
            let grants = try await client.post(
                "/v1/credits/grant/batch",
                [
                    "grants": [
                        ["end_user_id": "alice", "credits": 5], ["end_user_id": "bob", "credits": 5],
                        ["end_user_id": "alice", "credits": 6],
                    ]
                ]
            ).expect(200)
            #expect(grants["accepted"] == 2 && grants["results.1.error.code"] == "unknown_end_user")
            let uses = try await client.post(
                "/v1/usage/batch", ["events": [event("bob", "api"), event("alice", "api")]]
            ).expect(200)
            #expect(uses["accepted"] == 1 && uses["results.0.error.code"] == "unknown_end_user")
            try await client.transfer("alice", "bob", 1).expect(404, "unknown_end_user")
            try await client.transfer("bob", "alice", 1).expect(404, "unknown_end_user")
            #expect(try await client.balance("alice")["balance"] == 10)
            #expect(try await client.all("/v1/end-users").count == 1)
        }

        @Test("Null goes back to the default, and other values are refused")
        func config() async throws {
            let client = try await makeStrict()
            for (value, pointer) in [("maybe", "/create_end_users"), ("", "/create_end_users")] {
                let refusal = try await client.patch("/v1/config", ["create_end_users": .string(value)])
                #expect(refusal.expect(400, "invalid_request")["errors.0.pointer"]?.text == pointer)
            }
            try await client.patch("/v1/config", ["create_end_users": 1]).expect(400, "invalid_request")
            #expect(try await client.get("/v1/config")["create_end_users"] == "explicit")
            try await client.grant("alice", 1).expect(404, "unknown_end_user")
            let back = try await client.patch("/v1/config", ["create_end_users": .null]).expect(200)
            #expect(back["create_end_users"] == "implicit")
            try await client.grant("alice", 1).expect(201)
            // An end user who came into being by a grant exists for the stricter setting too.
            try await client.patch("/v1/config", ["create_end_users": "explicit"]).expect(200)
            try await client.grant("alice", 1).expect(201)
        }
    }
}
