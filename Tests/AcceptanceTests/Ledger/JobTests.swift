import JSON
import Testing

extension Acceptance {
    /// Jobs whose price or whose limits depend on more than their own units.
    @Suite struct JobTests {
        private func seller(_ price: JSONValue) async throws -> Client {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "tokens", "name": "T", "type": "metered"]).expect(201)
            try await client.post("/v1/metering-rules", price.with("feature_key", "tokens")).expect(201)
            return client
        }

        @Test("A job whose larger total costs less gets the difference back, and can be refunded only what it cost")
        func volume() async throws {
            let tiers: JSONValue = [["up_to": 10, "unit_cost": 9], ["up_to": .null, "unit_cost": 2]]
            let client = try await seller(["model": "volume", "tiers": tiers])
            try await client.grant("alice", 1_000).expect(201)
            let id = try await client.reserve("alice", "tokens", units: 10).expect(201).text("id")
            #expect(try await client.progress(id, units: 10).expect(200)["charged"] == 90)
            let fallen = try await client.progress(id, units: 11).expect(200)
            #expect(fallen["charged"] == 0 && fallen["refunded"] == 68 && fallen["cost"] == 22, "\(fallen)")
            #expect(fallen["entry.type"] == "commit" && fallen["entry.amount"] == 0 && fallen["balance"] == 978)
            let refund = try #require(try await client.ledger("alice", type: "refund").first)
            #expect(refund[path: "trigger"] == "settlement" && refund[path: "reservation_id"] == .string(id))
            let committed = try await client.commit(id, units: 50).expect(200)
            #expect(committed["cost"] == 100 && committed["balance"] == 900)
            let usage = try await client.get("/v1/usage", [("end_user_id", "alice")]).expect(200)
            #expect(usage["data.0.cost"] == 100 && usage["data.0.units"] == 50, "\(usage)")
            let back = try await client.refund("alice", try committed.text("entry.id")).expect(201)
            #expect(back["refunded"] == 100 && back["balance"] == 1_000)
        }

        @Test("A hold over several features is charged for each at its own price, and counts in the limits of all")
        func severalFeatures() async throws {
            let client = try await seller(["model": "per_unit", "unit_cost": 2])
            try await client.sell("images", unitCost: 30)
            try await client.sell("search", unitCost: 5)
            let limit: JSONValue = [
                "unit": "credits", "limit": 500, "window": "day", "per": "member",
                "feature_keys": ["images", "search"],
            ]
            try await client.send("PUT", "/v1/end-users/alice/limits/media", bytes: limit.bytes).expect(201)
            try await client.post(
                "/v1/credits/grant", ["end_user_id": "alice", "credits": 900, "feature_keys": ["tokens"]]
            ).expect(201)
            try await client.grant("alice", 1_000).expect(201)
            let request: JSONValue = [
                "end_user_id": "alice", "feature_keys": ["tokens", "images", "search"], "credits": 400,
                "attributes": ["member": "ann"],
            ]
            // The block of one feature is not held, and the member's budget counts the estimate.
            let made = try await client.post("/v1/reservations", request).expect(201)
            let id = try made.text("id")
            #expect(made["feature_key"] == .null && made["feature_keys"] == ["tokens", "images", "search"])
            #expect(made["held"] == 400 && made["attributes.member"] == "ann" && made["rule_id"] == .null)
            let full = try await client.post("/v1/reservations", request).expect(402, "spend_cap_reached")
            #expect(full["limit_key"] == "media" && full["used"] == 400 && full["per_value"] == "ann")
            #expect(try await client.get("/v1/reservations/\(id)").expect(200)["features"] == made["features"])

            let report = { (path: String, body: JSONValue) async throws -> Answer in
                try await client.post("/v1/reservations/\(id)/\(path)", body)
            }
            #expect(try await report("progress", ["units": 10]).expect(400)["errors.0.pointer"] == "/feature_key")
            try await report("progress", ["units": 10, "feature_key": "api"]).expect(400)
            let images = try await report("progress", ["units": 4, "feature_key": "images"]).expect(200)
            #expect(images["charged"] == 120 && images["entry.feature_key"] == "images" && images["held"] == 280)
            let tokens = try await report("progress", ["units": 100, "feature_key": "tokens"]).expect(200)
            #expect(tokens["charged"] == 200 && tokens["cost"] == 320)
            let done = try await report("commit", ["units": 150, "feature_key": "tokens"]).expect(200)
            #expect(done["charged"] == 100 && done["cost"] == 420 && done["held"] == 0 && done["returned"] == 0)
            #expect(done["features.0.cost"] == 300 && done["features.1.cost"] == 120 && done["features.2.cost"] == 0)
            #expect(done["features.1.progress.units"] == 4 && done["features.0.progress.units"] == 150)
            // The excess over the hold came from the block of tokens.
            #expect(try await client.balance("alice")["balance"] == 1_480)
            let check = try await client.get(
                "/v1/end-users/alice/limits", [("per_value", "ann")]
            ).expect(200)
            #expect(check["data.0.used"] == 120, "\(check)")
            let usage = try await client.get("/v1/usage", [("end_user_id", "alice"), ("group_by", "feature")]).expect(
                200)
            #expect(usage["data.0.units"] == 4 && usage["data.1.units"] == 150, "\(usage)")
        }

        @Test("Impossible holds over several features are refused at their pointer, and nothing is held")
        func impossibleFeatures() async throws {
            let client = try await seller(["model": "per_unit", "unit_cost": 2])
            try await client.sell("images", unitCost: 30)
            try await client.post("/v1/features", ["key": "sso", "name": "S", "type": "boolean"]).expect(201)
            try await client.grant("alice", 1_000).expect(201)
            let names = (1...17).map { JSONValue.string("f\($0)") }
            for (members, pointer) in [
                (["feature_keys": ["tokens", "images"], "units": 1], "/feature_keys"),
                (["feature_keys": ["tokens", "tokens"], "credits": 1], "/feature_keys"),
                (["feature_keys": [], "credits": 1], "/feature_keys"),
                (["feature_keys": .array(names), "credits": 1], "/feature_keys"),
                (["feature_keys": ["tokens"], "feature_key": "tokens", "credits": 1], "/feature_keys"),
                (["feature_keys": "tokens", "credits": 1], "/feature_keys"),
                (["feature_keys": ["to kens", "images"], "credits": 1], "/feature_keys/0"),
                (["credits": 1], "/feature_key"),
            ] as [(JSONValue, String)] {
                let answer = try await client.post("/v1/reservations", members.with("end_user_id", "alice")).expect(400)
                #expect(answer["errors.0.pointer"] == .string(pointer), "\(answer)")
            }
            for (keys, status, code) in [
                (["tokens", "nothing"], 404, "unknown_feature"), (["sso", "nothing"], 404, "unknown_feature"),
                (["tokens", "sso"], 409, "feature_not_priced"),
            ] as [(JSONValue, Int, String)] {
                try await client.post(
                    "/v1/reservations", ["end_user_id": "alice", "feature_keys": keys, "credits": 1]
                ).expect(status, code)
            }
            #expect(try await client.balance("alice")["reserved_balance"] == 0)
        }

        @Test("Carried fractions add up over single events, batches, jobs and test clocks")
        func carry() async throws {
            let client = try await seller([
                "model": "per_unit", "unit_cost": 3, "per_units": 1_000, "rounding": "carry",
            ])
            let clock = try await client.make("alice", at: "2030-01-01T00:00:00Z")
            try await client.grant("alice", 1_000).expect(201)
            let event: JSONValue = ["end_user_id": "alice", "feature_key": "tokens", "units": 1]
            var cost: Int64 = 0
            for _ in 0..<3 {
                cost += try #require(try await client.post("/v1/usage", event).expect(201)["cost"]?.integer)
            }
            #expect(cost == 1)
            let events = Array(repeating: event, count: 330)
            #expect(try await client.post("/v1/usage/batch", ["events": .array(events)])["accepted"] == 330)
            #expect(try await client.balance("alice")["balance"] == 999)
            #expect(try await client.check("alice", "tokens", 1)["estimated_cost"] == 1)
            try await clock.advance(to: "2030-06-01T00:00:00Z")
            let id = try await client.reserve("alice", "tokens", units: 500).expect(201).text("id")
            #expect(try await client.progress(id, units: 1).expect(200)["charged"] == 1)
            #expect(try await client.progress(id, units: 333).expect(200)["charged"] == 0)
            #expect(try await client.commit(id, units: 334).expect(200)["charged"] == 1)
            #expect(try await client.post("/v1/usage", event.with("units", 333)).expect(201)["cost"] == 0)
            #expect(try await client.balance("alice")["balance"] == 997)
        }

        @Test("A commit with other attributes is priced and counted by them; a budget that it does not fit refuses it")
        func otherAttributes() async throws {
            let rows: JSONValue = [
                ["match": ["model": "large"], "model": "per_unit", "unit_cost": 5],
                ["match": .object([:]), "model": "per_unit", "unit_cost": 2],
            ]
            let client = try await seller(["price_rows": rows])
            try await client.grant("alice", 1_000).expect(201)
            let budget: JSONValue = ["unit": "units", "limit": 12, "window": "day", "per": "model"]
            try await client.send("PUT", "/v1/end-users/alice/limits/model", bytes: budget.bytes).expect(201)
            let reservation: JSONValue = [
                "end_user_id": "alice", "feature_key": "tokens", "units": 10, "attributes": ["model": "small"],
            ]
            let first = try await client.post("/v1/reservations", reservation).expect(201)
            let commit: JSONValue = ["units": 10, "attributes": ["model": "large"]]
            let path = "/v1/reservations/\(try first.text("id"))/commit"
            let committed = try await client.post(path, commit).expect(200)
            #expect(committed["cost"] == 50 && committed["entry.attributes.model"] == "large")
            func used(_ model: String) async throws -> JSONValue? {
                try await client.get("/v1/end-users/alice/limits/model", [("per_value", model)])["used"]
            }
            #expect(try await used("large") == 10)
            #expect(try await used("small") == 0)
            let second = try await client.post("/v1/reservations", reservation).expect(201)
            let next = "/v1/reservations/\(try second.text("id"))/commit"
            let refused = try await client.post(next, commit).expect(402, "quota_exceeded")
            #expect(refused["limit_key"] == "model" && refused["per_value"] == "large" && refused["used"] == 10)
            #expect(refused["resets_at"] != nil && refused.headers["retry-after"] != nil)
            let capped = try await client.post(next, commit.with("shortfall", "cap")).expect(200)
            #expect(capped["cost"] == 10 && capped["entry.units"] == 2)
            let plain: JSONValue = ["end_user_id": "alice", "feature_key": "tokens", "units": 13]
            let unnamed = try await client.post("/v1/usage", plain).expect(402, "quota_exceeded")
            #expect(unnamed.json.names.contains("per_value") && unnamed["per_value"] == .null)
        }
    }
}
