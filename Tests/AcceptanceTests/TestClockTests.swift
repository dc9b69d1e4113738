import ChildProcesses
import Credits
import JSON
import Postgres
import Testing

extension Acceptance {
    /// Clocks that stand still until a client advances them.
    @Suite struct TestClockTests {
        @Test("A clock shows the time that was set, never goes back, and a repeated request moves nothing")
        func life() async throws {
            let client = try await makeTenant().test
            let made = try await client.post("/v1/test-clocks", ["now": "2026-01-01T01:00:00+01:00"]).expect(201)
            expectMutationHeaders(made)
            let path = "/v1/test-clocks/\(try made.text("id"))"
            #expect(try made.text("id").hasPrefix("clk_") && made["now"] == "2026-01-01T00:00:00.000Z")
            #expect(try await client.get(path).expect(200).json == made.json)
            let moved = try await client.post(
                path + "/advance", ["to": "2027-06-01T00:00:00.000001Z"], key: "once"
            ).expect(200)
            expectMutationHeaders(moved)
            #expect(moved["now"] == "2027-06-01T00:00:00.000001Z" && moved["id"] == made["id"])
            try await client.post(path + "/advance", ["to": "2028-01-01T00:00:00Z"]).expect(200)
            let again = try await client.post(path + "/advance", ["to": "2027-06-01T00:00:00.000001Z"], key: "once")
            #expect(again.headers["x-idempotent-replayed"] == "true" && again.json == moved.json)
            #expect(try await client.get(path)["now"] == "2028-01-01T00:00:00.000Z")
            let back = try await client.post(path + "/advance", ["to": "2027-12-31T23:59:59.999999Z"])
            #expect(back.expect(400, "invalid_request")["errors.0.pointer"] == "/to")
            #expect(try await client.get(path)["now"] == "2028-01-01T00:00:00.000Z")
            // An advance to the present time is accepted.
            try await client.post(path + "/advance", ["to": "2028-01-01T00:00:00Z"]).expect(200)
        }

