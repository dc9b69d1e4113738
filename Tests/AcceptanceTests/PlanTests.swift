import JSON
import Testing

extension Acceptance {
    /// Plans, the versions of their variants, the prices that a variant has of its own, and the variants that the
    /// configuration names.
    @Suite struct PlanTests {
        private static let month: JSONValue = ["unit": "month"]

        @Test("A plan is made, shown by id and key, listed, changed, archived and restored")
        func plans() async throws {
            let client = try await makeTenant().test
            let made = try await client.post(
                "/v1/plans", ["key": "pro", "name": "Pro", "metadata": ["page": 1]], key: "once"
            ).expect(201)
            expectMutationHeaders(made)
            let id = try made.text("id")
            #expect(id.hasPrefix("plan_") && made["slot"] == "base" && made["archived"] == .bool(false))
            expectInstant(made["created_at"])
            for name in ["pro", id] {
                #expect(try await client.get("/v1/plans/\(name)").expect(200).json == made.json)
            }
            let again = try await client.post(
                "/v1/plans", ["key": "pro", "name": "Pro", "metadata": ["page": 1]], key: "once"
            ).expect(201)
            #expect(again.json == made.json)
            let taken = try await client.post("/v1/plans", ["key": "pro", "name": "Other"])
            #expect(taken.expect(409, "conflict")["errors.0.pointer"] == "/key")
            let bare = try await client.post("/v1/plans", ["name": "Bare", "slot": "seats"]).expect(201)
            #expect(bare["key"] == .null && bare["metadata"] == [:] && bare["slot"] == "seats")
            #expect(try await client.all("/v1/plans") == [bare.json, made.json])
            #expect(try await client.pages("/v1/plans", limit: 1).map(\.count) == [1, 1])

            let renamed = try await client.patch("/v1/plans/\(id)", ["name": "P", "metadata": .null]).expect(200)
            #expect(renamed["name"] == "P" && renamed["metadata"] == [:] && renamed["key"] == "pro")
            let archived = try await client.patch("/v1/plans/pro", ["archived": true]).expect(200)
            #expect(archived["archived"] == .bool(true))
            #expect(try await client.get("/v1/plans/pro").expect(200).json == archived.json)
            let restored = try await client.patch("/v1/plans/pro", ["archived": false]).expect(200)
            #expect(restored["archived"] == .bool(false))
        }

        @Test("A plan's slot can change until the plan has a variant")
        func slots() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            #expect(try await client.patch("/v1/plans/pro", ["slot": "seats"]).expect(200)["slot"] == "seats")
            try await makeVariant(client, "v", of: "pro")
            let refused = try await client.patch("/v1/plans/pro", ["slot": "base"])
            #expect(refused.expect(409, "conflict")["errors.0.pointer"] == "/slot")
            try await client.patch("/v1/plans/pro", ["slot": "seats", "name": "P"]).expect(200)
        }

        @Test("A variant is made with all its terms, and each change makes a version of it")
        func variants() async throws {
            let client = try await makeTenant().test
            try await sellFeatures(client)
            let plan = try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            let made = try await client.post(
                "/v1/plans/pro/variants",
                [
                    "key": "monthly", "name": "Monthly", "billing_interval": Self.month,
                    "credit_grants": [["credits": 5, "cadence": "every", "every": "PT300M"]],
                    "features": [["feature_key": "calls", "quota": ["limit": 5, "window": "day"]]],
                    "limits": [["key": "jobs", "unit": "concurrent", "limit": 2, "per_quantity": true]],
                    "trial_days": 14,
                ]
            ).expect(201)
            expectMutationHeaders(made)
            let id = try made.text("id")
            #expect(id.hasPrefix("var_") && made["plan_id"] == plan["id"] && made["version"] == 1)
            #expect(made["billing_interval"] == ["unit": "month", "count": 1])
            #expect(
                made["credit_grants"] == [
                    [
                        "credits": 5, "cadence": "every", "every": "PT5H", "anchor": "subscription",
                        "expires": "next_grant", "priority": .null, "rollover": .null, "accumulation_cap": .null,
                        "feature_keys": [],
                    ]
                ])
            #expect(made["limits"] == [["key": "jobs", "unit": "concurrent", "limit": 2, "per_quantity": true]])
            #expect(made["grace_period_days"] == 3 && made["billing_mode"] == "prepaid" && made["price"] == .null)

