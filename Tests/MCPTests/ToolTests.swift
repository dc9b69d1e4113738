import Credits
import JSON
import MCP
import Testing

/// The tools: the calls of the API that they make, and the results that they make of its answers.
@Suite("Tools") struct ToolTests {
    @Test(
        "A call becomes one request to the API",
        arguments: [
            (
                "check", #"{"end_user_id":"a b","feature_key":"api"}"#, "GET",
                "/v1/entitlements/check?end_user_id=a%20b&feature_key=api", nil
            ),
            (
                "check", #"{"units":7,"feature_key":"api","end_user_id":"é&x=1"}"#, "GET",
                "/v1/entitlements/check?end_user_id=%C3%A9%26x%3D1&feature_key=api&units=7", nil
            ),
            ("balance", #"{"end_user_id":"a","at":null}"#, "GET", "/v1/credits/balance?end_user_id=a", nil),
            (
                "ledger", #"{"end_user_id":"a","order":"asc","limit":5,"cursor":"ff"}"#, "GET",
                "/v1/ledger?end_user_id=a&order=asc&limit=5&cursor=ff", nil
            ),
            ("plans", "{}", "GET", "/v1/plans", nil),
            (
                "plan_variants", #"{"key":"../admin/tenants?x"}"#, "GET",
                "/v1/plans/..%2Fadmin%2Ftenants%3Fx/variants", nil
            ),
            (
                "grant_credits", #"{"credits":5,"end_user_id":"a","idempotency_key":"k"}"#, "POST", "/v1/credits/grant",
                #"{"end_user_id":"a","credits":5}"#
            ),
        ] as [(String, String, String, String, String?)])
    func calls(_ tool: String, _ arguments: String, _ method: String, _ target: String, _ body: String?) async throws {
        let conversation = Conversation()
        let result = await conversation.call(tool, arguments)
        #expect(result["isError"] == .bool(false))
        #expect(result["structuredContent"]?["balance"] == .integer(5))
        #expect(result["content"]?.items?.first?["text"] == .string(#"{"balance":5}"#))
        let call = try #require(conversation.calls.first)
        #expect(conversation.calls.count == 1 && call.method == method && call.target == target)
        #expect(call.body.map { String(decoding: $0, as: UTF8.self) } == body)
        #expect(call.idempotencyKey == (body == nil ? nil : "k"))
    }

    @Test(
        "Arguments of another name, kind or size are refused, and no call is made",
        arguments: [
            ("check", #"{"end_user_id":"a"}"#, "feature_key is required"),
            ("check", #"{"end_user_id":"a","feature_key":"f","unit":1}"#, "no argument unit"),
            (
                "check", #"{"end_user_id":"a","feature_key":"f","units":"1"}"#,
                "units must be a whole number, not a string"
            ),
            (
                "check", #"{"end_user_id":"a","feature_key":"f","units":1.5}"#,
                "units must be a whole number, not a number"
            ),
            ("check", #"{"end_user_id":"a","feature_key":"f","units":-1}"#, "units must be a whole number from 0"),
            ("balance", #"{"end_user_id":""}"#, "end_user_id must be 1 to 256 bytes"),
            ("balance", #"{"end_user_id":7}"#, "end_user_id must be a string, not a number"),
            ("balance", "[]", "must be an object"),
            ("ledger", #"{"end_user_id":"a","order":"up"}"#, "order must be one of asc, desc"),
            ("ledger", #"{"end_user_id":"a","limit":101}"#, "limit must be a whole number from 1 to 100"),
            ("grant_credits", #"{"end_user_id":"a","credits":1,"idempotency_key":"a\r\nX-Key: b"}"#, "visible ASCII"),
            ("docs_search", "{}", "query is required"),
            ("docs_read", #"{"page":"/docs/../../etc/passwd"}"#, "no page"),
        ])
    func refusals(_ tool: String, _ arguments: String, _ text: String) async {
        let conversation = Conversation()
        let result = await conversation.call(tool, arguments)
        #expect(result["isError"] == .bool(true))
        #expect(result["content"]?.items?.first?["text"]?.text?.contains(text) == true, "\(result)")
        #expect(conversation.calls.isEmpty)
    }

    @Test("A problem of the API becomes an error with its sentence, its code and its fields")
    func problems() async {
        let problem = #"""
            {"title":"Not enough credits","code":"insufficient_credits","detail":"It costs 5.","required":5,
            "errors":[{"pointer":"/credits","detail":"must be at least 1"}]}
            """#
        let result = await Conversation(answer: 402, problem).call("balance", #"{"end_user_id":"a"}"#)
        let text = result["content"]?.items?.first?["text"]?.text ?? ""
        #expect(result["isError"] == .bool(true) && result["structuredContent"]?["required"] == .integer(5))
        #expect(text.hasPrefix("Not enough credits: It costs 5. (code insufficient_credits, status 402"))
        #expect(text.hasSuffix("\n/credits: must be at least 1"))
        let proxy = await Conversation(answer: 502, "{\n\"code\":\n\"bad_gateway\"}").send(
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"plans"}}"#)
        #expect(proxy.body?.contains(UInt8(ascii: "\n")) == false && proxy.json["result"]?["isError"] == .bool(true))
        let page = await Conversation(answer: 502, "<html>").call("balance", #"{"end_user_id":"a"}"#)
        #expect(page["isError"] == .bool(true) && page["structuredContent"] == nil)
    }

    @Test("A tool that changes anything works in a test environment only")
    func changes() async {
        let grant = #"{"end_user_id":"a","credits":5}"#
        let live = Conversation(in: .live)
        let refused = await live.call("grant_credits", grant)
        #expect(refused["isError"] == .bool(true) && live.calls.isEmpty)
        #expect(refused["content"]?.items?.first?["text"]?.text?.contains("test_mode_only") == true)
        // Without a key the API itself refuses.
        let open = Conversation(in: nil)
        _ = await open.call("grant_credits", grant)
        #expect(open.calls.count == 1)
        for tool in Tool.all {
            let isWrite = tool.endpoint?.method == "POST"
            #expect(tool.isShown(in: .live) == !isWrite && tool.isShown(in: .test))
            #expect(tool.isShown(in: nil) == (tool.endpoint == nil))
        }
    }

    @Test("Every tool is listed with a schema, and only those that change nothing are marked so")
    func list() async throws {
        let reply = await Conversation().send(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)
        let tools = try #require(reply.json["result"]?["tools"]?.items)
        #expect(
            tools.compactMap { $0["name"]?.text } == Tool.all.map(\.name)
                && Set(Tool.all.map(\.name)).count == tools.count)
        for tool in tools {
            let schema = try #require(tool["inputSchema"])
            let required = schema["required"]?.items ?? []
            #expect(schema["type"] == .string("object") && schema["additionalProperties"] == .bool(false))
            for name in required { #expect(schema["properties"]?[name.text ?? ""] != nil) }
            let changes = ["grant_credits", "record_usage"].contains(tool["name"]?.text)
            #expect(tool["annotations"]?["readOnlyHint"] == .bool(!changes))
            #expect(tool["description"]?.text?.hasSuffix(".") == true)
        }
    }

    // MARK: - The documentation

    @Test(
        "A search finds the page about its words first",
        arguments: [
            ("idempotency key reuse", "/docs/errors/idempotency_key_reuse"),
            ("webhook signature", "/docs/concepts/webhooks"),
            ("QUICKSTART", "/docs/quickstart"), ("migrate from lago", "/docs/recipes/migrate-from-lago"),
            ("credits.granted", "/docs/events/credits.granted"),
            ("how do I roll a key", "/docs/concepts/environments-and-keys"),
            ("what is a block", "/docs/glossary#block"),
        ])
    func search(_ query: String, _ address: String) async {
        let conversation = Conversation(in: nil)
        let result = await conversation.call("docs_search", #"{"query":"\#(query)"}"#)
        let found = result["structuredContent"]?["results"]?.items ?? []
        #expect(
            found.prefix(2).contains { $0["address"]?.text?.hasPrefix(address) == true },
            "\(found.map { $0["address"] })")
        #expect(found.count <= 8 && conversation.calls.isEmpty)
        #expect(found.allSatisfy { $0["excerpt"]?.text?.utf8.count ?? 999 < 400 })
    }

    @Test("A search without any known word finds nothing")
    func nothing() async {
        for query in ["zzzzqqq", "---", "qxqx wvwv"] {
            let result = await Conversation().call("docs_search", #"{"query":"\#(query)"}"#)
            #expect(result["structuredContent"]?["results"]?.items == [] && result["isError"] == .bool(false))
        }
    }

    @Test("A page is read by its address in any form, and in pieces")
    func read() async throws {
        let conversation = Conversation(in: nil)
        for page in ["/docs/concepts/credits", "concepts/credits", "/docs/concepts/credits.md#blocks"] {
            let result = await conversation.call("docs_read", #"{"page":"\#(page)"}"#)
            #expect(result["structuredContent"]?["address"] == .string("/docs/concepts/credits"))
            #expect(result["content"]?.items?.first?["text"]?.text?.hasPrefix("# Credits") == true)
        }
        let index = await conversation.call("docs_read", #"{"page":"/llms.txt"}"#)
        #expect(index["structuredContent"]?["markdown"]?.text?.hasPrefix("# QuotaStack") == true)
        let end = await conversation.call("docs_read", #"{"page":"/docs","offset":999999}"#)
        #expect(end["structuredContent"]?["markdown"] == .string(""))
    }

    @Test("Every page is a resource")
    func resources() async throws {
        let conversation = Conversation(in: nil)
        let list = await conversation.send(#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#)
        let resources = try #require(list.json["result"]?["resources"]?.items)
        #expect(resources.count > 60)
        for resource in resources {
            let uri = try #require(resource["uri"]?.text)
            let read = await conversation.send(
                #"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"\#(uri)"}}"#)
            let contents = read.json["result"]?["contents"]?.items
            #expect(contents?.first?["text"]?.text?.hasPrefix("# ") == true && contents?.first?["uri"]?.text == uri)
        }
    }
}
