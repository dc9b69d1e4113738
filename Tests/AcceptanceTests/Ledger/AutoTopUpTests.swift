import ChildProcesses
import Credits
import JSON
import Postgres
import Testing

extension Acceptance {
    /// Automatic top-ups: the rule, its requests, and the events that are written for them.
    @Suite struct AutoTopUpTests {
        private func put(
            _ client: Client, _ endUser: String, _ rule: JSONValue, key: String? = nil
        ) async throws -> Answer {
            try await client.send(
                "PUT", "/v1/end-users/\(endUser)/auto-topup", bytes: rule.bytes,
                headers: key.map { ["Idempotency-Key": $0] } ?? [:])
        }

        private func rule(_ client: Client, _ endUser: String) async throws -> Answer {
            try await client.get("/v1/end-users/\(endUser)/auto-topup")
        }

        private func answer(
            _ client: Client, _ endUser: String, _ request: String, _ more: [(String, JSONValue)] = [],
            key: String? = nil
        ) async throws -> Answer {
            try await client.post(
                "/v1/topups",
                .members(
                    [("end_user_id", .some(.string(endUser))), ("auto_topup_request_id", .some(.string(request)))]
                        + more.map { ($0.0, .some($0.1)) }), key: key)
        }

        private func fail(
            _ client: Client, _ request: String, reason: String? = nil, key: String? = nil
        ) async throws -> Answer {
            try await client.post(
                "/v1/auto-topups/\(request)/failed", .members([("reason", reason.map { .string($0) })]), key: key)
        }

        /// The events of the account that made a request, as text.
        private func events(of request: String) async throws -> [String] {
            let account = try #require(PublicID(.topUpRequest, parsing: request)).account
            let installation = try await SharedInstallation.get()
            return try await PostgresConnection.lent(installation.database) { connection in
                try await connection.run(
                    PostgresQuery(
                        "select concat_ws(' ', sequence, type, data) from events where account_id = $1 order by sequence",
                        [.int64(account.rawValue)])
                ).map { try $0.text(0) }
            }
        }

        @Test("A rule is set, shown, replaced and deleted, and every change is a mutation like any other")
        func life() async throws {
            let client = try await makeTenant().test
            try await client.recordTopUpsOnly()
            let body: JSONValue = [
                "threshold": 100, "credits": 500, "at_most": ["count": 3, "window": "day"], "cooldown_seconds": 60,
                "stop_after_failures": 2,
            ]
            try await client.grant("alice", 1_000).expect(201)
            let made = try await put(client, "alice", body, key: "rule").expect(201)
            expectMutationHeaders(made)
            #expect(
                made.json.names.sorted() == [
                    "at_most", "cooldown_seconds", "credits", "end_user_id", "failures", "last_requested_at",
                    "open_request_id", "stop_after_failures", "suspended", "threshold",
                ])
            #expect(made["at_most"] == ["count": 3, "window": "day"] && made["open_request_id"] == .null)
            #expect(made["failures"] == 0 && made["suspended"] == false && made["end_user_id"] == "alice")
            let again = try await put(client, "alice", body, key: "rule").expect(201)
            #expect(again.isReplay && again.bytes == made.bytes)
            try await put(client, "alice", ["threshold": 1, "credits": 1], key: "rule").expect(
                422, "idempotency_key_reuse")
            #expect(try await rule(client, "alice").expect(200).json == made.json)
            let replaced = try await put(client, "alice", ["threshold": 2, "credits": 1]).expect(200)
            #expect(replaced["at_most"] == .null && replaced["cooldown_seconds"] == 0)
            #expect(replaced["stop_after_failures"] == 3)
            try await client.send("DELETE", "/v1/end-users/alice/auto-topup").expect(204)
            try await client.send("DELETE", "/v1/end-users/alice/auto-topup").expect(404, "not_found")
            try await rule(client, "alice").expect(404, "not_found")
            try await rule(client, "nobody").expect(404, "unknown_end_user")
            // A rule creates its end user, and asks at once.
            let asked = try await put(client, "bob", ["threshold": 2, "credits": 1]).expect(201)
            #expect(try asked.text("open_request_id").hasPrefix("atr_"))
            #expect(try await client.balance("bob").expect(200)["balance"] == 0)
            let log = try await client.all("/v1/audit-log", [("action", "auto_topup.set")])
            #expect(log.map { $0[path: "status"]?.integer } == [201, 200, 201])
            #expect(try await client.all("/v1/audit-log", [("action", "auto_topup.delete")]).count == 2)
        }

