import Foundation
import JSON

/// The headers of the protocol, for messages that come over HTTP.
package struct MCPHeaders: Sendable {
    /// `MCP-Protocol-Version`.
    let revision: String?
    /// `Mcp-Method`.
    let method: String?
    /// `Mcp-Name`, decoded.
    let name: String?

    package init(revision: String?, method: String?, name: String?) {
        self.revision = revision
        self.method = method
        self.name = name.map { Self.decoded($0) ?? $0 }
    }

    /// The text inside `=?base64?…?=`, the form of values that are no plain ASCII; nil for another form.
    private static func decoded(_ value: String) -> String? {
        guard value.hasPrefix("=?base64?"), value.hasSuffix("?="), value.utf8.count >= 11,
            let data = Data(base64Encoded: String(value.dropFirst(9).dropLast(2)))
        else { return nil }
        return String(validating: data, as: UTF8.self)
    }

    /// Throws unless the headers say the same as a request of a revision without handshake.
    func requireAgreement(with request: RPCRequest, revision own: String) throws(RPCError) {
        guard revision == own else { throw Self.mismatch("MCP-Protocol-Version") }
        guard method == request.method else { throw Self.mismatch("Mcp-Method") }
        let named = ["tools/call": "name", "resources/read": "uri"][request.method]
        guard let named, let value = request.parameters?[named]?.text else { return }
        guard name == value else { throw Self.mismatch("Mcp-Name") }
    }

    private static func mismatch(_ name: String) -> RPCError {
        RPCError(.headerMismatch, "The header \(name) is missing, or does not say the same as the message.")
    }
}
