/// A call of the HTTP API, as a tool makes it.
package struct APICall: Sendable, Equatable {
    package let method: String
    /// The path with its query.
    package let target: String
    /// JSON; nil without a body.
    package let body: [UInt8]?
    package let idempotencyKey: String?

    /// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
    static func percentEncoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The answer to a call of the HTTP API.
package struct APIAnswer: Sendable {
    package let status: Int
    package let body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }
}

/// The reason why a tool has no result, in a sentence for the model that called it.
package struct ToolFailure: Error, Sendable, Equatable {
    package let text: String

    package init(_ text: String) {
        self.text = text
    }

    /// The failure of a call whose answer has more than `MCPLimits.answerBytes` bytes.
    package static let answerTooLarge = ToolFailure(
        "The answer has more than \(MCPLimits.answerBytes) bytes. Ask for less: a smaller limit or a shorter period.")
}
