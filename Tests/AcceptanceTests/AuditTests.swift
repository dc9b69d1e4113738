import JSON
import Postgres
import Testing

extension Acceptance {
    /// The audit log: who changed what, when, from where, and with which outcome.
    @Suite struct AuditTests {
        private typealias Item = (action: String, endUser: JSONValue?, status: Int64)

        @Test("Every mutation is in the log once, with its actor, address, time, request and outcome")
        func everyMutation() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            let made = try await client.post("/v1/api-keys", ["name": "worker"]).expect(201)
            let worker = Client(url: client.url, key: try made.text("key"))
            let workerID = try made.text("id")
            try await worker.sell("api", unitCost: 60)
            try await worker.patch("/v1/features/api", ["name": "Calls"]).expect(200)
            let package: JSONValue = ["key": "p", "name": "P", "credits": 5, "price": 9, "currency": "EUR"]
            try await worker.post("/v1/topup-packages", package).expect(201)
            try await worker.patch("/v1/topup-packages/p", ["price": 8]).expect(200)
            try await worker.post("/v1/end-users", ["end_user_id": "alice"]).expect(201)
            try await worker.patch("/v1/end-users/alice", ["name": "Alice"]).expect(200)
            try await worker.grant("alice", 100).expect(201)
            let used = try await worker.post(
                "/v1/usage", ["end_user_id": "alice", "feature_key": "api"], headers: ["X-Request-Id": "the-use"])
            used.expect(201)
            try await worker.use("alice", "api").expect(402)
            try await worker.use("nobody", "api").expect(402)
            try await worker.patch("/v1/end-users/nobody", ["name": "N"]).expect(404)
            try await worker.patch("/v1/config", ["fail_closed_over_ms": 5]).expect(200)
            try await worker.post("/v1/api-keys/\(workerID)/roll").expect(201)
            try await client.post("/v1/api-keys/\(workerID)/revoke").expect(200)

            let log = try await client.all("/v1/audit-log")
            let expected: [(String, JSONValue, Int64)] = [
                ("api_key.revoke", .null, 200), ("api_key.roll", .null, 201), ("config.update", .null, 200),
                ("end_user.update", .null, 404), ("usage.create", .null, 402), ("usage.create", "alice", 402),
                ("usage.create", "alice", 201), ("credits.grant", "alice", 201), ("end_user.update", "alice", 200),
                ("end_user.create", "alice", 201), ("topup_package.update", .null, 200),
                ("topup_package.create", .null, 201), ("feature.update", .null, 200),
                ("metering_rule.create", .null, 201),
                ("feature.create", .null, 201), ("api_key.create", .null, 201),
            ]
            #expect(log.count == expected.count)
            for (item, (action, endUser, status)) in zip(log, expected) {
                #expect(item[path: "action"]?.text == action)
                #expect(item[path: "end_user_id"] == endUser, "\(action)")
                #expect(item[path: "status"]?.integer == status, "\(action)")
                #expect(item[path: "outcome"]?.text == (status < 300 ? "succeeded" : "failed"), "\(action)")
                #expect(item[path: "ip"] == "127.0.0.1")
                #expect(item[path: "actor.type"] == "api_key")
                expectInstant(item[path: "at"])
                #expect(item[path: "request_id"]?.text?.isEmpty == false)
            }
            let actors = log.map { $0[path: "actor.id"]?.text }
            let owner = try #require(actors.first)
            #expect(owner != workerID)
            #expect(actors == [owner] + Array(repeating: workerID, count: 14) + [owner])
            #expect(log[6][path: "request_id"] == "the-use")
            // The id of an item is that of its operation.
            let id = try #require(log[6][path: "id"]?.text)
            let operation = try await client.get("/v1/operations/\(id)").expect(200)
            #expect(operation["operation.result.body.id"] == used["id"])
            #expect(try await tenant.live.all("/v1/audit-log").isEmpty)
        }

