import JSON

/// The answer to a message.
package struct MCPReply: Sendable {
    /// The status of an answer over HTTP: 200, 202 without a body, or that of an error.
    package let status: Int
    /// The JSON of one response, or of several to a batch; nil when no answer is wanted.
    package let body: [UInt8]?

    /// The reply to messages that want none.
    static let accepted = MCPReply(status: 202, body: nil)

    /// The reply to a request of a page of another site.
    package static let forbiddenOrigin = MCPReply(
        RPCError(
            .invalidRequest, "The Origin header names another site. Only programs and pages of this machine are served."
        ),
        status: 403)

    /// The reply to a message of more than `MCPLimits.messageBytes` bytes.
    package static let tooLarge = MCPReply(
        RPCError(.invalidRequest, "A message must have at most \(MCPLimits.messageBytes) bytes."))

    init(status: Int, body: [UInt8]?) {
        self.status = status
        self.body = body
    }

    /// Refuses a message.
    ///
    /// - Parameter id: The id of the request; null when it cannot be read.
    init(_ error: RPCError, id: JSONValue = .null, status: Int? = nil) {
        self.init(status: status ?? error.status, body: Self.json(id) { $0.error(error) })
    }

    static func json(_ id: JSONValue, _ writeMember: (inout JSONWriter) -> Void) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.member("jsonrpc", "2.0")
        json.member("id", id)
        writeMember(&json)
        json.endObject()
        return json.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func error(_ error: RPCError) {
        object("error") { json in
            json.member("code", error.code.rawValue)
            json.member("message", error.message)
            if let data = error.data { json.member("data", data) }
        }
    }
}
