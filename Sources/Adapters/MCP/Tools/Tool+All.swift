/// All tools, in the order in which they are shown.
extension Tool {
    package static let all: [Tool] = [
        Tool(
            name: "docs_search", title: "Search the QuotaStack documentation",
            help: """
                Finds the parts of the documentation that contain words, and shows an excerpt of each. Read the page with \
                docs_read before you write code against the API.
                """,
            inputs: [
                .required("query", .text(400), "A few words, such as: reserve credits streaming."),
                .optional("limit", .integer(1...20), "The largest number of parts; 8 by default."),
            ], action: .searchDocs),
        Tool(
            name: "docs_read", title: "Read a page of the QuotaStack documentation",
            help: "Reads a page as Markdown. The page index lists every page in /llms.txt.",
            inputs: [
                .required(
                    "page", .text(200), "The address of the page, such as /docs/quickstart or /docs/errors/conflict."),
                .optional(
                    "offset", .integer(0...1_000_000_000),
                    "The byte at which to begin: the next_offset of the answer before. 0 by default."),
            ], action: .readDocs),
        read(
            "check", "Check an entitlement", "/v1/entitlements/check",
            """
            Says whether an end user may use a feature now, what it would cost, and why not. It decides by the code that \
            decides a real use, and changes nothing.
            """,
            [endUser, .required("feature_key", key, "The key of the feature."), units]),
        read(
            "balance", "Show a balance", "/v1/credits/balance",
            "Shows the credits of an end user, now or at a past instant: free, reserved, frozen and owed. \(unit)",
            [endUser, at]),
        read(
            "explain", "Explain a balance or a denial", "/v1/ledger/explain",
            """
            Derives a balance from its blocks, holds and entries, and with a feature also the answer to a check: the rule, \
            the limits and the arithmetic. Use it to find out why a balance or a denial is as it is.
            """,
            [endUser, at, .optional("feature_key", key, "The key of a feature whose check is explained too."), units]),
        read(
            "ledger", "List the ledger", "/v1/ledger",
            "Lists the entries of an end user's ledger, newest first, a page at a time. \(unit)",
            [
                endUser, .optional("type", .text(64), "Only entries of this type, such as use or grant."),
                .optional("feature_key", key, "Only entries about this feature."), from, to,
                .optional("order", .choice(["asc", "desc"]), "desc, the newest first, by default."),
            ] + page),
        read(
            "usage", "Sum up usage", "/v1/usage",
            "Sums up the units and the cost of an end user's usage, in total or by hour, day, month, feature or attribute.",
            [
                endUser, .optional("feature_key", key, "Only usage of this feature."), from, to,
                .optional(
                    "group_by", .text(128), "hour, day, month, feature, or attribute: and an attribute in report_by."),
            ]),
        read(
            "features", "List the features", "/v1/features",
            "Lists the features of the catalogue, newest first: their keys, types and quotas.", page),
        read("plans", "List the plans", "/v1/plans", "Lists the plans, newest first.", page),
        read(
            "plan_variants", "List the variants of a plan", "/v1/plans/{key}/variants",
            "Lists what is sold under a plan: intervals, prices, credit grants, features and limits.",
            [.required("key", .text(256), "The key or the id of the plan.")] + page),
        read(
            "subscriptions", "List subscriptions", "/v1/subscriptions",
            "Lists the subscriptions of an end user, newest first.",
            [
                endUser,
                .optional("status", .text(32), "Only subscriptions of this status, such as active or past_due."),
            ] + page),
        write(
            "grant_credits", "Grant credits (test mode)", "/v1/credits/grant",
            "Gives an end user of a test environment credits. It needs a test key with the scope credits:write. \(unit)",
            [
                endUser, .required("credits", .integer(1...amount), "The amount in millicredits."),
                .optional("reason", .text(500), "The reason, for the ledger."),
                .optional("expires_after", .text(32), "A duration after which the credits expire, such as P30D."),
            ]),
        write(
            "record_usage", "Record usage (test mode)", "/v1/usage",
            """
            Charges an end user of a test environment for using a feature. It needs a test key with the scope usage:write.
            """,
            [endUser, .required("feature_key", key, "The key of the feature."), units]),
    ]

    private static func read(
        _ name: String, _ title: String, _ path: String, _ help: String, _ inputs: [ToolInput]
    ) -> Tool {
        Tool(name: name, title: title, help: help, inputs: inputs, action: .endpoint(method: "GET", path: path))
    }

    private static func write(
        _ name: String, _ title: String, _ path: String, _ help: String, _ inputs: [ToolInput]
    ) -> Tool {
        let key = ToolInput.optional(
            idempotencyKey, .headerText(255),
            "A text of your choice: a second call with the same text does nothing new.")
        return Tool(
            name: name, title: title, help: help, inputs: inputs + [key], action: .endpoint(method: "POST", path: path))
    }

    // MARK: - Inputs that several tools have

    private static let unit = "Amounts are millicredits: 1000 are one credit."
    private static let key = ToolInput.Kind.text(128)
    private static let amount: Int64 = 1_000_000_000_000_000
    private static let endUser = ToolInput.required(
        "end_user_id", .text(256), "Your id of the end user: the customer who has the credits.")
    private static let units = ToolInput.optional(
        "units", .integer(0...Int64.max), "The units of the feature; 1 by default.")
    private static let at = ToolInput.optional("at", .instant, "A past instant; now by default.")
    private static let from = ToolInput.optional("from", .instant, "The beginning of the period.")
    private static let to = ToolInput.optional("to", .instant, "The end of the period.")
    private static let page = [
        ToolInput.optional("limit", .integer(1...100), "The size of the page; 25 by default."),
        .optional("cursor", .text(2_048), "The next_cursor of the page before."),
    ]
}