        @Test("Replays, refused requests and reads leave no trace, and a batch leaves one per event")
        func onceEach() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            for _ in 0..<3 { try await client.grant("alice", 50, key: "grant").expect(201) }
            try await client.grant("alice", 51, key: "grant").expect(422)
            try await client.post("/v1/credits/grant", ["end_user_id": "alice"]).expect(400)
            try await Client(url: client.url, key: nil).grant("alice", 1).expect(401)
            try await client.balance("alice").expect(200)
            let batch: JSONValue = ["events": [event("alice", "api", key: "a"), event("alice", "none", key: "b")]]
            for _ in 0..<2 {
                try await client.send(
                    "POST", "/v1/usage/batch", bytes: batch.bytes, headers: ["X-Request-Id": "the-batch"]
                ).expect(200)
            }
            let log = try await client.all("/v1/audit-log")
            #expect(log.count == 5)
            #expect(log.count { $0[path: "request_id"] == "the-batch" } == 2)
            #expect(log.prefix(2).map { $0[path: "status"]?.integer ?? 0 }.sorted() == [201, 404])
        }

        @Test("The log is filtered by actor, action and time, and read page by page")
        func filters() async throws {
            let owner = try await makeTenant().test
            let made = try await owner.post("/v1/api-keys", ["name": "worker"]).expect(201)
            let (workerID, worker) = (try made.text("id"), Client(url: owner.url, key: try made.text("key")))
            for number in 0..<7 { try await worker.grant("alice", 1 + Int64(number)).expect(201) }
            for number in 0..<3 { try await owner.post("/v1/end-users", ["end_user_id": "u\(number)"]).expect(201) }
            let path = "/v1/audit-log"
            let all = try await owner.all(path)
            #expect(all.count == 11)
            #expect(try await owner.all(path, [("actor", workerID)]).count == 7)
            #expect(try await owner.all(path, [("actor", "root")]).isEmpty)
            #expect(try await owner.all(path, [("action", "end_user.create")]).count == 3)
            #expect(try await owner.all(path, [("action", "credits.grant"), ("actor", workerID)]).count == 7)
            #expect(try await owner.all(path, [("action", "api_key.create"), ("actor", workerID)]).isEmpty)
            let middle = try #require(all[5][path: "at"]?.text)
            #expect(try await owner.all(path, [("from", middle)]) == Array(all[...5]))
            #expect(try await owner.all(path, [("to", middle)]) == Array(all[6...]))
            #expect(try await owner.all(path, [("from", middle), ("to", middle)]).isEmpty)
            for limit in [1, 2, 5] {
                let pages = try await owner.pages(path, limit: limit)
                #expect(pages.flatMap { $0 } == all && pages.dropLast().allSatisfy { $0.count == limit })
            }
            #expect(try await owner.pages(path, [("actor", workerID)], limit: 3).map(\.count) == [3, 3, 1])
            let bad: [(String, String)] = [
                ("actor", "me"), ("actor", "op_00000000000000000000000000"), ("action", "usage"), ("from", "now"),
                ("limit", "0"),
            ]
            for (name, value) in bad { try await owner.get(path, [(name, value)]).expect(400, "invalid_request") }
            try await owner.get(path, [("cursor", "zz")]).expect(400, "invalid_cursor")
            try await owner.get(path, [("user", "x")]).expect(400, "unknown_field")
        }

        @Test("Actions of the root key are in the installation's log, which only the root key can read")
        func installation() async throws {
            let installation = try await SharedInstallation.get()
            let name = "req-\(UInt64.random(in: 0...UInt64.max))"
            let made = try await installation.root.post(
                "/v1/admin/tenants", ["name": "T"], headers: ["X-Request-Id": name, "X-Forwarded-For": "203.0.113.9"]
            ).expect(201)
            let log = try await installation.root.all(
                "/v1/audit-log", [("action", "tenant.create"), ("actor", "root")])
            let item = try #require(log.first { $0[path: "request_id"]?.text == name })
            #expect(item[path: "actor"] == ["type": "root", "id": .null])
            #expect(item[path: "ip"] == "127.0.0.1")
            #expect(item[path: "outcome"] == "succeeded")
            let tenant = installation.client(try made.text("api_keys.live"))
            #expect(try await tenant.all("/v1/audit-log").isEmpty)
            #expect(try await installation.root.all("/v1/audit-log", [("action", "usage.create")]).isEmpty)
        }

        @Test("The log and operations show a secret to nobody, not to the key that asked and not to root")
        func secretsOfOperations() async throws {
            let owner = try await makeTenant().test
            let made = try await owner.post("/v1/api-keys", ["name": "wide"]).expect(201)
            let auditor = try await owner.post(
                "/v1/api-keys", ["name": "auditor", "scopes": ["admin:read"]]
            ).expect(201)
            let meter = try await owner.post(
                "/v1/api-keys", ["name": "meter", "scopes": ["usage:read"]]
            ).expect(201)
            let byAuditor = Client(url: owner.url, key: try auditor.text("key"))
            let log = try await byAuditor.all("/v1/audit-log")
            #expect(log.count == 3)
            let operation = "/v1/operations/\(try #require(log[2][path: "id"]?.text))"
            let seen = try await byAuditor.get(operation).expect(200)
            #expect(seen["operation.result.body.id"] == made["id"])
            #expect(seen["operation.result.body.key"] == .null)
            let own = try await owner.get(operation).expect(200)
            #expect(own["operation.result.body.key"] == .null && own["operation.result.body.id"] == made["id"])
            #expect(try own.text("operation.result.body.key_notice").contains("Idempotency-Key"))
            let root = try await SharedInstallation.get().root
            let tenant = try await root.post("/v1/admin/tenants", ["name": "T"]).expect(201)
            let key = try tenant.text("api_keys.live")
            let created = try await root.all("/v1/audit-log", [("action", "tenant.create")])
            for record in created.prefix(20) {
                let id = try #require(record[path: "id"]?.text)
                let shown = String(
                    decoding: try await root.get("/v1/operations/\(id)").expect(200).bytes, as: UTF8.self)
                #expect(!shown.contains("qs_live_") && !shown.contains("qs_test_"))
                #expect(!shown.contains(key))
            }
            let refused = try await Client(url: owner.url, key: try meter.text("key")).get(operation)
            #expect(try refused.expect(403, "forbidden_scope").text("detail").contains("admin:read"))
        }

        @Test("A command cannot be stored without its audit columns")
        func noMutationWithoutRecord() async throws {
            let installation = try await SharedInstallation.get()
            let required = try await PostgresConnection.lent(installation.database) { connection in
                try await connection.run(
                    PostgresQuery(
                        """
                        select column_name::text from information_schema.columns
                        where table_name = 'commands' and is_nullable = 'NO' and column_default is null
                        """)
                ).map { try $0.text(0) }
            }
            #expect(Set(required).isSuperset(of: ["action", "request_id", "decided_at", "status"]))
        }
    }
}
