import Answers
import HTTPTypes
import NIOHTTP1

/// The head of a request, as the decoder has read it, with the rules of HTTP that the decoder leaves to the server.
struct RequestHead {
    /// The framing of the body that follows.
    enum Body: Hashable {
        case none
        case length(Int)
        case chunks
    }

    let request: HTTPRequest
    let body: Body
    /// Whether the client wants `100 Continue` before it sends its body.
    let expectsContinue: Bool
    /// Whether the client wants to send another request on this connection.
    let wantsToPersist: Bool
    let isHTTP10: Bool
    /// Whether the body is compressed, or coded in another way.
    var isCompressed: Bool { request.headerFields[.contentEncoding] != nil }

    /// Reads a head.
    ///
    /// - Parameter undecodableNames: The header names, in lower case, whose values are not UTF-8.
    /// - Throws: The problem of a head that cannot be answered by a route. The connection must be closed then, because
    ///   the end of the request may be in doubt.
    init(_ head: HTTPRequestHead, undecodableNames: Set<String>) throws(Problem) {
        guard head.version == .http1_1 || head.version == .http1_0 else {
            throw Problem(.invalidRequest, "The request is not HTTP/1.1 or HTTP/1.0.")
        }
        isHTTP10 = head.version == .http1_0
        let authority = try Self.host(head, isHTTP10: isHTTP10)
        body = try Self.body(head, isHTTP10: isHTTP10)
        try Self.requireText(undecodableNames)
        try Self.requireSingle(head)
        guard let method = HTTPRequest.Method(head.method.rawValue), Self.isTarget(head.uri) else {
            throw Problem(.invalidRequest, "The request target must be a path, such as /v1/features.")
        }
        expectsContinue = try Self.expectsContinue(head, isHTTP10: isHTTP10) && body != .none
        // The decoder stops after a request that asks for another protocol. The request itself is answered, as RFC 9110
        // (section 7.8) allows.
        wantsToPersist = head.isKeepAlive && method != .connect && !head.headers.contains(name: "upgrade")
        var fields = HTTPFields()
        fields.reserveCapacity(head.headers.count)
        for (name, value) in head.headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        request = HTTPRequest(
            method: method, scheme: nil, authority: authority, path: head.uri, headerFields: fields)
    }

    /// RFC 9112, section 3.2: a request of HTTP/1.1 has exactly one `Host`, and one of HTTP/1.0 at most one.
    private static func host(_ head: HTTPRequestHead, isHTTP10: Bool) throws(Problem) -> String? {
        let hosts = head.headers[canonicalForm: "host"]
        guard hosts.count <= 1, isHTTP10 || hosts.count == 1, hosts.allSatisfy(isHost) else {
            throw Problem(.invalidRequest, "The request must have one Host header, with a host and perhaps a port.")
        }
        return hosts.first.map(String.init)
    }

    private static func isHost(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-._~%!$&'()*+;=:[]".utf8.contains(byte)
            }
        }
    }

    /// RFC 9112, section 6. The decoder has refused two lengths, and a length beside a transfer coding.
    private static func body(_ head: HTTPRequestHead, isHTTP10: Bool) throws(Problem) -> Body {
        let codings = head.headers[canonicalForm: "transfer-encoding"].map { $0.lowercased() }
        guard codings.isEmpty else {
            guard !isHTTP10 else {
                throw Problem(.invalidRequest, "A request of HTTP/1.0 cannot have a Transfer-Encoding.")
            }
            if let unknown = codings.first(where: { $0 != "chunked" }) {
                throw Problem(
                    .notImplemented, "The transfer coding \(unknown.prefix(32)) is not known. Send chunked or a length."
                )
            }
            guard codings.count == 1 else {
                throw Problem(.invalidRequest, "A body cannot be chunked twice.")
            }
            return .chunks
        }
        guard let text = head.headers.first(name: "content-length") else { return .none }
        guard let length = Int(text.trimmingBlanks), length >= 0 else {
            throw Problem(.invalidRequest, "Content-Length must be a number of bytes.")
        }
        return length > 0 ? .length(length) : .none
    }

    private static func requireText(_ undecodableNames: Set<String>) throws(Problem) {
        guard !undecodableNames.isEmpty else { return }
        if undecodableNames.contains("") {
            throw Problem(.invalidRequest, "The request line must be UTF-8. Percent-encode other bytes.")
        }
        if let name = HTTPField.Name.readAsText.first(where: { undecodableNames.contains($0.canonicalName) }) {
            throw Problem(.invalidRequest, "The header \(name.rawName) must be UTF-8.")
        }
    }

    private static func requireSingle(_ head: HTTPRequestHead) throws(Problem) {
        let isRepeated = { (name: HTTPField.Name) in
            head.headers.count { field, _ in
                field.utf8.count == name.rawName.utf8.count && field.lowercased() == name.canonicalName
            } > 1
        }
        if let name = HTTPField.Name.sentOnce.first(where: isRepeated) {
            throw Problem(.invalidRequest, "The header \(name.rawName) comes twice. Send it once.")
        }
    }

    /// A path, an absolute URI of a client that takes this server for a proxy, or the asterisk of OPTIONS.
    private static func isTarget(_ uri: String) -> Bool {
        if uri.utf8.first == UInt8(ascii: "/") || uri == "*" { return true }
        let scheme = uri.prefix { $0 != ":" }.lowercased()
        return (scheme == "http" || scheme == "https") && uri.dropFirst(scheme.count).hasPrefix("://")
    }

    /// RFC 9110, section 10.1.1: the only expectation is `100-continue`, and a request of HTTP/1.0 has none.
    private static func expectsContinue(_ head: HTTPRequestHead, isHTTP10: Bool) throws(Problem) -> Bool {
        let expectations = head.headers[canonicalForm: "expect"]
        guard !isHTTP10, !expectations.isEmpty else { return false }
        guard expectations.allSatisfy({ $0.lowercased() == "100-continue" }) else {
            throw Problem(.expectationFailed, "The only expectation that this server meets is 100-continue.")
        }
        return true
    }
}
