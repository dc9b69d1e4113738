import JSON
import Testing

extension Acceptance {
    @Suite struct IdempotencyTests {
        /// Sends a request twice with one key, and then other contents with the same key.
        private func expectReplay(
            _ client: Client, _ method: String, _ path: String, _ body: JSONValue, altered: JSONValue, status: Int,
            key: String, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let headers = ["Idempotency-Key": key]
            func send(_ body: JSONValue) async throws -> Answer {
                try await client.send(method, path, bytes: body.bytes, headers: headers)
            }
            let first = try await send(body).expect(status, sourceLocation: sourceLocation)
            #expect(!first.isReplay, sourceLocation: sourceLocation)
            for _ in 0..<2 {
                let again = try await send(body).expect(status, sourceLocation: sourceLocation)
                #expect(again.bytes == first.bytes, "\(path)", sourceLocation: sourceLocation)
                #expect(again.isReplay, "\(path)", sourceLocation: sourceLocation)
                #expect(
                    again.headers["content-type"] == first.headers["content-type"], sourceLocation: sourceLocation)
                #expect(again.position != nil, "\(path)", sourceLocation: sourceLocation)
            }
            // The same contents in another spelling are the same request.
            let spelled = "\t{ \(reversed(body).line.dropFirst().dropLast()) }\n"
            let respelled = try await client.send(method, path, bytes: Array(spelled.utf8), headers: headers)
            #expect(respelled.bytes == first.bytes && respelled.isReplay, sourceLocation: sourceLocation)

            let reused = try await send(altered).expect(422, "idempotency_key_reuse", sourceLocation: sourceLocation)
            #expect(!reused.isReplay, sourceLocation: sourceLocation)
            expectProblem(reused, sourceLocation: sourceLocation)
            #expect(try await send(body).bytes == first.bytes, sourceLocation: sourceLocation)
        }

        private func reversed(_ value: JSONValue) -> JSONValue {
            guard case .object(let object) = value else { return value }
            return .object(JSONObject(members: object.members.reversed()))
        }

        @Test("The same key and request get the first answer again, byte for byte; other contents are refused")
        func replays() async throws {
            let installation = try await SharedInstallation.get()
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.post("/v1/features", ["key": "unpriced", "name": "U", "type": "metered"]).expect(201)

            let grant: JSONValue = ["end_user_id": "alice", "credits": 100, "metadata": ["b": 1, "a": "x"]]
            try await expectReplay(
                client, "POST", "/v1/credits/grant", grant, altered: grant.with("credits", 101), status: 201, key: "k1")
            let use: JSONValue = ["end_user_id": "alice", "feature_key": "api", "units": 2]
            try await expectReplay(
                client, "POST", "/v1/usage", use, altered: use.with("units", 3), status: 201, key: "k2")
            try await expectReplay(
                client, "POST", "/v1/usage", use.with("units", 50), altered: use, status: 402, key: "k3")
            try await expectReplay(
                client, "POST", "/v1/usage", use.with("feature_key", "nothing"), altered: use, status: 404, key: "k4")
            try await expectReplay(
                client, "POST", "/v1/usage", use.with("feature_key", "unpriced"), altered: use, status: 409, key: "k5")
            let feature: JSONValue = ["key": "f", "name": "F", "type": "metered"]
            try await expectReplay(
                client, "POST", "/v1/features", feature, altered: feature.with("name", "G"), status: 201, key: "k6")
            try await expectReplay(
                client, "POST", "/v1/features", feature, altered: feature.with("name", "G"), status: 409, key: "k7")
            let rule: JSONValue = ["feature_key": "f", "model": "flat", "amount": 5]
            try await expectReplay(
                client, "POST", "/v1/metering-rules", rule, altered: rule.with("amount", 6), status: 201, key: "k8")
            let endUser: JSONValue = ["end_user_id": "bob", "name": "Bob"]
            try await expectReplay(
                client, "POST", "/v1/end-users", endUser, altered: endUser.with("name", "Rob"), status: 201, key: "k9")
            try await expectReplay(
                client, "PATCH", "/v1/end-users/bob", ["name": "B"], altered: ["name": "C"], status: 200, key: "k10")
            try await expectReplay(
                client, "PATCH", "/v1/end-users/nobody", ["name": "B"], altered: ["name": "C"], status: 404, key: "k11")
            try await expectReplay(
                client, "PATCH", "/v1/features/f", ["name": "B"], altered: ["name": "C"], status: 200, key: "k12")
            try await expectReplay(
                client, "POST", "/v1/api-keys", ["name": "K"], altered: ["name": "L"], status: 201, key: "k13")
            try await expectReplay(
                installation.root, "POST", "/v1/admin/tenants", ["name": "T"], altered: ["name": "U"], status: 201,
                key: "tenant-\(client.key ?? "")")

            #expect(try await client.balance("alice")["balance"] == 80)
            #expect(try await client.balance("alice")["version"] == 2)
            #expect(try await client.all("/v1/features").count == 3)
            #expect(try await client.all("/v1/metering-rules").count == 2)
            #expect(try await client.all("/v1/api-keys").count == 2)
        }