        @Test(
            "When an advance is answered, all due changes of the end users on the clock, and of no others, are written"
        )
        func followers() async throws {
            let client = try await makeTenant().test
            let clock = try await client.post("/v1/test-clocks", ["now": "2026-01-31T00:00:00Z"]).expect(201)
            let (id, path) = (try clock.text("id"), "/v1/test-clocks/\(try clock.text("id"))/advance")
            let users = (0..<9).map { "user-\($0)" }
            for user in users {
                let made = try await client.post(
                    "/v1/end-users", ["end_user_id": .string(user), "test_clock_id": .string(id)]
                ).expect(201)
                #expect(made["test_clock_id"]?.text == id)
                let granted = try await client.grant(user, 10, expiresAfter: "P1M").expect(201)
                #expect(granted["block.expires_at"] == "2026-02-28T00:00:00.000Z")
            }
            try await client.grant("outsider", 10, expiresAfter: "P1M").expect(201)

            try await client.post(path, ["to": "2026-02-27T23:59:59.999999Z"]).expect(200)
            for user in users { #expect(try await client.balance(user)["balance"] == 10) }
            let moved = try await client.post(path, ["to": "2036-01-01T00:00:00Z"], key: "years").expect(200)
            #expect(moved["now"] == "2036-01-01T00:00:00.000Z")
            // The tables are read, because the API would advance the account itself.
            #expect(try await expiries(clock: id) == users.count)
            for user in users {
                let balance = try await client.balance(user)
                #expect(balance["balance"] == 0 && balance["as_of"] == "2036-01-01T00:00:00.000Z")
                #expect(balance["version"] == 2)
                let expired = try await client.ledger(user, type: "expire")
                #expect(expired.map { $0[path: "effective_at"]?.text } == ["2026-02-28T00:00:00.000Z"])
            }
            #expect(try await client.balance("outsider")["balance"] == 10)

            // An asynchronous request is answered when every queue has accepted the commands.
            try await client.grant(users[0], 10, expiresAfter: "P1D").expect(201)
            let accepted = try await client.post(
                path, ["to": "2036-02-01T00:00:00Z"], headers: ["Prefer": "respond-async"]
            ).expect(202)
            let operation = try #require(accepted.headers["location"])
            #expect(try await client.get(operation).expect(200)["operation.status"] == "succeeded")
            try await waitUntil("the end user has followed") {
                try await client.ledger(users[0], type: "expire").count == 2
            }
        }

        /// The number of expire entries of the accounts on a clock.
        private func expiries(clock: String) async throws -> Int {
            let bits = try #require(PublicID(.testClock, parsing: clock)).bits
            return try await PostgresConnection.lent(try await SharedInstallation.get().database) { connection in
                try await connection.run(
                    PostgresQuery(
                        """
                        select from entries e join accounts a using (environment_id, account_id)
                        where e.type = 'expire' and a.test_clock_id = $1
                        """, [.uuid(high: bits.high, low: bits.low)])
                ).rowCount
            }
        }

        @Test("No instant after the year 9999 is accepted, and none is shown")
        func endOfTime() async throws {
            let client = try await makeTenant().test
            for text in ["9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z", "+10000-01-01T00:00:00Z"] {
                let refused = try await client.post("/v1/test-clocks", ["now": .string(text)])
                #expect(refused.expect(400, "invalid_request")["errors.0.pointer"] == "/now")
            }
            let clock = try await client.make("alice", at: "9999-12-31T22:30:00Z")
            try await client.patch("/v1/config", ["timezone": "Asia/Tokyo"]).expect(200)
            let quota: JSONValue = ["limit": 900, "window": "P10Y", "anchor": "first_use"]
            try await client.post(
                "/v1/features", ["key": "api", "name": "API", "type": "metered", "quota": quota]
            ).expect(201)
            let effective: JSONValue = "2026-01-01T00:00:00Z"
            try await client.post(
                "/v1/metering-rules",
                ["feature_key": "api", "model": "per_unit", "unit_cost": 1, "effective_from": effective]
            ).expect(201)
            let late = try await client.grant("alice", 100, expiresAfter: "P1D").expect(400, "invalid_request")
            #expect(late["errors.0.pointer"] == "/expires_after")
            #expect(try late.text("detail").contains("9999-12-31T23:59:59.999999Z"))
            try await client.grant("alice", 100, expiresAfter: "PT1H").expect(201)
            let cap: JSONValue = ["end_user_id": "alice", "credits": 50, "window": "month"]
            let job: JSONValue = ["end_user_id": "alice", "feature_key": "api", "units": 9, "ttl_seconds": 86_400]
            let user = [("end_user_id", "alice" as String?)]
            var answers = [
                try await client.post("/v1/spend-caps", cap).expect(201),
                try await client.post("/v1/reservations", job).expect(201),
                try await client.use("alice", "api", 2).expect(201),
                try await client.check("alice", "api", 900).expect(200),
                try await client.use("alice", "api", 900).expect(402, "quota_exceeded"),
                try await client.use("alice", "api", 60).expect(402, "spend_cap_reached"),
                try await client.get("/v1/spend-caps", user), try await client.get("/v1/credits/blocks", user),
                try await client.get("/v1/usage", user + [("group_by", "day")]).expect(200),
                try await client.get("/v1/ledger/explain", user + [("feature_key", "api")]).expect(200),
            ]
            try await clock.advance(to: "9999-12-31T23:59:59.999999Z")
            answers += [
                try await client.balance("alice"), try await client.check("alice", "api").expect(200),
                try await client.get("/v1/ledger", user).expect(200), try await client.get("/v1/reservations", user),
                try await client.get("/v1/entitlements", user).expect(200),
            ]
            for answer in answers {
                let text = String(decoding: answer.bytes, as: UTF8.self)
                #expect(text.firstMatch(of: /[0-9]{5}-[0-9]{2}-[0-9]{2}/) == nil, "\(text)")
            }
            #expect(answers.contains { String(decoding: $0.bytes, as: UTF8.self).contains("9999-12-31") })
        }

        @Test("A live environment refuses test clocks")
        func testModeOnly() async throws {
            let tenant = try await makeTenant()
            let clock = try await tenant.test.post("/v1/test-clocks", ["now": "2026-01-01T00:00:00Z"]).expect(201)
            let path = "/v1/test-clocks/\(try clock.text("id"))"
            try await tenant.live.post("/v1/test-clocks", ["now": "2026-01-01T00:00:00Z"]).expect(403, "test_mode_only")
            try await tenant.live.get(path).expect(403, "test_mode_only")
            try await tenant.live.post(path + "/advance", ["to": "2027-01-01T00:00:00Z"]).expect(403, "test_mode_only")
        }
    }
}
