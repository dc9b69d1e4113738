import JSON
import Testing

extension Acceptance {
    /// Reads of the books: at a past instant, exported, explained, summed up.
    @Suite struct LedgerReadTests {
        @Test("The balance at a past instant is the one that a call would have shown then")
        func balanceAt() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            var seen: [Answer] = []
            let steps: [@Sendable () async throws -> Answer] = [
                { try await client.grant("alice", 100) }, { try await client.use("alice", "api", 30) },
                { try await client.reserve("alice", "api", units: 20) }, { try await client.adjust("alice", 7) },
                { try await client.transfer("alice", "bob", 5) }, { try await client.use("alice", "api", 1) },
            ]
            for step in steps {
                try await step().expect(201)
                seen.append(try await client.balance("alice").expect(200))
            }
            for then in seen {
                let now = try await client.get(
                    "/v1/credits/balance", [("end_user_id", "alice"), ("at", try then.text("as_of"))]
                ).expect(200)
                for name in then.json.names where name != "position" { #expect(now[name] == then[name], "\(name)") }
            }
            let before = try await client.get(
                "/v1/credits/balance", [("end_user_id", "alice"), ("at", "2020-01-01T00:00:00Z")]
            ).expect(200)
            #expect(before["balance"] == 0 && before["version"] == 0 && before["lifetime_granted"] == 0)
            try await client.get(
                "/v1/credits/balance", [("end_user_id", "alice"), ("at", "2999-01-01T00:00:00Z")]
            ).expect(400, "invalid_request")
        }

        @Test("The export has every entry of the environment by account and sequence, as the ledger shows it")
        func export() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            try await client.sell("api", unitCost: 1)
            let events = (0..<700).map { event("user-\($0 % 3)", "api", 1) }
            for user in 0..<3 { try await client.grant("user-\(user)", 1_000).expect(201) }
            #expect(try await client.post("/v1/usage/batch", ["events": .array(events)])["accepted"] == 700)
            try await tenant.live.grant("user-0", 5).expect(201)

            let whole = try await client.get("/v1/ledger/export").expect(200)
            #expect(whole.headers["content-type"] == "application/x-ndjson")
            let lines = try whole.lines()
            #expect(lines.count == 703)
            var expected: [JSONValue] = []
            for user in 0..<3 { expected += try await client.ledger("user-\(user)") }
            // A line has the members of the entry, and those that prove them.
            let proof: Set = ["version", "personal_digest", "personal", "salt"]
            func members(_ line: JSONValue) -> [UInt8] {
                #expect(proof.isSubset(of: line.names))
                guard case .object(let object) = line else { return [] }
                return JSONValue.object(JSONObject(members: object.members.filter { !proof.contains($0.key) }))
                    .canonicalBytes
            }
            #expect(lines.map(members) == expected.map(\.canonicalBytes))
            let one = try await client.get("/v1/ledger/export", [("end_user_id", "user-1")]).expect(200)
            #expect(try one.lines().map(members) == (try await client.ledger("user-1")).map(\.canonicalBytes))
            try await client.get("/v1/ledger/export", [("end_user_id", "nobody")]).expect(404, "unknown_end_user")
            #expect(try await tenant.live.get("/v1/ledger/export").expect(200).lines().count == 1)
        }