        @Test("The keys in a replayed answer are the keys that work")
        func replayedKeysWork() async throws {
            let installation = try await SharedInstallation.get()
            let name = "replay-\(UInt64.random(in: 0...UInt64.max))"
            for _ in 0..<2 {
                let tenant = try await installation.root.post("/v1/admin/tenants", ["name": "T"], key: name).expect(201)
                let live = installation.client(try tenant.text("api_keys.live"))
                let made = try await live.post("/v1/api-keys", ["name": "K"], key: "key").expect(201)
                try await installation.client(try made.text("key")).get("/v1/features").expect(200)
            }
        }

        @Test("A keyed use is the same request alone or in a batch, with the key in the header or in the body")
        func usageKey() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.grant("alice", 1_000).expect(201)
            let bare: JSONValue = ["end_user_id": "alice", "feature_key": "api", "units": 2]
            let named = bare.with("idempotency_key", "k")
            let first = try await client.post("/v1/usage", bare, key: "k").expect(201)
            let id = try first.text("id")
            for (body, key) in [(bare, "k"), (named, nil), (named, "k")] as [(JSONValue, String?)] {
                let again = try await client.post("/v1/usage", body, key: key).expect(201)
                #expect(again.isReplay && again.bytes == first.bytes)
            }
            let batch = try await client.post("/v1/usage/batch", ["events": [named, named]]).expect(200)
            #expect(batch["replayed"] == 2 && batch["accepted"] == 0)
            #expect(batch.isReplay)
            #expect(batch["results.0.id"]?.text == id && batch["results.1.id"]?.text == id)
            let line = try await client.send(
                "POST", "/v1/usage/batch", bytes: named.bytes, contentType: "application/x-ndjson"
            ).expect(200)
            #expect(line["results.0.id"]?.text == id && line["replayed"] == 1)
            // The default of `units` is 1, so a body with one unit is the same request.
            let one: JSONValue = ["end_user_id": "alice", "feature_key": "api", "idempotency_key": "one"]
            let unsaid = try await client.post("/v1/usage", one).expect(201)
            #expect(try await client.post("/v1/usage", one.with("units", 1)).expect(201).bytes == unsaid.bytes)

