import JSON

extension BadRequests {
    static let autoTopUps = BadRequests(
        "rules for automatic top-ups, and answers to their requests",
        ["-1", "1.5", "\"5\"", "null"].map { rule(#""threshold":\#($0),"credits":5"#, at: "/threshold") },
        ["0", "-1", "1.5", "true"].map { rule(#""threshold":5,"credits":\#($0)"#, at: "/credits") },
        ["0", "-1", "1001", "1.5", "\"1\""].map {
            rule(#""threshold":5,"credits":5,"at_most":{"count":\#($0),"window":"day"}"#, at: "/at_most/count")
        },
        ["\"fortnight\"", "\"PT59S\"", "\"P11Y\"", "5", "\"\""].map {
            rule(#""threshold":5,"credits":5,"at_most":{"count":1,"window":\#($0)}"#, at: "/at_most/window")
        },
        ["-1", "31622401", "0.5", "\"PT5M\""].map {
            rule(#""threshold":5,"credits":5,"cooldown_seconds":\#($0)"#, at: "/cooldown_seconds")
        },
        ["0", "-1", "101", "\"1\""].map {
            rule(#""threshold":5,"credits":5,"stop_after_failures":\#($0)"#, at: "/stop_after_failures")
        },
        [
            rule("", at: "/threshold"), rule(#""threshold":5"#, at: "/credits"),
            rule(#""credits":5"#, at: "/threshold"),
            rule(#""threshold":9007199254740992,"credits":5"#, 400, "amount_out_of_range", at: "/threshold"),
            rule(#""threshold":5,"credits":9007199254740992"#, 400, "amount_out_of_range", at: "/credits"),
            rule(#""threshold":5,"credits":5,"package_key":"p""#, at: "/package_key"),
            rule(#""threshold":5,"package_key":"a b""#, at: "/package_key"),
            rule(#""threshold":5,"package_key":"none""#, 404, "not_found", at: "/package_key"),
            rule(#""threshold":5,"credits":5,"at_most":3"#, at: "/at_most"),
            rule(#""threshold":5,"credits":5,"at_most":{"count":1}"#, at: "/at_most/window"),
            rule(#""threshold":5,"credits":5,"at_most":{"window":"day"}"#, at: "/at_most/count"),
            rule(
                #""threshold":5,"credits":5,"at_most":{"count":1,"window":"day","anchor":"calendar"}"#, 400,
                "unknown_field", at: "/at_most/anchor"),
            rule(#""threshold":5,"credits":5,"cooldown":5"#, 400, "unknown_field", at: "/cooldown"),
            rule(#""threshold":5,"credits":5,"end_user_id":"alice""#, 400, "unknown_field", at: "/end_user_id"),
            .put("/v1/end-users/alice/auto-topup", "[]"),
            .put("/v1/end-users/alice/auto-topup?dry_run=true", "{}", 400, "unknown_field"),
            .get("/v1/end-users/alice/auto-topup", 404, "not_found"),
            .get("/v1/end-users/nobody/auto-topup", 404, "unknown_end_user"),
            BadRequest(method: "DELETE", path: "/v1/end-users/alice/auto-topup", status: 404, code: "not_found"),
            BadRequest(method: "DELETE", path: "/v1/end-users/nobody/auto-topup", status: 404, code: "not_found"),
            BadRequest(
                method: "DELETE", path: "/v1/end-users/alice/auto-topup", bytes: Array(#"{"a":1}"#.utf8), status: 400,
                code: "unknown_field", pointer: "/a"),
            .post("/v1/auto-topups/\(request)/failed", "{}", 404, "not_found"),
            .post("/v1/auto-topups/atr_x/failed", "{}", 404, "not_found"),
            .post("/v1/auto-topups/atr_7zzzzzzzzzzzzzzzzzzzzzzzzz/failed", "{}", 404, "not_found"),
            .post("/v1/auto-topups/\(request)/failed", #"{"reason":""}"#, at: "/reason"),
            .post("/v1/auto-topups/\(request)/failed", #"{"reason":5}"#, at: "/reason"),
            .post("/v1/auto-topups/\(request)/failed", #"{"code":"x"}"#, 400, "unknown_field", at: "/code"),
            topUp(#""auto_topup_request_id":"x""#, at: "/auto_topup_request_id"),
            topUp(#""auto_topup_request_id":"res_00000000000000000000000001""#, at: "/auto_topup_request_id"),
            topUp(#""auto_topup_request_id":null"#, at: "/credits"),
            topUp(
                #""auto_topup_request_id":"\#(request)","credits":5,"package_key":"p""#, at: "/package_key"),
            topUp(#""auto_topup_request_id":"\#(request)","credits":0"#, at: "/credits"),
            topUp(#""auto_topup_request_id":"\#(request)""#, 404, "not_found"),
            topUp(#""auto_topup_request_id":"\#(request)","credits":5"#, 404, "not_found"),
        ])

    /// A request that no account has.
    private static let request = "atr_00000000000000000000000001"

    private static func rule(
        _ members: String, _ status: Int = 400, _ code: String = "invalid_request", at pointer: String
    ) -> BadRequest {
        .put("/v1/end-users/alice/auto-topup", "{\(members)}", status, code, at: pointer)
    }

    private static func topUp(
        _ members: String, _ status: Int = 400, _ code: String = "invalid_request", at pointer: String? = nil
    ) -> BadRequest {
        .post("/v1/topups", #"{"end_user_id":"alice",\#(members)}"#, status, code, at: pointer)
    }
}
