import JSON
import Postgres
import Testing

extension Acceptance {
    /// What an environment can be set to.
    @Suite struct ConfigTests {
        @Test("A config says only what differs from the defaults; absence keeps a field and null takes its default")
        func merge() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            let defaults: JSONValue = ["rate_limit_per_second": .null, "fail_closed_over_ms": .null]
            #expect(try await client.get("/v1/config").expect(200).json == defaults)
            let both = try await client.patch(
                "/v1/config", ["rate_limit_per_second": 1_000_000, "fail_closed_over_ms": 0]
            ).expect(200)
            expectMutationHeaders(both)
            #expect(both.json == ["rate_limit_per_second": 1_000_000, "fail_closed_over_ms": 0])
            #expect(try await client.get("/v1/config").json == both.json)
            let kept = try await client.patch("/v1/config", .object([:])).expect(200)
            #expect(kept.json == both.json)
            let one = try await client.patch("/v1/config", ["fail_closed_over_ms": .null]).expect(200)
            #expect(one.json == ["rate_limit_per_second": 1_000_000, "fail_closed_over_ms": .null])
            #expect(try await client.get("/v1/config").json == one.json)
            #expect(try await tenant.live.get("/v1/config").json == defaults)
            // A check with a live database is answered whatever the bound.
            try await client.patch("/v1/config", ["fail_closed_over_ms": 0]).expect(200)
            try await client.check("alice", "api").expect(200)
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
