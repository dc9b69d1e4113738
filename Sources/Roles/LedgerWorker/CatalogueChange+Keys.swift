import Answers
import Catalogue
import Credits
import Storage

extension CatalogueChange {
    func createKey(
        _ name: String, _ key: NewKey, _ rights: KeyRights, grantor: KeyRights, in environment: EnvironmentRow,
        now: Instant
    ) async throws -> Answer {
        if let expiresAt = rights.expiresAt, expiresAt <= now {
            return refused(
                Problem(
                    .invalidRequest, "expires_at is \(expiresAt), which is not after now (\(now)).",
                    errors: [Problem.FieldError(pointer: "/expires_at", detail: "must be in the future")]))
        }
        guard grantor.include(rights) else { return refused(Self.exceeds(grantor, rights)) }
        let record = KeyRecord(
            id: newID(at: now, 0), name: name, kind: environment.kind, rights: rights, hint: key.hint, createdAt: now,
            replaces: nil, revokedAt: nil)
        try await KeyStore.insert(record, hash: key.hash, environmentID: environment.id, on: connection)
        return Answer(201) { $0.key(record) }
    }

    /// Revokes a key. Only scopes are compared and no expiry: a key that ends soon must be able to revoke a leaked key
    /// that never ends.
    func revokeKey(_ id: Bits128, grantor: KeyScopes, now: Instant) async throws -> Answer {
        guard let key = try await KeyStore.find(id, environmentID: environmentID, on: connection) else {
            return refused(.unknownKey)
        }
        guard grantor.isSuperset(of: key.rights.scopes) else {
            return refused(
                Problem(
                    .forbiddenScope,
                    "A key can only revoke keys whose scopes it has too: the other key also has \(Self.names(of: key.rights.scopes, beyond: grantor))."
                ))
        }
        let revoked = try await KeyStore.revoke(id, environmentID: environmentID, now: now, on: connection)
        guard let revoked else { return refused(.unknownKey) }
        return Answer(200) { $0.key(revoked) }
    }

    /// Creates the successor of a key, with the same name and rights. A key has at most one successor: a second one
    /// would copy the expiry that the overlap of the first roll has set on the key.
    func rollKey(
        _ id: Bits128, _ key: NewKey, overlapSeconds: Int64, grantor: KeyRights, now: Instant
    ) async throws -> Answer {
        guard let old = try await KeyStore.find(id, environmentID: environmentID, on: connection) else {
            return refused(.unknownKey)
        }
        guard old.revokedAt == nil else { return refused(Problem(.conflict, "The key is revoked. Create a new one.")) }
        guard try await !KeyStore.isReplaced(id, environmentID: environmentID, on: connection) else {
            return refused(
                Problem(.conflict, "The key has a successor already. Roll the successor, or create a new key."))
        }
        if let expiresAt = old.rights.expiresAt, expiresAt <= now {
            return refused(Problem(.conflict, "The key expired at \(expiresAt). Create a new one."))
        }
        guard grantor.include(old.rights) else { return refused(Self.exceeds(grantor, old.rights)) }
        let record = KeyRecord(
            id: newID(at: now, 0), name: old.name, kind: old.kind, rights: old.rights, hint: key.hint, createdAt: now,
            replaces: id, revokedAt: nil)
        try await KeyStore.insert(record, hash: key.hash, environmentID: environmentID, on: connection)
        if overlapSeconds == 0 {
            // The key is revoked instead of set to expire now, so that its end does not depend on the clock of each
            // node.
            _ = try await KeyStore.revoke(id, environmentID: environmentID, now: now, on: connection)
        } else {
            let end = Instant(microseconds: now.microseconds + overlapSeconds * 1_000_000)
            try await KeyStore.expire(id, environmentID: environmentID, at: end, on: connection)
        }
        return Answer(201) { $0.key(record) }
    }

    private static func names(of scopes: KeyScopes, beyond others: KeyScopes) -> String {
        scopes == .all ? "all scopes" : (scopes.subtracting(others).names ?? []).joined(separator: ", ")
    }

    private static func exceeds(_ grantor: KeyRights, _ rights: KeyRights) -> Problem {
        if !grantor.scopes.isSuperset(of: rights.scopes) {
            let names = names(of: rights.scopes, beyond: grantor.scopes)
            return Problem(
                .forbiddenScope,
                "A key can only create keys with scopes of its own: the new key would also have \(names).")
        }
        return Problem(
            .forbiddenScope,
            "A key can only create keys that expire no later than itself, at \(grantor.expiresAt.map(String.init(describing:)) ?? "")."
        )
    }
}
