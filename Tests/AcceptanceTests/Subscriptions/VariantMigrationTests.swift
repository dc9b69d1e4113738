import ChildProcesses
import JSON
import Postgres
import Testing

extension Client {
    func migrate(_ variant: String, _ body: JSONValue = [:], key: String? = nil) async throws -> Answer {
        try await post("/v1/variants/\(variant)/migrate", body, key: key)
    }

    /// The job, once it is done.
    func done(_ migration: Answer) async throws -> Answer {
        let path = "/v1/variant-migrations/\(try migration.text("id"))"
        try await waitUntil("the job is done", within: 60) { try await get(path).expect(200)["status"] == "done" }
        return try await get(path).expect(200)
    }

    /// Subscribes end users with the given numbers, and returns the ids of the subscriptions.
    func subscribe(_ numbers: ClosedRange<Int>, to variant: String) async throws -> [String] {
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for number in numbers {
                group.addTask { (number, try await subscribe("user-\(number)", variant).expect(201).text("id")) }
            }
            return try await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }
}

extension Acceptance {
    /// Jobs that move the subscriptions of a variant.
    @Suite struct VariantMigrationTests {
        /// Makes the variant `pro` in two versions: 15 subscriptions have the first, 15 the second, and three of the first
        /// are paused.
        static func furnish(_ client: Client) async throws -> [String] {
            try await client.sell("api", unitCost: 10)
            try await client.makePlan(
                "pro",
                [
                    "billing_interval": SubscriptionTests.month, "price": 900,
                    "credit_grants": [["credits": 1_000, "cadence": "period"]],
                ])
            try await client.makePlan("max", ["billing_interval": SubscriptionTests.month, "price": 5_000])
            let first = try await client.subscribe(1...15, to: "pro")
            try await client.patch(
                "/v1/variants/pro",
                ["price": 1_200, "credit_grants": [["credits": 3_000, "cadence": "period"]]]
            ).expect(200)
            let second = try await client.subscribe(16...30, to: "pro")
            for id in first.suffix(3) { try await client.act(id, "pause").expect(200) }
            return first + second
        }

        @Test("Subscribers of an older version get the newest one, each with one change, and paused ones are skipped")
        func newestVersion() async throws {
            let client = try await makeTenant().test
            let ids = try await Self.furnish(client)
            let made = try await client.migrate("pro", ["effective": "now", "proration": "restart"], key: "once")
            made.expect(201)
            expectMutationHeaders(made)
            #expect(try made.text("id").hasPrefix("mig_") && made["status"] == "running" && made["total"] == 15)
            #expect(made["to.version"] == 2 && made["to.plan_variant_id"] == made["plan_variant_id"])
            #expect(made["effective"] == "now" && made["proration"] == "restart")
            #expect(made["moved"] == 0 && made["finished_at"] == .null)
            expectInstant(made["created_at"])
            let done = try await client.done(made)
            #expect(done["total"] == 15 && done["moved"] == 12 && done["skipped"] == 3 && done["failed"] == 0)
            expectInstant(done["finished_at"])
            for (index, id) in ids.enumerated() {
                let version: JSONValue = (12..<15).contains(index) ? 1 : 2
                #expect(try await client.subscription(id)["variant_version"] == version)
            }
            #expect(try await client.balance("user-1")["balance"] == 3_000)
            for number in 1...12 {
                let events = try await client.events("user-\(number)", atLeast: 3)
                #expect(events.count { $0 == "subscription.changed" } == 1, "\(number): \(events)")
            }
            #expect(try await client.events("user-16", atLeast: 2).contains("subscription.changed") == false)

            let again = try await client.migrate("pro", ["effective": "now", "proration": "restart"], key: "once")
            #expect(again.isReplay && again.bytes == made.bytes)
            let audit = try await client.all("/v1/audit-log", [("action", "plan_variant.migrate")])
            #expect(audit.count == 1)
            // The log shows each move, and the job as its request.
            let moves = try await client.all("/v1/audit-log", [("action", "subscription.change")])
            #expect(
                moves.count == 15 && moves.allSatisfy { $0[path: "request_id"] == made["id"] }, "\(moves.prefix(2))")
            // Nothing is left to be moved but the paused ones.
            let rest = try await client.done(try await client.migrate("pro").expect(201))
            #expect(rest["total"] == 3 && rest["skipped"] == 3 && rest["effective"] == "period_end")
        }

        @Test("Subscriptions of all versions move to another variant at the end of their periods")
        func otherVariant() async throws {
            let client = try await makeTenant().test
            let ids = try await Self.furnish(client)
            let target = try await client.get("/v1/variants/max").expect(200).text("id")
            try await client.post("/v1/end-users/user-30/erase").expect(200)
            let made = try await client.migrate("pro", ["to": "max"]).expect(201)
            #expect(made["total"] == 29)
            let done = try await client.done(made)
            #expect(done["moved"] == 26 && done["skipped"] == 3 && done["failed"] == 0)
            let moved = try await client.subscription(ids[0])
            #expect(moved["variant_version"] == 1 && moved["pending_change.plan_variant_id"] == .string(target))
            #expect(moved["pending_change.variant_version"] == 1 && moved["status"] == "active")
            #expect(try await client.subscription(ids[14])["pending_change"] == .null)
        }

