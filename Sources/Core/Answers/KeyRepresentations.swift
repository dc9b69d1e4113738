package import Credits
package import JSON

/// An API key as it is shown: never the key itself.
package struct KeyRecord: Hashable, Sendable {
    package let id: Bits128
    package let name: String
    package let kind: EnvironmentKind
    package let rights: KeyRights
    package let hint: String
    package let createdAt: Instant
    /// The key that this one was rolled from.
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

extension JSONWriter {
    package mutating func key(_ key: KeyRecord) {
        beginObject()
        member("id", PublicID(.key, key.id))
        member("name", key.name)
        member("environment", key.kind.rawValue)
        self.key("scopes")
        if let names = key.rights.scopes.names {
            beginArray()
            for name in names { value(name) }
            endArray()
        } else {
            null()
        }
        member("hint", key.hint)
        member("created_at", key.createdAt as Instant?)
        member("expires_at", key.rights.expiresAt)
        member("replaces", key.replaces.map { PublicID(.key, $0).description })
        member("revoked_at", key.revokedAt)
        endObject()
    }
}
