import ChildProcesses
import Credits
import Glibc
import JSON
import Postgres
import RabbitMQ
import TCPProxy
import Testing

extension Acceptance.Processes {
    /// Changes by time are recorded on time, whichever scheduler runs.
    @Suite struct SchedulerTests {
        @Test("A block expires without any request, and its entry is stamped with the instant at which it was due")
        func nobodyAsks() async throws {
            try await withInstallation { installation in
                let client = try await installation.makeTenant().test
                try await client.grant("alice", 5).expect(201)
                let first = try await client.grant("alice", 7, expiresAfter: "PT1S").expect(201)
                let second = try await client.grant("bob", 9, expiresAfter: "PT2S").expect(201)
                try await waitUntil("both expiries are written") { try await expiries(installation).count == 2 }
                let written = try await expiries(installation)
                #expect(written.map(\.amount) == [-7, -9])
                for (expiry, grant) in zip(written, [first, second]) {
                    #expect("\(expiry.effectiveAt)" == (try grant.text("block.expires_at")))
                    let lateness = expiry.recordedAt.microseconds - expiry.effectiveAt.microseconds
                    #expect((0..<10_000_000).contains(lateness))
                }
                #expect(try await client.balance("alice").expect(200)["version"] == 3)
                let node = try await client.get("/metrics")
                let metrics = String(decoding: node.bytes, as: UTF8.self)
                #expect(metrics.contains("quotastack_scheduler_active 1\n"))
                #expect(metrics.contains("quotastack_scheduler_accounts_total 2\n"), "each account is sent once")
            }
        }

