package import Credits
import JSON

/// A tool: an endpoint of the API, or a look into the documentation.
///
/// The same value describes the tool to clients and makes the call of the API, whichever way the client's message came.
package struct Tool: Sendable {
    enum Action: Sendable {
        /// The path has names of inputs in braces. The other inputs are the query of a GET and the body of a POST;
        /// `idempotency_key` is a header.
        case endpoint(method: String, path: String)
        case searchDocs
        case readDocs
    }

    package let name: String
    let title: String
    let help: String
    let inputs: [ToolInput]
    let action: Action

    /// The endpoint of the API that the tool calls; nil for a tool that needs no key.
    package var endpoint: (method: String, path: String)? {
        if case .endpoint(let method, let path) = action { (method, path) } else { nil }
    }

    /// Whether the tool changes nothing. The others work with the key of a test environment only: a model must not move
    /// the credits of paying customers.
    var isReadOnly: Bool { endpoint.map { $0.method == "GET" } ?? true }

    /// Whether a tool is shown to the holder of a key.
    ///
    /// - Parameter environment: The environment of the key; nil without a key.
    package func isShown(in environment: EnvironmentKind?) -> Bool {
        guard endpoint != nil else { return true }
        return environment == .test || environment == .live && isReadOnly
    }

    /// The call of the API for arguments; nil for a tool that makes none.
    func call(_ arguments: ToolArguments) throws(ToolFailure) -> APICall? {
        guard case .endpoint(let method, let path) = action else { return nil }
        var target = path
        var rest: [(name: String, value: JSONValue)] = []
        for input in inputs where input.name != Self.idempotencyKey {
            guard let value = arguments[input.name] else { continue }
            let place = "{\(input.name)}"
            if let range = target.firstRange(of: place) {
                target.replaceSubrange(range, with: APICall.percentEncoded(Self.text(value)))
            } else {
                rest.append((input.name, value))
            }
        }
        let isQuery = method == "GET"
        if isQuery, !rest.isEmpty {
            let pairs = rest.map { "\($0.name)=\(APICall.percentEncoded(Self.text($0.value)))" }
            target += "?\(pairs.joined(separator: "&"))"
        }
        guard target.utf8.count <= MCPLimits.targetBytes else { throw ToolFailure("The arguments are too long.") }
        return APICall(
            method: method, target: target,
            body: isQuery ? nil : JSONValue.members(rest.map { ($0.name, $0.value) }).bytes,
            idempotencyKey: arguments.text(Self.idempotencyKey))
    }

    static let idempotencyKey = "idempotency_key"

    private static func text(_ value: JSONValue) -> String {
        value.text ?? String(decoding: value.bytes, as: UTF8.self)
    }

    /// Writes the tool as `tools/list` shows it.
    func write(into json: inout JSONWriter) {
        json.beginObject()
        json.member("name", name)
        json.member("title", title)
        json.member("description", help)
        json.object("inputSchema") { json in
            json.member("type", "object")
            json.object("properties") { json in
                for input in inputs {
                    json.key(input.name)
                    input.writeSchema(into: &json)
                }
            }
            json.array("required", inputs.filter(\.isRequired)) { $0.value($1.name) }
            json.member("additionalProperties", false)
        }
        json.object("annotations") { json in
            json.member("title", title)
            json.member("readOnlyHint", isReadOnly)
            json.member("destructiveHint", false)
            json.member("idempotentHint", isReadOnly)
            json.member("openWorldHint", false)
        }
        json.endObject()
    }
}
