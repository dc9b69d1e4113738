/// A valid request, with which mutations begin. Its content follows from a number, so that a request with an idempotency
/// key has the same content whenever its key is used.
struct BaseRequest: Sendable {
    typealias Text = @Sendable (Int) -> String

    let method: String
    let target: Text
    /// Nil for a request without a body.
    let body: Text?
    let type: String
    /// The beginning of the idempotency keys; nil for a request without a key.
    let key: String?
    /// The statuses that the request has when nothing is broken.
    let statuses: Set<Int>
    /// The relative frequency.
    let share: Int
    /// The amount of different contents.
    let contents: Int

    /// The end users whose accounts the requests change.
    static let players = (0..<100).map { "player-\($0)" }
    /// An end user with few entries, whom requests for lists name: the cost of a list grows with the account.
    static let reader = "reader"

    static func get(_ share: Int, _ statuses: Set<Int> = [200], _ target: @escaping Text) -> BaseRequest {
        BaseRequest(
            method: "GET", target: target, body: nil, type: "", key: nil, statuses: statuses, share: share,
            contents: 10_000)
    }

    static func post(
        _ share: Int, _ target: String, _ statuses: Set<Int> = [200], type: String = "application/json",
        key: String? = nil, contents: Int = 10_000, _ body: @escaping Text
    ) -> BaseRequest {
        BaseRequest(
            method: "POST", target: { _ in target }, body: body, type: type, key: key, statuses: statuses, share: share,
            contents: contents)
    }

    /// - Parameters:
    ///   - number: The number of the content.
    ///   - apiKey: The key of the fuzzing tenant.
    ///   - isBearer: Whether the key is sent as a bearer token.
    func request(
        _ number: Int, apiKey: String, requestID: String, isBearer: Bool, isChunked: Bool
    ) -> FuzzRequest {
        var headers = [
            "Host: 127.0.0.1", isBearer ? "Authorization: Bearer \(apiKey)" : "X-API-Key: \(apiKey)",
            "X-Request-Id: \(requestID)",
        ]
        var content: [UInt8] = []
        var framing = FuzzRequest.Framing.none
        if let body {
            headers.append("Content-Type: \(type)")
            content = utf8(body(number))
            framing = isChunked ? .chunks : .length
        }
        if let key { headers.append("Idempotency-Key: \(key)-\(number)") }
        return FuzzRequest(
            method: utf8(method), target: utf8(target(number)), headers: headers.map { utf8($0) }, framing: framing,
            body: content, requestID: requestID)
    }
}

extension BaseRequest {
    /// Every base request as often as its share says.
    static let drawn: [BaseRequest] = all.flatMap { Array(repeating: $0, count: $0.share) }

    static let all: [BaseRequest] = reads + checks + messages + writes

    private static let reads: [BaseRequest] = [
        get(2) { _ in "/healthz" },
        get(1) { _ in "/readyz" },
        get(2, [404]) { "/v1/nowhere/\($0)" },
        get(3) { "/v1/features?limit=\($0 % 5 + 1)" },
        get(3) { _ in "/v1/features/calls" },
        get(3) { "/v1/end-users/\(player($0))" },
        get(2) { "/v1/end-users?limit=\($0 % 3 + 1)" },
        get(5) { "/v1/credits/balance?end_user_id=\(player($0))" },
        get(2) { _ in "/v1/credits/blocks?end_user_id=\(reader)&status=active&limit=2" },
        get(4) { _ in "/v1/ledger?end_user_id=\(reader)&limit=3&order=asc" },
        get(2) { _ in "/v1/ledger/export?end_user_id=\(reader)" },
        get(1) { _ in "/v1/ledger/explain?end_user_id=\(reader)&feature_key=calls" },
        get(2) { _ in "/v1/usage?end_user_id=\(reader)&group_by=feature" },
    ]