        @Test("A requested checkpoint is made, answers stay what they were, and verify compares it with the entries")
        func checkpoints() async throws {
            try await withInstallation { installation in
                let client = try await installation.makeTenant().test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 100).expect(201)
                for _ in 0..<3 { try await client.use("alice", "api", 2).expect(201) }
                let calls = [
                    "/v1/usage?end_user_id=alice&group_by=feature", "/v1/ledger/export?end_user_id=alice",
                    "/v1/credits/blocks?end_user_id=alice",
                ]
                var before: [Answer] = []
                for call in calls { before.append(try await client.get(call).expect(200)) }
                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script(
                        "insert into checkpoint_requests select environment_id, account_id, version from accounts")
                    try await waitUntil("the checkpoint is made") {
                        try await connection.run(PostgresQuery("select sequence from checkpoints")).first?.int64(0) == 4
                    }
                }
                for (call, answer) in zip(calls, before) {
                    #expect(try await client.get(call).expect(200).bytes == answer.bytes, "\(call)")
                }
                #expect(try await installation.run("verify").status == 0)
                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script("update checkpoints set lifetime_granted = 99")
                }
                let books = try await installation.run("verify")
                #expect(books.status == 1 && books.output.contains("checkpoint"), "\(books.output)")
                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script("delete from checkpoints")
                }
            }
        }

        @Test("When the active scheduler is killed or frozen, another takes over; the books are clean afterwards")
        func standby() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                _ = try await installation.startNodes("quotastack-ledger", 1)
                let client = try await installation.makeTenant(through: api).test
                var standby = try await installation.startNodes("quotastack-scheduler", 1)[0]
                try await waitUntil("the first is at work") { try await isActive(standby) }
                let first = standby
                standby = try await installation.startNodes("quotastack-scheduler", 1)[0]
                #expect(try await isActive(standby) == false)

                await first.kill()
                try await client.grant("alice", 1, expiresAfter: "PT1S").expect(201)
                try await waitUntil("the second writes it") { try await expiries(installation).count == 1 }
                #expect(try await isActive(standby))

                try await first.start()
                #expect(try await isActive(first) == false)
                standby.signal(SIGSTOP)
                try await client.grant("alice", 2, expiresAfter: "PT1S").expect(201)
                try await waitUntil("the first writes it") { try await expiries(installation).count == 2 }
                standby.signal(SIGCONT)
                try await client.grant("alice", 3, expiresAfter: "PT1S").expect(201)
                try await waitUntil("one of them writes it") { try await expiries(installation).count == 3 }
                try await waitUntil("one of them is at work") {
                    let active = [try await isActive(first), try await isActive(standby)]
                    return active == [true, false]
                }
                for node in [first, standby] { #expect(await node.stop() == 0) }
                let books = try await installation.run("verify")
                #expect(books.status == 0, "\(books.output)")
            }
        }

        @Test(
            "A scheduler that is killed before or after it has sent is replaced by another one",
            arguments: ["scheduler.after_read:kill:n=4", "scheduler.after_publish:kill:n=4"])
        func failpoints(order: String) async throws {
            try await withInstallation(serves: false) { installation in
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                _ = try await installation.startNodes("quotastack-ledger", 1)
                let client = try await installation.makeTenant(through: api).test
                let mortal = try installation.node("quotastack-scheduler")
                try await mortal.begin(["QUOTASTACK_FAIL": order])
                for number in 0..<20 { try await client.grant("user-\(number)", 1, expiresAfter: "PT1S").expect(201) }
                try await waitUntil("the first has died") { mortal.hasEnded }
                _ = try await installation.startNodes("quotastack-scheduler", 1)
                try await waitUntil("every expiry is written") { try await expiries(installation).count == 20 }
                #expect(try await client.balance("user-0").expect(200)["version"] == 2)
            }
        }

        @Test(
            "A scheduler without a broker yields to another one; if it is alone, it continues after the outage"
        )
        func brokerAway() async throws {
            try await withInstallation(serves: false) { installation in
                let proxy = Proxy(target: installation.amqp.endpoints[0].port)
                defer { proxy.end() }
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                _ = try await installation.startNodes("quotastack-ledger", 1)
                let client = try await installation.makeTenant(through: api).test
                let first = try installation.node("quotastack-scheduler")
                try await first.start(["AMQP_URL": try installation.amqpURL(port: proxy.port)])
                try await waitUntil("the first is at work") { try await isActive(first) }

                // Without another scheduler, commands that become due meanwhile are sent afterwards.
                proxy.freeze()
                proxy.cut()
                try await client.grant("alice", 1, expiresAfter: "PT1S").expect(201)
                try await waitUntil("it is not ready") {
                    try await Client(url: first.url, key: nil).get("/readyz").status == 503
                }
                #expect(try await expiries(installation).isEmpty)
                proxy.thaw()
                try await waitUntil("the expiry is written") { try await expiries(installation).count == 1 }

                let second = try await installation.startNodes("quotastack-scheduler", 1)[0]
                proxy.freeze()
                proxy.cut()
                try await client.grant("alice", 2, expiresAfter: "PT1S").expect(201)
                try await waitUntil("the second writes it") { try await expiries(installation).count == 2 }
                #expect(try await isActive(second))
                proxy.thaw()
                try await waitUntil("the first is ready") {
                    try await Client(url: first.url, key: nil).get("/readyz").status == 200
                }
            }
        }

        private func isActive(_ node: Node) async throws -> Bool {
            try await node.metric("quotastack_scheduler_active") == 1
        }

        /// The expiries of an installation, the earliest due first. They are read from the table, because the API would
        /// advance the account itself.
        private func expiries(_ installation: Installation) async throws -> [Expiry] {
            try await PostgresConnection.lent(installation.database) { connection in
                try await connection.run(
                    PostgresQuery(
                        "select amount, effective_at, recorded_at from entries where type = 'expire' order by 2")
                ).map { row in
                    Expiry(
                        amount: try row.int64(0), effectiveAt: Instant(microseconds: try row.timestamp(1)),
                        recordedAt: Instant(microseconds: try row.timestamp(2)))
                }
            }
        }
    }
}

private struct Expiry: Sendable {
    let amount: Int64
    let effectiveAt: Instant
    let recordedAt: Instant
}
