import JSON
import Testing

extension Acceptance {
    /// Clocks that stand until somebody moves them.
    @Suite struct TestClockTests {
        @Test("A clock shows what it was told, goes forward and never back, and a repetition moves nothing")
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
            // Where it stands it may be told to stay.
            try await client.post(path + "/advance", ["to": "2028-01-01T00:00:00Z"]).expect(200)
        }

        @Test("Time is real in a live environment")
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
