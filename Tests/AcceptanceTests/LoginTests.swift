import ChildProcesses
import JSON
import Testing

extension Acceptance.Processes {
    /// Processes that log in to the database as users with the rights of one process.
    @Suite struct LoginTests {
        @Test("An installation runs on logins with the roles of one process each, and other logins are refused")
        func separateLogins() async throws {
            try await withInstallation(serves: false) { installation in
                let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 36)
                func url(_ name: String) throws -> [String: String] {
                    let login = "login_\(name)_\(suffix)"
                    return ["DATABASE_URL": try installation.databaseURL(user: login, password: login)]
                }
                try await installation.withLogins([
                    ("login_ledger_\(suffix)", "IN ROLE quotastack_ledger"),
                    ("login_api_\(suffix)", "REPLICATION IN ROLE quotastack_api, quotastack_replica"),
                    ("login_entitlements_\(suffix)", "REPLICATION IN ROLE quotastack_replica"),
                    ("login_scheduler_\(suffix)", "IN ROLE quotastack_scheduler"),
                    ("login_webhooks_\(suffix)", "IN ROLE quotastack_webhooks"),
                    ("login_operator_\(suffix)", "IN ROLE quotastack_operator"),
                ]) {
                    let ledger = try installation.node("quotastack-ledger")
                    try await ledger.start(try url("ledger"))
                    let api = try installation.node("quotastack-api")
                    try await api.start(try url("api"))
                    let checks = try installation.node("quotastack-entitlements")
                    try await checks.start(try url("entitlements"))

                    let scheduler = try installation.node("quotastack-scheduler")
                    try await scheduler.start(try url("scheduler"))
                    let webhooks = try installation.node("quotastack-webhooks")
                    try await webhooks.start(try url("webhooks"))

                    let client = try await installation.makeTenant(through: api).test
                    try await client.sell("api", unitCost: 10)
                    try await client.grant("alice", 100).expect(201)
                    try await client.use("alice", "api", key: "once").expect(201)
                    #expect(try await client.ledger("alice").count == 2)
                    let replay = try await client.use("alice", "api", key: "once").expect(201)
                    #expect(replay.isReplay)
                    let beside = Client(url: checks.url, key: client.key)
                    try await waitUntil("the entitlement node has seen the use", within: 10) {
                        try await beside.check("alice", "api")["balance"] == 90
                    }
                    try await waitUntil("the scheduler is at work") {
                        try await scheduler.metric("quotastack_scheduler_active") == 1
                    }
                    #expect(try await installation.run("verify", with: try url("operator")).status == 0)

                    for (login, role) in [("api", "operator"), ("ledger", "operator"), ("scheduler", "operator")] {
                        let refused = try await installation.run("verify", with: try url(login))
                        #expect(refused.status != 0)
                        #expect(refused.output.contains("permission denied to set role \"quotastack_\(role)\""))
                    }
                    #expect(await api.stop() == 0)
                    #expect(await checks.stop() == 0)
                    #expect(await ledger.stop() == 0)
                    #expect(await scheduler.stop() == 0)
                }
            }
        }
    }
}
