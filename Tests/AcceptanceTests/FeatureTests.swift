import JSON
import Testing

extension Acceptance {
    /// The types of features, and their quotas.
    @Suite struct FeatureTests {
        @Test(
            "A feature is metered, boolean or a limit, and keeps its type",
            arguments: ["metered", "boolean", "limit"])
        func kinds(type: String) async throws {
            let client = try await makeTenant().test
            let made = try await client.post(
                "/v1/features", ["key": "f", "name": "F", "type": .string(type), "unit_name": "call"]
            ).expect(201)
            expectMutationHeaders(made)
            #expect(made["type"]?.text == type && made["quota"] == .null && made["unit_name"] == "call")
            #expect(try await client.get("/v1/features/f").expect(200).json == made.json)
            let renamed = try await client.patch("/v1/features/f", ["name": "G"]).expect(200)
            #expect(renamed["type"]?.text == type && renamed["name"] == "G")
            #expect(try await client.all("/v1/features") == [renamed.json])
            let quota = try await client.patch("/v1/features/f", ["quota": ["limit": 1, "window": "day"]])
            if type == "metered" {
                quota.expect(200)
            } else {
                #expect(quota.expect(400, "invalid_request")["errors.0.pointer"] == "/quota")
                #expect(try await client.get("/v1/features/f").json == renamed.json)
            }
            // Null removes a quota, and is accepted where there cannot be one.
            #expect(try await client.patch("/v1/features/f", ["quota": .null]).expect(200)["quota"] == .null)
        }

        @Test("A metered feature's quota is set at creation or later, replaced, kept and removed")
        func quotas() async throws {
            let client = try await makeTenant().test
            let made = try await client.post(
                "/v1/features",
                ["key": "f", "name": "F", "type": "metered", "quota": ["limit": 0, "window": "PT60M"]]
            ).expect(201)
            #expect(made["quota"] == ["limit": 0, "window": "PT1H", "anchor": "calendar"])
            let changed = try await client.patch(
                "/v1/features/f",
                ["quota": ["limit": 9_007_199_254_740_991, "window": "month", "anchor": "first_use"]]
            ).expect(200)
            #expect(changed["quota"] == ["limit": 9_007_199_254_740_991, "window": "month", "anchor": "first_use"])
            let kept = try await client.patch("/v1/features/f", ["name": "G"]).expect(200)
            #expect(kept["quota"] == changed["quota"])
            #expect(try await client.patch("/v1/features/f", ["quota": .null]).expect(200)["quota"] == .null)
            #expect(try await client.get("/v1/features/f").expect(200)["quota"] == .null)
        }

        @Test("A metered feature's report_by is set at creation or later, replaced, kept and removed")
        func reportBy() async throws {
            let client = try await makeTenant().test
            let body: JSONValue = ["key": "f", "name": "F", "type": "metered", "report_by": ["model", "a:B-1._"]]
            let made = try await client.post("/v1/features", body).expect(201)
            #expect(made["report_by"] == ["model", "a:B-1._"])
            #expect(try await client.get("/v1/features/f").expect(200).json == made.json)
            #expect(try await client.all("/v1/features") == [made.json])
            let kept = try await client.patch("/v1/features/f", ["name": "G"]).expect(200)
            #expect(kept["report_by"] == made["report_by"])
            let eight: JSONValue = .array((1...8).map { .string("a\($0)") })
            let changed = try await client.patch("/v1/features/f", ["report_by": eight]).expect(200)
            #expect(changed["report_by"] == eight)
            #expect(try await client.get("/v1/features/f").expect(200)["report_by"] == eight)
            for none in [JSONValue.null, []] {
                try await client.patch("/v1/features/f", ["report_by": eight]).expect(200)
                let removed = try await client.patch("/v1/features/f", ["report_by": none]).expect(200)
                #expect(removed["report_by"] == [])
            }
            // A feature of another type has none, and null is accepted.
            let flag: JSONValue = ["key": "g", "name": "G", "type": "boolean"]
            #expect(try await client.post("/v1/features", flag).expect(201)["report_by"] == [])
            let refused = try await client.patch("/v1/features/g", ["report_by": ["model"]])
            #expect(refused.expect(400, "invalid_request")["errors.0.pointer"] == "/report_by")
            #expect(try await client.patch("/v1/features/g", ["report_by": .null]).expect(200)["report_by"] == [])
        }
    }
}
