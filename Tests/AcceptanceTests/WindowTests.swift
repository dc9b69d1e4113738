import JSON
import Testing

extension Acceptance {
    /// Quota windows over the days of a zone: the check, the ledger and the clock agree on their ends.
    @Suite struct WindowTests {
        @Test("A daily quota ends with the local day, even one that began at 01:00, for check and use alike")
        func localDay() async throws {
            // The 4th of November 2018 began at 01:00 in São Paulo, which is 03:00 UTC.
            let client = try await clockedClient(
                at: "2018-11-04T03:00:00Z", zone: "America/Sao_Paulo", quota: ["limit": 3, "window": "day"])
            let check = try await client.api.check("alice", "jobs", 3).expect(200)
            #expect(check["allowed"] == true && check["quota.resets_at"] == "2018-11-05T02:00:00.000Z")
            try await client.api.use("alice", "jobs", 3).expect(201)
            try await client.expectExhausted(until: "2018-11-05T02:00:00.000Z", seconds: 23 * 3_600)
            try await client.advance(to: "2018-11-05T01:58:58.999999Z")
            try await client.expectExhausted(until: "2018-11-05T02:00:00.000Z", seconds: 62)
            try await client.advance(to: "2018-11-05T01:59:59.999999Z")
            try await client.expectExhausted(until: "2018-11-05T02:00:00.000Z", seconds: 1)
            try await client.advance(to: "2018-11-05T02:00:00Z")
            let next = try await client.api.check("alice", "jobs", 3).expect(200)
            #expect(next["allowed"] == true && next["quota.used"] == 0)
            #expect(next["quota.resets_at"] == "2018-11-06T02:00:00.000Z")
            try await client.api.use("alice", "jobs", 3).expect(201)
        }

        @Test("A quota from the first use on: the next window opens with the first use after the last has closed")
        func firstUse() async throws {
            let client = try await clockedClient(
                at: "2026-01-01T00:30:00Z", zone: "Asia/Kathmandu",
                quota: ["limit": 1, "window": "PT5H", "anchor": "first_use"])
            try await client.api.use("alice", "jobs").expect(201)
            try await client.expectExhausted(until: "2026-01-01T05:30:00.000Z", seconds: 5 * 3_600)
            try await client.advance(to: "2026-01-03T07:00:00.000001Z")
            try await client.api.use("alice", "jobs").expect(201)
            try await client.expectExhausted(until: "2026-01-03T12:00:00.000001Z", seconds: 5 * 3_600)
        }

        @Test("A refusal without a window has no Retry-After, and a replay has the one of now")
        func retryAfter() async throws {
            let client = try await clockedClient(
                at: "2030-01-01T00:00:00Z", zone: "UTC", quota: ["limit": 1, "window": "day"])
            try await client.api.sell("api", unitCost: 10)
            #expect(try await client.api.use("alice", "api").expect(402).headers["retry-after"] == nil)
            try await client.api.grant("alice", 100).expect(201)
            try await client.api.cap("alice", 5, window: "PT1H").expect(201)
            let refused = try await client.api.use("alice", "api", key: "k").expect(402, "spend_cap_reached")
            #expect(refused.headers["retry-after"] == "3600")
            try await client.advance(to: "2030-01-01T00:10:00Z")
            let replay = try await client.api.use("alice", "api", key: "k").expect(402)
            #expect(replay.isReplay && replay.bytes == refused.bytes && replay.headers["retry-after"] == "3000")
        }

        @Test("A new zone or quota applies from the moment when it is set")
        func changes() async throws {
            let client = try await clockedClient(
                at: "2026-03-28T23:30:00Z", zone: "Europe/Berlin", quota: ["limit": 5, "window": "week"])
            #expect(try await client.resetsAt == "2026-03-29T22:00:00.000Z")
            try await client.api.patch("/v1/config", ["timezone": .null]).expect(200)
            #expect(try await client.resetsAt == "2026-03-30T00:00:00.000Z")
            try await client.api.patch("/v1/features/jobs", ["quota": ["limit": 5, "window": "month"]]).expect(200)
            #expect(try await client.resetsAt == "2026-04-01T00:00:00.000Z")
            try await client.api.patch("/v1/config", ["timezone": "America/New_York"]).expect(200)
            #expect(try await client.resetsAt == "2026-04-01T04:00:00.000Z")
        }

        @Test(
            "A check shows since when a feature's quota counts, which another number keeps and another window changes")
        func since() async throws {
            let client = try await makeTenant().test
            let quota: JSONValue = ["limit": 5, "window": "week"]
            let feature: JSONValue = ["key": "jobs", "name": "Jobs", "type": "metered", "quota": quota]
            let made = try await client.post("/v1/features", feature).expect(201)
            func shown() async throws -> JSONValue? {
                try await client.check("alice", "jobs").expect(200)["limits.0.since"]
            }
            #expect(try await shown() == made["created_at"])
            try await client.patch("/v1/features/jobs", ["quota": quota.with("limit", 9)]).expect(200)
            #expect(try await shown() == made["created_at"])
            let changed = try await client.patch("/v1/features/jobs", ["quota": quota.with("window", "day")]).expect(
                200)
            #expect(try await shown() == changed["updated_at"])
            // An end user's own limit counts its whole window.
            let own: JSONValue = ["unit": "units", "limit": 3, "window": "day"]
            try await client.send("PUT", "/v1/end-users/alice/limits/quota:jobs", bytes: own.bytes).expect(201)
            #expect(try await shown() == nil)
        }

        /// A test environment in a zone. Its end user alice is on a test clock and has a feature with a quota and
        /// without a price.
        private func clockedClient(at now: String, zone: String, quota: JSONValue) async throws -> ClockedClient {
            let api = try await makeTenant().test
            try await api.patch("/v1/config", ["timezone": .string(zone)]).expect(200)
            try await api.post(
                "/v1/features", ["key": "jobs", "name": "Jobs", "type": "metered", "quota": quota]
            ).expect(201)
            let clock = try await api.post("/v1/test-clocks", ["now": .string(now)]).expect(201).text("id")
            try await api.post("/v1/end-users", ["end_user_id": "alice", "test_clock_id": .string(clock)]).expect(201)
            return ClockedClient(api: api, clock: clock)
        }
    }
}

/// A client whose end user alice is on a test clock.
private struct ClockedClient {
    let api: Client
    let clock: String

    func advance(to instant: String) async throws {
        try await api.post("/v1/test-clocks/\(clock)/advance", ["to": .string(instant)]).expect(200)
    }

    var resetsAt: String? {
        get async throws { try await api.check("alice", "jobs").expect(200)["quota.resets_at"]?.text }
    }

    /// Expects that a check, a use and a reservation refuse one more unit and name the end of the window, and that the
    /// refusals say in how many seconds of the account's clock it ends.
    func expectExhausted(until instant: String, seconds: Int64) async throws {
        let check = try await api.check("alice", "jobs").expect(200)
        #expect(check["allowed"] == false && check["reason"] == "quota_exceeded")
        #expect(check["quota.resets_at"]?.text == instant && check["quota.remaining"] == 0)
        let use = try await api.use("alice", "jobs").expect(402, "quota_exceeded")
        #expect(use["resets_at"]?.text == instant)
        let job: JSONValue = ["end_user_id": "alice", "feature_key": "jobs", "units": 1]
        for refused in [use, try await api.post("/v1/reservations", job).expect(402, "quota_exceeded")] {
            #expect(refused.headers["retry-after"] == "\(seconds)")
        }
    }
}