        @Test("The ledger is filtered by type, feature and time, and listed in either order")
        func filters() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.sell("other", unitCost: 1)
            try await client.grant("alice", 100).expect(201)
            try await client.use("alice", "api").expect(201)
            let second = try await client.use("alice", "other").expect(201)
            try await client.reserve("alice", "api", units: 1).expect(201)
            func sequences(_ query: [(String, String?)]) async throws -> [Int64] {
                try await client.all("/v1/ledger", [("end_user_id", "alice")] + query).compactMap {
                    $0[path: "sequence"]?.integer
                }
            }
            #expect(try await sequences([]) == [4, 3, 2, 1])
            #expect(try await sequences([("order", "asc")]) == [1, 2, 3, 4])
            #expect(try await sequences([("type", "use"), ("order", "asc")]) == [2, 3])
            #expect(try await sequences([("feature_key", "api")]) == [4, 2])
            #expect(try await sequences([("from", second["entry.effective_at"]?.text)]) == [4, 3])
            #expect(try await sequences([("to", second["entry.effective_at"]?.text)]) == [2, 1])
        }

        @Test("An explanation's steps add up to the balances, and its comparisons end with the one that decided")
        func explain() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.sell("other", unitCost: 10)
            try await client.grant("alice", 30, featureKeys: ["other"]).expect(201)
            try await client.grant("alice", 100, priority: 9).expect(201)
            let restricted = try await client.grant("alice", 40, priority: 1, featureKeys: ["api"]).expect(201)
            try await client.use("alice", "api", 2).expect(201)
            let reserved = try await client.reserve("alice", "api", units: 5).expect(201)
            try await client.use("alice", "api", 1).expect(201)
            let explained = try await client.get(
                "/v1/ledger/explain", [("end_user_id", "alice"), ("feature_key", "api"), ("units", "7")]
            ).expect(200)
            #expect(explained["balance"] == 140 && explained["version"] == 6)
            #expect(try explained.items("blocks").map { $0[path: "remaining"]?.integer } == [20, 90, 30])
            #expect(explained["blocks.0.id"] == restricted["block.id"])
            for block in try explained.items("blocks") {
                let parts = try #require(block[path: "entries"]?.items)
                #expect(
                    parts.reduce(0) { $0 + ($1[path: "amount"]?.integer ?? 0) } == block[path: "remaining"]?.integer)
                #expect(parts.reduce(0) { $0 + ($1[path: "held"]?.integer ?? 0) } == block[path: "held"]?.integer)
            }
            #expect(explained["holds.0.reservation_id"] == reserved["id"] && explained["holds.0.held"] == 50)
            try expectSums(explained)
            let check = try await client.check("alice", "api", 7).expect(200)
            for name in ["allowed", "reason", "rule_id", "spendable_balance"] where name != "rule_id" {
                #expect(explained["entitlement.\(name)"] == check[name], "\(name)")
            }
            #expect(explained["entitlement.rule.id"] == check["rule_id"] && explained["entitlement.rule.version"] == 1)
            #expect(explained["entitlement.cost"] == 70 && explained["entitlement.breakdown.0.amount"] == 70)
            let decided = try #require(try explained.items("entitlement.comparisons").last)
            #expect(decided[path: "reason"] == "insufficient_credits" && decided[path: "holds"] == false)
            #expect(decided[path: "required"] == 70 && decided[path: "available"] == 60)

            // The state after the reservation and before the last use.
            let entries = try await client.ledger("alice")
            let then = try #require(entries[4][path: "recorded_at"]?.text)
            let past = try await client.get(
                "/v1/ledger/explain", [("end_user_id", "alice"), ("feature_key", "api"), ("units", "7"), ("at", then)]
            ).expect(200)
            #expect(past["version"] == 5 && past["balance"] == 150 && past["entitlement.allowed"] == true)
            #expect(try past.text("entitlement.note").contains("not kept"))
            try expectSums(past)
        }

        @Test("Totals of usage count units and cost by day and by feature, and a reservation's progress once")
        func totals() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.sell("other", unitCost: 1)
            _ = try await client.make("alice", at: "2030-01-15T12:00:00Z")
            try await client.grant("alice", 10_000).expect(201)
            try await client.post(
                "/v1/usage",
                [
                    "end_user_id": "alice", "feature_key": "api", "units": 4, "occurred_at": "2030-01-14T23:59:59Z",
                ]
            ).expect(201)
            try await client.use("alice", "other", 5).expect(201)
            let id = try await client.reserve("alice", "api", units: 10).expect(201).text("id")
            try await client.progress(id, units: 6).expect(200)
            try await client.commit(id, units: 9).expect(200)
            func totals(_ query: [(String, String?)]) async throws -> [JSONValue] {
                try await client.get("/v1/usage", [("end_user_id", "alice")] + query).expect(200).items()
            }
            func total(_ day: JSONValue, _ feature: JSONValue, _ charges: Int64, _ units: Int64, _ cost: Int64)
                -> JSONValue
            {
                .members([
                    ("day", day), ("feature_key", feature), ("charges", .integer(charges)), ("units", .integer(units)),
                    ("cost", .integer(cost)),
                ])
            }
            #expect(try await totals([]) == [total(.null, .null, 4, 18, 135)])
            #expect(
                try await totals([("group_by", "feature")])
                    == [total(.null, "api", 3, 13, 130), total(.null, "other", 1, 5, 5)])
            #expect(
                try await totals([("group_by", "day"), ("feature_key", "api")])
                    == [total("2030-01-14", .null, 1, 4, 40), total("2030-01-15", .null, 2, 9, 90)])
            #expect(try await totals([("from", "2030-01-15T00:00:00Z")]) == [total(.null, .null, 3, 14, 95)])
            #expect(try await totals([("to", "2030-01-14T23:59:59Z")]).isEmpty)
            // Days are those of the environment's time zone.
            try await client.patch("/v1/config", ["timezone": "Europe/Berlin"]).expect(200)
            #expect(
                try await totals([("group_by", "day"), ("feature_key", "api")])
                    == [total("2030-01-15", .null, 3, 13, 130)])
        }

        @Test("Totals of usage by hour and month are those of the environment's clocks")
        func localTotals() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            _ = try await client.make("alice", at: "2030-01-01T12:00:00Z")
            try await client.grant("alice", 10_000).expect(201)
            for (units, instant) in [
                (1, "2029-12-31T17:59:59Z"), (2, "2029-12-31T18:14:59Z"), (4, "2029-12-31T18:15:00Z"),
                (8, "2030-01-01T11:59:59Z"),
            ] {
                try await client.post(
                    "/v1/usage",
                    [
                        "end_user_id": "alice", "feature_key": "api", "units": .integer(Int64(units)),
                        "occurred_at": .string(instant),
                    ]
                ).expect(201)
            }
            func units(by grouping: String) async throws -> [String: Int64] {
                let rows = try await client.get("/v1/usage", [("end_user_id", "alice"), ("group_by", grouping)])
                    .expect(200).items()
                return Dictionary(
                    uniqueKeysWithValues: try rows.map { row in
                        #expect(row[path: "day"] == .null && row[path: "feature_key"] == .null)
                        return (try #require(row[path: grouping]?.text), try #require(row[path: "units"]?.integer))
                    })
            }
            #expect(
                try await units(by: "hour") == [
                    "2029-12-31T17:00:00.000Z": 1, "2029-12-31T18:00:00.000Z": 6, "2030-01-01T11:00:00.000Z": 8,
                ])
            #expect(try await units(by: "month") == ["2029-12": 7, "2030-01": 8])
            // Kathmandu is 5 hours and 45 minutes ahead.
            try await client.patch("/v1/config", ["timezone": "Asia/Kathmandu"]).expect(200)
            #expect(
                try await units(by: "hour") == [
                    "2029-12-31T17:15:00.000Z": 3, "2029-12-31T18:15:00.000Z": 4, "2030-01-01T11:15:00.000Z": 8,
                ])
            #expect(try await units(by: "month") == ["2029-12": 3, "2030-01": 12])
        }

        @Test("Totals of usage by an attribute have its value under its name, and null for usage without it")
        func attributeTotals() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.grant("alice", 10_000).expect(201)
            let uses: [(Int64, JSONValue)] = [
                (1, ["model": "large", "member": 7]), (2, ["model": "large"]), (4, ["model": "small", "cached": true]),
                (8, [:]),
            ]
            for (units, attributes) in uses {
                try await client.post(
                    "/v1/usage",
                    [
                        "end_user_id": "alice", "feature_key": "api", "units": .integer(units),
                        "attributes": attributes,
                    ]
                ).expect(201)
            }
            func totals(by attribute: String) async throws -> Answer {
                try await client.get(
                    "/v1/usage",
                    [("end_user_id", "alice"), ("feature_key", "api"), ("group_by", "attribute:\(attribute)")])
            }
            func total(_ name: String, _ value: JSONValue, _ charges: Int64, _ units: Int64) -> JSONValue {
                .members([
                    ("day", .null), ("feature_key", .null), (name, value), ("charges", .integer(charges)),
                    ("units", .integer(units)), ("cost", .integer(10 * units)),
                ])
            }
            try await totals(by: "model").expect(400, "invalid_request")
            try await client.patch("/v1/features/api", ["report_by": ["model", "member", "cached"]]).expect(200)
            #expect(
                try await totals(by: "model").expect(200).items()
                    == [total("model", "large", 2, 3), total("model", "small", 1, 4), total("model", .null, 1, 8)])
            #expect(
                try await totals(by: "member").expect(200).items()
                    == [total("member", 7, 1, 1), total("member", .null, 3, 14)])
            #expect(
                try await totals(by: "cached").expect(200).items()
                    == [total("cached", true, 1, 4), total("cached", .null, 3, 11)])
            // The usage of an archived feature can be asked for. An attribute that is declared no more cannot.
            try await client.patch("/v1/features/api", ["archived": true, "report_by": ["model"]]).expect(200)
            #expect(try await totals(by: "model").expect(200).items().count == 3)
            let undeclared = try await totals(by: "member").expect(400, "invalid_request")
            #expect(undeclared["errors.0.pointer"] == "/query/group_by")
        }

        @Test("More than 10,000 totals are refused, and a shorter period is answered")
        func tooManyTotals() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 0)
            try await client.patch("/v1/features/api", ["report_by": ["run"]]).expect(200)
            _ = try await client.make("alice", at: "2030-01-15T12:00:00Z")
            for (start, instant) in [(0, "2030-01-15T11:00:00Z"), (5_001, "2030-01-15T10:00:00Z")] {
                let events = (start..<start + 5_001).map { number -> JSONValue in
                    [
                        "end_user_id": "alice", "feature_key": "api", "attributes": ["run": .integer(Int64(number))],
                        "occurred_at": .string(instant),
                    ]
                }
                let answer = try await client.post("/v1/usage/batch", ["events": .array(events)]).expect(200)
                #expect(answer["accepted"] == 5_001)
            }
            func totals(from: String?) async throws -> Answer {
                try await client.get(
                    "/v1/usage",
                    [
                        ("end_user_id", "alice"), ("feature_key", "api"), ("group_by", "attribute:run"), ("from", from),
                    ])
            }
            let refused = try await totals(from: nil).expect(400, "invalid_request")
            #expect(refused["errors.0.pointer"] == "/query/from")
            #expect(try await totals(from: "2030-01-15T11:00:00Z").expect(200).items().count == 5_001)
        }

        private func expectSums(_ explained: Answer, sourceLocation: SourceLocation = #_sourceLocation) throws {
            for sum in try explained.items("arithmetic") {
                let steps = try #require(sum[path: "steps"]?.items)
                let result = try #require(sum[path: "result"]?.text)
                let value = result == "spendable_balance" ? "entitlement.\(result)" : result
                #expect(
                    steps.reduce(0) { $0 + ($1[path: "amount"]?.integer ?? 0) } == explained[value]?.integer,
                    "\(result)", sourceLocation: sourceLocation)
                #expect(sum[path: "value"] == explained[value], "\(result)", sourceLocation: sourceLocation)
            }
            #expect(try explained.items("arithmetic").count == 3, sourceLocation: sourceLocation)
        }
    }
}

extension Answer {
    /// The lines of an NDJSON body.
    fileprivate func lines() throws -> [JSONValue] {
        try bytes.split(separator: UInt8(ascii: "\n")).map { try JSONParser.parse($0) }
    }
}
