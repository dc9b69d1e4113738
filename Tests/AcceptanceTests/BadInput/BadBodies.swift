extension BadRequests {
    static let notJSON = BadRequests(
        "bodies that are not one JSON object",
        [
            "{", "}", "[]", "null", "\"x\"", "1", "{}{}", "{} x", #"{"end_user_id":"alice","credits":5,}"#,
            #"{'end_user_id':'alice','credits':5}"#, #"{"end_user_id":"alice","credits":5}//"#,
            "\u{FEFF}\u{FEFF}" + #"{"end_user_id":"alice","credits":5}"#, #"{"end_user_id":"alice" "credits":5}"#,
            #"{"end_user_id":"alice","credits":5"#, #"{"end_user_id":"ali\#u{1}ce","credits":5}"#,
            #"{"end_user_id":"al\xice","credits":5}"#, #"{end_user_id:"alice","credits":5}"#,
            #"{"end_user_id":"alice","credits":5,"end_user_id":"bob"}"#,
            #"{"end_user_id":"alice","credits":5,"credits":5}"#,
            #"{"end_user_id":"alice","credits":5,"metadata":{"a":1,"a":2}}"#,
            #"{"end_user_id":"alice","credits":5,"metadata":"# + String(repeating: "[", count: 40)
                + String(repeating: "]", count: 40) + "}",
            String(repeating: "[", count: 100_000), String(repeating: #"{"a":"#, count: 100_000), "nul", "tru",
            #"{"end_user_id":"\ud800","credits":5}"#, #"{"end_user_id":"\udc00\ud800","credits":5}"#,
            #"{"end_user_id":"\ud83d","credits":5}"#, #"{"end_user_id":"\u12","credits":5}"#,
        ].map { .post("/v1/credits/grant", $0) },
        [
            BadRequest(
                method: "POST", path: "/v1/credits/grant",
                bytes: Array(#"{"end_user_id":""#.utf8) + [0xFF, 0xC0, 0x80] + Array(#"","credits":5}"#.utf8),
                status: 400, code: "invalid_request"),
            BadRequest(
                method: "POST", path: "/v1/credits/grant",
                bytes: Array(#"{"end_user_id":""#.utf8) + [0xED, 0xA0, 0x80] + Array(#"","credits":5}"#.utf8),
                status: 400, code: "invalid_request"),
            BadRequest(
                method: "POST", path: "/v1/credits/grant",
                bytes: Array("{}".utf16).flatMap { [UInt8($0 >> 8), UInt8($0)] },
                status: 400, code: "invalid_request"),
            .post("/v1/credits/grant", "", at: "/end_user_id"), .post("/v1/usage", "{}", at: "/feature_key"),
            .post("/v1/features", "[]"), .post("/v1/metering-rules", "7"), .post("/v1/end-users", "\"alice\""),
            .post("/v1/usage/batch", "[]"), .post("/v1/usage/batch", #"{"events":{}}"#, at: "/events"),
            .post("/v1/usage/batch", "{}", at: "/events"), .post("/v1/usage/batch", #"{"events":null}"#, at: "/events"),
            .post("/v1/usage/batch", #"{"events":[],"more":1}"#, 400, "unknown_field", at: "/more"),
        ])

    static let numbers = BadRequests(
        "numbers that are not amounts",
        ["1.0", "1e3", "1E3", "0", "-0", "-1", "-5", "0.5", "1e400", "\"5\"", "true", "[]", "{}", "null"].map {
            .grant(["credits": $0], at: "/credits")
        },
        ["01", "+1", ".5", "1.", "NaN", "Infinity", "0x10", "1_000", "5 5", "--5", "-"].map { .grant(["credits": $0]) },
        [
            "9007199254740992", "-9007199254740992", "9223372036854775807", "9223372036854775808",
            "-9223372036854775809", "99999999999999999999999999999999",
        ].map { .grant(["credits": $0], 400, "amount_out_of_range", at: "/credits") },
        [
            // alice already has 1,000, so the new balance would be beyond 2^53 - 1.
            .grant(["credits": "9007199254740991"], 400, "amount_out_of_range", at: "/credits"),
            .use(["units": "9223372036854775807"], 400, "amount_out_of_range", at: "/units"),
            .use(["units": "9007199254740991"], 400, "amount_out_of_range", at: "/units"),
        ],
        ["-1", "1.0", "1e0", "9223372036854775808", "\"1\"", "false", "[1]"].map {
            .use(["units": $0], at: "/units")
        },
        ["-1", "101", "1.5", "\"5\"", "9223372036854775808", "true"].map {
            .grant(["priority": $0], at: "/priority")
        })

    static let grants = BadRequests(
        "grants",
        [
            .grant(["end_user_id": ""], at: "/end_user_id"), .grant(["credits": ""], at: "/credits"),
            .grant(["credit": "5"], 400, "unknown_field", at: "/credit"),
            .grant(["Credits": "5"], 400, "unknown_field", at: "/Credits"),
            .grant(["a/b~c": "5"], 400, "unknown_field", at: "/a~1b~0c"),
            .grant(
                ["metadata": #"{"a":1}"#, "idempotency_key": #""k""#], 400, "unknown_field", at: "/idempotency_key"),
            .grant(["source": #""gift""#], at: "/source"), .grant(["source": "1"], at: "/source"),
            .grant(["reason": #""""#], at: "/reason"), .grant(["reason": "7"], at: "/reason"),
            .grant(["reason": text(501)], at: "/reason"),
        ],
        [
            #""""#, text(257), #""a\u0000b""#, "5", "true", #"["alice"]"#, "null",
            "\"" + String(repeating: "é", count: 129) + "\"",
        ].map { .grant(["end_user_id": $0], at: "/end_user_id") },
        [
            #""2020-01-01T00:00:00Z""#, #""0001-01-01T00:00:00Z""#, #""tomorrow""#, #""2999-02-30T00:00:00Z""#,
            #""2999-01-01T00:00:00""#, #""2999-01-01""#, "32503680000", #""2999-13-01T00:00:00Z""#,
            #""2999-01-01T24:00:00Z""#, #""2999-01-01T23:59:60Z""#, #""2999-01-01T00:00:00+25:00""#, #""""#,
            #""2999-01-01T00:00:00.Z""#, #""0000-01-01T00:00:00Z""#,
        ].map { .grant(["expires_at": $0], at: "/expires_at") },
        [
            "P", "PT", "P1.5D", "-P1D", "P-1D", "P1H", "PT1D", "1D", "p1d", "PT0S", "P0D", "P1001Y", "P1D1W", "P1DT",
            "P9999999999D", "P1D ", "", "forever",
        ].map { .grant(["expires_after": "\"\($0)\""], at: "/expires_after") },
        [
            .grant(
                ["expires_after": #""P1D""#, "expires_at": #""2999-01-01T00:00:00Z""#], at: "/expires_after")
        ],
        [
            "[]", "[1]", #""api""#, #"["a b"]"#, #"[""]"#, #"[null]"#, "{}",
            #"["\#(String(repeating: "x", count: 65))"]"#,
        ]
        .map { .grant(["feature_keys": $0]) },
        [
            .grant(["feature_keys": "[" + (0...100).map { "\"f\($0)\"" }.joined(separator: ",") + "]"]),
            .grant(["feature_keys": #"["api","nothing"]"#], 404, "unknown_feature"),
        ], metadata.map { .grant(["metadata": $0], at: "/metadata") })

    static let usage = BadRequests(
        "uses",
        [
            .use(["end_user_id": ""], at: "/end_user_id"), .use(["feature_key": ""], at: "/feature_key"),
            .use(["unit": "5"], 400, "unknown_field", at: "/unit"),
            .use(["feature_key": #""nothing""#], 404, "unknown_feature"),
            .use(["feature_key": #""unpriced""#], 409, "feature_not_priced"),
            .use(["feature_key": #""archived""#], 404, "unknown_feature"),
            .use(["units": "1001"], 402, "insufficient_credits"),
            .use(["end_user_id": #""nobody""#], 402, "insufficient_credits"),
            .use(["idempotency_key": #""""#], at: "/idempotency_key"),
            .use(["idempotency_key": text(256)], at: "/idempotency_key"),
            .use(["idempotency_key": "5"], at: "/idempotency_key"),
            .use(["idempotency_key": #""body""#], at: "/idempotency_key", headers: ["Idempotency-Key": "header"]),
            .use([:], headers: ["Idempotency-Key": String(repeating: "k", count: 256)]),
            .use([:], headers: ["Idempotency-Key": ""]),
        ],
        [#""""#, #""a b""#, #""é""#, #""a/b""#, "5", "null", text(65), #""a\u0000""#].map {
            .use(["feature_key": $0], at: "/feature_key")
        },
        [
            #""2020-01-01T00:00:00Z""#, #""2999-01-01T00:00:00Z""#, #""now""#, "0", #""2026-02-29T00:00:00Z""#,
            #""2026-01-01 00:00""#,
        ].map { .use(["occurred_at": $0], at: "/occurred_at") },
        metadata.map { .use(["metadata": $0], at: "/metadata") })

    static let catalogue = BadRequests(
        "features, rules, end users and keys",
        [
            .post("/v1/features", #"{"name":"F","type":"metered"}"#, at: "/key"),
            .post("/v1/features", #"{"key":"a b","name":"F","type":"metered"}"#, at: "/key"),
            .post("/v1/features", #"{"key":"","name":"F","type":"metered"}"#, at: "/key"),
            .post("/v1/features", #"{"key":\#(text(65)),"name":"F","type":"metered"}"#, at: "/key"),
            .post("/v1/features", #"{"key":"f","type":"metered"}"#, at: "/name"),
            .post("/v1/features", #"{"key":"f","name":"","type":"metered"}"#, at: "/name"),
            .post("/v1/features", #"{"key":"f","name":\#(text(201)),"type":"metered"}"#, at: "/name"),
            .post("/v1/features", #"{"key":"f","name":"a\u0000b","type":"metered"}"#, at: "/name"),
            .post("/v1/features", #"{"key":"f","name":"F"}"#, at: "/type"),
            .post("/v1/features", #"{"key":"f","name":"F","type":"metred"}"#, at: "/type"),
            .post(
                "/v1/features", #"{"key":"f","name":"F","type":"metered","unit_name":\#(text(65))}"#, at: "/unit_name"),
            .post("/v1/features", #"{"key":"f","name":"F","type":"metered","x":1}"#, 400, "unknown_field", at: "/x"),
            .post("/v1/features", #"{"key":"api","name":"F","type":"metered"}"#, 409, "conflict"),
            .patch("/v1/features/api", #"{"archived":"yes"}"#, at: "/archived"),
            .patch("/v1/features/api", #"{"key":"other"}"#, 400, "unknown_field", at: "/key"),
            .patch("/v1/features/api", #"{"name":7}"#, at: "/name"),
            .patch("/v1/features/nothing", #"{"name":"N"}"#, 404, "unknown_feature"),
            .post("/v1/metering-rules", #"{"model":"flat","amount":1}"#, at: "/feature_key"),
            .post(
                "/v1/metering-rules", #"{"feature_key":"nothing","model":"flat","amount":1}"#, 404, "unknown_feature"),
            .post("/v1/metering-rules", #"{"feature_key":"api","amount":1}"#, at: "/model"),
            .post("/v1/metering-rules", #"{"feature_key":"api","model":"cheap","amount":1}"#, at: "/model"),
            .post("/v1/metering-rules", #"{"feature_key":"api","model":"flat"}"#, at: "/amount"),
            .post("/v1/metering-rules", #"{"feature_key":"api","model":"flat","amount":-1}"#, at: "/amount"),
            .post("/v1/metering-rules", #"{"feature_key":"api","model":"flat","amount":0.5}"#, at: "/amount"),
            .post(
                "/v1/metering-rules", #"{"feature_key":"api","model":"flat","amount":9007199254740992}"#, 400,
                "amount_out_of_range", at: "/amount"),
            .post(
                "/v1/metering-rules", #"{"feature_key":"api","model":"flat","amount":1,"unit_cost":1}"#, 400,
                "unknown_field", at: "/unit_cost"),
            .post("/v1/metering-rules", #"{"feature_key":"api","model":"per_unit"}"#, at: "/unit_cost"),
            .post(
                "/v1/metering-rules", #"{"feature_key":"api","model":"per_unit","unit_cost":1,"per_units":0}"#,
                at: "/per_units"),
            .post(
                "/v1/metering-rules", #"{"feature_key":"api","model":"flat","amount":1,"effective_from":"soon"}"#,
                at: "/effective_from"),
            .post("/v1/end-users", "{}", at: "/end_user_id"),
            .post("/v1/end-users", #"{"end_user_id":\#(text(257))}"#, at: "/end_user_id"),
            .post("/v1/end-users", #"{"end_user_id":"alice","name":""}"#, at: "/name"),
            .post("/v1/end-users", #"{"end_user_id":"alice","name":"\u0000"}"#, at: "/name"),
            .post("/v1/end-users", #"{"end_user_id":"alice","metadata":{"a":"\u0000"}}"#, at: "/metadata/a"),
            .patch("/v1/end-users/alice", #"{"name":\#(text(201))}"#, at: "/name"),
            .patch("/v1/end-users/alice", #"{"end_user_id":"bob"}"#, 400, "unknown_field", at: "/end_user_id"),
            .patch("/v1/end-users/alice", #"{"metadata":5}"#, at: "/metadata"),
            .patch("/v1/end-users/nobody", #"{"name":"N"}"#, 404, "unknown_end_user"),
            .post("/v1/api-keys", "{}", at: "/name"), .post("/v1/api-keys", #"{"name":""}"#, at: "/name"),
            .post("/v1/api-keys", #"{"name":"k","nmae":"k"}"#, 400, "unknown_field", at: "/nmae"),
            .post("/v1/api-keys", #"{"name":"k","scopes":[]}"#, at: "/scopes"),
            .post("/v1/api-keys", #"{"name":"k","scopes":"admin:read"}"#, at: "/scopes"),
            .post("/v1/api-keys", #"{"name":"k","scopes":["admin:read","usage"]}"#, at: "/scopes/1"),
            .post("/v1/api-keys", #"{"name":"k","scopes":["Usage:read"]}"#, at: "/scopes/0"),
            .post("/v1/api-keys", #"{"name":"k","scopes":[7]}"#, at: "/scopes/0"),
            .post("/v1/api-keys", #"{"name":"k","expires_at":"tomorrow"}"#, at: "/expires_at"),
            .post("/v1/api-keys", #"{"name":"k","expires_at":"2020-01-01T00:00:00Z"}"#, at: "/expires_at"),
            .post("/v1/api-keys/key_x/roll", "{}", 404, "not_found"),
            .post("/v1/api-keys/key_00000000000000000000000000/roll", "{}", 404, "not_found"),
            .post(
                "/v1/api-keys/key_00000000000000000000000000/roll", #"{"overlap_seconds":-1}"#, at: "/overlap_seconds"),
            .post(
                "/v1/api-keys/key_00000000000000000000000000/roll", #"{"overlap_seconds":604801}"#,
                at: "/overlap_seconds"),
            .post(
                "/v1/api-keys/key_00000000000000000000000000/roll", #"{"name":"k"}"#, 400, "unknown_field", at: "/name"),
            .patch("/v1/config", #"{"rate_limit_per_second":0}"#, at: "/rate_limit_per_second"),
            .patch("/v1/config", #"{"rate_limit_per_second":1000001}"#, at: "/rate_limit_per_second"),
            .patch("/v1/config", #"{"rate_limit_per_second":"5"}"#, at: "/rate_limit_per_second"),
            .patch("/v1/config", #"{"rate_limit_per_second":0.5}"#, at: "/rate_limit_per_second"),
            .patch("/v1/config", #"{"fail_closed_over_ms":-1}"#, at: "/fail_closed_over_ms"),
            .patch("/v1/config", #"{"fail_closed_over_ms":86400001}"#, at: "/fail_closed_over_ms"),
            .patch("/v1/config", #"{"timezone":"Europe/Berlyn"}"#, at: "/timezone"),
            .patch("/v1/config", #"{"timezone":"posix/Europe/Berlin"}"#, at: "/timezone"),
            .patch("/v1/config", #"{"timezone":"localtime"}"#, at: "/timezone"),
            .patch("/v1/config", #"{"timezone":"europe/berlin"}"#, at: "/timezone"),
            .patch("/v1/config", #"{"timezone":""}"#, at: "/timezone"),
            .patch("/v1/config", #"{"timezone":7}"#, at: "/timezone"),
            .patch("/v1/config", #"{"timezone":"'; drop table x; --"}"#, at: "/timezone"),
            .patch("/v1/config", #"{"overage_policy":"maybe"}"#, at: "/overage_policy"),
            .patch("/v1/config", #"{"overage_policy":true}"#, at: "/overage_policy"),
            .patch("/v1/config", #"{"overage_limit":-1}"#, at: "/overage_limit"),
            .patch(
                "/v1/config", #"{"overage_limit":9007199254740992}"#, 400, "amount_out_of_range", at: "/overage_limit"),
            .patch("/v1/config", #"{"currency":"EUR"}"#, 400, "unknown_field", at: "/currency"),
            .get("/v1/config?x=1", 400, "unknown_field"),
            .post("/v1/api-keys/key_x/revoke", "{}", 404, "not_found"),
            .post("/v1/api-keys/ten_00000000000000000000000000/revoke", "{}", 404, "not_found"),
            .post("/v1/api-keys/key_00000000000000000000000000/revoke", "{}", 404, "not_found"),
            .post("/v1/api-keys/key_00000000000000000000000000/revoke", #"{"now":true}"#, 400, "unknown_field"),
            .post("/v1/admin/tenants", "{}", at: "/name", sender: .root),
            .post("/v1/admin/tenants", #"{"name":""}"#, at: "/name", sender: .root),
            .post("/v1/admin/tenants", #"{"name":7}"#, at: "/name", sender: .root),
            .post("/v1/admin/tenants", #"{"name":\#(text(201))}"#, at: "/name", sender: .root),
            .post("/v1/admin/tenants", #"{"name":"a\u0000b"}"#, at: "/name", sender: .root),
            .get("/v1/admin/tenants/nothing", 404, "not_found", sender: .root),
            .get("/v1/admin/tenants/ten_00000000000000000000000000", 404, "not_found", sender: .root),
        ])

    static let reports = BadRequests(
        "attributes of reports",
        [
            (#""model""#, "/report_by"), (#"["a","b","c","d","e","f","g","h","i"]"#, "/report_by"),
            (#"["a","b","a"]"#, "/report_by"), (#"["a b"]"#, "/report_by/0"), (#"["a",""]"#, "/report_by/1"),
            ("[5]", "/report_by/0"), (#"["\#(String(repeating: "x", count: 65))"]"#, "/report_by/0"),
        ].flatMap { report($0, $1) },
        ["day", "hour", "month", "feature_key", "charges", "units", "cost"].flatMap { name in
            report(#"["model","\#(name)"]"#, "/report_by/1")
        },
        ["boolean", "limit"].map { type in
            BadRequest.post(
                "/v1/features", #"{"key":"q","name":"Q","type":"\#(type)","report_by":["model"]}"#, at: "/report_by")
        })

    private static func report(_ names: String, _ pointer: String) -> [BadRequest] {
        [
            .post("/v1/features", #"{"key":"q","name":"Q","type":"metered","report_by":\#(names)}"#, at: pointer),
            .patch("/v1/features/api", #"{"report_by":\#(names)}"#, at: pointer),
        ]
    }

    static let time = BadRequests(
        "quotas and test clocks",
        [
            ("5", "/quota"), ("{}", "/quota/limit"), (#"{"limit":1}"#, "/quota/window"),
            (#"{"limit":-1,"window":"day"}"#, "/quota/limit"), (#"{"limit":"1","window":"day"}"#, "/quota/limit"),
            (#"{"limit":9007199254740992,"window":"day"}"#, "/quota/limit"),
            (#"{"limit":1,"window":"year"}"#, "/quota/window"), (#"{"limit":1,"window":"PT59S"}"#, "/quota/window"),
            (#"{"limit":1,"window":"P11Y"}"#, "/quota/window"),
            (#"{"limit":1,"window":"day","anchor":"never"}"#, "/quota/anchor"),
        ].flatMap { quota, pointer in
            [
                .post("/v1/features", #"{"key":"q","name":"Q","type":"metered","quota":\#(quota)}"#, at: pointer),
                .patch("/v1/features/api", #"{"quota":\#(quota)}"#, at: pointer),
            ]
        },
        [
            .post(
                "/v1/features", #"{"key":"q","name":"Q","type":"limit","quota":{"limit":1,"window":"day"}}"#,
                at: "/quota"),
            .post(
                "/v1/features", #"{"key":"q","name":"Q","type":"boolean","quota":{"limit":1,"window":"day"}}"#,
                at: "/quota"),
            .post(
                "/v1/features", #"{"key":"q","name":"Q","type":"metered","quota":{"limit":1,"window":"day","x":1}}"#,
                400, "unknown_field", at: "/quota/x"),
            .patch("/v1/features/api", #"{"type":"boolean"}"#, 400, "unknown_field", at: "/type"),
            .post("/v1/test-clocks", "{}", at: "/now"), .post("/v1/test-clocks", #"{"now":"noon"}"#, at: "/now"),
            .post("/v1/test-clocks", #"{"now":"2026-02-30T00:00:00Z"}"#, at: "/now"),
            .post("/v1/test-clocks", #"{"now":"2026-02-01T00:00:00Z","name":"x"}"#, 400, "unknown_field", at: "/name"),
            .get("/v1/test-clocks/clk_x", 404, "not_found"),
            .get("/v1/test-clocks/clk_00000000000000000000000000", 404, "not_found"),
            .get("/v1/test-clocks/key_00000000000000000000000000", 404, "not_found"),
            .post("/v1/test-clocks/clk_x/advance", #"{"to":"2026-01-01T00:00:00Z"}"#, 404, "not_found"),
            .post("/v1/test-clocks/clk_00000000000000000000000000/advance", "{}", at: "/to"),
            .post(
                "/v1/test-clocks/clk_00000000000000000000000000/advance", #"{"to":"2026-01-01T00:00:00Z"}"#, 404,
                "not_found"),
        ])

    private static let metadata = [
        "5", "[]", #""x""#, "true", "1.5",
        // Nine levels, and 4,097 bytes.
        #"{"a":[{"a":[{"a":[{"a":[[]]}]}]}]}"#, #"{"a":\#(text(4_089))}"#, #"{"a":"\u00e9\#(text(4_087).dropFirst())}"#,
        #"{"a\u0000":1}"#,
    ]

    /// A JSON string with the given number of bytes.
    private static func text(_ length: Int) -> String {
        "\"" + String(repeating: "x", count: length) + "\""
    }
}
