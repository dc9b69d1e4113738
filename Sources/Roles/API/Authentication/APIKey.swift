package import Credits
import Crypto
import Webhooks

/// API keys: `qs_live_…`, `qs_test_…` and the installation's `qs_root_…`.
///
/// The prefix is followed by 43 characters of base 62 for 32 bytes, and by 6 characters for a checksum, so that a
/// mistyped key is refused without a look-up. Only the SHA-256 of a key is ever stored.
package enum APIKey {
    package enum Kind: String, Sendable, CaseIterable {
        case live, test, root

        package init(_ kind: EnvironmentKind) {
            self = kind == .live ? .live : .test
        }
    }

    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    private static let secretLength = 43
    private static let checksumLength = 6

    /// The text of a key.
    ///
    /// - Parameter secret: 32 bytes that cannot be guessed.
    package static func text(_ kind: Kind, secret: [UInt8]) -> String {
        let body = "qs_\(kind.rawValue)_" + base62(secret, length: secretLength)
        return body + checksum(of: body)
    }

    /// A fresh key from the system's random numbers.
    package static func random(_ kind: Kind) -> String {
        var generator = SystemRandomNumberGenerator()
        return text(kind, secret: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// The kind of a well-formed key; nil for any other text, such as a mistyped key.
    package static func kind(of text: String) -> Kind? {
        guard let kind = Kind.allCases.first(where: { text.hasPrefix("qs_\($0.rawValue)_") }),
            text.utf8.count == 4 + kind.rawValue.utf8.count + secretLength + checksumLength
        else { return nil }
        let body = String(text.dropLast(checksumLength))
        return checksum(of: body) == text.suffix(checksumLength) ? kind : nil
    }

    /// The SHA-256 of a key, which is stored and looked up.
    package static func hash(_ text: String) -> [UInt8] {
        text.withUTF8Bytes { Array(SHA256.hash(data: $0)) }
    }

    /// The last four characters, by which people recognise a key.
    package static func hint(_ text: String) -> String {
        String(text.suffix(4))
    }

    /// The first 32 bits of SHA-256 over everything before the checksum.
    private static func checksum(of body: String) -> String {
        base62(Array(hash(body).prefix(4)), length: checksumLength)
    }

    /// A big-endian number in base 62, padded with zeros to `length`.
    private static func base62(_ bytes: [UInt8], length: Int) -> String {
        var number = bytes
        var digits: [UInt8] = []
        for _ in 0..<length {
            var remainder = 0
            for index in number.indices {
                let value = remainder << 8 | Int(number[index])
                number[index] = UInt8(value / 62)
                remainder = value % 62
            }
            digits.append(alphabet[remainder])
        }
        return String(decoding: digits.reversed(), as: UTF8.self)
    }
}

/// Derives the API keys that commands create, so that the same command always creates the same key.
///
/// The secret is the HMAC-SHA-256 of the key's kind and the command's id, under a key that HKDF derives from the secret
/// key of the installation and a label. An answer that shows a key can be given again after a lost reply, although no
/// secret is stored.
package struct KeyDerivation: Sendable {
    private static let label = "quotastack api keys"

    private let derivedKey: SymmetricKey

    /// - Parameter secretKey: QUOTASTACK_SECRET_KEY, which is the root key by default.
    package init(secretKey: String) {
        derivedKey = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Array(secretKey.utf8)), info: Array(Self.label.utf8),
            outputByteCount: 32)
    }

    func key(_ kind: APIKey.Kind, commandID: Bits128) -> String {
        APIKey.text(kind, secret: secret(kind.rawValue, commandID: commandID))
    }

    /// The signing secret of a webhook endpoint. A rotation is a command of its own and has another secret.
    func webhookSecret(commandID: Bits128) -> WebhookSecret {
        WebhookSecret(bytes: secret("webhook", commandID: commandID))
    }

    /// Bytes that nobody can compute without the secret key: the beginning of what the fingerprint of an erasure digests.
    /// The fingerprint stays after the erasure, and no id can be tried against it.
    func mask(commandID: Bits128) -> [UInt8] { secret("mask", commandID: commandID) }

    private func secret(_ purpose: String, commandID: Bits128) -> [UInt8] {
        var message = Array("\(purpose)\n".utf8)
        withUnsafeBytes(of: (commandID.high.bigEndian, commandID.low.bigEndian)) { message.append(contentsOf: $0) }
        return Array(HMAC<SHA256>.authenticationCode(for: message, using: derivedKey))
    }
}

extension String {
    fileprivate func withUTF8Bytes<Result>(_ body: ([UInt8]) -> Result) -> Result {
        body(Array(utf8))
    }
}
