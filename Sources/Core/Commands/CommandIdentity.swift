package import Credits

/// The identity of a command: its id, which takes effect at most once, and the client's idempotency key if there is
/// one.
package struct CommandIdentity: Hashable, Sendable {
    /// Unique for ever inside an environment. A client's idempotency key maps to an id.
    package let id: Bits128
    /// Nil if the client sent none.
    package let idempotencyKey: IdempotencyKey?

    package init(id: Bits128, idempotencyKey: IdempotencyKey?) {
        self.id = id
        self.idempotencyKey = idempotencyKey
    }

    /// The fingerprint of the request; nil without an idempotency key.
    package var fingerprint: Bits128? { idempotencyKey?.fingerprint }
}

/// A client's idempotency key with the fingerprint of its request.
package struct IdempotencyKey: Hashable, Sendable {
    package static let maximumBytes = 255

    /// The key as the client sent it, 1 to 255 bytes.
    package let text: String
    /// The first 128 bits of SHA-256 over the encoded command. The same key with another fingerprint is another
    /// request.
    package let fingerprint: Bits128

    package init(text: String, fingerprint: Bits128) {
        self.text = text
        self.fingerprint = fingerprint
    }
}
