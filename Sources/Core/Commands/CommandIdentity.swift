package import Credits

/// The identity of a command: its id, whose effect is unique for ever, and the client's idempotency key if it sent one.
package struct CommandIdentity: Hashable, Sendable {
    /// Unique for ever inside an environment. A client's idempotency key maps to it.
    package let id: Bits128
    /// Nil when the client gave none.
    package let idempotencyKey: IdempotencyKey?

    package init(id: Bits128, idempotencyKey: IdempotencyKey?) {
        self.id = id
        self.idempotencyKey = idempotencyKey
    }

    /// The fingerprint of the request, when the client named it.
    package var fingerprint: Bits128? { idempotencyKey?.fingerprint }
}

/// A client's name for a request, and a digest of that request.
package struct IdempotencyKey: Hashable, Sendable {
    package static let maximumBytes = 255

    /// 1 to 255 bytes, as the client sent it.
    package let text: String
    /// The first 128 bits of SHA-256 over the encoded command: the same key with another fingerprint is another request.
    package let fingerprint: Bits128

    package init(text: String, fingerprint: Bits128) {
        self.text = text
        self.fingerprint = fingerprint
    }
}