    private static let checks: [BaseRequest] = [
        get(10) { "/v1/entitlements/check?end_user_id=\(player($0))&feature_key=calls&units=\($0 % 9)" },
        get(2) { "/v1/entitlements?end_user_id=\(player($0))" },
        post(8, "/v1/entitlements/check") { number in
            #"{"end_user_id":"\#(player(number))","feature_key":"voice","quantities":{"seconds":40,"words":100},"#
                + #""attributes":{"quality":"studio"}}"#
        },
        post(8, "/v1/entitlements/check-batch") { number in
            #"{"checks":[{"end_user_id":"\#(player(number))","feature_key":"calls"},"#
                + #"{"end_user_id":"\#(player(number + 1))","feature_key":"flat","units":9}]}"#
        },
        post(6, "/v1/metering-rules/preview") { number in
            #"{"rule":{"model":"graduated","tiers":[{"up_to":10000,"unit_cost":10},{"up_to":null,"unit_cost":5}]},"#
                + #""units":\#(number + 1)}"#
        },
    ]

    /// Messages of the Model Context Protocol.
    private static let messages: [BaseRequest] = [
        post(3, "/mcp") { number in
            tool("check", #"{"end_user_id":"\#(player(number))","feature_key":"calls","units":\#(number % 9)}"#, number)
        },
        post(2, "/mcp") { tool("ledger", #"{"end_user_id":"\#(reader)","limit":2,"order":"asc"}"#, $0) },
        post(2, "/mcp") { number in
            #"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(number)}},"#
                + tool("docs_search", #"{"query":"credits\u00e9 of a \#(number)","limit":2}"#, number) + "]"
        },
        post(1, "/mcp") { number in
            #"{"jsonrpc":"2.0","id":"\#(number)","method":"initialize","params":{"protocolVersion":"2025-06-18","#
                + #""capabilities":{},"clientInfo":{"name":"fuzz","version":"1"}}}"#
        },
    ]

    private static let writes: [BaseRequest] = [
        post(10, "/v1/usage", [201]) { event($0) },
        post(6, "/v1/usage", [201], key: "use") { event($0) },
        post(5, "/v1/usage/batch") { number in
            #"{"events":[\#(event(number)),\#(event(number + 1)),\#(event(number + 2))]}"#
        },
        post(5, "/v1/usage/batch", type: "application/x-ndjson") { number in
            [event(number), event(number + 1), event(number + 2)].joined(separator: "\n") + "\n"
        },
        post(5, "/v1/credits/grant", [201], key: "grant", contents: 2_000) { number in
            #"{"end_user_id":"\#(player(number))","credits":\#(number + 1),"priority":\#(number % 100),"#
                + #""reason":"welcome \u00e9","metadata":{"campaign":"c1","depth":[1,[2.5e0,null,true]]}}"#
        },
        post(2, "/v1/credits/grant/batch", contents: 500) { number in
            #"{"grants":[{"end_user_id":"\#(player(number))","credits":5,"idempotency_key":"batch-\#(number)"},"#
                + #"{"end_user_id":"\#(player(number + 1))","credits":6,"idempotency_key":"other-\#(number)"}]}"#
        },
        post(3, "/v1/end-users", [200, 201], contents: 500) { number in
            #"{"end_user_id":"guest-\#(number)","name":"Guest","metadata":{"team":"red"}}"#
        },
        post(1, "/v1/features", [201, 409], contents: 20) { number in
            #"{"key":"made-\#(number)","name":"Made","type":"metered","unit_name":"call"}"#
        },
    ]

    private static func player(_ number: Int) -> String { players[number % players.count] }

    private static func tool(_ name: String, _ arguments: String, _ number: Int) -> String {
        #"{"jsonrpc":"2.0","id":\#(number),"method":"tools/call","params":{"name":"\#(name)","arguments":\#(arguments)}}"#
    }

    private static func event(_ number: Int) -> String {
        #"{"end_user_id":"\#(player(number))","feature_key":"calls","units":\#(number % 7 + 1),"#
            + #""metadata":{"trace":"t\#(number)"}}"#
    }
}
