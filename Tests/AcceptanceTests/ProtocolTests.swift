import ChildProcesses
import JSON
import Testing

extension Acceptance {
    /// Rules of every call: request ids, positions, operations, and the calls outside the API.
    @Suite struct ProtocolTests {
        @Test("A usable request id of the client is returned; otherwise the server makes one")
        func requestID() async throws {
            let client = try await makeTenant().test
            let named = try await client.get("/v1/features", headers: ["X-Request-Id": "trace-42"]).expect(200)
            #expect(named.headers["x-request-id"] == "trace-42")
            let refused = try await client.get("/v1/features/none", headers: ["X-Request-Id": "trace-43"]).expect(404)
            #expect(refused["request_id"] == "trace-43")
            let refusedByLedger = try await client.post(
                "/v1/usage", ["end_user_id": "a", "feature_key": "none"], headers: ["X-Request-Id": "trace-44"]
            ).expect(404, "unknown_feature")
            #expect(refusedByLedger["request_id"] == "trace-44")
            expectProblem(refusedByLedger)
            for unusable in ["two words", String(repeating: "x", count: 65), "é"] {
                let answer = try await client.get("/v1/features", headers: ["X-Request-Id": unusable]).expect(200)
                let made = try #require(answer.headers["x-request-id"])
                #expect(made != unusable && !made.isEmpty)
            }
        }

        @Test("A mutation sent with respond-async is answered 202 and decided under its operation")
        func respondAsync() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            let headers = ["Prefer": "respond-async"]
            let accepted = try await client.post(
                "/v1/credits/grant", ["end_user_id": "alice", "credits": 100], key: "async-1", headers: headers
            ).expect(202)
            #expect(accepted["operation.status"] == "pending")
            #expect(accepted.headers["location"] == "/v1/operations/\(try accepted.text("operation.id"))")
            let done = try await decided(client, accepted)
            #expect(done["operation.status"] == "succeeded")
            #expect(done["operation.id"] == accepted["operation.id"])
            #expect(done["operation.result.status"] == 201)
            #expect(done["operation.result.body.block.original"] == 100)
            #expect(done.position != nil)
            let sync = try await client.post(
                "/v1/credits/grant", ["end_user_id": "alice", "credits": 100], key: "async-1"
            ).expect(201)
            #expect(sync.isReplay)
            #expect(sync.json == done["operation.result.body"])

            let refused = try await client.post(
                "/v1/usage", ["end_user_id": "alice", "feature_key": "api", "units": 11], key: "async-2",
                headers: ["Prefer": "return=minimal, respond-async"]
            ).expect(202)
            let failed = try await decided(client, refused)
            #expect(failed["operation.status"] == "failed")
            #expect(failed["operation.result.status"] == 402)
            #expect(failed["operation.result.body.code"] == "insufficient_credits")

            let feature = try await client.post(
                "/v1/features", ["key": "later", "name": "L", "type": "metered"], key: "async-3", headers: headers
            ).expect(202)
            #expect(try await decided(client, feature)["operation.result.body.key"] == "later")
            let keyless = try await client.post(
                "/v1/credits/grant", ["end_user_id": "alice", "credits": 5], headers: headers
            ).expect(202)
            #expect(try await decided(client, keyless)["operation.result.body.balance"] == 105)
            try await client.get("/v1/operations/nonsense").expect(404, "not_found")
        }

        @Test("A command that the ledger finds malformed after a 202 fails as an operation and leaves its key free")
        func acceptedMalformed() async throws {
            let client = try await makeTenant().test
            let late: JSONValue = ["end_user_id": "alice", "credits": 100, "expires_at": "2020-01-01T00:00:00Z"]
            let accepted = try await client.post(
                "/v1/credits/grant", late, key: "late", headers: ["Prefer": "respond-async"]
            ).expect(202)
            let failed = try await decided(client, accepted)
            #expect(failed["operation.status"] == "failed")
            #expect(failed["operation.result.status"] == 400)
            #expect(try await client.post("/v1/credits/grant", late, key: "late").expect(400).isReplay)
            let mended = try await client.grant("alice", 100, key: "late").expect(201)
            #expect(!mended.isReplay)
            try await client.post("/v1/credits/grant", late, key: "late").expect(422, "idempotency_key_reuse")
        }

        @Test("A secret of a command that was answered 202 is shown when the request is repeated, and in no operation")
        func asyncSecrets() async throws {
            let installation = try await SharedInstallation.get()
            let client = try await makeTenant().test
            for (asking, path, member) in [
                (client, "/v1/api-keys", "key"), (installation.root, "/v1/admin/tenants", "api_keys.test"),
            ] {
                let key = "async-\(UInt64.random(in: 0...UInt64.max))"
                let answer = try await asking.post(
                    path, ["name": "N"], key: key, headers: ["Prefer": "respond-async"])
                if answer.status == 202 {
                    let operation = try await decided(asking, answer)
                    #expect(operation["operation.result.body.\(member)"] == .null, "\(path)")
                }
                let repeated = try await asking.post(path, ["name": "N"], key: key).expect(201)
                let secret = try #require(repeated[member]?.text, "\(path)")
                try await installation.client(secret).get("/v1/features").expect(200)
            }
        }

