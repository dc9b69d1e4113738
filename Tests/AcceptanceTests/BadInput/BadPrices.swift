extension BadRequests {
    static let prices = BadRequests(
        "prices",
        [
            // The parser of prices has its own table of cases; this table checks that the API reaches every path of it.
            .rule(#""model":"package","package_size":0,"package_cost":1"#, at: "/package_size"),
            .rule(#""model":"package","package_size":1,"package_cost":-1"#, at: "/package_cost"),
            .rule(
                #""model":"package","package_size":1,"package_cost":9007199254740992"#, "amount_out_of_range",
                at: "/package_cost"),
            .rule(#""model":"graduated","tiers":[]"#, at: "/tiers"),
            .rule(#""model":"graduated","tiers":[{"up_to":5,"unit_cost":1}]"#, at: "/tiers/0/up_to"),
            .rule(
                #""model":"graduated","tiers":[{"up_to":null,"unit_cost":1},{"up_to":5,"unit_cost":1}]"#,
                at: "/tiers/0/up_to"),
            .rule(
                #""model":"volume","tiers":[{"up_to":5,"unit_cost":1},{"up_to":4,"unit_cost":1},{"up_to":null,"unit_cost":1}]"#,
                at: "/tiers/1/up_to"),
            .rule(#""model":"volume","scope":"period","tiers":[{"up_to":null,"unit_cost":1}]"#, at: "/scope"),
            .rule(
                #""dimensions":{"a":{"model":"volume","tiers":[{"up_to":null,"unit_cost":1}]},"#
                    + #""b":{"model":"graduated","scope":"period","tiers":[{"up_to":null,"unit_cost":1}]}}"#,
                at: "/dimensions"),
            .rule(
                #""model":"volume","tiers":[{"up_to":null,"unit_cost":1,"fee":1}]"#, "unknown_field", at: "/tiers/0/fee"
            ),
            .rule(#""dimensions":{}"#, at: "/dimensions"),
            .rule(#""dimensions":{"a b":{"model":"flat","amount":1}}"#, at: "/dimensions/a b"),
            .rule(#""dimensions":{"a":{"model":"flat","amount":-1}}"#, at: "/dimensions/a/amount"),
            .rule(#""dimensions":{"a":{"model":"flat","amount":1}},"model":"flat","amount":1"#, at: "/dimensions"),
            .rule(#""price_rows":[]"#, at: "/price_rows"),
            .rule(#""price_rows":[{"model":"flat","amount":1}]"#, at: "/price_rows/0/match"),
            .rule(#""price_rows":[{"match":{"m":{}},"model":"flat","amount":1}]"#, at: "/price_rows/0/match/m"),
            .rule(
                #""price_rows":[{"match":{},"model":"flat","amount":1}],"model":"flat","amount":1"#, at: "/price_rows"),
            .rule(#""model":"flat","amount":1,"plan_variant_id":"var_x""#, at: "/plan_variant_id"),
            .preview("", at: "/rule"), .preview(#""rule":5"#, at: "/rule"),
            .preview(#""rule":{"model":"flat"}"#, at: "/rule/amount"),
            .preview(#""rule":{"model":"flat","amount":1,"x":1}"#, "unknown_field", at: "/rule/x"),
            .preview(#""rule":{"model":"flat","amount":1,"feature_key":"a b"}"#, at: "/rule/feature_key"),
            .preview(#""rule":{"model":"flat","amount":1,"effective_from":"soon"}"#, at: "/rule/effective_from"),
            .preview(#""rule":{"model":"graduated","tiers":[{"up_to":null}]}"#, at: "/rule/tiers/0/unit_cost"),
            .preview(#""rule_id":7"#, at: "/rule_id"),
            .preview(#""rule_id":"rule_x","rule":{"model":"flat","amount":1}"#, at: "/rule_id"),
            .preview(
                #""rule":{"model":"flat","amount":1},"feature_key":"api""#, "unknown_field", at: "/feature_key"),
        ],
        [
            (#""units":-1"#, "/units"), (#""units":1.5"#, "/units"), (#""units":9223372036854775808"#, "/units"),
            (#""quantities":5"#, "/quantities"), (#""quantities":{"a":-1}"#, "/quantities/a"),
            (#""quantities":{"a":null}"#, "/quantities/a"), (#""quantities":{"a b":1}"#, "/quantities/a b"),
            // The kelvin sign, which Unicode treats as equivalent to the letter K.
            ("\"quantities\":{\"\u{212A}\":1}", "/quantities/\u{212A}"),
            (#""units":1,"quantities":{}"#, "/quantities"), (#""attributes":[]"#, "/attributes"),
            (#""attributes":{"a":1.5}"#, "/attributes/a"), (#""attributes":{"a":null}"#, "/attributes/a"),
            (#""attributes":{"":1}"#, "/attributes/"), (#""attributes":{"a":\#(text(257))}"#, "/attributes/a"),
            (
                #""attributes":{\#((0...32).map { "\"a\($0)\":1" }.joined(separator: ","))}"#, "/attributes"
            ),
            (#""used_before":-1"#, "/used_before"), (#""used_before":"1""#, "/used_before"),
            (#""used_before":9007199254740992"#, "/used_before"), (#""used_before":{"a":-1}"#, "/used_before/a"),
        ].map { .preview(#""rule":{"model":"flat","amount":1},"# + $0.0, at: $0.1) })

    static let packages = BadRequests(
        "top-up packages",
        [
            .package(["key": ""], at: "/key"), .package(["key": #""a b""#], at: "/key"),
            .package(["key": text(65)], at: "/key"), .package(["name": ""], at: "/name"),
            .package(["name": #""""#], at: "/name"), .package(["name": text(201)], at: "/name"),
            .package(["credits": ""], at: "/credits"), .package(["credits": "0"], at: "/credits"),
            .package(["credits": "-5"], at: "/credits"), .package(["credits": "1.5"], at: "/credits"),
            .package(["credits": "9007199254740992"], "amount_out_of_range", at: "/credits"),
            .package(["price": ""], at: "/price"), .package(["price": "-1"], at: "/price"),
            .package(["price": "9.99"], at: "/price"), .package(["price": #""9""#], at: "/price"),
            .package(["price": "9007199254740992"], at: "/price"),
            .package(["currency": ""], at: "/currency"), .package(["currency": #""eur""#], at: "/currency"),
            .package(["currency": #""EURO""#], at: "/currency"), .package(["currency": #""E1R""#], at: "/currency"),
            .package(["currency": #""ÄÖ""#], at: "/currency"), .package(["currency": "978"], at: "/currency"),
            .package(["expires_after": #""30 days""#], at: "/expires_after"),
            .package(["expires_after": #""PT0S""#], at: "/expires_after"),
            .package(["expires_after": "30"], at: "/expires_after"),
            .package(["priority": "101"], at: "/priority"), .package(["priority": "-1"], at: "/priority"),
            .package(["priority": "1.5"], at: "/priority"),
            .package(["archived": "true"], "unknown_field", at: "/archived"),
            .patch("/v1/topup-packages/nothing", #"{"price":1}"#, 404, "not_found"),
            .patch("/v1/topup-packages/nothing", #"{"key":"k"}"#, 400, "unknown_field", at: "/key"),
            .patch("/v1/topup-packages/nothing", #"{"credits":0}"#, at: "/credits"),
            .patch("/v1/topup-packages/nothing", #"{"currency":"€"}"#, at: "/currency"),
            .patch("/v1/topup-packages/nothing", #"{"archived":1}"#, at: "/archived"),
            .get("/v1/topup-packages/nothing", 404, "not_found"),
            .get("/v1/topup-packages?limit=0"), .get("/v1/topup-packages?cursor=zz", 400, "invalid_cursor"),
        ])

    /// A JSON string with the given number of bytes.
    private static func text(_ length: Int) -> String {
        "\"" + String(repeating: "x", count: length) + "\""
    }
}

extension BadRequest {
    /// A rule of the feature `api` with further members.
    fileprivate static func rule(
        _ members: String, _ code: String = "invalid_request", at pointer: String
    ) -> BadRequest {
        post("/v1/metering-rules", #"{"feature_key":"api",\#(members)}"#, 400, code, at: pointer)
    }

    fileprivate static func preview(
        _ members: String, _ code: String = "invalid_request", at pointer: String
    ) -> BadRequest {
        post("/v1/metering-rules/preview", "{\(members)}", 400, code, at: pointer)
    }

    /// A package with members replaced or added as given; an empty text leaves a member out.
    fileprivate static func package(
        _ members: KeyValuePairs<String, String>, _ code: String = "invalid_request", at pointer: String
    ) -> BadRequest {
        let base: KeyValuePairs = [
            "key": #""p""#, "name": #""P""#, "credits": "5", "price": "9", "currency": #""EUR""#,
        ]
        return post("/v1/topup-packages", object(base, members), 400, code, at: pointer)
    }
}
