import Credits
import Docs
import JSON
import MCP
import Synchronization

/// A server whose API notes the calls and gives the same answer to each.
final class Conversation: Sendable {
    private let server = MCPServer(site: DocsSite.current)
    private let noted = Mutex<[APICall]>([])
    private let answer: APIAnswer
    private let environment: EnvironmentKind?

    init(in environment: EnvironmentKind? = .test, answer status: Int = 200, _ body: String = #"{"balance":5}"#) {
        self.environment = environment
        answer = APIAnswer(status: status, body: Array(body.utf8))
    }

    /// The calls of the API since the beginning.
    var calls: [APICall] { noted.withLock { $0 } }

    func send(_ message: String, _ headers: MCPHeaders? = nil) async -> MCPReply {
        await send(Array(message.utf8), headers)
    }

    func send(_ message: [UInt8], _ headers: MCPHeaders? = nil) async -> MCPReply {
        await server.reply(
            to: message, headers: headers,
            caller: MCPCaller(
                environment: environment,
                tools: { [environment] in Tool.all.filter { $0.isShown(in: environment) } }
            ) { [self] call throws(ToolFailure) in
                noted.withLock { $0.append(call) }
                return answer
            })
    }

    /// The result of a tool.
    func call(_ tool: String, _ arguments: String = "{}") async -> JSONValue {
        let reply = await send(
            """
            {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\(tool)","arguments":\(arguments)}}
            """)
        return reply.json["result"] ?? .null
    }
}

extension MCPReply {
    var json: JSONValue { body.flatMap { try? JSONParser.parse($0) } ?? .null }
}

extension JSONValue {
    /// Whether the value has all members and items of a pattern, in the order of the items.
    func matches(_ pattern: JSONValue) -> Bool {
        switch (self, pattern) {
        case (.object(let object), .object(let wanted)):
            wanted.members.allSatisfy { key, value in object[key]?.matches(value) == true }
        case (.array(let items), .array(let wanted)):
            items.count == wanted.count && zip(items, wanted).allSatisfy { $0.matches($1) }
        default: self == pattern
        }
    }
}