        private func decided(_ client: Client, _ accepted: Answer) async throws -> Answer {
            let location = try #require(accepted.headers["location"])
            var answer = accepted
            try await waitUntil("\(location) is decided", within: 10) {
                answer = try await client.get(location).expect(200)
                return answer["operation.status"] != "pending"
            }
            return answer
        }

        @Test("A read that presents a mutation's position is answered from a state at least that new")
        func minimumPosition() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            let granted = try await client.grant("alice", 100).expect(201)
            let position = try #require(granted.position)
            let reads: [(String, [(String, String?)])] = [
                ("/v1/entitlements/check", [("end_user_id", "alice"), ("feature_key", "api")]),
                ("/v1/credits/balance", [("end_user_id", "alice")]),
                ("/v1/credits/blocks", [("end_user_id", "alice")]), ("/v1/ledger", [("end_user_id", "alice")]),
                ("/v1/end-users/alice", []), ("/v1/features", []),
            ]
            for (path, query) in reads {
                try await client.get(path, query, headers: ["QuotaStack-Min-Position": position]).expect(200)
                let garbled = try await client.get(path, query, headers: ["QuotaStack-Min-Position": "x\(position)"])
                garbled.expect(400, "invalid_request")
            }
            let check = try await client.get(reads[0].0, reads[0].1).expect(200)
            #expect(check["position"]?.text == position)
            let used = try await client.use("alice", "api").expect(201)
            #expect(used.position != position)
            // The same account at a far revision, which is in the last characters.
            let future = String(position.dropLast(4)) + "zzzz"
            let behind = try await client.get(
                reads[0].0, reads[0].1, headers: ["QuotaStack-Min-Position": future]
            ).expect(503, "replica_behind")
            #expect(behind.headers["retry-after"] != nil)
            expectProblem(behind)
        }

        @Test("A position reveals nothing without a key, and nothing about another environment")
        func foreignPosition() async throws {
            let owner = try await makeTenant()
            let granted = try await owner.test.grant("alice", 100).expect(201)
            let reached = ["QuotaStack-Min-Position": try #require(granted.position)]
            let stranger = try await SharedInstallation.get().client("qs_test_unknown")
            try await stranger.get("/v1/features", headers: reached).expect(401)
            for other in [owner.live, try await makeTenant().test] {
                // The answer is that of an unreached position, because positions must not reveal the owner's activity.
                try await other.get("/v1/features", headers: reached).expect(503, "replica_behind")
            }
            try await owner.test.get("/v1/features", headers: reached).expect(200)
        }

        @Test("Health, readiness and metrics need no key")
        func besideTheAPI() async throws {
            let anybody = try await SharedInstallation.get().client(nil)
            #expect(try await anybody.get("/healthz").expect(200)["status"] == "ok")
            let ready = try await anybody.get("/readyz").expect(200)
            #expect(ready.json == ["ready": true, "postgresql": "ok", "rabbitmq": "ok", "replica": "ok"])
            let metrics = try await anybody.get("/metrics").expect(200)
            #expect(metrics.headers["content-type"]?.hasPrefix("text/plain") == true)
            let text = String(decoding: metrics.bytes, as: UTF8.self)
            #expect(
                text.contains("quotastack_http_request_seconds_bucket{method=\"GET\",route=\"/readyz\",le=\"0.005\"}"))
            for name in [
                "ledger_batch_commands_sum", "ledger_queue_seconds_sum", "ledger_batch_seconds_sum",
                "ledger_commit_seconds_sum", "ledger_queues",
                "ledger_parked_commands_total", "replica_delay_seconds_sum", "replica_wal_lag_bytes",
                "replica_wal_position", "replica_age_seconds", "api_read_connections", "api_reads_waiting",
            ] {
                #expect(text.contains("\nquotastack_\(name) "), "\(name)")
            }
        }

        @Test("End users whose ids differ only in their encoding or their case are different end users")
        func distinctIDs() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let ids = ["caf\u{E9}", "cafe\u{301}", "CAFE", "cafe", " cafe", "cafe ", "\u{212B}", "\u{C5}", "A\u{30A}"]
            for (index, id) in ids.enumerated() { try await client.grant(id, Int64(index + 1)).expect(201) }
            for (index, id) in ids.enumerated() {
                let scalars = id.unicodeScalars.map { String($0.value, radix: 16) }
                #expect(try await client.balance(id)["balance"] == .integer(Int64(index + 1)), "\(scalars)")
                #expect(
                    try await client.check(id, "api")["affordable_units"] == .integer(Int64(index + 1)), "\(scalars)")
                #expect(try await client.ledger(id).count == 1, "\(scalars)")
                let shown = try await client.get("/v1/end-users/\(percentEncoded(id))").expect(200)
                #expect(shown["end_user_id"] == .string(id), "\(scalars)")
            }
            #expect(try await client.all("/v1/end-users").count == ids.count)
            let batch = try await client.post(
                "/v1/usage/batch", ["events": .array(ids.map { event($0, "api") })]
            ).expect(200)
            #expect(batch["accepted"] == .integer(Int64(ids.count)))
            for (index, id) in ids.enumerated() {
                #expect(try await client.balance(id)["balance"] == .integer(Int64(index)))
            }
        }
    }
}
