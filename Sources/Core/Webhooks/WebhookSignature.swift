import Crypto
package import Credits

/// The signing secret of an endpoint, as in Standard Webhooks.
package struct WebhookSecret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// 24 to 64 bytes.
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The text that a tenant sees: `whsec_` and the bytes in base 64.
    package var text: String { "whsec_" + base64(bytes) }

    /// Hidden, so that no log line shows a secret.
    package var description: String { "***" }
    package var debugDescription: String { "***" }
}

/// The three headers of Standard Webhooks.
package struct WebhookSignature: Hashable, Sendable {
    /// `webhook-id`: the id of the event, the same in every attempt and every replay.
    package let id: String
    /// `webhook-timestamp`: the seconds of the attempt since 1970.
    package let timestamp: String
    /// `webhook-signature`: one signature for each secret, separated by spaces.
    package let signature: String

    /// Signs a message.
    ///
    /// - Parameters:
    ///   - now: The instant of the attempt.
    ///   - secrets: The valid secrets, the newest first.
    package init(id: String, at now: Instant, body: [UInt8], secrets: [WebhookSecret]) {
        self.id = id
        let seconds = "\(now.microseconds / 1_000_000)"
        timestamp = seconds
        let message = Array("\(id).\(seconds).".utf8) + body
        signature = secrets.map { secret in
            let code = HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: secret.bytes))
            return "v1," + base64(Array(code))
        }.joined(separator: " ")
    }
}

/// The bytes in base 64 with padding (RFC 4648, section 4).
func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let value = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
        for place in 0..<4 {
            text.append(place <= group.count ? digits[value >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
        }
    }
    return String(decoding: text, as: UTF8.self)
}
