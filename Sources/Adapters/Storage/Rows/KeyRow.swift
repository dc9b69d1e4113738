package import Catalogue
package import Credits
package import Postgres

/// A row of `api_keys` with the columns by which replicas look up keys.
package struct KeyRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let id: Bits128
    /// SHA-256 of the key's text.
    package let hash: [UInt8]
    package let rights: KeyRights
    package let revokedAt: Instant?

    package static let table = "api_keys"
    package static let columns = ["environment_id", "key_id", "key_hash", "scopes", "expires_at", "revoked_at"]

    package init(_ fields: inout RowFields, keeping old: KeyRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        id = try fields.bits(or: old?.id)
        hash = try fields.bytes(or: old?.hash)
        rights = KeyRights(
            scopes: KeyScopes(stored: try fields.textsOrNil(or: old.map(\.rights.scopes.names))),
            expiresAt: try fields.instantOrNil(or: old.map(\.rights.expiresAt)))
        revokedAt = try fields.instantOrNil(or: old.map(\.revokedAt))
    }
}

/// A row of `api_keys` with the columns that are shown, followed by the kind of its environment.
struct KeyRecordRow: TableRow {
    let record: KeyRecord

    static let table = "api_keys"
    static let columns = [
        "key_id", "name", "scopes", "expires_at", "hint", "created_at", "replaces", "revoked_at",
        "environment_id",
    ]

    init(_ fields: inout RowFields, keeping old: KeyRecordRow?) throws {
        let (id, name) = (try fields.bits(), try fields.text())
        let rights = KeyRights(
            scopes: KeyScopes(stored: try fields.textsOrNil()), expiresAt: try fields.instantOrNil())
        let (hint, createdAt) = (try fields.text(), try fields.instant())
        let (replaces, revokedAt) = (try fields.bitsOrNil(), try fields.instantOrNil())
        try fields.skip()
        record = KeyRecord(
            id: id, name: name, kind: try fields.parsed("kind") { EnvironmentKind(rawValue: $0) }, rights: rights,
            hint: hint, createdAt: createdAt, replaces: replaces, revokedAt: revokedAt)
    }
}

extension KeyScopes {
    /// The scopes of a row; null means all scopes. A name that this release does not know grants nothing.
    package init(stored names: [String]?) {
        guard let names else {
            self = .all
            return
        }
        self = names.reduce(into: []) { scopes, name in scopes.formUnion(KeyScopes(name: name) ?? []) }
    }
}