            let changed = try await client.patch("/v1/variants/monthly", ["trial_days": .null, "price": 990]).expect(
                200)
            #expect(changed["version"] == 2 && changed["trial_days"] == 0 && changed["price"] == 990)
            #expect(changed["credit_grants"] == made["credit_grants"] && changed["created_at"] == made["created_at"])
            // The members of an answer can be sent back, and change nothing.
            let others = ["id", "key", "plan_id", "version", "created_at", "updated_at"]
            let terms = changed.json.names.filter { !others.contains($0) }.map {
                (key: $0, value: changed[$0] ?? .null)
            }
            let body = JSONValue.object(JSONObject(members: terms))
            let same = try await client.patch("/v1/variants/monthly", body).expect(200)
            #expect(same.json == changed.json)
            let archived = try await client.patch("/v1/variants/\(id)", ["archived": true]).expect(200)
            #expect(archived["version"] == 3 && archived["archived"] == .bool(true))
            let renamed = try await client.patch("/v1/variants/\(id)", ["archived": false, "name": "M"]).expect(200)
            #expect(renamed["version"] == 4 && renamed["name"] == "M")
            for name in ["monthly", id] {
                #expect(try await client.get("/v1/variants/\(name)").expect(200).json == renamed.json)
            }
            let yearly = try await makeVariant(client, "yearly", of: "pro")
            #expect(try await client.all("/v1/plans/pro/variants") == [yearly.json, renamed.json])
            #expect(try await client.pages("/v1/plans/pro/variants", limit: 1).map(\.count) == [1, 1])
            let taken = try await client.post(
                "/v1/plans/pro/variants", ["key": "monthly", "name": "x", "billing_interval": Self.month])
            #expect(taken.expect(409, "conflict")["errors.0.pointer"] == "/key")
        }

        @Test("A variant names features that exist in the way of their type, and keeps one that is archived later")
        func features() async throws {
            let client = try await makeTenant().test
            try await sellFeatures(client)
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            try await client.post("/v1/features", ["key": "old", "name": "Old", "type": "boolean"]).expect(201)
            try await client.patch("/v1/features/old", ["archived": true]).expect(200)
            let body: JSONValue = ["name": "x", "billing_interval": Self.month]
            func make(_ name: String, _ value: JSONValue) async throws -> Answer {
                try await client.post(
                    "/v1/plans/pro/variants", body.with(name, value))
            }
            for key in ["unknown", "old"] {
                let named: JSONValue = .string(key)
                try await make("features", [["feature_key": named, "enabled": true]]).expect(404, "unknown_feature")
                try await make(
                    "credit_grants", [["credits": 1, "cadence": "period", "feature_keys": [named]]]
                ).expect(404, "unknown_feature")
                try await make(
                    "limits", [["key": "l", "unit": "units", "limit": 1, "window": "day", "feature_keys": [named]]]
                ).expect(404, "unknown_feature")
            }
            for grant: JSONValue in [
                ["feature_key": "export", "limit": 5], ["feature_key": "calls", "limit": 5],
                ["feature_key": "seats", "quota": ["limit": 1, "window": "day"]],
            ] {
                let refused = try await make("features", [grant])
                #expect(refused.expect(400, "invalid_request")["errors.0.pointer"] == "/features")
            }
            let made = try await make("features", [["feature_key": "export", "enabled": true]]).expect(201)
            try await client.patch("/v1/features/export", ["archived": true]).expect(200)
            try await client.patch("/v1/variants/\(try made.text("id"))", ["trial_days": 5]).expect(200)
        }

        @Test("A variant that is too large is refused")
        func size() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            let values = JSONValue.array((0..<32).map { .string(String(repeating: "x", count: 200) + "\($0)") })
            let limits = (0..<15).map { number -> JSONValue in
                [
                    "key": .string("l\(number)"), "unit": "units", "limit": 1, "window": "day", "match": ["m": values],
                ]
            }
            let body: JSONValue = ["key": "large", "name": "x", "billing_interval": Self.month]
            try await client.post("/v1/plans/pro/variants", body.with("limits", .array(limits))).expect(400)
            try await client.post(
                "/v1/plans/pro/variants", body.with("limits", .array(Array(limits.prefix(9))))
            ).expect(201)
            try await client.patch("/v1/variants/large", ["limits": .array(limits)]).expect(400)
            #expect(try await client.get("/v1/variants/large").expect(200)["version"] == 1)
        }

        @Test("A fallback exists, is of the same slot and not archived, and leads nowhere back")
        func fallbacks() async throws {
            let client = try await makeTenant().test
            for (key, slot) in [("pro", "base"), ("free", "base"), ("addon", "seats")] {
                try await client.post(
                    "/v1/plans", ["key": .string(key), "name": "x", "slot": .string(slot)]
                ).expect(201)
            }
            let free = try await makeVariant(client, "free", of: "free")
            try await makeVariant(client, "a", of: "pro", fallback: "free")
            let second = try await makeVariant(client, "b", of: "pro", fallback: "a")
            #expect(second["fallback_variant_id"] == (try await client.get("/v1/variants/a"))["id"])
            try await makeVariant(client, "seats", of: "addon")
            func change(_ key: String, _ fallback: JSONValue) async throws -> Answer {
                try await client.patch("/v1/variants/\(key)", ["fallback_variant_id": fallback])
            }
            for (key, fallback) in [("free", "free"), ("free", "a"), ("free", "b"), ("a", "b")] {
                let refused = try await change(key, .string(fallback))
                #expect(refused.expect(400, "invalid_request")["errors.0.pointer"] == "/fallback_variant_id")
            }
            try await change("free", "unknown").expect(404, "not_found")
            let slot = try await change("seats", "free")
            #expect(slot.expect(409, "conflict")["errors.0.pointer"] == "/fallback_variant_id")
            try await change("b", free["id"] ?? .null).expect(200)
            #expect(try await change("b", .null).expect(200)["fallback_variant_id"] == .null)
            try await client.patch("/v1/variants/a", ["archived": true]).expect(200)
            try await change("b", "a").expect(404, "not_found")
            try await client.patch("/v1/plans/free", ["archived": true]).expect(200)
            try await change("b", "free").expect(404, "not_found")
            // A fallback that was archived later stays.
            #expect(try await client.get("/v1/variants/a").expect(200)["fallback_variant_id"] == free["id"])
            try await client.patch("/v1/variants/a", ["trial_days": 3]).expect(200)
        }

        @Test("A chain of fallbacks has at most 100 variants")
        func longChain() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            try await makeVariant(client, "v0", of: "pro")
            for number in 1...100 {
                try await makeVariant(client, "v\(number)", of: "pro", fallback: "v\(number - 1)")
            }
            let refused = try await client.post(
                "/v1/plans/pro/variants",
                ["name": "x", "billing_interval": Self.month, "fallback_variant_id": "v100"])
            #expect(refused.expect(400, "invalid_request")["errors.0.pointer"] == "/fallback_variant_id")
        }

        @Test("A change of limits is refused when it does not fit the quotas that are kept")
        func limitsAndQuotas() async throws {
            let client = try await makeTenant().test
            try await sellFeatures(client)
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            try await makeVariant(client, "v", of: "pro")
            let limits = (0..<50).map { number -> JSONValue in
                ["key": .string("l\(number)"), "unit": "units", "limit": 1, "window": "day"]
            }
            let quota: JSONValue = [["feature_key": "calls", "quota": ["limit": 1, "window": "day"]]]
            try await client.patch("/v1/variants/v", ["limits": .array(limits)]).expect(200)
            let refused = try await client.patch("/v1/variants/v", ["features": quota])
            #expect(refused.expect(400, "invalid_request")["errors.0.pointer"] == "/features")
            try await client.patch("/v1/variants/v", ["limits": [], "features": quota]).expect(200)
        }

        @Test("A metering rule of a variant counts its own versions")
        func rules() async throws {
            let client = try await makeTenant().test
            try await sellFeatures(client)
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            let variant = try await makeVariant(client, "v", of: "pro")
            func price(_ name: JSONValue) async throws -> Answer {
                try await client.post(
                    "/v1/metering-rules",
                    ["feature_key": "calls", "model": "flat", "amount": 5, "plan_variant_id": name])
            }
            let id = variant["id"] ?? .null
            let common = try await price(.null).expect(201)
            let own = [try await price("v").expect(201), try await price(id).expect(201)]
            #expect(common["version"] == 1 && common["plan_variant_id"] == .null)
            #expect(own.map { $0["version"] } == [1, 2] && own.allSatisfy { $0["plan_variant_id"] == id })
            #expect(try await client.get("/v1/metering-rules/\(try own[0].text("id"))").expect(200).json == own[0].json)
            let listed = try await client.all("/v1/metering-rules")
            #expect(listed == [own[1].json, own[0].json, common.json])
            let refused = try await price("unknown").expect(404, "not_found")
            #expect(refused["errors.0.pointer"] == "/plan_variant_id")
            // The feature's price applies to end users without a subscription.
            try await client.grant("alice", 100).expect(201)
            #expect(try await client.use("alice", "calls").expect(201)["cost"] == 5)
        }

        @Test("The configuration names a default of the slot base and a fallback, and takes ids and keys")
        func configuration() async throws {
            let client = try await makeTenant().test
            for (key, slot) in [("pro", "base"), ("addon", "seats")] {
                try await client.post(
                    "/v1/plans", ["key": .string(key), "name": "x", "slot": .string(slot)]
                ).expect(201)
            }
            let variant = try await makeVariant(client, "v", of: "pro")
            let seats = try await makeVariant(client, "seats", of: "addon")
            let none = try await client.get("/v1/config").expect(200)
            #expect(none["default_plan_variant_id"] == .null && none["fallback_variant_id"] == .null)
            let set = try await client.patch(
                "/v1/config", ["default_plan_variant_id": "v", "fallback_variant_id": seats["id"] ?? .null]
            ).expect(200)
            #expect(set["default_plan_variant_id"] == variant["id"] && set["fallback_variant_id"] == seats["id"])
            #expect(try await client.get("/v1/config").expect(200).json == set.json)
            let kept = try await client.patch("/v1/config", ["overage_policy": "notify"]).expect(200)
            #expect(kept["default_plan_variant_id"] == variant["id"])
            let slot = try await client.patch("/v1/config", ["default_plan_variant_id": "seats"])
            #expect(slot.expect(409, "conflict")["errors.0.pointer"] == "/default_plan_variant_id")
            for name in ["default_plan_variant_id", "fallback_variant_id"] {
                let unknown = try await client.patch("/v1/config", JSONValue.object([:]).with(name, "unknown"))
                #expect(unknown.expect(404, "not_found")["errors.0.pointer"]?.text == "/\(name)")
            }
            try await client.patch("/v1/variants/v", ["archived": true]).expect(200)
            try await client.patch("/v1/config", ["default_plan_variant_id": "v"]).expect(404, "not_found")
            let cleared = try await client.patch(
                "/v1/config", ["default_plan_variant_id": .null, "fallback_variant_id": .null]
            ).expect(200)
            #expect(cleared["default_plan_variant_id"] == .null && cleared["fallback_variant_id"] == .null)
        }

        @Test("Each mutation of plans and variants is in the audit log")
        func audit() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            try await client.patch("/v1/plans/pro", ["name": "P"]).expect(200)
            try await makeVariant(client, "v", of: "pro")
            try await client.patch("/v1/variants/v", ["trial_days": 1]).expect(200)
            let actions = try await client.all("/v1/audit-log").map { $0[path: "action"]?.text }
            #expect(actions == ["plan_variant.update", "plan_variant.create", "plan.update", "plan.create"])
        }

        // MARK: - Parts

        /// Makes a monthly variant.
        @discardableResult
        private func makeVariant(
            _ client: Client, _ key: String, of plan: String, fallback: String? = nil
        ) async throws -> Answer {
            try await client.post(
                "/v1/plans/\(plan)/variants",
                [
                    "key": .string(key), "name": "x", "billing_interval": Self.month,
                    "fallback_variant_id": fallback.map { .string($0) } ?? .null,
                ]
            ).expect(201)
        }

        /// Makes a feature of each type.
        private func sellFeatures(_ client: Client) async throws {
            for (key, type) in [("calls", "metered"), ("export", "boolean"), ("seats", "limit")] {
                try await client.post(
                    "/v1/features", ["key": .string(key), "name": "x", "type": .string(type)]
                ).expect(201)
            }
        }
    }
}
