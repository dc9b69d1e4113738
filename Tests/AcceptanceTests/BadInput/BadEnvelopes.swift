extension BadRequests {
    static let queries = BadRequests(
        "query parameters and paths",
        ["0", "-1", "101", "abc", "1.5", "", "99999999999999999999"].flatMap { limit in
            ["/v1/ledger?end_user_id=alice&", "/v1/features?", "/v1/end-users?"].map { .get("\($0)limit=\(limit)") }
        },
        ["zz", "deadbeef", "5b5d", "5b225d", "5b2278225d", "f", "7b7d", "5b39393939393939393939393939393939393939395d"]
            .flatMap { cursor in
                [
                    "/v1/features?", "/v1/metering-rules?", "/v1/end-users?", "/v1/api-keys?",
                    "/v1/credits/blocks?end_user_id=alice&", "/v1/ledger?end_user_id=alice&",
                ].map { .get("\($0)cursor=\(cursor)", 400, "invalid_cursor") }
            },
        [
            .get("/v1/admin/tenants?cursor=zz", 400, "invalid_cursor", sender: .root),
            // Cursors with instants that the database cannot hold.
            .get(
                "/v1/credits/blocks?end_user_id=alice&cursor=5b747275652c35302c2d393030303030303030303030303030303030302c66616c73652c315d",
                400, "invalid_cursor"),
            .get("/v1/features?cursor=5b2d393030303030303030303030303030303030302c22617069225d", 400, "invalid_cursor"),
            .get(
                "/v1/audit-log?cursor=5b2d393232333337323033363835343737353030302c226f705f3030303030303030303030303030303030303030303030303030225d",
                400, "invalid_cursor"),
            .get(
                "/v1/audit-log?cursor=5b393232333337323033363835343737353830372c226f705f3030303030303030303030303030303030303030303030303030225d",
                400, "invalid_cursor"),
            .get("/v1/admin/tenants?limit=0", sender: .root),
            .get("/v1/ledger"), .get("/v1/credits/balance"), .get("/v1/credits/blocks"),
            .get("/v1/ledger?end_user_id="), .get("/v1/credits/balance?end_user_id=%00"),
            .get("/v1/credits/balance?end_user_id=" + String(repeating: "x", count: 257)),
            .get("/v1/credits/balance?end_user_id=alice&end_user_id=bob"),
            .get("/v1/credits/balance?end_user_id=alice&user=bob", 400, "unknown_field"),
            .get("/v1/features?limit=5&page=2", 400, "unknown_field"),
            .get("/v1/credits/blocks?end_user_id=alice&status=open"),
            .get("/v1/ledger?end_user_id=alice&type=used"), .get("/v1/ledger?end_user_id=alice&order=up"),
            .get("/v1/ledger?end_user_id=alice&from=yesterday"), .get("/v1/ledger?end_user_id=alice&to=1"),
            .get("/v1/ledger?end_user_id=alice&feature_key=a%20b"), .get("/v1/metering-rules?feature_key=%C3%A9"),
            .get("/v1/entitlements/check?end_user_id=alice"), .get("/v1/entitlements/check?feature_key=api"),
            .get("/v1/entitlements/check?end_user_id=alice&feature_key="),
            .get("/v1/entitlements/check?end_user_id=alice&feature_key=a+b"),
            .get("/v1/entitlements/check?end_user_id=alice&feature_key=api&unit=1", 400, "unknown_field"),
            .post("/v1/entitlements/check", #"{"end_user_id":"alice"}"#, at: "/feature_key"),
            .post("/v1/entitlements/check", #"{"end_user_id":"alice","feature_key":"api","units":-1}"#, at: "/units"),
            .post(
                "/v1/entitlements/check", #"{"end_user_id":"alice","feature_key":"api","x":1}"#, 400, "unknown_field",
                at: "/x"),
            .post(
                "/v1/entitlements/check", #"{"end_user_id":"alice","feature_key":"api","units":9223372036854775807}"#,
                400, "amount_out_of_range", at: "/units"),
            .get(
                "/v1/entitlements/check?end_user_id=alice&feature_key=api&units=9223372036854775807", 400,
                "amount_out_of_range"),
        ],
        ["-1", "1.5", "1e3", "abc", "", "9223372036854775808"].map {
            .get("/v1/entitlements/check?end_user_id=alice&feature_key=api&units=\($0)")
        },
        ["%zz", "%", "%f", "%ff", "%C3", "%C3%28", "%ED%A0%80", "a%"].flatMap { encoded in
            [
                .get("/v1/credits/balance?end_user_id=\(encoded)"), .get("/v1/end-users/\(encoded)"),
                .get("/v1/features/\(encoded)"), .get("/v1/features?\(encoded)=1"),
            ]
        },
        [
            .get("/v1/end-users/%00", 404, "unknown_end_user"), .get("/v1/features/%00", 404, "unknown_feature"),
            .get("/v1/end-users/" + String(repeating: "x", count: 257), 404, "unknown_end_user"),
            .get("/v1/features/" + String(repeating: "x", count: 65), 404, "unknown_feature"),
            .get("/v1/metering-rules/rule_x", 404, "not_found"),
            .get("/v1/metering-rules/%2e%2e%2f", 404, "not_found"),
            .get("/v1/operations/op_x", 404, "not_found"), .get("/v1/operations/ent_x", 404, "not_found"),
        ])

    static let routes = BadRequests(
        "paths and methods that do not exist",
        ["/v1", "/v1/", "/v1/nothing", "/v2/features", "/v1/credits", "/v1/features/api/x"]
            .map { .get($0, 404, "not_found") },
        [
            .post("/v1/credits/balance", "{}", 405, "method_not_allowed"),
            .post("/v1/ledger", "{}", 405, "method_not_allowed"),
            .get("/v1/credits/grant", 405, "method_not_allowed"), .get("/v1/usage/batch", 405, "method_not_allowed"),
            .patch("/v1/features", "{}", 405, "method_not_allowed"),
            .post("/v1/features/api", "{}", 405, "method_not_allowed"),
        ],
        [
            ("DELETE", "/v1/features/api"), ("PUT", "/v1/features/api"), ("DELETE", "/v1/end-users/alice"),
            ("TRACE", "/v1/features"),
        ].map { BadRequest(method: $0.0, path: $0.1, status: 405, code: "method_not_allowed") })

    static let envelopes = BadRequests(
        "content types and sizes",
        [
            "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
            "application/jsonp", "application/json-patch+json", "json", "*/*", "application/x-ndjson",
        ].map { type in
            BadRequest(
                method: "POST", path: "/v1/credits/grant", bytes: Array(#"{"end_user_id":"alice","credits":5}"#.utf8),
                contentType: type, status: 415, code: "unsupported_media_type")
        },
        [
            BadRequest(
                method: "POST", path: "/v1/usage/batch", bytes: Array("{}".utf8), contentType: "text/csv", status: 415,
                code: "unsupported_media_type"),
            BadRequest(
                method: "PATCH", path: "/v1/features/api", bytes: Array("{}".utf8), contentType: "text/plain",
                status: 415, code: "unsupported_media_type"),
            .post("/v1/credits/grant", padded(to: 1 << 20 | 1), 413, "body_too_large"),
            .post("/v1/features", padded(to: 2 << 20), 413, "body_too_large"),
            .post("/v1/usage", padded(to: 1 << 20 | 1), 413, "body_too_large"),
            .post("/v1/usage/batch", padded(to: 8 << 20 | 1), 413, "body_too_large"),
            // A body of the maximum size is read to its end.
            .post("/v1/credits/grant", padded(to: 1 << 20), 400, "unknown_field", at: "/padding"),
            .post("/v1/usage/batch", padded(to: 8 << 20)),
        ])

    private static func padded(to length: Int) -> String {
        let (start, end) = (#"{"end_user_id":"alice","credits":5,"padding":""#, #""}"#)
        return start + String(repeating: "x", count: length - start.utf8.count - end.utf8.count) + end
    }

    /// Requests that are refused because of their key, before the API looks at the rest.
    static func keys(of tenant: Client, revoked: String, root: String, otherRoot: String) -> BadRequests {
        let key = tenant.key ?? ""
        let garbled: [BadRequest.Sender] = [
            .nobody, .key(""), .key("x"), .key("qs_test_"), .key(mistyped(key)), .key(key + "0"),
            .key(String(key.dropLast())), .key(key.uppercased()), .key(key.replacing("qs_test_", with: "qs_live_")),
            .key("\(key) \(key)"), .key(mistyped(root)),
        ]
        let onAdmin = garbled.map { BadRequest.get("/v1/admin/tenants", 401, "unauthenticated", sender: $0) }
        let refused = (garbled + [.key(revoked)]).flatMap { sender -> [BadRequest] in
            [
                .get("/v1/features", 401, "unauthenticated", sender: sender),
                .get("/v1/credits/balance?end_user_id=alice", 401, "unauthenticated", sender: sender),
                .post(
                    "/v1/usage", #"{"end_user_id":"alice","feature_key":"api"}"#, 401, "unauthenticated", sender: sender
                ),
            ]
        }
        let schemes = ["Basic \(key)", "Bearer", "\(key)", "Token \(key)"].map { value in
            BadRequest.get("/v1/features", 401, "unauthenticated", sender: .nobody, headers: ["Authorization": value])
        }
        let tenantRoutes = [
            "/v1/features", "/v1/ledger?end_user_id=alice", "/v1/end-users", "/v1/api-keys", "/v1/metering-rules",
            "/v1/credits/balance?end_user_id=alice", "/v1/entitlements/check?end_user_id=alice&feature_key=api",
        ].map { BadRequest.get($0, 403, "forbidden_scope", sender: .root) }
        return BadRequests(
            "keys", refused, onAdmin, schemes, tenantRoutes,
            [
                .post(
                    "/v1/credits/grant", #"{"end_user_id":"alice","credits":5}"#, 403, "forbidden_scope", sender: .root),
                .get("/v1/admin/tenants", 403, "forbidden_scope"),
                .get("/v1/admin/tenants/ten_00000000000000000000000000", 403, "forbidden_scope"),
                .post("/v1/admin/tenants", #"{"name":"Mine"}"#, 403, "forbidden_scope"),
                .get("/v1/admin/tenants", 401, "unauthenticated", sender: .key(otherRoot)),
            ])
    }

    /// The key with one character in its middle replaced.
    private static func mistyped(_ key: String) -> String {
        var characters = Array(key)
        let middle = characters.count / 2
        if characters.indices.contains(middle) { characters[middle] = characters[middle] == "a" ? "b" : "a" }
        return String(characters)
    }
}
