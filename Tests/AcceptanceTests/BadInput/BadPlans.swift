import JSON

extension BadRequests {
    static let plans = BadRequests(
        "plans and variants",
        [
            "\"Pro\"", "\"\"", "\"a b\"", "\"plan_x\"", "\"var_x\"", "\"_\"", "5",
            "\"\(String(repeating: "a", count: 65))\"",
        ].flatMap { key in
            [
                BadRequest.post("/v1/plans", #"{"name":"x","key":\#(key)}"#, at: "/key"),
                variant(#""key":\#(key)"#, at: "/key"),
            ]
        },
        [
            .post("/v1/plans", "{}", at: "/name"), .post("/v1/plans", #"{"name":""}"#, at: "/name"),
            .post("/v1/plans", #"{"name":"x","slot":"A"}"#, at: "/slot"),
            .post("/v1/plans", #"{"name":"x","metadata":[]}"#, at: "/metadata"),
            .post("/v1/plans", #"{"name":"x","archived":true}"#, 400, "unknown_field", at: "/archived"),
            .patch("/v1/plans/none", #"{"key":"x"}"#, 400, "unknown_field", at: "/key"),
            .patch("/v1/plans/none", #"{"archived":1}"#, at: "/archived"),
            .patch("/v1/plans/none", #"{"name":"x"}"#, 404, "not_found"),
            .patch("/v1/plans/NONE", #"{"name":"x"}"#, 404, "not_found"),
            .get("/v1/plans/plan_00000000000000000000000000", 404, "not_found"),
            .get("/v1/plans/var_00000000000000000000000000", 404, "not_found"),
            .get("/v1/plans?key=pro", 400, "unknown_field"), .get("/v1/plans/none/variants", 404, "not_found"),
            .get("/v1/plans/none/variants?cursor=x", 400, "invalid_cursor"),
            .get("/v1/variants/none", 404, "not_found"), .get("/v1/variants/NONE", 404, "not_found"),
            .get("/v1/variants", 404, "not_found"),
        ],
        [
            // The reader of terms has its own table of cases; this table checks that the API reaches it.
            .post("/v1/plans/none/variants", #"{"name":"x"}"#, at: "/billing_interval"),
            .post("/v1/plans/none/variants", #"{"billing_interval":{"unit":"month"}}"#, at: "/name"),
            variant(#""billing_interval":{"unit":"decade"}"#, at: "/billing_interval/unit"),
            variant(#""billing_interval":{"unit":"month","count":1001}"#, at: "/billing_interval/count"),
            variant(#""billing_interval":{"unit":"month","days":1}"#, "unknown_field", at: "/billing_interval/days"),
            variant(#""credit_grants":[{"credits":5}]"#, at: "/credit_grants/0/cadence"),
            variant(
                #""credit_grants":[{"credits":9007199254740992,"cadence":"period"}]"#, "amount_out_of_range",
                at: "/credit_grants/0/credits"),
            variant(
                #""credit_grants":[{"credits":5,"cadence":"period","rollover":{"percentage":101}}]"#,
                at: "/credit_grants/0/rollover/percentage"),
            variant(#""features":[{"feature_key":"api"}]"#, at: "/features/0"),
            variant(#""features":{}"#, at: "/features"), variant(#""limits":[{}]"#, at: "/limits/0/key"),
            variant(
                #""limits":[{"key":"quota:api","unit":"units","limit":5,"window":"day"}]"#, at: "/limits/0/key"),
            variant(#""fallback_variant_id":"var_x""#, at: "/fallback_variant_id"),
            variant(#""trial_days":3651"#, at: "/trial_days"), variant(#""currency":"euro""#, at: "/currency"),
            variant(#""slot":"base""#, "unknown_field", at: "/slot"),
            .post(
                "/v1/plans/none/variants", #"{"name":"x","billing_interval":{"unit":"month"}}"#, 404, "not_found"),
            .patch("/v1/variants/none", #"{"billing_interval":null}"#, at: "/billing_interval"),
            .patch("/v1/variants/none", #"{"credit_grants":[{}]}"#, at: "/credit_grants/0/credits"),
            .patch("/v1/variants/none", #"{"plan_id":"x"}"#, 400, "unknown_field", at: "/plan_id"),
            .patch("/v1/variants/none", #"{"name":"x"}"#, 404, "not_found"),
            .post("/v1/variants/none/migrate", #"{"to":"A"}"#, at: "/to"),
            .post("/v1/variants/none/migrate", #"{"effective":"soon"}"#, at: "/effective"),
            .post("/v1/variants/none/migrate", #"{"proration":"none"}"#, at: "/proration"),
            .post("/v1/variants/none/migrate", #"{"dry_run":1}"#, at: "/dry_run"),
            .post("/v1/variants/none/migrate", #"{"quantity":1}"#, 400, "unknown_field", at: "/quantity"),
            .post("/v1/variants/none/migrate?dry_run=true", "{}", 400, "unknown_field"),
            .post("/v1/variants/none/migrate", "{}", 404, "not_found"),
            .post("/v1/variants/NONE/migrate", "{}", 404, "not_found"),
            .get("/v1/variant-migrations/none", 404, "not_found"), .get("/v1/variant-migrations", 404, "not_found"),
            .get("/v1/variant-migrations/mig_00000000000000000000000000?at=1", 400, "unknown_field"),
            .patch("/v1/config", #"{"default_plan_variant_id":"A"}"#, at: "/default_plan_variant_id"),
            .patch(
                "/v1/config", #"{"default_plan_variant_id":"none"}"#, 404, "not_found", at: "/default_plan_variant_id"),
            .patch("/v1/config", #"{"fallback_variant_id":5}"#, at: "/fallback_variant_id"),
        ])

    /// A monthly variant with members replaced or added.
    private static func variant(
        _ members: String, _ code: String = "invalid_request", at pointer: String
    ) -> BadRequest {
        let interval = members.contains(#""billing_interval""#) ? "" : #","billing_interval":{"unit":"month"}"#
        return .post(
            "/v1/plans/none/variants", #"{"name":"x"\#(interval),\#(members)}"#, 400, code, at: pointer)
    }
}