            let differing = try await client.post("/v1/usage", named, key: "other").expect(400, "invalid_request")
            #expect(differing["errors.0.pointer"] == "/idempotency_key")
            let altered = try await client.post(
                "/v1/usage/batch", ["events": [named.with("units", 3), event("alice", "api", 1, key: "fresh")]]
            ).expect(200)
            #expect(altered["results.0.error.code"] == "idempotency_key_reuse")
            #expect(altered["accepted"] == 1)
            try await client.grant("alice", 5, key: "k").expect(422, "idempotency_key_reuse")
            #expect(try await client.balance("alice")["balance"] == 960)
        }

        @Test("A key on a batch names each of its events by its place, unless the event has a key of its own")
        func batchKey() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.grant("alice", 1_000).expect(201)
            let events: [JSONValue] = [
                event("alice", "api", 1), event("alice", "api", 1), event("alice", "api", 2, key: "own"),
                event("alice", "nothing"),
            ]
            let first = try await client.post("/v1/usage/batch", ["events": .array(events)], key: "batch").expect(200)
            #expect(first["accepted"] == 3 && first["rejected"] == 1)
            let again = try await client.post("/v1/usage/batch", ["events": .array(events)], key: "batch").expect(200)
            #expect(again["replayed"] == 3 && again["accepted"] == 0 && again["rejected"] == 1)
            #expect(try again.items("results").map { $0[path: "id"] } == first.items("results").map { $0[path: "id"] })
            #expect(again["results.3.error.code"] == "unknown_feature")
            let changed = try await client.post(
                "/v1/usage/batch", ["events": [event("alice", "api", 9), events[1]]], key: "batch"
            ).expect(200)
            #expect(changed["results.0.error.code"] == "idempotency_key_reuse")
            #expect(changed["results.1.id"] == first["results.1.id"])
            #expect(try await client.use("alice", "api", 2, key: "own").expect(201).isReplay)
            #expect(try await client.balance("alice")["balance"] == 960)
        }

        @Test("A malformed request is not stored: its key is free for the corrected request")
        func malformedIsForgotten() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.post("/v1/credits/grant", ["end_user_id": "alice", "credits": 0], key: "g").expect(400)
            try await client.grant("alice", 100, expiresAt: "2020-01-01T00:00:00Z", key: "g").expect(400)
            try await client.grant("alice", 100, key: "g").expect(201)
            let use: JSONValue = ["end_user_id": "alice", "feature_key": "api"]
            let early = use.with("occurred_at", "2020-01-01T00:00:00Z")
            try await client.post("/v1/usage", early, key: "u").expect(400, "invalid_request")
            let batch = try await client.post(
                "/v1/usage/batch", ["events": [early.with("idempotency_key", "u")]]
            ).expect(200)
            #expect(batch["results.0.error.status"] == 400)
            try await client.post("/v1/usage", use.with("units", 9_007_199_254_740_991), key: "u").expect(400)
            let mended = try await client.post("/v1/usage", use, key: "u").expect(201)
            #expect(!mended.isReplay && mended["balance"] == 90)
            try await client.post("/v1/features", ["key": "a b", "name": "F", "type": "metered"], key: "f").expect(400)
            try await client.post("/v1/features", ["key": "ab", "name": "F", "type": "metered"], key: "f").expect(201)
        }

        @Test("A keyed grant is the same request alone or in a batch, with the key in the header or in the body")
        func grantKey() async throws {
            let client = try await makeTenant().test
            let bare: JSONValue = ["end_user_id": "alice", "credits": 7, "expires_after": "P1Y"]
            let first = try await client.post("/v1/credits/grant", bare, key: "g").expect(201)
            let batch = try await client.post(
                "/v1/credits/grant/batch", ["grants": [bare.with("idempotency_key", "g")]]
            ).expect(200)
            #expect(batch["replayed"] == 1 && batch["results.0.id"] == first["block.id"])
            #expect(batch["results.0.entry_id"] == first["entry.id"])
            let other = try await client.post(
                "/v1/credits/grant/batch", ["grants": [bare.with("idempotency_key", "h")]]
            ).expect(200)
            let alone = try await client.post("/v1/credits/grant", bare, key: "h").expect(201)
            #expect(alone.isReplay && alone["block.id"] == other["results.0.id"])
            #expect(try await client.balance("alice")["balance"] == 14)
        }

        @Test("A quoted string in the header is the key inside the quotes; a key in a body is taken as it is")
        func quotedKey() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 100).expect(201)
            let use: JSONValue = ["end_user_id": "alice", "feature_key": "api"]
            for (header, key) in [
                (#""abc""#, "abc"), (#""a\"b""#, #"a"b"#), (#""a\\b""#, #"a\b"#), (#""é x""#, "é x"),
                (#"a"b\c"#, #"a"b\c"#),
                ("\"\(String(repeating: "k", count: 255))\"", String(repeating: "k", count: 255)),
            ] {
                let first = try await client.post("/v1/usage", use, key: header).expect(201)
                #expect(first["idempotency_key"]?.text == key)
                let again = try await client.post("/v1/usage", use.with("idempotency_key", .string(key))).expect(201)
                #expect(again.isReplay && again.bytes == first.bytes, "\(header)")
            }
            let literal = try await client.post("/v1/usage", use.with("idempotency_key", #""abc""#)).expect(201)
            #expect(!literal.isReplay && literal["idempotency_key"] == #""abc""#)
            let lone = try await client.post("/v1/usage", use.with("idempotency_key", "\"")).expect(201)
            #expect(!lone.isReplay)
            try await client.post("/v1/usage", use.with("idempotency_key", #""abc""#), key: #""abc""#).expect(400)
            let before = try await client.balance("alice")["balance"]
            for header in [
                "\"", "\"\"", "\"\(String(repeating: "k", count: 256))\"", "\"\(String(repeating: "k", count: 255))",
            ] {
                try await client.post("/v1/usage", use, key: header).expect(400, "invalid_request", header)
            }
            #expect(try await client.balance("alice")["balance"] == before)
        }

        @Test("A refusal by a window is remembered until the window ends; then the request is decided anew")
        func untilTheReset() async throws {
            let client = try await makeTenant().test
            try await client.post(
                "/v1/features",
                ["key": "api", "name": "A", "type": "metered", "quota": ["limit": 1, "window": "day"]]
            ).expect(201)
            let clock = try await client.post("/v1/test-clocks", ["now": "2034-01-01T12:00:00Z"]).expect(201)
            let id = try clock.text("id")
            func advance(_ to: String) async throws {
                try await client.post("/v1/test-clocks/\(id)/advance", ["to": .string(to)]).expect(200)
            }
            try await client.post("/v1/end-users", ["end_user_id": "alice", "test_clock_id": .string(id)]).expect(201)
            try await client.use("alice", "api").expect(201)
            let first = try await client.use("alice", "api", key: "k").expect(402, "quota_exceeded")
            #expect(first["resets_at"] == "2034-01-02T00:00:00.000Z" && first.headers["retry-after"] == "43200")
            try await client.use("alice", "api", key: "batch").expect(402)
            try await advance("2034-01-01T23:59:59.5Z")
            let again = try await client.use("alice", "api", key: "k").expect(402)
            #expect(again.isReplay && again.bytes == first.bytes && again.headers["retry-after"] == "1")
            try await client.use("alice", "api", 2, key: "k").expect(422, "idempotency_key_reuse")

            try await advance("2034-01-02T00:00:00Z")
            let anew = try await client.use("alice", "api", key: "k").expect(201)
            #expect(!anew.isReplay)
            let replay = try await client.use("alice", "api", key: "k").expect(201)
            #expect(replay.isReplay && replay.bytes == anew.bytes)
            try await client.use("alice", "api", 2, key: "k").expect(422, "idempotency_key_reuse")
            // A forgotten key is free for another request too.
            let refused = try await client.post(
                "/v1/usage/batch", ["events": [event("alice", "api", 3, key: "batch")]]
            ).expect(200)
            #expect(refused["results.0.error.code"] == "quota_exceeded")
            #expect(refused["results.0.error.resets_at"] == "2034-01-03T00:00:00.000Z")
            #expect(try await client.ledger("alice").count == 2)

            // A refusal that names no instant is remembered for ever.
            try await client.sell("paid", unitCost: 10)
            let poor = try await client.use("alice", "paid", key: "poor").expect(402, "insufficient_credits")
            try await client.grant("alice", 100).expect(201)
            try await advance("2035-01-01T00:00:00Z")
            let still = try await client.use("alice", "paid", key: "poor").expect(402)
            #expect(still.isReplay && still.bytes == poor.bytes)

            try await client.post("/v1/spend-caps", ["end_user_id": "alice", "credits": 5, "window": "day"]).expect(201)
            try await client.use("alice", "paid", key: "cap").expect(402, "spend_cap_reached")
            #expect(try await client.use("alice", "paid", key: "cap").expect(402).isReplay)
            try await advance("2035-01-02T00:00:00Z")
            #expect(!(try await client.use("alice", "paid", key: "cap").expect(402, "spend_cap_reached").isReplay))
        }

        @Test("64 requests at once with one key have one effect and one answer")
        func concurrent() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.grant("alice", 1_000).expect(201)
            let requests: [(path: String, body: JSONValue, status: Int)] = [
                ("/v1/credits/grant", ["end_user_id": "alice", "credits": 10], 201),
                ("/v1/usage", ["end_user_id": "alice", "feature_key": "api", "units": 2], 201),
                ("/v1/usage", ["end_user_id": "alice", "feature_key": "api", "units": 200], 402),
                ("/v1/features", ["key": "f", "name": "F", "type": "metered"], 201),
            ]
            for (path, body, status) in requests {
                let answers = try await atOnce(64) { _ in try await client.post(path, body, key: "\(path) \(status)") }
                for answer in answers { answer.expect(status, nil, path) }
                #expect(Set(answers.map(\.bytes)).count == 1, "\(path)")
                #expect(answers.filter { !$0.isReplay }.count == 1, "\(path)")
            }
            #expect(try await client.balance("alice")["balance"] == 990)
            #expect(try await client.ledger("alice").count == 3)
            #expect(try await client.all("/v1/features").count == 2)
        }

        @Test("64 requests at once with one key and different contents have one effect; the others are refused")
        func concurrentConflict() async throws {
            let client = try await makeTenant().test
            // Other end users have other queues, so the key must be decided across queues.
            let answers = try await atOnce(64) { try await client.grant("user-\($0)", 10, key: "one") }
            #expect(answers.filter { $0.status == 201 }.count == 1)
            #expect(answers.filter { $0.status == 422 && $0.code == "idempotency_key_reuse" }.count == 63)
            #expect(try await client.all("/v1/end-users").count == 1)
            let batches = try await atOnce(16) { number in
                try await client.post(
                    "/v1/usage/batch",
                    ["events": .array((0..<20).map { event("user-\($0)", "nothing", Int64(number), key: "b\($0)") })])
            }
            for answer in batches {
                let codes = try answer.expect(200).items("results").compactMap { $0[path: "error.code"]?.text }
                #expect(
                    codes.count == 20 && codes.allSatisfy { ["unknown_feature", "idempotency_key_reuse"].contains($0) })
            }
            for index in 0..<20 {
                let firsts = batches.filter { $0["results.\(index).error.code"] == "unknown_feature" }
                #expect(firsts.count == 1, "event \(index)")
            }
        }

        @Test("A key that an account command and a catalogue command share has one effect")
        func acrossKinds() async throws {
            let client = try await makeTenant().test
            for round in 0..<10 {
                let answers = try await atOnce(8) { number in
                    number % 2 == 0
                        ? try await client.grant("alice", 10, key: "k\(round)")
                        : try await client.post(
                            "/v1/features", ["key": "f\(round)", "name": "F", "type": "metered"], key: "k\(round)")
                }
                #expect(answers.filter { $0.status == 201 }.count == 4, "round \(round)")
                #expect(answers.filter { $0.status == 422 }.count == 4, "round \(round)")
                #expect(answers.filter { $0.status == 201 && !$0.isReplay }.count == 1, "round \(round)")
            }
            let grants = try await client.all("/v1/end-users").isEmpty ? 0 : try await client.ledger("alice").count
            #expect(grants + (try await client.all("/v1/features").count) == 10)
        }

        private func atOnce(
            _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Answer
        ) async throws -> [Answer] {
            try await withThrowingTaskGroup(of: Answer.self) { group in
                for number in 0..<count { group.addTask { try await body(number) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }
    }
}