        @Test("A request is answered once, by a top-up or by a failure, and its events are written with the change")
        func answers() async throws {
            let client = try await makeTenant().test
            try await client.recordTopUpsOnly()
            try await client.sell("api", unitCost: 10)
            try await client.grant("alice", 150).expect(201)
            try await put(client, "alice", ["threshold": 100, "credits": 500, "stop_after_failures": 1]).expect(201)
            try await client.use("alice", "api", 5).expect(201)
            #expect(try await rule(client, "alice").expect(200)["open_request_id"] == .null)
            try await client.use("alice", "api", 1).expect(201)
            let first = try await rule(client, "alice").expect(200).text("open_request_id")
            let paid = try await answer(
                client, "alice", first, [("external_payment_id", "pay"), ("price_paid", 999)], key: "t"
            ).expect(201)
            #expect(paid["block.original"] == 500 && paid["block.source"] == "topup" && paid["balance"] == 590)
            #expect(
                try await answer(client, "alice", first, [("external_payment_id", "pay"), ("price_paid", 999)]).isReplay
            )
            try await answer(client, "alice", first, [("external_payment_id", "other")]).expect(409, "conflict")
            try await answer(client, "alice", first).expect(409, "conflict")
            try await answer(client, "alice", first, [("external_payment_id", "pay")]).expect(
                409, "payment_already_applied")
            try await fail(client, first).expect(409, "conflict")
            // Another end user's request is unknown.
            try await client.grant("bob", 1).expect(201)
            try await answer(client, "bob", first).expect(404, "not_found")