        @Test("A dry run counts by status and version, shows the terms that differ, and writes nothing")
        func dryRun() async throws {
            let client = try await makeTenant().test
            _ = try await Self.furnish(client)
            let audit = try await client.all("/v1/audit-log")
            let own = try await client.migrate("pro", ["dry_run": .bool(true)], key: "dry").expect(200)
            #expect(own["dry_run"] == .bool(true) && own["total"] == 15 && own["to.version"] == 2)
            #expect(
                own["statuses"] == ["active": 12, "paused": 3] && own["versions"] == [["version": 1, "total": 15]])
            guard case .array(let changes)? = own["changes"] else { return #expect(Bool(false)) }
            #expect(changes.map { $0[path: "term"] } == ["credit_grants", "price"])
            #expect(changes[1] == ["version": 1, "term": "price", "from": 900, "to": 1_200])
            #expect(changes[0][path: "to.0.credits"] == 3_000)
            let other = try await client.migrate("pro", ["to": "max", "dry_run": .bool(true)]).expect(200)
            #expect(other["total"] == 30 && other["effective"] == "period_end")
            #expect(other["versions"] == [["version": 2, "total": 15], ["version": 1, "total": 15]])
            #expect(try await client.all("/v1/audit-log") == audit)
            // The key of a dry run names no command.
            try await client.migrate("max", key: "dry").expect(201)
        }

        @Test("Unknown, archived and unfitting targets are refused, also in a dry run, and no job is made")
        func refused() async throws {
            let client = try await makeTenant().test
            try await client.makePlan("pro", ["billing_interval": SubscriptionTests.month])
            try await client.makePlan("seats", slot: "seats", ["billing_interval": SubscriptionTests.month])
            try await client.makePlan("old", ["billing_interval": SubscriptionTests.month])
            try await client.subscribe("alice", "old").expect(201)
            try await client.patch("/v1/variants/old", ["archived": .bool(true)]).expect(200)
            for isDry in [JSONValue.bool(false), .bool(true)] {
                try await client.migrate("none", ["dry_run": isDry]).expect(404, "not_found")
                for (to, status, code) in [
                    ("none", 404, "not_found"), ("old", 404, "not_found"), ("seats", 409, "invalid_transition"),
                ] {
                    let answer = try await client.migrate("pro", ["to": .string(to), "dry_run": isDry])
                    #expect(answer.expect(status, code)["errors.0.pointer"] == "/to")
                }
                // The archived variant itself is no target, and its subscribers can be moved away.
                try await client.migrate("old", ["dry_run": isDry]).expect(404, "not_found")
            }
            let moved = try await client.done(try await client.migrate("old", ["to": "pro"]).expect(201))
            #expect(moved["moved"] == 1)
            let id = try moved.text("id")
            try await client.get("/v1/variant-migrations/mig_00000000000000000000000000").expect(404, "not_found")
            try await client.get("/v1/variant-migrations/pro").expect(404, "not_found")
            try await makeTenant().test.get("/v1/variant-migrations/\(id)").expect(404, "not_found")
        }

        @Test("A variant has one running job, which waits for an account that is busy")
        func running() async throws {
            try await withInstallation { installation in
                let client = try await installation.makeTenant().test
                try await client.makePlan("pro", ["billing_interval": SubscriptionTests.month])
                try await client.makePlan("max", ["billing_interval": SubscriptionTests.month])
                try await client.subscribe("alice", "pro").expect(201)
                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script("begin; select from accounts for update")
                    let made = try await client.migrate("pro", ["to": "max", "effective": "now"]).expect(201)
                    let second = try await client.migrate("pro", ["to": "max"])
                    #expect(second.expect(409, "conflict")["detail"]?.text?.contains(try made.text("id")) == true)
                    let shown = try await client.get("/v1/variant-migrations/\(try made.text("id"))").expect(200)
                    #expect(shown["status"] == "running" && shown["moved"] == 0)
                    try await connection.script("rollback")
                    #expect(try await client.done(made)["moved"] == 1)
                }
            }
        }
    }
}

extension Acceptance.Processes {
    @Suite struct VariantMigrationTests {
        @Test(
            "A worker that is killed amid a page is replaced, and every subscription is moved and counted once",
            arguments: ["worker.after_commit:kill:n=2", "worker.after_load:kill:n=1", "worker.after_take:kill:n=4"])
        func killed(order: String) async throws {
            try await withInstallation(serves: false) { installation in
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let setter = try await installation.startNodes("quotastack-ledger", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.makePlan("pro", ["billing_interval": Acceptance.SubscriptionTests.month])
                try await client.makePlan("max", ["billing_interval": Acceptance.SubscriptionTests.month])
                let ids = try await client.subscribe(1...210, to: "pro")
                #expect(await setter.stop() == 0)
                let mortal = try installation.node("quotastack-ledger")
                try await mortal.begin(["QUOTASTACK_FAIL": order])
                let made = try await client.migrate("pro", ["to": "max", "effective": "now"], key: "once")
                #expect([201, 202].contains(made.status))
                try await waitUntil("the first has died") { mortal.hasEnded }
                _ = try await installation.startNodes("quotastack-ledger", 1)
                let job = try await client.migrate("pro", ["to": "max", "effective": "now"], key: "once").expect(201)
                let done = try await client.done(job)
                #expect(done["total"] == 210 && done["moved"] == 210 && done["failed"] == 0)
                let target = try await client.get("/v1/variants/max").expect(200)["id"]
                for id in [ids[0], ids[99], ids[209]] {
                    #expect(try await client.subscription(id)["plan_variant_id"] == target)
                }
                let changes = try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.run(
                        PostgresQuery(
                            """
                            select count(*), count(distinct account_id) from events
                            where type = 'subscription.changed'
                            """)
                    ).map { [try $0.int64(0), try $0.int64(1)] }
                }
                #expect(changes == [[210, 210]])
                let books = try await installation.run("verify")
                #expect(books.status == 0, "\(books.output)")
            }
        }
    }
}
