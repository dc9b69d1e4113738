import JSON
import Testing

/// Messages of the Model Context Protocol over HTTP.
extension Client {
    func message(_ body: JSONValue, headers: [String: String] = [:]) async throws -> Answer {
        try await post("/mcp", body, headers: headers)
    }

    /// Sends a request and returns its answer.
    func request(_ method: String, _ parameters: JSONValue = [:]) async throws -> Answer {
        try await message(["jsonrpc": "2.0", "id": 1, "method": .string(method), "params": parameters])
    }

    /// The result of a tool.
    func tool(
        _ name: String, _ arguments: JSONValue, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> ToolCallResult {
        let answer = try await request("tools/call", ["name": .string(name), "arguments": arguments])
            .expect(200, sourceLocation: sourceLocation)
        return ToolCallResult(value: try #require(answer["result"], "\(answer)", sourceLocation: sourceLocation))
    }

    /// The names of the tools that the key may use.
    func toolNames() async throws -> [String] {
        try await request("tools/list").expect(200).items("result.tools").compactMap { $0["name"]?.text }
    }
}

struct ToolCallResult: CustomTestStringConvertible {
    let value: JSONValue

    var isError: Bool { value["isError"] == .bool(true) }
    var text: String { value[path: "content.0.text"]?.text ?? "" }
    var structured: JSONValue { value["structuredContent"] ?? .null }
    var testDescription: String { "\(isError ? "error" : "result") \(text.prefix(1_000))" }
}
