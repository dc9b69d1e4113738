import Answers
import Commands
import Credits
import Hummingbird

/// The headers of a mutation request, read once at its beginning.
struct MutationHeaders: Sendable {
    let origin: RequestOrigin
    let idempotencyKey: String?
    private(set) var preferences: Preferences

    init(_ request: Request, _ context: APIContext, _ caller: Caller) throws(Problem) {
        origin = RequestOrigin(
            environmentID: caller.environmentID, actor: Actor(keyID: caller.keyID, address: context.clientAddress),
            requestID: context.requestID,
            traceParent: request.headers[.traceParent].flatMap { Self.isTraceParent($0) ? $0 : nil })
        idempotencyKey = try request.headers[.idempotencyKey].map { text throws(Problem) in try Self.key(text) }
        preferences = Preferences(request.headers[.prefer])
    }

    /// The same headers without `respond-async`: the request waits for its effect.
    var waiting: MutationHeaders {
        var copy = self
        copy.preferences = preferences.waiting
        return copy
    }

    /// Whether a text has the W3C format: version, trace, parent and flags. The text is logged, so no other format is
    /// accepted.
    private static func isTraceParent(_ text: String) -> Bool {
        text.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count) == [2, 32, 16, 2]
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) || $0 == UInt8(ascii: "-") }
    }

    /// The key that a header states: the text inside a quoted string, which is the form that the draft of the header
    /// gives to a key, or the whole text. A quote alone is refused, because it is the rest of a quoted string.
    static func key(_ text: String) throws(Problem) -> String {
        guard text != "\"" else {
            throw Problem(
                .invalidRequest,
                "The Idempotency-Key header is a quote alone. Send the key, or the key in a pair of quotes.")
        }
        return try checked(unquoted(text) ?? text)
    }

    /// The text inside a string of RFC 8941, section 3.3.3, where a backslash stands before a quote or a backslash and
    /// nowhere else; nil when the text is not exactly one such string. Unlike there, the text may have characters beyond
    /// ASCII.
    private static func unquoted(_ text: String) -> String? {
        var bytes = text.utf8[...]
        guard bytes.popFirst() == UInt8(ascii: "\""), bytes.popLast() == UInt8(ascii: "\"") else { return nil }
        var inside: [UInt8] = []
        while var byte = bytes.popFirst() {
            switch byte {
            case UInt8(ascii: "\""), 0..<0x20, 0x7F: return nil
            case UInt8(ascii: "\\"):
                guard let escaped = bytes.popFirst(), [UInt8(ascii: "\""), UInt8(ascii: "\\")].contains(escaped) else {
                    return nil
                }
                byte = escaped
            default: break
            }
            inside.append(byte)
        }
        return String(decoding: inside, as: UTF8.self)
    }

    private static func checked(_ key: String) throws(Problem) -> String {
        guard (1...IdempotencyKey.maximumBytes).contains(key.utf8.count) else {
            throw Problem(.invalidRequest, "The idempotency key must be 1 to 255 bytes long.")
        }
        return key
    }
}