            try await client.use("alice", "api", 60).expect(402, "insufficient_credits")
            let second = try await rule(client, "alice").expect(200).text("open_request_id")
            let failed = try await fail(client, second, reason: "declined", key: "f").expect(200)
            expectMutationHeaders(failed)
            #expect(failed["status"] == "failed" && failed["reason"] == "declined" && failed["failures"] == 1)
            #expect(failed["suspended"] == true && failed["request_id"]?.text == second)
            #expect(try await fail(client, second, reason: "declined", key: "f").expect(200).isReplay)
            try await fail(client, second, reason: "declined").expect(409, "conflict")
            let shown = try await rule(client, "alice").expect(200)
            #expect(shown["suspended"] == true && shown["failures"] == 1 && shown["open_request_id"] == .null)
            let late = try await answer(client, "alice", second, [("credits", 7)]).expect(201)
            #expect(late["block.original"] == 7)
            #expect(try await rule(client, "alice").expect(200)["suspended"] == false)
            #expect(
                try await events(of: first) == [
                    #"1 topup.requested {"credits":500,"effective_balance":90,"request_id":"\#(first)","threshold":100}"#,
                    #"2 topup.requested {"credits":500,"effective_balance":590,"request_id":"\#(second)","threshold":100}"#,
                    #"3 topup.failed {"failures":1,"reason":"declined","request_id":"\#(second)"}"#,
                    #"4 topup.suspended {"failures":1,"request_id":"\#(second)"}"#,
                ])
            let log = try await client.all("/v1/audit-log", [("action", "auto_topup.fail")])
            #expect(log.map { $0[path: "status"]?.integer } == [409, 200, 409])
        }

        @Test(
            "A package stands for the amount; an archived one is refused when it is asked for, and amounts still work")
        func package() async throws {
            let client = try await makeTenant().test
            try await client.recordTopUpsOnly()
            let package: JSONValue = ["key": "small", "name": "S", "credits": 300, "price": 5, "currency": "EUR"]
            try await client.post("/v1/topup-packages", package).expect(201)
            let made = try await put(client, "alice", ["threshold": 100, "package_key": "small"]).expect(201)
            #expect(made["package_key"] == "small" && made["credits"] == nil)
            let request = try made.text("open_request_id")
            #expect(
                try await events(of: request) == [
                    #"1 topup.requested {"effective_balance":0,"package_key":"small","request_id":"\#(request)","threshold":100}"#
                ])
            try await client.patch("/v1/topup-packages/small", ["archived": true]).expect(200)
            try await put(client, "alice", ["threshold": 100, "package_key": "small"]).expect(404, "not_found")
            try await answer(client, "alice", request).expect(404, "not_found")
            #expect(try await answer(client, "alice", request, [("credits", 42)]).expect(201)["balance"] == 42)
        }

        @Test("64 charges at once below the threshold make exactly one request")
        func race() async throws {
            let client = try await makeTenant().test
            try await client.recordTopUpsOnly()
            try await client.sell("api", unitCost: 10)
            try await client.grant("alice", 640).expect(201)
            try await put(client, "alice", ["threshold": 500, "credits": 100]).expect(201)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<64 { group.addTask { try await client.use("alice", "api", 1).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses == Array(repeating: 201, count: 64))
            let request = try await rule(client, "alice").expect(200).text("open_request_id")
            #expect(
                try await events(of: request) == [
                    #"1 topup.requested {"credits":100,"effective_balance":490,"request_id":"\#(request)","threshold":500}"#
                ])
        }

        @Test("Time makes and ends requests by itself, each at the instant at which it was due")
        func time() async throws {
            let client = try await makeTenant().test
            try await client.recordTopUpsOnly()
            let clock = try await client.make("alice", at: "2030-01-01T10:00:00Z")
            let made = try await put(
                client, "alice",
                [
                    "threshold": 5, "credits": 9, "at_most": ["count": 2, "window": "week"], "cooldown_seconds": 7_200,
                    "stop_after_failures": 3,
                ]
            ).expect(201)
            let first = try made.text("open_request_id")
            try await clock.advance(to: "2030-02-01T00:00:00Z")
            let shown = try await rule(client, "alice").expect(200)
            #expect(shown["suspended"] == true && shown["failures"] == 3 && shown["open_request_id"] == .null)
            // 2030-01-01 is a Tuesday: the week has two requests, and the next begins on the 7th.
            #expect(shown["last_requested_at"] == "2030-01-07T00:00:00.000Z")
            let account = try #require(PublicID(.topUpRequest, parsing: first)).account
            let installation = try await SharedInstallation.get()
            let written = try await PostgresConnection.lent(installation.database) { connection in
                try await connection.run(
                    PostgresQuery(
                        """
                        select type || ' ' || to_char(at at time zone 'UTC', 'MM-DD HH24:MI') from events
                        where account_id = $1 order by sequence
                        """, [.int64(account.rawValue)])
                ).map { try $0.text(0) }
            }
            #expect(
                written == [
                    "topup.requested 01-01 10:00", "topup.failed 01-02 10:00", "topup.requested 01-02 10:00",
                    "topup.failed 01-03 10:00", "topup.requested 01-07 00:00", "topup.failed 01-08 00:00",
                    "topup.suspended 01-08 00:00",
                ])
            // A late answer to the first request lifts the suspension, and asks again.
            let late = try await answer(client, "alice", first, [("credits", 1)]).expect(201)
            #expect(late["balance"] == 1)
            #expect(try await rule(client, "alice").expect(200)["open_request_id"]?.text != nil)
        }

        @Test("The scheduler makes a request without any command")
        func scheduler() async throws {
            let client = try await makeTenant().test
            try await client.recordTopUpsOnly()
            try await client.post(
                "/v1/credits/grant", ["end_user_id": "alice", "credits": 500, "expires_after": "PT2S"]
            ).expect(201)
            try await put(client, "alice", ["threshold": 100, "credits": 9]).expect(201)
            try await waitUntil("the request is shown") {
                try await rule(client, "alice").expect(200)["open_request_id"] != .null
            }
            let request = try await rule(client, "alice").expect(200).text("open_request_id")
            try await waitUntil("its event is written") {
                try await events(of: request).count == 1
            }
        }
    }
}
