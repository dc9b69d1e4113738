import ChildProcesses
import JSON
import Testing

extension Acceptance {
    /// The events that an environment is told of, by its configuration.
    @Suite struct EventConfigTests {
        @Test("Thresholds, lead and types are shown, kept, replaced and reset, and an unknown type is refused")
        func settings() async throws {
            let client = try await makeTenant().test
            let defaults = try await client.get("/v1/config").expect(200)
            #expect(defaults["balance_low_thresholds"] == [] && defaults["expiring_soon_hours"] == 72)
            #expect(defaults["record_event_types"] == .null)
            let body: JSONValue = [
                "balance_low_thresholds": [5_000, ["percent": 20]], "expiring_soon_hours": 24,
                "record_event_types": ["credits.used", "balance.low"],
            ]
            let changed = try await client.patch("/v1/config", body).expect(200)
            #expect(changed["balance_low_thresholds"] == body["balance_low_thresholds"])
            #expect(changed["expiring_soon_hours"] == 24)
            #expect(changed["record_event_types"] == body["record_event_types"])
            #expect(try await client.get("/v1/config").json == changed.json)
            for (refused, pointer) in [
                (["record_event_types": ["credits.stolen"]], "/record_event_types/0"),
                (["balance_low_thresholds": [["percent": 0]]], "/balance_low_thresholds/0/percent"),
                (["balance_low_thresholds": [5, 5]], "/balance_low_thresholds"),
                (["expiring_soon_hours": 0], "/expiring_soon_hours"),
            ] as [(JSONValue, String)] {
                let answer = try await client.patch("/v1/config", refused).expect(400, "invalid_request")
                #expect(answer["errors"]?.elements.first?["pointer"] == .string(pointer))
            }
            let reset = try await client.patch(
                "/v1/config",
                ["balance_low_thresholds": .null, "expiring_soon_hours": .null, "record_event_types": .null]
            ).expect(200)
            #expect(reset.json == defaults.json)
        }

        @Test(
            "Only the chosen types are in the feed, with the state of their time, and an end user has thresholds of its own"
        )
        func types() async throws {
            let client = try await makeTenant().test
            try await client.sell("calls", unitCost: 1)
            try await client.patch(
                "/v1/config",
                [
                    "balance_low_thresholds": [50],
                    "record_event_types": ["credits.used", "balance.low", "balance.depleted", "limit.warning"],
                ]
            ).expect(200)
            try await client.grant("alice", 100).expect(201)
            let own = try await client.patch("/v1/end-users/alice", ["balance_low_thresholds": [["percent": 30]]])
            #expect(own.expect(200)["balance_low_thresholds"] == [["percent": 30]])
            let limit = #"{"unit":"units","limit":100,"window":"month","warn_at":[75]}"#
            let shown = try await client.send("PUT", "/v1/end-users/alice/limits/calls", bytes: Array(limit.utf8))
            #expect(shown.expect(201)["warn_at"] == [75])
            try await client.use("alice", "calls", 60).expect(201)
            try await client.use("alice", "calls", 15).expect(201)
            try await client.grant("bob", 60).expect(201)
            try await client.use("bob", "calls", 60).expect(201)
            try await waitUntil("the feed shows all events") { try await client.events().count == 7 }
            let events = try await client.events()
            func types(of endUser: String) -> [String?] {
                events.filter { $0["end_user_id"] == .string(endUser) }.map { $0["type"]?.text }
            }
            #expect(types(of: "alice") == ["credits.used", "credits.used", "limit.warning", "balance.low"])
            #expect(types(of: "bob") == ["credits.used", "balance.low", "balance.depleted"])
            let low = events.first { $0["type"] == "balance.low" }?["data"]
            #expect(low?["threshold"] == 30 && low?["percent"] == 30 && low?["effective_balance"] == 25)
            let warning = events.first { $0["type"] == "limit.warning" }?["data"]
            #expect(warning?["used"] == 75 && warning?["percentage"] == 75 && warning?["limit_key"] == "calls")
            let reset = try await client.patch("/v1/end-users/alice", ["balance_low_thresholds": .null]).expect(200)
            #expect(reset["balance_low_thresholds"] == .null)
        }

        @Test("On a test clock an expiry is told before it, and an exhausted quota is told again when its window ends")
        func time() async throws {
            let client = try await makeTenant().test
            let clock = try await client.post("/v1/test-clocks", ["now": "2030-01-01T00:00:00Z"]).expect(201).text("id")
            try await client.post("/v1/end-users", ["end_user_id": "alice", "test_clock_id": .string(clock)]).expect(
                201)
            try await client.post(
                "/v1/features",
                [
                    "key": "calls", "name": "Calls", "type": "metered",
                    "quota": ["limit": 5, "window": "month", "anchor": "calendar"],
                ]
            ).expect(201)
            try await client.grant("alice", 100, expiresAt: "2030-01-20T00:00:00Z").expect(201)
            try await client.use("alice", "calls", 5).expect(201)
            try await client.post("/v1/test-clocks/\(clock)/advance", ["to": "2030-02-02T00:00:00Z"]).expect(200)
            let expected = [
                "credits.granted", "quota.exhausted", "credits.expiring_soon", "credits.expired", "balance.depleted",
                "quota.reset",
            ]
            try await waitUntil("the feed shows all events") { try await client.events().count == expected.count }
            let events = try await client.events()
            #expect(events.map { $0["type"]?.text } == expected)
            #expect(
                events.suffix(4).map { $0["timestamp"]?.text } == [
                    "2030-01-17T00:00:00.000Z", "2030-01-20T00:00:00.000Z", "2030-01-20T00:00:00.000Z",
                    "2030-02-01T00:00:00.000Z",
                ])
        }
    }
}

extension Client {
    /// The first events of the feed.
    fileprivate func events() async throws -> [JSONValue] {
        try await get("/v1/events", [("limit", "100")]).expect(200).items()
    }
}
