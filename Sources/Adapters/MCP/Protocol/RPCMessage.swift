import JSON

/// One message of JSON-RPC 2.0 from a client.
enum RPCMessage: Sendable, Equatable {
    case request(RPCRequest)
    /// A message that wants no answer.
    case notification
    /// The answer to a request of the server. The server sends none, so nothing waits for it.
    case response

    /// Reads a message.
    ///
    /// - Throws: An error that is answered without an id, because the id cannot be read or the message has none.
    init(_ value: JSONValue) throws(RPCError) {
        guard case .object(let object) = value, object["jsonrpc"]?.text == "2.0" else {
            throw RPCError(.invalidRequest, "A message must be an object with \"jsonrpc\": \"2.0\".")
        }
        guard let method = object["method"] else {
            guard object["result"] != nil || object["error"] != nil else {
                throw RPCError(.invalidRequest, "A message must have a method, a result or an error.")
            }
            self = .response
            return
        }
        guard case .string(let name) = method else {
            throw RPCError(.invalidRequest, "The method must be a string.")
        }
        guard let id = object["id"] else {
            self = .notification
            return
        }
        switch id {
        case .integer, .string: self = .request(RPCRequest(id: id, method: name, parameters: object["params"]))
        default: throw RPCError(.invalidRequest, "The id must be a string or an integer.")
        }
    }
}

/// A request, which is answered with its id.
struct RPCRequest: Sendable, Equatable {
    /// A string or an integer.
    let id: JSONValue
    let method: String
    let parameters: JSONValue?

    /// The metadata of the protocol beside the parameters.
    private var metadata: JSONValue? { parameters?["_meta"] }

    /// The revision that the request names itself, as those of 2026-07-28 do.
    var ownRevision: JSONValue? { metadata?["io.modelcontextprotocol/protocolVersion"] }

    var hasCapabilities: Bool { metadata?["io.modelcontextprotocol/clientCapabilities"] != nil }

    /// A text among the parameters.
    func text(_ name: String) throws(RPCError) -> String {
        guard let text = parameters?[name]?.text else {
            throw RPCError(.invalidParameters, "The parameter \(name) must be a string.")
        }
        return text
    }
}
