import JSON
import Testing

extension Acceptance {
    /// Rules of every pricing model, and the cost of events under them.
    @Suite struct PricingTests {
        private static let tiers: JSONValue = [
            ["up_to": 10_000, "unit_cost": 10, "flat_fee": 0], ["up_to": .null, "unit_cost": 5, "flat_fee": 0],
        ]

        @Test("A rule of any model is made, shown and listed as it was sent")
        func rules() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "f", "name": "F", "type": "metered"]).expect(201)
            let flat: JSONValue = ["model": "flat", "amount": 250]
            let prices: [JSONValue] = [
                flat, ["model": "per_unit", "unit_cost": 3, "per_units": 1_000],
                ["model": "package", "package_size": 100, "package_cost": 40],
                ["model": "graduated", "tiers": Self.tiers, "scope": "event"],
                ["model": "graduated", "tiers": Self.tiers, "scope": "period"],
                ["model": "volume", "tiers": Self.tiers],
                ["dimensions": ["input": flat, "output": ["model": "volume", "tiers": Self.tiers]]],
                [
                    "price_rows": [
                        ["match": ["model": "large", "cached": true, "size": 3], "model": "flat", "amount": 1],
                        ["match": .object([:]), "dimensions": ["input": flat]],
                    ]
                ],
            ]
            var made: [JSONValue] = []
            for (index, price) in prices.enumerated() {
                let answer = try await client.post("/v1/metering-rules", price.with("feature_key", "f")).expect(201)
                expectMutationHeaders(answer)
                #expect(answer["version"]?.integer == Int64(index + 1))
                guard case .object(let members) = price else { continue }
                for (name, value) in members.members {
                    #expect(answer.json[path: name] == value, "\(name) of \(price)")
                }
                let names = Set(members.members.map(\.key))
                    .union(["id", "feature_key", "plan_variant_id", "version", "effective_from", "created_at"])
                #expect(Set(answer.json.names) == names)
                #expect(
                    try await client.get("/v1/metering-rules/\(try answer.text("id"))").expect(200).json == answer.json)
                made.append(answer.json)
            }
            #expect(try await client.all("/v1/metering-rules") == made.reversed())
        }

        @Test("A rule may begin later, and prices nothing before")
        func effectiveFrom() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "f", "name": "F", "type": "metered"]).expect(201)
            let rule: JSONValue = [
                "feature_key": "f", "model": "package", "package_size": 10, "package_cost": 1,
                "effective_from": "2999-01-31T00:00:00Z",
            ]
            let made = try await client.post("/v1/metering-rules", rule).expect(201)
            #expect(made["effective_from"] == "2999-01-31T00:00:00.000Z")
            #expect(try await client.check("alice", "f")["reason"] == "feature_not_priced")
            try await client.post("/v1/metering-rules", rule.with("effective_from", "2020-01-31T00:00:00+01:00"))
                .expect(201)
            #expect(try await client.check("alice", "f", 11)["estimated_cost"] == 2)
        }

        @Test("A check and a use cost what the preview says, and the affordable units are the maximum")
        func prices() async throws {
            let client = try await makeTenant().test
            let table: [(JSONValue, units: Int64, cost: Int64, affordable: Int64)] = [
                (["model": "package", "package_size": 100, "package_cost": 40], 101, 80, 275_000),
                (["model": "graduated", "tiers": Self.tiers], 12_000, 110_000, 12_000),
                (["model": "volume", "tiers": Self.tiers], 12_000, 60_000, 22_000),
                (["model": "per_unit", "unit_cost": 3, "per_units": 1_000], 1_001, 4, 36_666_666),
                (["model": "flat", "amount": 110_000], 5, 110_000, 9_007_199_254_740_991),
            ]
            for (index, (price, units, cost, affordable)) in table.enumerated() {
                let (feature, user) = ("f\(index)", "user-\(index)")
                try await client.post("/v1/features", ["key": .string(feature), "name": "F", "type": "metered"]).expect(
                    201)
                let rule = try await client.post("/v1/metering-rules", price.with("feature_key", .string(feature)))
                try await client.grant(user, 110_000).expect(201)
                let check = try await client.check(user, feature, units).expect(200)
                #expect(check["estimated_cost"]?.integer == cost, "\(price)")
                #expect(check["affordable_units"]?.integer == affordable, "\(price)")
                let preview = try await client.post(
                    "/v1/metering-rules/preview",
                    ["rule_id": .string(try rule.expect(201).text("id")), "units": .integer(units)])
                #expect(preview.expect(200)["cost"]?.integer == cost, "\(price)")
                #expect(try await client.use(user, feature, units).expect(201)["cost"]?.integer == cost, "\(price)")
            }
        }

        @Test("A price list of 1,000 models is one rule; more rows and more than 256 KiB are refused")
        func longPriceList() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "llm", "name": "L", "type": "metered"]).expect(201)
            func rule(_ count: Int, filler: Int = 0) -> JSONValue {
                let rows = (0..<count).map { number -> JSONValue in
                    [
                        "match": [
                            "model": "provider/model-\(number)",
                            "region": .string(String(repeating: "x", count: filler)),
                        ], "model": "flat", "amount": .integer(Int64(number)),
                    ]
                }
                return ["feature_key": "llm", "price_rows": .array(rows)]
            }
            let made = try await client.post("/v1/metering-rules", rule(1_000)).expect(201)
            #expect(try made.items("price_rows").count == 1_000)
            try await client.grant("alice", 1_000).expect(201)
            for number in [0, 500, 999] as [Int64] {
                let used = try await client.post(
                    "/v1/usage",
                    [
                        "end_user_id": "alice", "feature_key": "llm",
                        "attributes": ["model": "provider/model-\(number)", "region": ""],
                    ]
                )
                #expect(used.status == (number > 500 ? 402 : 201) && (number > 500 || used["cost"]?.integer == number))
            }
            let tooMany = try await client.post("/v1/metering-rules", rule(1_001)).expect(400, "invalid_request")
            #expect(tooMany["errors.0.pointer"] == "/price_rows")
            // 1,000 rows of more than 256 bytes. The preview refuses what the creation refuses.
            try await client.post("/v1/metering-rules", rule(1_000, filler: 200)).expect(413, "body_too_large")
            try await client.post(
                "/v1/metering-rules/preview", ["rule": rule(1_000, filler: 200), "units": 1]
            ).expect(413, "body_too_large")
            // A small body whose stored form is too large: every tier gets a flat fee.
            let tiers = (1...31).map { #"{"up_to":\#($0),"unit_cost":1}"# } + [#"{"up_to":null,"unit_cost":1}"#]
            let row = #"{"match":{},"model":"volume","tiers":[\#(tiers.joined(separator: ","))]}"#
            let rows = Array(repeating: row, count: 200).joined(separator: ",")
            let grown = #"{"feature_key":"llm","price_rows":[\#(rows)]}"#
            #expect(grown.utf8.count < 256 << 10)
            try await client.send("POST", "/v1/metering-rules", bytes: Array(grown.utf8)).expect(413, "body_too_large")
        }

        @Test("Quantities and attributes are priced alike by a check, a use, a batch and the preview")
        func dimensions() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "llm", "name": "L", "type": "metered"]).expect(201)
            let rule = try await client.post(
                "/v1/metering-rules",
                [
                    "feature_key": "llm",
                    "price_rows": [
                        [
                            "match": ["model": "large"],
                            "dimensions": [
                                "input": ["model": "per_unit", "unit_cost": 3, "per_units": 1_000],
                                "output": ["model": "per_unit", "unit_cost": 15, "per_units": 1_000],
                            ],
                        ],
                        ["match": ["model": "tiny"], "model": "flat", "amount": 2],
                    ],
                ]
            ).expect(201)
            try await client.grant("alice", 1_000).expect(201)
            let large: JSONValue = ["quantities": ["input": 1_001, "output": 2_000], "attributes": ["model": "large"]]
            let tiny: JSONValue = ["units": 7, "attributes": ["model": "tiny", "region": "eu"]]
            var balance: Int64 = 1_000
            for (event, cost) in [(large, Int64(34)), (tiny, 2)] {
                let named = event.with("end_user_id", "alice").with("feature_key", "llm")
                let preview = try await client.post(
                    "/v1/metering-rules/preview", event.with("rule_id", .string(try rule.text("id"))))
                #expect(preview.expect(200)["cost"]?.integer == cost)
                let check = try await client.post("/v1/entitlements/check", named).expect(200)
                #expect(check["allowed"] == true && check["estimated_cost"]?.integer == cost)
                #expect(try await client.post("/v1/usage", named).expect(201)["cost"]?.integer == cost)
                try await client.post("/v1/usage/batch", ["events": [named]]).expect(200)
                balance -= 2 * cost
                #expect(try await client.balance("alice")["balance"]?.integer == balance)
            }
            let bare: JSONValue = ["end_user_id": "alice", "feature_key": "llm"]
            let refusals: [(JSONValue, Int, String)] = [
                (bare, 409, "feature_not_priced"),
                (bare.with("attributes", ["model": "huge"]), 409, "feature_not_priced"),
                (bare.with("attributes", ["model": "large"]), 400, "invalid_request"),
                (bare.with("attributes", ["model": "tiny"]).with("quantities", ["input": 1]), 400, "invalid_request"),
                (
                    bare.with("attributes", ["model": "large"]).with("quantities", ["other": 1]), 400,
                    "invalid_request"
                ),
            ]
            for (event, status, code) in refusals {
                try await client.post("/v1/usage", event).expect(status, code, "\(event)")
            }
            #expect(try await client.balance("alice")["balance"]?.integer == balance)
        }

        @Test("Period tiers continue from use to use, for each end user separately, and a check continues them too")
        func period() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "api", "name": "A", "type": "metered"]).expect(201)
            let tiers: JSONValue = [
                ["up_to": 10, "unit_cost": 10], ["up_to": .null, "unit_cost": 1, "flat_fee": 100],
            ]
            try await client.post(
                "/v1/metering-rules",
                ["feature_key": "api", "model": "graduated", "scope": "period", "tiers": tiers]
            ).expect(201)
            for user in ["alice", "bob"] {
                try await client.grant(user, 300).expect(201)
                #expect(try await client.use(user, "api", 8).expect(201)["cost"] == 80)
                let check = try await client.check(user, "api", 4).expect(200)
                #expect(check["estimated_cost"] == 122)
                #expect(check["affordable_units"] == 102)
                #expect(try await client.use(user, "api", 4).expect(201)["cost"] == 122)
                #expect(try await client.use(user, "api", 99).expect(402)["required"] == 99)
                #expect(try await client.use(user, "api", 98).expect(201)["cost"] == 98)
            }
        }

        @Test("A preview explains the cost of an event, by an existing rule or by one in the request")
        func preview() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "f", "name": "F", "type": "metered"]).expect(201)
            let table: [(request: JSONValue, answer: JSONValue)] = [
                (
                    ["rule": ["model": "graduated", "tiers": Self.tiers], "units": 12_000],
                    [
                        "cost": 110_000,
                        "breakdown": [
                            ["kind": "tier", "tier": 1, "units": 10_000, "unit_cost": 10, "amount": 100_000],
                            ["kind": "tier", "tier": 2, "units": 2_000, "unit_cost": 5, "amount": 10_000],
                        ],
                    ]
                ),
                (
                    [
                        "rule": ["model": "graduated", "scope": "period", "tiers": Self.tiers], "units": 2,
                        "used_before": 9_999,
                    ],
                    [
                        "cost": 15,
                        "breakdown": [
                            ["kind": "tier", "tier": 1, "units": 1, "unit_cost": 10, "amount": 10],
                            ["kind": "tier", "tier": 2, "units": 1, "unit_cost": 5, "amount": 5],
                        ],
                    ]
                ),
                (
                    ["rule": ["model": "graduated", "tiers": Self.tiers], "used_before": 9_999],
                    [
                        "cost": 10,
                        "breakdown": [["kind": "tier", "tier": 1, "units": 1, "unit_cost": 10, "amount": 10]],
                    ]
                ),
                (
                    [
                        "rule": ["model": "volume", "tiers": [["up_to": .null, "unit_cost": 2, "flat_fee": 100]]],
                        "units": 3,
                    ],
                    [
                        "cost": 106,
                        "breakdown": [
                            ["kind": "tier", "tier": 1, "units": 3, "unit_cost": 2, "amount": 6],
                            ["kind": "flat_fee", "tier": 1, "amount": 100],
                        ],
                    ]
                ),
                (
                    ["rule": ["model": "package", "package_size": 100, "package_cost": 40], "units": 101],
                    [
                        "cost": 80,
                        "breakdown": [
                            ["kind": "package", "units": 101, "package_size": 100, "package_cost": 40, "amount": 80]
                        ],
                    ]
                ),
                (
                    // The body of a rule, as it would be sent.
                    [
                        "rule": [
                            "feature_key": "f", "effective_from": "2999-01-01T00:00:00Z", "model": "flat", "amount": 7,
                        ]
                    ],
                    ["cost": 7, "breakdown": [["kind": "flat", "units": 1, "amount": 7]]]
                ),
                (
                    ["rule": ["model": "flat", "amount": 7], "units": 0],
                    ["cost": 0, "breakdown": .array([])]
                ),
                (
                    [
                        "rule": [
                            "dimensions": [
                                "output": ["model": "per_unit", "unit_cost": 15, "per_units": 1_000],
                                "input": ["model": "graduated", "scope": "period", "tiers": Self.tiers],
                                "images": ["model": "flat", "amount": 9],
                            ]
                        ], "quantities": ["output": 1, "input": 1, "images": 0],
                        "used_before": ["input": 20_000],
                    ],
                    [
                        "cost": 6,
                        "breakdown": [
                            [
                                "kind": "tier", "dimension": "input", "tier": 2, "units": 1, "unit_cost": 5,
                                "amount": 5,
                            ],
                            [
                                "kind": "per_unit", "dimension": "output", "units": 1, "unit_cost": 15,
                                "per_units": 1_000, "amount": 1,
                            ],
                        ],
                    ]
                ),
                (
                    [
                        "rule": [
                            "price_rows": [
                                ["match": ["model": "large"], "model": "flat", "amount": 9],
                                ["match": .object([:]), "model": "flat", "amount": 2],
                            ]
                        ], "attributes": ["model": "large", "region": "eu"],
                    ],
                    ["cost": 9, "breakdown": [["kind": "flat", "units": 1, "amount": 9]]]
                ),
            ]
            for (request, expected) in table {
                let answer = try await client.post("/v1/metering-rules/preview", request).expect(200)
                #expect(answer.json == expected, "\(answer) to \(request)")
            }
            #expect(try await client.all("/v1/metering-rules").isEmpty)
            #expect(try await client.all("/v1/audit-log").count == 1)
        }

        @Test("A preview of an event that does not fit its rule names the part that does not fit")
        func misfits() async throws {
            let client = try await makeTenant().test
            let dimensions: JSONValue = ["dimensions": ["input": ["model": "flat", "amount": 1]]]
            let flat: JSONValue = ["model": "flat", "amount": 1]
            let dear: JSONValue = ["model": "per_unit", "unit_cost": 9_007_199_254_740_991]
            let rows: JSONValue = ["price_rows": [["match": ["model": "large"], "model": "flat", "amount": 1]]]
            let table: [(JSONValue, Int, String, String?)] = [
                (["rule": dimensions], 400, "invalid_request", "/quantities"),
                (["rule": dimensions, "quantities": ["other": 1]], 400, "invalid_request", "/quantities/other"),
                (["rule": flat, "quantities": ["input": 1]], 400, "invalid_request", "/quantities"),
                (
                    ["rule": dimensions, "quantities": ["input": 1], "used_before": 5], 400, "invalid_request",
                    "/used_before"
                ),
                (
                    ["rule": dimensions, "quantities": ["input": 1], "used_before": ["output": 5]], 400,
                    "invalid_request", "/used_before/output"
                ),
                (["rule": flat, "used_before": ["input": 5]], 400, "invalid_request", "/used_before"),
                (["rule": rows], 409, "feature_not_priced", "/attributes"),
                (["rule": rows, "attributes": ["model": "Large"]], 409, "feature_not_priced", "/attributes"),
                (["rule": dear, "units": 2], 400, "amount_out_of_range", nil),
                (["rule_id": "rule_00000000000000000000000000"], 404, "not_found", nil),
                (["rule_id": "x"], 404, "not_found", nil),
            ]
            for (request, status, code, pointer) in table {
                let answer = try await client.post("/v1/metering-rules/preview", request).expect(status, code)
                expectProblem(answer)
                guard let pointer else { continue }
                #expect(answer["errors.0.pointer"]?.text == pointer, "\(answer)")
            }
        }
    }

    /// The top-up packages of a tenant.
    @Suite struct TopupPackageTests {
        @Test("A package is made once, shown, changed, archived and restored")
        func life() async throws {
            let client = try await makeTenant().test
            let body: JSONValue = [
                "key": "starter.100:v1", "name": "Starter", "credits": 100_000, "price": 999, "currency": "EUR",
                "expires_after": "P1YT24H", "priority": 20,
            ]
            let made = try await client.post("/v1/topup-packages", body).expect(201)
            expectMutationHeaders(made)
            #expect(
                made.json.names == [
                    "key", "name", "credits", "price", "currency", "expires_after", "priority", "archived",
                    "created_at", "updated_at",
                ])
            #expect(made["key"] == "starter.100:v1" && made["name"] == "Starter" && made["credits"] == 100_000)
            #expect(made["price"] == 999 && made["currency"] == "EUR" && made["priority"] == 20)
            #expect(made["expires_after"] == "P1YT24H" && made["archived"] == false)
            expectInstant(made["created_at"])
            let path = "/v1/topup-packages/starter.100:v1"
            #expect(try await client.get(path).expect(200).json == made.json)
            try await client.post("/v1/topup-packages", body).expect(409, "conflict")

            let changed = try await client.patch(path, ["price": 0, "currency": "USD", "credits": 5, "name": "S"])
            #expect(changed.expect(200)["price"] == 0 && changed["currency"] == "USD")
            #expect(changed["credits"] == 5 && changed["name"] == "S" && changed["expires_after"] == "P1YT24H")
            #expect(changed["priority"] == 20 && changed["created_at"] == made["created_at"])
            let cleared = try await client.patch(path, ["expires_after": .null, "priority": .null]).expect(200)
            #expect(cleared["expires_after"] == .null && cleared["priority"] == .null && cleared["price"] == 0)
            let archived = try await client.patch(path, ["archived": true]).expect(200)
            #expect(archived["archived"] == true)
            #expect(try await client.get(path).expect(200).json == archived.json)
            #expect(try await client.patch(path, ["archived": false]).expect(200)["archived"] == false)
            try await client.get("/v1/topup-packages/other").expect(404, "not_found")
            try await client.patch("/v1/topup-packages/other", ["price": 1]).expect(404, "not_found")
        }

        @Test("A package needs only its required members; a repeated key makes no second package")
        func smallest() async throws {
            let client = try await makeTenant().test
            let body: JSONValue = ["key": "p", "name": "P", "credits": 1, "price": 0, "currency": "JPY"]
            let made = try await client.post("/v1/topup-packages", body, key: "once").expect(201)
            #expect(made["expires_after"] == .null && made["priority"] == .null)
            let again = try await client.post("/v1/topup-packages", body, key: "once").expect(201)
            #expect(again.isReplay && again.json == made.json)
            try await client.post("/v1/topup-packages", body.with("price", 1), key: "once")
                .expect(422, "idempotency_key_reuse")
        }

        @Test("Packages are listed newest first, page by page")
        func list() async throws {
            let client = try await makeTenant().test
            for number in 1...5 {
                let body: JSONValue = [
                    "key": "p\(number)", "name": "P", "credits": .integer(Int64(number)), "price": 1, "currency": "EUR",
                ]
                try await client.post("/v1/topup-packages", body).expect(201)
            }
            let pages = try await client.pages("/v1/topup-packages", limit: 2)
            #expect(pages.map(\.count) == [2, 2, 1])
            #expect(pages.flatMap { $0 }.compactMap { $0[path: "key"]?.text } == ["p5", "p4", "p3", "p2", "p1"])
        }
    }
}
