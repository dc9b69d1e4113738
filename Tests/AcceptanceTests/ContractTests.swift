import ChildProcesses
import JSON
import Testing

extension Acceptance {
    /// Status, members and headers of every call that succeeds.
    @Suite struct ContractTests {
        @Test("A tenant is made with a key for each environment, and shown without the keys afterwards")
        func tenants() async throws {
            let installation = try await SharedInstallation.get()
            let made = try await installation.root.post("/v1/admin/tenants", ["name": "Contract"]).expect(201)
            #expect(made.json.names.sorted() == ["api_keys", "created_at", "id", "name"])
            #expect(try made.text("id").hasPrefix("ten_"))
            #expect(made["name"] == "Contract")
            #expect(try made.text("api_keys.live").hasPrefix("qs_live_"))
            #expect(try made.text("api_keys.test").hasPrefix("qs_test_"))
            expectInstant(made["created_at"])
            expectMutationHeaders(made)

            let shown = try await installation.root.get("/v1/admin/tenants/\(try made.text("id"))").expect(200)
            #expect(shown["api_keys"] == nil)
            #expect(shown["id"] == made["id"])
            #expect(shown["created_at"] == made["created_at"])
            #expect(shown.headers["content-type"] == "application/json")
            let listed = try await installation.root.all("/v1/admin/tenants")
            #expect(listed.contains(shown.json))
            #expect(!listed.contains { $0[path: "api_keys"] != nil })
        }

        @Test("A key is shown once, works until it is revoked, and revoking it again changes nothing")
        func keys() async throws {
            let tenant = try await makeTenant()
            let made = try await tenant.test.post("/v1/api-keys", ["name": "worker"]).expect(201)
            #expect(try made.text("id").hasPrefix("key_"))
            let key = try made.text("key")
            #expect(key.hasPrefix("qs_test_"))
            #expect(made["name"] == "worker")
            expectMutationHeaders(made)
            let listed = try await tenant.test.all("/v1/api-keys")
            #expect(listed.first?[path: "id"] == made["id"])
            #expect(listed.count == 2)
            #expect(!listed.contains { $0[path: "key"] != nil })
            #expect(listed.allSatisfy { $0[path: "revoked_at"] == .null })

            let worker = Client(url: tenant.test.url, key: key)
            try await worker.get("/v1/features").expect(200)
            let byHeader = try await Client(url: tenant.test.url, key: nil).get(
                "/v1/features", headers: ["X-API-Key": key])
            byHeader.expect(200)

            let id = try made.text("id")
            let revoked = try await tenant.test.post("/v1/api-keys/\(id)/revoke").expect(200)
            expectInstant(revoked["revoked_at"])
            try await worker.get("/v1/features").expect(401, "unauthenticated")
            try await worker.grant("alice", 1).expect(401, "unauthenticated")
            let again = try await tenant.test.post("/v1/api-keys/\(id)/revoke").expect(200)
            #expect(again["revoked_at"] == revoked["revoked_at"])
            try await tenant.test.post("/v1/api-keys/key_00000000000000000000000000/revoke").expect(404, "not_found")
        }

        @Test("A feature is made once, shown, renamed, archived and restored")
        func features() async throws {
            let client = try await makeTenant().test
            let made = try await client.post(
                "/v1/features",
                ["key": "api.calls:v1_a-b", "name": "API calls", "type": "metered", "unit_name": "call"])
            made.expect(201)
            #expect(
                made.json.names.sorted()
                    == [
                        "archived", "created_at", "key", "name", "quota", "report_by", "type", "unit_name",
                        "updated_at",
                    ])
            #expect(made["key"] == "api.calls:v1_a-b")
            #expect(made["unit_name"] == "call")
            #expect(made["type"] == "metered")
            #expect(made["archived"] == false)
            expectMutationHeaders(made)
            try await client.post(
                "/v1/features", ["key": "api.calls:v1_a-b", "name": "Again", "type": "metered"]
            ).expect(409, "conflict")
            let shown = try await client.get("/v1/features/api.calls:v1_a-b").expect(200)
            #expect(shown.json == made.json)

