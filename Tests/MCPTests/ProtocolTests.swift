import JSON
import MCP
import Testing

/// The messages of the protocol, with the answers of the server.
@Suite("Protocol") struct ProtocolTests {
    /// A message with its headers, the status of its answer, and members that the answer must have.
    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let message: String
        var headers: MCPHeaders?
        let status: Int
        /// JSON; nil when no answer is wanted.
        let answer: String?

        var testDescription: String { name }

        init(
            _ name: String, _ message: String, _ headers: MCPHeaders? = nil, _ status: Int = 200, _ answer: String?
        ) {
            self.name = name
            self.message = message
            self.headers = headers
            self.status = status
            self.answer = answer
        }
    }

    private static func request(_ method: String, _ parameters: String = "{}", id: String = "7") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":\#(parameters)}"#
    }

    private static func error(_ code: Int, id: String = "null") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code)}}"#
    }

    private static func revision(_ name: String) -> MCPHeaders { MCPHeaders(revision: name, method: nil, name: nil) }

    private static let handshakes: [Case] = [
        ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"), ("2026-07-28", "2025-11-25"), ("1", "2025-11-25"),
    ].map { wanted, agreed in
        Case(
            "initialize with \(wanted)", request("initialize", #"{"protocolVersion":"\#(wanted)"}"#), nil, 200,
            """
            {"id":7,"result":{"protocolVersion":"\(agreed)","capabilities":{"tools":{},"resources":{}},
            "serverInfo":{"name":"quotastack"}}}
            """)
    }

    private static let messages: [Case] = [
        Case("ping", request("ping"), nil, 200, #"{"jsonrpc":"2.0","id":7,"result":{}}"#),
        Case("a text as the id", request("ping", id: #""é""#), nil, 200, #"{"id":"é","result":{}}"#),
        Case("no parameters", #"{"jsonrpc":"2.0","id":0,"method":"ping"}"#, nil, 200, #"{"id":0,"result":{}}"#),
        Case("initialize without a version", request("initialize"), nil, 200, error(-32602, id: "7")),
        Case("an unknown method", request("prompts/list"), nil, 200, error(-32601, id: "7")),
        Case("server/discover in an old revision", request("server/discover"), nil, 200, error(-32601, id: "7")),
        Case("an unknown tool", request("tools/call", #"{"name":"steal"}"#), nil, 200, error(-32602, id: "7")),
        Case("a tool without a name", request("tools/call"), nil, 200, error(-32602, id: "7")),
        Case("parameters in an array", request("tools/call", "[1]"), nil, 200, error(-32602, id: "7")),
        Case("a second page of tools", request("tools/list", #"{"cursor":"x"}"#), nil, 200, error(-32602, id: "7")),
        Case(
            "an unknown resource", request("resources/read", #"{"uri":"file:///etc"}"#), nil, 200,
            error(-32602, id: "7")),
        Case("templates", request("resources/templates/list"), nil, 200, #"{"result":{"resourceTemplates":[]}}"#),
        Case("a notification", #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, nil, 202, nil),
        Case("an unknown notification", #"{"jsonrpc":"2.0","method":"a/b","params":[]}"#, nil, 202, nil),
        Case("a response", #"{"jsonrpc":"2.0","id":1,"result":{}}"#, nil, 202, nil),
        Case("an error as a response", #"{"jsonrpc":"2.0","id":1,"error":{}}"#, nil, 202, nil),
        Case("nothing", "", nil, 400, error(-32700)),
        Case("no JSON", "{", nil, 400, error(-32700)),
        Case("two messages", "{}{}", nil, 400, error(-32700)),
        Case("a name twice", #"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#, nil, 400, error(-32700)),
        Case("a number", "1", nil, 400, error(-32600)),
        Case("an empty object", "{}", nil, 400, error(-32600)),
        Case("no version", #"{"id":1,"method":"ping"}"#, nil, 400, error(-32600)),
        Case("another version", #"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, nil, 400, error(-32600)),
        Case("neither method nor result", #"{"jsonrpc":"2.0","id":1}"#, nil, 400, error(-32600)),
        Case("a number as the method", #"{"jsonrpc":"2.0","id":1,"method":1}"#, nil, 400, error(-32600)),
        Case("null as the id", #"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, nil, 400, error(-32600)),
        Case("a fraction as the id", #"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, nil, 400, error(-32600)),
        Case("an object as the id", #"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, nil, 400, error(-32600)),
        Case("a known revision", request("ping"), revision("2025-06-18"), 200, #"{"result":{}}"#),
        Case(
            "an unknown revision", request("ping"), revision("1999-01-01"), 400,
            #"{"id":7,"error":{"code":-32022,"data":{"requested":"1999-01-01"}}}"#),
        Case(
            "an unknown revision of a notification", #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            revision("1999-01-01"), 400, error(-32022)),
        Case(
            "an unknown revision beside a handshake", request("initialize", #"{"protocolVersion":"2025-06-18"}"#),
            revision("1999-01-01"), 200, #"{"result":{"protocolVersion":"2025-06-18"}}"#),
    ]

    private static let batches: [Case] = [
        Case(
            "a batch", "[\(request("ping", id: "1")),\(request("nothing", id: "2"))]", nil, 200,
            "[{\"id\":1,\"result\":{}},\(error(-32601, id: "2"))]"),
        Case(
            "a batch with notifications", #"[{"jsonrpc":"2.0","method":"a"},\#(request("ping"))]"#,
            revision("2025-03-26"), 200, #"[{"id":7,"result":{}}]"#),
        Case("a batch of notifications", #"[{"jsonrpc":"2.0","method":"a"}]"#, nil, 202, nil),
        Case("a batch with a bad message", "[1,\(request("ping"))]", nil, 200, "[\(error(-32600)),{\"id\":7}]"),
        Case("an empty batch", "[]", nil, 400, error(-32600)),
        Case("a large batch", "[1,1,1,1,1,1,1,1,1]", nil, 400, error(-32600)),
        Case("a batch in a batch", "[[\(request("ping"))]]", nil, 200, "[\(error(-32600))]"),
        Case(
            "a handshake in a batch", "[\(request("initialize", #"{"protocolVersion":"2025-03-26"}"#))]", nil, 200,
            "[\(error(-32600))]"),
        Case("a batch in a later revision", "[\(request("ping"))]", revision("2025-06-18"), 400, error(-32600)),
    ]

    // MARK: - The revision without a handshake

    private static func modern(
        _ method: String, _ more: String = "", revision: String = "2026-07-28", id: String = "7"
    ) -> String {
        request(
            method,
            """
            {"_meta":{"io.modelcontextprotocol/protocolVersion":"\(revision)",
            "io.modelcontextprotocol/clientCapabilities":{}}\(more)}
            """, id: id)
    }

    private static func headers(_ method: String?, _ name: String? = nil) -> MCPHeaders {
        MCPHeaders(revision: "2026-07-28", method: method, name: name)
    }

    private static let discovery = """
        {"id":7,"result":{"resultType":"complete","supportedVersions":["2025-03-26","2025-06-18","2025-11-25","2026-07-28"],
        "capabilities":{"tools":{},"resources":{}},"cacheScope":"private","ttlMs":300000,
        "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"quotastack"}}}}
        """

    private static let modernMessages: [Case] = [
        Case("server/discover", modern("server/discover"), headers("server/discover"), 200, discovery),
        Case("server/discover on standard input", modern("server/discover"), nil, 200, discovery),
        Case("no handshake", modern("initialize"), headers("initialize"), 404, error(-32601, id: "7")),
        Case("no ping", modern("ping"), headers("ping"), 404, error(-32601, id: "7")),
        Case(
            "a call", modern("tools/call", #","name":"docs_read","arguments":{"page":"/docs/x"}"#),
            headers("tools/call", "docs_read"), 200, #"{"result":{"resultType":"complete","isError":true}}"#),
        Case(
            "a call with an encoded name", modern("tools/call", #","name":"docs_read","arguments":{"page":"/docs/x"}"#),
            headers("tools/call", "=?base64?ZG9jc19yZWFk?="), 200, #"{"result":{"isError":true}}"#),
        Case(
            "a call with another name", modern("tools/call", #","name":"docs_read""#),
            headers("tools/call", "docs_search"), 400, error(-32020, id: "7")),
        Case(
            "a call without a name", modern("tools/call", #","name":"docs_read""#), headers("tools/call"), 400,
            error(-32020, id: "7")),
        Case("no method in the headers", modern("tools/list"), headers(nil), 400, error(-32020, id: "7")),
        Case("another method", modern("tools/list"), headers("ping"), 400, error(-32020, id: "7")),
        Case(
            "another revision in the headers", modern("tools/list"), revision("2025-06-18"), 400,
            error(-32020, id: "7")),
        Case(
            "an unknown revision", modern("tools/list", revision: "2099-01-01"), nil, 400, error(-32022, id: "7")),
        Case(
            "a revision with a handshake", modern("tools/list", revision: "2025-06-18"), nil, 400,
            error(-32022, id: "7")),
        Case("no metadata", request("tools/list"), headers("tools/list"), 400, error(-32602, id: "7")),
        Case(
            "no capabilities",
            request("tools/list", #"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#), nil, 400,
            error(-32602, id: "7")),
        Case(
            "a number as the revision",
            request(
                "tools/list",
                #"{"_meta":{"io.modelcontextprotocol/protocolVersion":1,"io.modelcontextprotocol/clientCapabilities":{}}}"#
            ), nil, 400, error(-32602, id: "7")),
    ]

    @Test("Every message gets the answer of its revision", arguments: handshakes + messages + batches + modernMessages)
    func answer(_ test: Case) async throws {
        let reply = await Conversation().send(test.message, test.headers)
        #expect(reply.status == test.status)
        guard let answer = test.answer else {
            #expect(reply.body == nil)
            return
        }
        let pattern = try JSONParser.parse(Array(answer.utf8))
        #expect(reply.json.matches(pattern), "\(String(decoding: reply.body ?? [], as: UTF8.self))")
        #expect(reply.body?.contains(UInt8(ascii: "\n")) == false, "a message has no line ends inside")
    }

    @Test("Bytes that are no message never end the server")
    func hostile() async {
        let conversation = Conversation()
        let whole = Array(
            Self.request("tools/call", #"{"name":"balance","arguments":{"end_user_id":"a"}}"#).utf8)
        for index in whole.indices {
            for byte in [UInt8(0), 0x22, 0x5B, 0x7D, 0xFF] {
                var message = whole
                message[index] = byte
                let reply = await conversation.send(message)
                #expect(reply.status == 202 || !reply.json.matches(.null))
            }
            _ = await conversation.send(Array(whole[..<index]))
        }
        let deep = Array(repeating: UInt8(ascii: "["), count: 60_000)
        #expect(await conversation.send(deep).json["error"]?["code"] == .integer(-32_700))
        let wide = "[" + Array(repeating: "1", count: 20_000).joined(separator: ",") + "]"
        #expect(await conversation.send(wide).json["error"]?["code"] == .integer(-32_700))
    }
}
