package import Credits
import Crypto

/// Seals the signing secrets of endpoints under the installation's key, and opens them.
///
/// A sealed secret is a version byte, a nonce of 12 bytes, the ciphertext and a tag (AES-256-GCM). The nonce follows from
/// the secret by a second key: the same request has the same sealed secret and therefore the same fingerprint, and two
/// different secrets never share a nonce. The number of the environment is authenticated, so a sealed secret that is copied
/// to another environment's row does not open.
package struct SecretSeal: Sendable {
    private static let version: UInt8 = 1

    private let cipherKey: SymmetricKey
    private let nonceKey: SymmetricKey

    /// - Parameter key: QUOTASTACK_WEBHOOK_KEY.
    package init(key: String) {
        func derived(_ label: String) -> SymmetricKey {
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: Array(key.utf8)), info: Array(label.utf8), outputByteCount: 32)
        }
        cipherKey = derived("quotastack webhook secrets")
        nonceKey = derived("quotastack webhook secret nonces")
    }

    package func sealed(_ secret: WebhookSecret, of environmentID: EnvironmentID) -> [UInt8] {
        let scope = Self.scope(environmentID)
        let code = HMAC<SHA256>.authenticationCode(for: scope + secret.bytes, using: nonceKey)
        guard let nonce = try? AES.GCM.Nonce(data: Array(code).prefix(12)),
            let box = try? AES.GCM.seal(secret.bytes, using: cipherKey, nonce: nonce, authenticating: scope),
            let combined = box.combined
        else { preconditionFailure("AES-GCM seals any secret with a nonce of 12 bytes") }
        return [Self.version] + Array(combined)
    }

    /// Nil for bytes that were sealed under another key or for another environment, and for damaged ones.
    package func opened(_ bytes: [UInt8], of environmentID: EnvironmentID) -> WebhookSecret? {
        guard bytes.first == Self.version, let box = try? AES.GCM.SealedBox(combined: bytes.dropFirst()),
            let secret = try? AES.GCM.open(box, using: cipherKey, authenticating: Self.scope(environmentID))
        else { return nil }
        return WebhookSecret(bytes: Array(secret))
    }

    private static func scope(_ environmentID: EnvironmentID) -> [UInt8] {
        Array("environment \(environmentID.rawValue)".utf8)
    }
}