            let renamed = try await client.patch("/v1/features/api.calls:v1_a-b", ["name": "Calls"]).expect(200)
            #expect(renamed["name"] == "Calls")
            #expect(renamed["unit_name"] == "call")
            try await client.patch("/v1/features/api.calls:v1_a-b", ["archived": true]).expect(200)
            try await client.use("alice", "api.calls:v1_a-b").expect(404, "unknown_feature")
            let check = try await client.check("alice", "api.calls:v1_a-b").expect(200)
            #expect(check["reason"] == "unknown_feature")
            let restored = try await client.patch("/v1/features/api.calls:v1_a-b", ["archived": false]).expect(200)
            #expect(restored["archived"] == false)
            try await client.use("alice", "api.calls:v1_a-b").expect(409, "feature_not_priced")
            try await client.get("/v1/features/other").expect(404, "unknown_feature")
            try await client.patch("/v1/features/other", ["name": "x"]).expect(404, "unknown_feature")
        }

        @Test("A metering rule is versioned per feature and the newest in force prices a use")
        func meteringRules() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "f", "name": "F", "type": "metered"]).expect(201)
            let first = try await client.post(
                "/v1/metering-rules", ["feature_key": "f", "model": "flat", "amount": 250]
            ).expect(201)
            #expect(try first.text("id").hasPrefix("rule_"))
            #expect(first["version"] == 1)
            #expect(first["amount"] == 250)
            #expect(first["model"] == "flat")
            expectInstant(first["effective_from"])
            expectMutationHeaders(first)
            try await client.grant("alice", 10_000).expect(201)
            #expect(try await client.use("alice", "f", 9).expect(201)["cost"] == 250)
            #expect(try await client.use("alice", "f", 0).expect(201)["cost"] == 0)

            let second = try await client.post(
                "/v1/metering-rules", ["feature_key": "f", "model": "per_unit", "unit_cost": 3, "per_units": 1_000]
            ).expect(201)
            #expect(second["version"] == 2)
            #expect(second["unit_cost"] == 3)
            #expect(second["per_units"] == 1_000)
            for (units, cost) in [(0, 0), (1, 1), (1_000, 3), (1_001, 4)] as [(Int64, Int64)] {
                let used = try await client.use("alice", "f", units).expect(201)
                #expect(used["cost"] == .integer(cost), "3 mc per 1,000 units: \(units) cost \(cost)")
                #expect(used["entry.rule_id"] == second["id"])
            }
            let later = try await client.post(
                "/v1/metering-rules",
                ["feature_key": "f", "model": "flat", "amount": 7, "effective_from": "2999-01-01T00:00:00Z"]
            ).expect(201)
            #expect(later["effective_from"] == "2999-01-01T00:00:00.000Z")
            #expect(try await client.use("alice", "f").expect(201)["entry.rule_id"] == second["id"])

            #expect(try await client.get("/v1/metering-rules/\(try first.text("id"))").expect(200).json == first.json)
            try await client.get("/v1/metering-rules/rule_00000000000000000000000000").expect(404, "not_found")
            try await client.post(
                "/v1/metering-rules", ["feature_key": "g", "model": "flat", "amount": 1]
            ).expect(404, "unknown_feature")
            let rules = try await client.all("/v1/metering-rules", [("feature_key", "f")])
            #expect(rules == [later.json, second.json, first.json])
            #expect(try await client.all("/v1/metering-rules", [("feature_key", "g")]).isEmpty)
        }

        @Test("An end user is made with 201, found with 200, changed member by member")
        func endUsers() async throws {
            let client = try await makeTenant().test
            let id = "user 1/ü?&+%"
            let path = "/v1/end-users/\(percentEncoded(id))"
            try await client.get(path).expect(404, "unknown_end_user")
            try await client.patch(path, ["name": "x"]).expect(404, "unknown_end_user")
            let made = try await client.post(
                "/v1/end-users",
                ["end_user_id": .string(id), "name": "Alice", "metadata": ["plan": "gold", "age": 7, "vip": true]]
            ).expect(201)
            #expect(
                made.json.names.sorted() == [
                    "balance_low_thresholds", "created_at", "end_user_id", "feature_overrides", "metadata", "name",
                    "overage_limit", "overage_policy", "test_clock_id", "updated_at",
                ])
            #expect(made["end_user_id"] == .string(id))
            #expect(made["metadata"] == ["age": 7, "plan": "gold", "vip": true])
            expectMutationHeaders(made)
            #expect(try await client.get(path).expect(200).json == made.json)

            let again = try await client.post("/v1/end-users", ["end_user_id": .string(id)]).expect(200)
            #expect(again["name"] == "Alice")
            #expect(again["created_at"] == made["created_at"])
            let changed = try await client.patch(path, ["name": .null]).expect(200)
            #expect(changed["name"] == .null)
            #expect(changed["metadata.plan"] == "gold")
            let cleared = try await client.patch(path, ["name": "Bob", "metadata": .null]).expect(200)
            #expect(cleared["name"] == "Bob")
            #expect(cleared["metadata"] == .object([:]))
            #expect(try await client.balance(id).expect(200)["balance"] == 0)
        }

        @Test("A grant answers with its block, its entry and the balances")
        func grant() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let answer = try await client.post(
                "/v1/credits/grant",
                [
                    "end_user_id": "alice", "credits": 5_000, "source": "compensation", "reason": "sorry",
                    "priority": 7, "expires_at": "2999-12-31T23:59:59.5+01:00", "feature_keys": ["api"],
                    "metadata": ["ticket": 9],
                ], key: "grant-1"
            ).expect(201)
            expectMutationHeaders(answer)
            let block = try #require(answer["block"])
            #expect(try answer.text("block.id").hasPrefix("blk_"))
            #expect(block[path: "end_user_id"] == "alice")
            #expect(block[path: "status"] == "active")
            #expect(block[path: "source"] == "compensation")
            #expect(block[path: "original"] == 5_000)
            #expect(block[path: "remaining"] == 5_000)
            #expect(block[path: "held"] == 0)
            #expect(block[path: "priority"] == 7)
            #expect(block[path: "expires_at"] == "2999-12-31T22:59:59.500Z")
            #expect(block[path: "feature_keys"] == ["api"])
            #expect(block[path: "reason"] == "sorry")
            #expect(block[path: "metadata"] == ["ticket": 9])
            expectInstant(block[path: "created_at"])
            #expect(try answer.text("entry.id").hasPrefix("ent_"))
            #expect(answer["entry.sequence"] == 1)
            #expect(answer["entry.type"] == "grant")
            #expect(answer["entry.amount"] == 5_000)
            #expect(answer["entry.balance_after"] == 5_000)
            #expect(answer["entry.reserved_delta"] == 0)
            #expect(answer["entry.reserved_after"] == 0)
            #expect(answer["entry.overage_delta"] == 0)
            #expect(answer["entry.allocation"] == [.members([("amount", 5_000), ("block_id", block[path: "id"])])])
            #expect(answer["entry.idempotency_key"] == "grant-1")
            #expect(answer["entry.reason"] == "sorry")
            #expect(try answer.text("entry.hash").utf8.count == 64)
            #expect(answer["balance"] == 5_000)
            #expect(answer["effective_balance"] == 5_000)
            #expect(answer["reserved_balance"] == 0)
            #expect(answer["frozen_balance"] == 0)
            #expect(try await client.blocks("alice") == [block])
            #expect(try await client.ledger("alice") == [try #require(answer["entry"])])
            try await client.grant("alice", 1, featureKeys: ["unknown"]).expect(404, "unknown_feature")

            let plain = try await client.grant("bob", 1).expect(201)
            #expect(plain["block.priority"] == 50)
            #expect(plain["block.expires_at"] == .null)
            #expect(plain["block.source"] == "promotional")
            let plan = try await client.post(
                "/v1/credits/grant", ["end_user_id": "bob", "credits": 1, "source": "plan"]
            ).expect(201)
            #expect(plan["block.priority"] == 10)
        }

        @Test("Metadata is any JSON object of 4,096 bytes and 8 levels, and comes back as it was sent")
        func metadata() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let filler = String(repeating: "x", count: 4_088)
            let objects = [
                "{}",
                #"{"temperature": 0.7, "top_p": 1.0, "seed": 1e3, "big": 123456789012345678901234567890, "z": -0}"#,
                #"{"nested": {"list": [1, [true, null, "é"], {"a": {"b": {"c": {"d": []}}}}]}, "": "empty name"}"#,
                #"{"a":"\#(filler)"}"#,
            ]
            for (index, object) in objects.enumerated() {
                let sent = try JSONParser.parse(Array(object.utf8))
                func body(_ members: String) -> [UInt8] { Array(#"{\#(members), "metadata": \#(object)}"#.utf8) }
                let user = #""end_user_id": "user-\#(index)""#
                let grant = try await client.send("POST", "/v1/credits/grant", bytes: body(#"\#(user), "credits": 90"#))
                #expect(grant.expect(201)["block.metadata"] == sent)
                let job = #"\#(user), "feature_key": "api", "units": 1"#
                for path in ["/v1/usage", "/v1/reservations"] {
                    #expect(try await client.send("POST", path, bytes: body(job)).expect(201)["metadata"] == sent)
                }
                #expect(
                    try await client.send("POST", "/v1/end-users", bytes: body(user)).expect(200)["metadata"] == sent)
                #expect(try await client.get("/v1/end-users/user-\(index)")["metadata"] == sent)
                let entries = try await client.ledger("user-\(index)")
                #expect(entries.map { $0[path: "metadata"] } == [sent, sent, sent])
            }
        }

        @Test("A body that begins with a byte order mark is read without it, as JSON and as NDJSON")
        func byteOrderMark() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let grant = "\u{FEFF}" + #"{"end_user_id": "alice", "credits": 10}"#
            try await client.send("POST", "/v1/credits/grant", bytes: Array(grant.utf8)).expect(201)
            let batches = [
                ("application/x-ndjson", "\(event("alice", "api").line)\n\(event("alice", "api", 2).line)"),
                (
                    "application/json",
                    JSONValue.object(["events": [event("alice", "api"), event("alice", "api", 2)]]).line
                ),
            ]
            for (type, text) in batches {
                let answer = try await client.send(
                    "POST", "/v1/usage/batch", bytes: Array("\u{FEFF}\(text)".utf8), contentType: type
                ).expect(200)
                #expect(answer["accepted"] == 2 && answer["rejected"] == 0)
            }
            #expect(try await client.balance("alice")["balance"] == 4)
        }

        @Test("A use answers with its cost, its entry and the sent members; a refusal changes nothing")
        func usage() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 100)
            try await client.grant("alice", 1_000).expect(201)
            let used = try await client.post(
                "/v1/usage",
                [
                    "end_user_id": "alice", "feature_key": "api", "units": 3, "idempotency_key": "use-1",
                    "metadata": ["model": "large"],
                ]
            ).expect(201)
            expectMutationHeaders(used)
            #expect(try used.text("id").hasPrefix("use_"))
            #expect(used["cost"] == 300)
            #expect(used["balance"] == 700)
            #expect(used["effective_balance"] == 700)
            #expect(used["reserved_balance"] == 0)
            #expect(used["end_user_id"] == "alice")
            #expect(used["feature_key"] == "api")
            #expect(used["units"] == 3)
            #expect(used["idempotency_key"] == "use-1")
            #expect(used["metadata"] == ["model": "large"])
            #expect(used["entry.type"] == "use")
            #expect(used["entry.amount"] == -300)
            #expect(used["entry.balance_after"] == 700)
            #expect(used["entry.feature_key"] == "api")
            #expect(used["entry.units"] == 3)
            #expect(used["entry.sequence"] == 2)
            #expect(used["entry.effective_at"] == used["occurred_at"])
            expectInstant(used["occurred_at"])
            let one = try await client.post("/v1/usage", ["end_user_id": "alice", "feature_key": "api"]).expect(201)
            #expect(one["units"] == 1)
            #expect(one["cost"] == 100)

            let refused = try await client.use("alice", "api", 7).expect(402, "insufficient_credits")
            #expect(refused["required"] == 700)
            #expect(refused["effective_balance"] == 600)
            expectProblem(refused)
            try await client.use("alice", "nothing").expect(404, "unknown_feature")
            try await client.use("carol", "api").expect(402, "insufficient_credits")
            try await client.balance("carol").expect(404, "unknown_end_user")
            let balance = try await client.balance("alice").expect(200)
            #expect(balance["balance"] == 600)
            #expect(balance["version"] == 3)
            try await client.use("dave", "api", 0).expect(201)
            #expect(try await client.balance("dave").expect(200)["version"] == 1)
        }

        @Test("A batch of grants answers for each grant by itself, and a repetition grants nothing twice")
        func grantBatch() async throws {
            let client = try await makeTenant().test
            let grants: [JSONValue] = [
                ["end_user_id": "alice", "credits": 100, "idempotency_key": "g0"],
                ["end_user_id": "bob", "credits": 5, "expires_after": "P1M", "source": "compensation"],
                ["end_user_id": "alice", "credits": -1],
                ["end_user_id": "alice", "credits": 1, "feature_keys": ["no"]],
                ["end_user_id": "alice", "credits": 100, "idempotency_key": "g0"],
                ["end_user_id": "alice", "credits": 200, "idempotency_key": "g0"],
            ]
            let path = "/v1/credits/grant/batch"
            let first = try await client.post(path, ["grants": .array(grants)], key: "import").expect(200)
            #expect(first["accepted"] == 2 && first["replayed"] == 1 && first["rejected"] == 3)
            let results = try first.items("results")
            let blocks = try await client.get("/v1/credits/blocks?end_user_id=alice").expect(200).items("data")
            #expect(blocks.map { $0["id"] } == [results[0]["id"]])
            #expect(results[4]["id"] == results[0]["id"] && results[4]["entry_id"] == results[0]["entry_id"])
            #expect(try await client.ledger("bob").map { $0["id"] } == [results[1]["entry_id"]])
            #expect(results[2][path: "error.code"] == "invalid_request")
            #expect(results[3][path: "error.code"] == "unknown_feature")
            #expect(results[5][path: "error.code"] == "idempotency_key_reuse")
            let again = try await client.post(path, ["grants": .array(grants)], key: "import").expect(200)
            #expect(again["accepted"] == 0 && again["replayed"] == 3)
            let line = #"{"end_user_id": "carol", "credits": 7}"# + "\n"
            let streamed = try await client.send(
                "POST", path, bytes: Array(line.utf8), contentType: "application/x-ndjson")
            #expect(streamed.expect(200)["accepted"] == 1)
            #expect(try await client.balance("alice")["balance"] == 100)
            #expect(try await client.balance("bob")["balance"] == 5)
            try await client.post(path, ["grants": []]).expect(400, "invalid_request")
            try await client.post(path, ["events": []]).expect(400, "invalid_request")
        }

        @Test("A batch answers for each event by itself, as JSON and as NDJSON")
        func usageBatch() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 100)
            try await client.grant("alice", 1_000).expect(201)
            try await client.grant("bob", 100).expect(201)
            let events: [JSONValue] = [
                event("alice", "api", 2, key: "e0"), event("bob", "api", 2), event("bob", "api"),
                event("alice", "nothing"), ["end_user_id": "alice", "feature_key": "api", "units": -1],
                event("alice", "api", 2, key: "e0"), ["end_user_id": "alice", "feature_key": "api", "unit": 1],
            ]
            let answer = try await client.post("/v1/usage/batch", ["events": .array(events)]).expect(200)
            #expect(answer["accepted"] == 2)
            #expect(answer["replayed"] == 1)
            #expect(answer["rejected"] == 4)
            let results = try answer.items("results")
            #expect(results.map { $0[path: "index"]?.integer } == [0, 1, 2, 3, 4, 5, 6])
            #expect(try #require(results[0][path: "id"]?.text).hasPrefix("use_"))
            #expect(results[1][path: "error.code"] == "insufficient_credits")
            #expect(results[1][path: "error.status"] == 402)
            #expect(results[2][path: "id"] != nil)
            #expect(results[3][path: "error.code"] == "unknown_feature")
            #expect(results[4][path: "error.code"] == "invalid_request")
            #expect(results[4][path: "error.errors.0.pointer"] == "/events/4/units")
            #expect(results[5][path: "id"] == results[0][path: "id"])
            #expect(results[6][path: "error.code"] == "unknown_field")
            #expect(results[6][path: "error.errors.0.pointer"] == "/events/6/unit")
            #expect(try await client.balance("alice")["balance"] == 800)
            #expect(try await client.balance("bob")["balance"] == 0)
            #expect(answer.position != nil)

            let lines = "\(event("alice", "api").line)\r\n\n{\n\(event("alice", "api", 2, key: "e0").line)"
            let streamed = try await client.send(
                "POST", "/v1/usage/batch", bytes: Array(lines.utf8), contentType: "application/x-ndjson"
            ).expect(200)
            #expect(streamed["accepted"] == 1)
            #expect(streamed["replayed"] == 1)
            #expect(streamed["rejected"] == 1)
            #expect(streamed["results.1.error.code"] == "invalid_request")
            #expect(streamed["results.2.id"] == results[0][path: "id"])
            #expect(try await client.balance("alice")["balance"] == 700)
        }

        @Test("A batch of 10,000 events is taken whole; one more is refused whole")
        func largestBatch() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let users = (0..<20).map { "user-\($0)" }
            for user in users { try await client.grant(user, 400).expect(201) }
            let events = (0..<10_000).map { event(users[$0 % 20], "api", key: "e\($0)") }
            // Events that a slow machine does not decide within the server's limit are learned by repeating the batch.
            var answer = try await client.post("/v1/usage/batch", ["events": .array(events)]).expect(200)
            try await waitUntil("all events are decided") {
                let codes = try answer.items("results").compactMap { $0[path: "error.code"]?.text }
                if codes.allSatisfy({ $0 == "insufficient_credits" }) { return true }
                answer = try await client.post("/v1/usage/batch", ["events": .array(events)]).expect(200)
                return false
            }
            #expect(try answer.integer("accepted") + answer.integer("replayed") == 8_000)
            #expect(answer["rejected"] == 2_000)
            for user in users { #expect(try await client.balance(user)["balance"] == 0) }
            try await client.post(
                "/v1/usage/batch", ["events": .array(events + [event("user-0", "api")])]
            ).expect(400, "invalid_request")
            try await client.post("/v1/usage/batch", ["events": []]).expect(400, "invalid_request")
        }

        @Test("A check answers the same by GET and by POST, and agrees with the use that follows")
        func check() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 7)
            try await client.post("/v1/features", ["key": "free", "name": "F", "type": "metered"]).expect(201)
            let granted = try await client.grant("alice", 100).expect(201)
            let check = try await client.check("alice", "api", 3).expect(200)
            #expect(check["allowed"] == true)
            #expect(check["reason"] == .null)
            #expect(check["balance"] == 100)
            #expect(check["reserved_balance"] == 0)
            #expect(check["effective_balance"] == 100)
            #expect(check["spendable_balance"] == 100)
            #expect(check["estimated_cost"] == 21)
            #expect(check["balance_after"] == 79)
            #expect(check["affordable_units"] == 14)
            #expect(check["feature_key"] == "api")
            #expect(check["end_user_id"] == "alice")
            #expect(check["units"] == 3)
            #expect(check["subscription_status"] == .null)
            #expect(check["overage_policy"] == "block")
            #expect(check["quota"] == .null)
            #expect(check["position"]?.text == granted.position)
            let posted = try await client.post(
                "/v1/entitlements/check", ["end_user_id": "alice", "feature_key": "api", "units": 3]
            ).expect(200)
            #expect(posted.json == check.json)
            #expect(
                try await client.get(
                    "/v1/entitlements/check", [("end_user_id", "alice"), ("feature_key", "api")])["units"] == 1)

            let denied = try await client.check("alice", "api", 15).expect(200)
            #expect(denied["allowed"] == false)
            #expect(denied["reason"] == "insufficient_credits")
            #expect(denied["estimated_cost"] == 105)
            #expect(denied["balance_after"] == 100)
            #expect(try await client.check("alice", "free")["reason"] == "feature_not_priced")
            #expect(try await client.check("alice", "nothing")["reason"] == "unknown_feature")
            let stranger = try await client.check("nobody", "api").expect(200)
            #expect(stranger["allowed"] == false)
            #expect(stranger["balance"] == 0)
            #expect(stranger["reason"] == "insufficient_credits")
            #expect(try await client.check("nobody", "api", 0)["allowed"] == true)
        }

        @Test("A balance states its sums and the instant for which it holds")
        func balance() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 70).expect(201)
            try await client.grant("alice", 30).expect(201)
            try await client.use("alice", "api", 25).expect(201)
            let balance = try await client.balance("alice").expect(200)
            #expect(balance["end_user_id"] == "alice")
            #expect(balance["balance"] == 75)
            #expect(balance["reserved_balance"] == 0)
            #expect(balance["frozen_balance"] == 0)
            #expect(balance["effective_balance"] == 75)
            #expect(balance["overage"] == 0)
            #expect(balance["lifetime_granted"] == 100)
            #expect(balance["version"] == 3)
            expectInstant(balance["as_of"])
            try await client.balance("nobody").expect(404, "unknown_end_user")
            try await client.get("/v1/ledger", [("end_user_id", "nobody")]).expect(404, "unknown_end_user")
            try await client.get("/v1/credits/blocks", [("end_user_id", "nobody")]).expect(404, "unknown_end_user")
        }
    }
}

extension JSONValue {
    /// One line of NDJSON.
    var line: String { String(decoding: bytes, as: UTF8.self) }
}
