import Answers
import Catalogue
import Credits
import Storage

extension CatalogueChange {
    func createKey(
        _ name: String, _ key: NewKey, _ rights: KeyRights, grantor: KeyRights, kind: EnvironmentKind?, now: Instant
    ) async throws -> Answer {
        guard let kind else { return noEnvironment }
        if let expiresAt = rights.expiresAt, expiresAt <= now {
            return refused(
                Problem(
                    .invalidRequest, "expires_at is \(expiresAt), which is not after now (\(now)).",
                    errors: [Problem.FieldError(pointer: "/expires_at", detail: "must be in the future")]))
        }
        guard grantor.include(rights) else { return refused(Self.exceeds(grantor, rights)) }
        guard try await hasRoom(in: KeyRow.table) else { return refused(.tooMany("API keys")) }
        let record = KeyRecord(
            id: newID(at: now, 0), name: name, kind: kind, rights: rights, hint: key.hint, createdAt: now,
            replaces: nil, revokedAt: nil)
        try await KeyStore.insert(record, hash: key.hash, environmentID: environmentID, on: connection)
        return Answer(201) { $0.key(record) }
    }

    func revokeKey(_ id: Bits128, now: Instant) async throws -> Answer {
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

    private static func exceeds(_ grantor: KeyRights, _ rights: KeyRights) -> Problem {
        let missing = rights.scopes.subtracting(grantor.scopes)
        if !missing.isEmpty {
            let names = rights.scopes == .all ? "all scopes" : (missing.names ?? []).joined(separator: ", ")
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
