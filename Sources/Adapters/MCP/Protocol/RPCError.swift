import JSON

/// An error of JSON-RPC 2.0 or of the Model Context Protocol.
struct RPCError: Error, Sendable, Equatable {
    /// The codes. The last two are those of the revision 2026-07-28.
    enum Code: Int64, Sendable {
        case parseError = -32_700
        case invalidRequest = -32_600
        case methodNotFound = -32_601
        case invalidParameters = -32_602
        case headerMismatch = -32_020
        case unsupportedRevision = -32_022
    }

    let code: Code
    let message: String
    var data: JSONValue?

    init(_ code: Code, _ message: String, data: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.data = data
    }

    /// Refuses a request of a revision that the server does not know.
    static func unsupported(_ requested: String) -> RPCError {
        RPCError(
            .unsupportedRevision, "Unsupported protocol version",
            data: .members([
                ("supported", .array(ProtocolRevision.allCases.map { .string($0.rawValue) })),
                ("requested", .string(requested)),
            ]))
    }

    /// The status of an HTTP answer for an error that the revision 2026-07-28 binds to one.
    var status: Int { code == .methodNotFound ? 404 : 400 }
}
