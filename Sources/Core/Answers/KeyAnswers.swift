package import Catalogue
import Credits
package import JSON

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
