import ChildProcesses
import JSON
import Postgres
import Testing

extension Acceptance {
    /// The settings of an environment.
    @Suite struct ConfigTests {
        @Test("A config shows what is in force; an absent field is kept, null sets back to the default")
        func merge() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            let defaults = config([])
            #expect(try await client.get("/v1/config").expect(200).json == defaults)
            let both = try await client.patch(
                "/v1/config", ["rate_limit_per_second": 1_000_000, "fail_closed_over_ms": 0]
            ).expect(200)
            expectMutationHeaders(both)
            #expect(both.json == config([("rate_limit_per_second", 1_000_000), ("fail_closed_over_ms", 0)]))
            #expect(try await client.get("/v1/config").json == both.json)
            let kept = try await client.patch("/v1/config", .object([:])).expect(200)
            #expect(kept.json == both.json)
            let one = try await client.patch("/v1/config", ["fail_closed_over_ms": .null]).expect(200)
            #expect(one.json == config([("rate_limit_per_second", 1_000_000)]))
            #expect(try await client.get("/v1/config").json == one.json)
            #expect(try await tenant.live.get("/v1/config").json == defaults)
            // While the database is reachable, a check is answered whatever the bound.
            try await client.patch("/v1/config", ["fail_closed_over_ms": 0]).expect(200)
            try await client.check("alice", "api").expect(200)
        }

        @Test("Overage and the time zone are kept, replaced and reset independently")
        func overageAndZone() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            let all = try await client.patch(
                "/v1/config", ["overage_policy": "notify", "overage_limit": 0, "timezone": "America/Sao_Paulo"]
            ).expect(200)
            #expect(
                all.json
                    == config([
                        ("overage_policy", "notify"), ("overage_limit", 0), ("timezone", "America/Sao_Paulo"),
                    ]))
            #expect(try await client.get("/v1/config").json == all.json)
            // CET is also an abbreviation; here it is the name of a zone.
            for zone in ["Europe/Berlin", "CET", "UTC", "Etc/GMT+12", "Asia/Kathmandu"] {
                let changed = try await client.patch("/v1/config", ["timezone": .string(zone)]).expect(200)
                #expect(changed["timezone"]?.text == zone && changed["overage_policy"] == "notify")
            }
            let refused = try await client.patch("/v1/config", ["timezone": "Nowhere", "overage_limit": 5])
            refused.expect(400, "invalid_request")
            #expect(try await client.get("/v1/config")["overage_limit"] == 0)
            let less = try await client.patch("/v1/config", ["overage_policy": .null, "timezone": .null]).expect(200)
            #expect(less["overage_policy"] == "block" && less["timezone"] == "UTC")
            #expect(less.json == config([("overage_limit", 0)]))
            #expect(try await tenant.live.get("/v1/config").json == config([]))
        }

        @Test("A node that lost the database answers from memory, unless the environment forbids answers that old")
        func failClosed() async throws {
            try await withInstallation { installation in
                let (open, closed) = (
                    try await installation.makeTenant().test, try await installation.makeTenant().test
                )
                for client in [open, closed] {
                    try await client.sell("api", unitCost: 1)
                    try await client.grant("alice", 100).expect(201)
                }
                try await closed.patch("/v1/config", ["fail_closed_over_ms": 100]).expect(200)
                try await closed.check("alice", "api").expect(200)
                try await installation.admitConnections(false)
                try await waitUntil("the environment is closed", within: 20) {
                    try await closed.check("alice", "api").status == 503
                }
                let refused = try await closed.check("alice", "api").expect(503, "replica_behind")
                #expect(refused.headers["retry-after"] == "1")
                #expect(try refused.text("detail").contains("fail_closed_over_ms"))
                #expect(try await open.check("alice", "api").expect(200)["balance"] == 100)
                try await installation.admitConnections(true)
                try await waitUntil("the environment is open again", within: 30) {
                    try await closed.check("alice", "api").status == 200
                }
            }
        }
    }
}

/// A config with every other field at its default.
private func config(_ members: [(String, JSONValue)]) -> JSONValue {
    let defaults: [(key: String, value: JSONValue)] = [
        ("overage_policy", "block"), ("overage_limit", .null), ("timezone", "UTC"), ("rate_limit_per_second", .null),
        ("fail_closed_over_ms", .null), ("default_plan_variant_id", .null), ("fallback_variant_id", .null),
        ("balance_low_thresholds", []), ("expiring_soon_hours", 72), ("record_event_types", .null),
        ("create_end_users", "implicit"),
    ]
    return .object(
        JSONObject(
            members: defaults.map { name, value in (key: name, value: members.first { $0.0 == name }?.1 ?? value) }))
}
