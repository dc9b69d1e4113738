import JSON

extension BadRequests {
    static let credits = BadRequests(
        "top-ups, refunds, revocations, adjustments and transfers",
        badPayments("/v1/credits/grant", #""end_user_id":"alice","credits":5"#),
        badPayments("/v1/topups", #""end_user_id":"alice","credits":5"#),
        amounts("credits") { .post("/v1/topups", #"{"end_user_id":"alice","credits":\#($0)}"#, $1, $2, at: $3) },
        amounts("credits") {
            .post(
                "/v1/credits/transfer", #"{"from_end_user_id":"alice","to_end_user_id":"bob","credits":\#($0)}"#, $1,
                $2, at: $3)
        },
        [
            .post("/v1/topups", #"{"end_user_id":"alice"}"#, at: "/credits"),
            .post("/v1/topups", #"{"end_user_id":"alice","credits":5,"package_key":"p"}"#, at: "/package_key"),
            .post("/v1/topups", #"{"end_user_id":"alice","package_key":"a b"}"#, at: "/package_key"),
            .post("/v1/topups", #"{"end_user_id":"alice","package_key":"none"}"#, 404, "not_found"),
            .post(
                "/v1/topups", #"{"end_user_id":"alice","credits":5,"external_payment_id":""}"#,
                at: "/external_payment_id"),
            .post(
                "/v1/topups", #"{"end_user_id":"alice","credits":5,"external_payment_id":\#(long(256))}"#,
                at: "/external_payment_id"),
            .post(
                "/v1/topups", #"{"end_user_id":"alice","credits":5,"source":"topup"}"#, 400, "unknown_field",
                at: "/source"),
            .post(
                "/v1/topups", #"{"end_user_id":"alice","credits":5,"expires_at":"2020-01-01T00:00:00Z"}"#,
                at: "/expires_at"),
        ],
        endUserIDs.map { .post("/v1/topups", #"{"end_user_id":\#($0),"credits":5}"#, at: "/end_user_id") },
        [
            .post("/v1/credits/refund", #"{"end_user_id":"alice"}"#, at: "/usage_id"),
            .post("/v1/credits/refund", #"{"end_user_id":"alice","usage_id":"ent_1"}"#, at: "/usage_id"),
            .post(
                "/v1/credits/refund", #"{"end_user_id":"alice","usage_id":"\#(use)","entry_id":"\#(entry)"}"#,
                at: "/entry_id"),
            .post("/v1/credits/refund", #"{"usage_id":"\#(use)"}"#, at: "/end_user_id"),
            .post(
                "/v1/credits/refund", #"{"end_user_id":"alice","usage_id":"\#(use)","units":1,"credits":1}"#,
                at: "/credits"),
            .post(
                "/v1/credits/refund", #"{"end_user_id":"alice","usage_id":"\#(use)","x":1}"#, 400, "unknown_field",
                at: "/x"),
            .post("/v1/credits/refund", #"{"end_user_id":"alice","usage_id":"\#(use)"}"#, 404, "not_found"),
            .post("/v1/credits/refund", #"{"end_user_id":"alice","entry_id":"\#(entry)"}"#, 404, "not_found"),
            .post(
                "/v1/credits/refund",
                #"{"end_user_id":"alice","usage_id":"\#(use)","expires_at":"2999-01-01T00:00:00Z","expires_after":"P1D"}"#,
                at: "/expires_after"),
        ],
        ["0", "-1", "1.5", "9223372036854775808", "\"1\""].map {
            .post("/v1/credits/refund", #"{"end_user_id":"alice","usage_id":"\#(use)","units":\#($0)}"#, at: "/units")
        },
        amounts("credits") {
            .post(
                "/v1/credits/refund", #"{"end_user_id":"alice","usage_id":"\#(use)","credits":\#($0)}"#, $1, $2, at: $3)
        },
        [
            .post("/v1/credits/revoke", "{}", at: "/block_id"),
            .post("/v1/credits/revoke", #"{"block_id":"res_00000000000000000000000001"}"#, at: "/block_id"),
            .post(
                "/v1/credits/revoke", #"{"block_id":"\#(block)","external_payment_id":"pi"}"#,
                at: "/external_payment_id"),
            .post("/v1/credits/revoke", #"{"external_payment_id":""}"#, at: "/external_payment_id"),
            .post("/v1/credits/revoke", #"{"block_id":"\#(block)"}"#, 404, "not_found"),
            .post("/v1/credits/revoke", #"{"block_id":"blk_7zzzzzzzzzzzzzzzzzzzzzzzzz"}"#, 404, "not_found"),
            .post("/v1/credits/revoke", #"{"external_payment_id":"pi_unknown"}"#, 404, "not_found"),
            .post(
                "/v1/credits/revoke", #"{"block_id":"\#(block)","end_user_id":"alice"}"#, 400, "unknown_field",
                at: "/end_user_id"),
            .post("/v1/credits/revoke", #"{"block_id":"\#(block)","reason":\#(long(501))}"#, at: "/reason"),
        ],
        ["0", "-0", "1.5", "\"5\"", "true", "1e3"].map {
            .post("/v1/credits/adjust", #"{"end_user_id":"alice","amount":\#($0)}"#, at: "/amount")
        },
        ["9007199254740992", "-9007199254740992", "9007199254740991", "99999999999999999999"].map {
            .post(
                "/v1/credits/adjust", #"{"end_user_id":"alice","amount":\#($0)}"#, 400, "amount_out_of_range",
                at: "/amount")
        },
        [
            .post("/v1/credits/adjust", #"{"end_user_id":"alice"}"#, at: "/amount"),
            .post("/v1/credits/adjust", #"{"end_user_id":"alice","amount":-1001}"#, 402, "insufficient_credits"),
            .post("/v1/credits/adjust", #"{"end_user_id":"nobody","amount":-1}"#, 402, "insufficient_credits"),
            .post("/v1/credits/transfer", #"{"to_end_user_id":"bob","credits":5}"#, at: "/from_end_user_id"),
            .post("/v1/credits/transfer", #"{"from_end_user_id":"alice","credits":5}"#, at: "/to_end_user_id"),
            .post(
                "/v1/credits/transfer", #"{"from_end_user_id":"alice","to_end_user_id":"alice","credits":5}"#,
                at: "/to_end_user_id"),
            .post(
                "/v1/credits/transfer", #"{"from_end_user_id":"alice","to_end_user_id":"bob","credits":1001}"#, 402,
                "insufficient_credits"),
            .post(
                "/v1/credits/transfer", #"{"from_end_user_id":"nobody","to_end_user_id":"alice","credits":1}"#, 402,
                "insufficient_credits"),
        ],
        endUserIDs.map {
            .post(
                "/v1/credits/transfer", #"{"from_end_user_id":"alice","to_end_user_id":\#($0),"credits":5}"#,
                at: "/to_end_user_id")
        })

    static let reservations = BadRequests(
        "reservations",
        [
            reserve(#""units":1"#, without: "end_user_id", at: "/end_user_id"),
            reserve(#""units":1"#, without: "feature_key", at: "/feature_key"), reserve("", at: "/units"),
            reserve(#""units":1,"credits":1"#, at: "/credits"),
            reserve(#""units":1,"quantities":{}"#, at: "/quantities"),
            reserve(#""credits":1,"attributes":{"a":[]}"#, at: "/attributes/a"),
            reserve(#""units":1,"ttl":5"#, 400, "unknown_field", at: "/ttl"),
            reserve(#""units":1,"shortfall":"cap""#, 400, "unknown_field", at: "/shortfall"),
            reserve(#""units":1,"metadata":5"#, at: "/metadata"), reserve(#""quantities":[]"#, at: "/quantities"),
            reserve(#""quantities":{"in":-1}"#, at: "/quantities/in"),
            reserve(#""quantities":{"in":1}"#, at: "/quantities"),
            reserve(#""units":1,"attributes":{"a":[]}"#, at: "/attributes/a"),
            reserve(#""units":1001"#, 402, "insufficient_credits"),
            reserve(#""credits":1000001"#, 402, "insufficient_credits"),
            reserve(#""units":9223372036854775807"#, 400, "amount_out_of_range", at: "/units"),
            .post(
                "/v1/reservations", #"{"end_user_id":"alice","feature_key":"nothing","units":1}"#, 404,
                "unknown_feature"),
            .post(
                "/v1/reservations", #"{"end_user_id":"alice","feature_key":"unpriced","units":1}"#, 409,
                "feature_not_priced"),
        ],
        ["0", "-1", "604801", "1.5", "\"5\"", "9223372036854775808", "true"].map {
            reserve(#""units":1,"ttl_seconds":\#($0)"#, at: "/ttl_seconds")
        },
        ["-1", "1.5", "1e3", "9223372036854775808", "\"1\""].map { reserve(#""units":\#($0)"#, at: "/units") },
        amounts("credits") { reserve(#""credits":\#($0)"#, $1, $2, at: $3) },
        [
            ("commit", #"{"units":1}"#), ("release", "{}"), ("extend", #"{"ttl_seconds":5}"#),
            ("progress", #"{"units":1}"#),
        ]
        .flatMap { action, body in
            ["res_00000000000000000000000001", "res_7zzzzzzzzzzzzzzzzzzzzzzzzz", "res_x", "blk_1", "%00"].map {
                .post("/v1/reservations/\($0)/\(action)", body, 404, "not_found")
            }
        },
        [
            .post("/v1/reservations/\(reservation)/commit", "{}", at: "/units"),
            .post("/v1/reservations/\(reservation)/commit", #"{"units":1,"credits":1}"#, at: "/credits"),
            .post("/v1/reservations/\(reservation)/commit", #"{"units":-1}"#, at: "/units"),
            .post("/v1/reservations/\(reservation)/commit", #"{"credits":-1}"#, at: "/credits"),
            .post("/v1/reservations/\(reservation)/commit", #"{"units":1,"shortfall":"ask"}"#, at: "/shortfall"),
            .post("/v1/reservations/\(reservation)/commit", #"{"units":1,"attributes":[]}"#, at: "/attributes"),
            .post(
                "/v1/reservations/\(reservation)/commit", #"{"units":1,"attributes":{"a":null}}"#, at: "/attributes/a"),
            .post(
                "/v1/reservations/\(reservation)/commit", #"{"credits":1,"attributes":{"a":[]}}"#, at: "/attributes/a"),
            .post("/v1/reservations/\(reservation)/release", #"{"units":1}"#, 400, "unknown_field", at: "/units"),
            .post("/v1/reservations/\(reservation)/extend", "{}", at: "/ttl_seconds"),
            .post("/v1/reservations/\(reservation)/extend", #"{"ttl_seconds":0}"#, at: "/ttl_seconds"),
            .post("/v1/reservations/\(reservation)/extend", #"{"ttl_seconds":604801}"#, at: "/ttl_seconds"),
            .post("/v1/reservations/\(reservation)/progress", "{}", at: "/units"),
            .post(
                "/v1/reservations/\(reservation)/progress", #"{"units":1,"attributes":{}}"#, 400, "unknown_field",
                at: "/attributes"),
            .get("/v1/reservations"), .get("/v1/reservations?end_user_id=alice&status=open"),
            .get("/v1/reservations?end_user_id=alice&cursor=zz", 400, "invalid_cursor"),
            .get("/v1/reservations/\(reservation)", 404, "not_found"),
        ])

    static let limits = BadRequests(
        "spend caps, overrides, checks in numbers and readings",
        ["0", "-1", "PT59S", "P11Y", "fortnight", "", "P"].map {
            .post("/v1/spend-caps", #"{"end_user_id":"alice","credits":5,"window":"\#($0)"}"#, at: "/window")
        },
        ["-1", "1.5", "\"5\""].map {
            .post("/v1/spend-caps", #"{"end_user_id":"alice","credits":\#($0),"window":"day"}"#, at: "/credits")
        },
        [
            .post("/v1/spend-caps", #"{"credits":5,"window":"day"}"#, at: "/end_user_id"),
            .post("/v1/spend-caps", #"{"end_user_id":"alice","credits":5}"#, at: "/window"),
            .post(
                "/v1/spend-caps", #"{"end_user_id":"alice","credits":9007199254740992,"window":"day"}"#, 400,
                "amount_out_of_range", at: "/credits"),
            .post(
                "/v1/spend-caps", #"{"end_user_id":"alice","credits":5,"window":"day","feature_key":"nothing"}"#, 404,
                "unknown_feature"),
            .post(
                "/v1/spend-caps", #"{"end_user_id":"alice","credits":5,"window":"day","anchor":"calendar"}"#, 400,
                "unknown_field", at: "/anchor"),
            .get("/v1/spend-caps"), .get("/v1/spend-caps/cap_x", 404, "not_found"),
            .get("/v1/spend-caps/cap_00000000000000000000000001", 404, "not_found"),
            endUser(#""overage_policy":"maybe""#, at: "/overage_policy"),
            endUser(#""overage_limit":-1"#, at: "/overage_limit"),
            endUser(#""overage_limit":9007199254740992"#, 400, "amount_out_of_range", at: "/overage_limit"),
            endUser(#""feature_overrides":{}"#, at: "/feature_overrides"),
            endUser(#""feature_overrides":[{"feature_key":"api"}]"#, at: "/feature_overrides/0"),
            endUser(
                #""feature_overrides":[{"feature_key":"api","enabled":true,"limit":5}]"#, at: "/feature_overrides/0"),
            endUser(
                #""feature_overrides":[{"feature_key":"api","quota":{"limit":-1,"window":"day"}}]"#,
                at: "/feature_overrides/0/quota/limit"),
            endUser(
                #""feature_overrides":[{"feature_key":"api","enabled":true},{"feature_key":"api","enabled":false}]"#,
                at: "/feature_overrides/1/feature_key"),
            endUser(#""feature_overrides":[{"feature_key":"api","limit":5}]"#, at: "/feature_overrides"),
            endUser(#""feature_overrides":[{"feature_key":"nothing","enabled":true}]"#, 404, "unknown_feature"),
            endUser(#""test_clock_id":"clk_x""#, at: "/test_clock_id"),
            endUser(#""test_clock_id":"clk_00000000000000000000000001""#, 404, "not_found", at: "/test_clock_id"),
            .post("/v1/entitlements/check-batch", "{}", at: "/checks"),
            .post("/v1/entitlements/check-batch", #"{"checks":[]}"#, at: "/checks"),
            .post(
                "/v1/entitlements/check-batch",
                #"{"checks":[{"end_user_id":"alice","feature_key":"api"},{"end_user_id":"alice","units":-1}]}"#,
                at: "/checks/1/units"),
            .post(
                "/v1/entitlements/check-batch",
                #"{"checks":[\#(Array(repeating: #"{"end_user_id":"a","feature_key":"b"}"#, count: 1_001).joined(separator: ","))]}"#,
                at: "/checks"),
            .post(
                "/v1/entitlements/check", #"{"end_user_id":"alice","feature_key":"api","quantities":{"in":1}}"#,
                at: "/quantities"),
            .use(["quantities": #"{"in":1}"#], at: "/quantities"),
            .use(["quantities": #"{"in":1.5}"#], at: "/quantities/in"),
            .use(["units": "1", "quantities": "{}"], at: "/quantities"),
            .use(["attributes": #"{"a":null}"#], at: "/attributes/a"),
            .get("/v1/entitlements"), .get("/v1/entitlements?end_user_id=alice&units=5", 400, "unknown_field"),
            .get("/v1/credits/balance?end_user_id=alice&at=soon"),
            .get("/v1/credits/balance?end_user_id=alice&at=2999-01-01T00:00:00Z"),
            .get("/v1/ledger/explain?end_user_id=alice&at=2999-01-01T00:00:00Z"),
            .get("/v1/ledger/explain?end_user_id=nobody", 404, "unknown_end_user"), .get("/v1/ledger/explain"),
            .get("/v1/ledger/explain?end_user_id=alice&feature_key=a%20b"),
            .get("/v1/ledger/export?end_user_id="), .get("/v1/ledger/export?format=csv", 400, "unknown_field"),
            .get("/v1/usage"), .get("/v1/usage?end_user_id=alice&group_by=week"),
            .get("/v1/usage?end_user_id=alice&group_by="), .get("/v1/usage?end_user_id=alice&group_by=attribute"),
            .get("/v1/usage?end_user_id=alice&feature_key=api&group_by=attribute:"),
            .get("/v1/usage?end_user_id=alice&feature_key=api&group_by=attribute:a%20b"),
            .get("/v1/usage?end_user_id=alice&group_by=attribute:model", at: "/query/feature_key"),
            .get("/v1/usage?end_user_id=alice&feature_key=api&group_by=attribute:model", at: "/query/group_by"),
            .get(
                "/v1/usage?end_user_id=alice&feature_key=none&group_by=attribute:model", 404, "unknown_feature"),
            .get("/v1/usage?end_user_id=nobody", 404, "unknown_end_user"),
        ])

    // MARK: - Parts

    private static let use = "use_00000000000000000000000001"
    private static let entry = "ent_00000000000000000000000001"
    private static let block = "blk_00000000000000000000000001"
    private static let reservation = "res_00000000000000000000000001"

    /// Values that are not end user ids.
    private static let endUserIDs = [#""""#, long(257), "5", "null", #""a\u0000b""#]

    private static func long(_ length: Int) -> String {
        "\"" + String(repeating: "x", count: length) + "\""
    }

    /// Requests with values that are not amounts above zero, and their refusals.
    private static func amounts(
        _ field: String, _ request: (String, Int, String, String) -> BadRequest
    ) -> [BadRequest] {
        ["0", "-1", "1.5", "1e3", "\"5\"", "true", "{}"].map { request($0, 400, "invalid_request", "/\(field)") }
            + ["9007199254740992", "-9007199254740992", "9223372036854775808"].map {
                request($0, 400, "amount_out_of_range", "/\(field)")
            }
    }

    private static func badPayments(_ path: String, _ members: String) -> [BadRequest] {
        ["-1", "1.5", "\"5\""].map { .post(path, #"{\#(members),"price_paid":\#($0)}"#, at: "/price_paid") }
            + ["EU", "EURO", "eur", "", "E R"].map {
                .post(path, #"{\#(members),"price_paid":5,"currency":"\#($0)"}"#, at: "/currency")
            }
            + [
                .post(
                    path, #"{\#(members),"price_paid":9007199254740992}"#, 400, "amount_out_of_range", at: "/price_paid"
                )
            ]
    }

    private static func reserve(
        _ members: String, without: String = "", _ status: Int = 400, _ code: String = "invalid_request",
        at pointer: String? = nil
    ) -> BadRequest {
        let base = [("end_user_id", "alice"), ("feature_key", "api")].filter { $0.0 != without }
        let named = base.map { #""\#($0.0)":"\#($0.1)""# } + (members.isEmpty ? [] : [members])
        return .post("/v1/reservations", "{\(named.joined(separator: ","))}", status, code, at: pointer)
    }

    private static func endUser(
        _ members: String, _ status: Int = 400, _ code: String = "invalid_request", at pointer: String? = nil
    ) -> BadRequest {
        .post("/v1/end-users", #"{"end_user_id":"eve",\#(members)}"#, status, code, at: pointer)
    }
}
