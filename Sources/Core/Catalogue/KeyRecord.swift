package import Credits

/// An API key as the database stores it. The secret itself is never stored.
package struct KeyRecord: Hashable, Sendable {
    package let id: Bits128
    package let name: String
    package let kind: EnvironmentKind
    package let rights: KeyRights
    /// The last characters of the secret, by which people recognise the key.
    package let hint: String
    package let createdAt: Instant
    /// The key that this one was rolled from; nil for a key that was not rolled.
    package let replaces: Bits128?
    package let revokedAt: Instant?

    package init(
        id: Bits128, name: String, kind: EnvironmentKind, rights: KeyRights, hint: String, createdAt: Instant,
        replaces: Bits128?, revokedAt: Instant?
    ) {
        self.id = id
        self.name = name
        self.kind = kind
        self.rights = rights
        self.hint = hint
        self.createdAt = createdAt
        self.replaces = replaces
        self.revokedAt = revokedAt
    }
}

/// A key to be created, without its secret, which only the API knows.
package struct NewKey: Hashable, Sendable {
    /// SHA-256 of the secret's text.
    package let hash: [UInt8]
    /// The last characters of the secret, by which people recognise the key.
    package let hint: String

    package init(hash: [UInt8], hint: String) {
        self.hash = hash
        self.hint = hint
    }
}
