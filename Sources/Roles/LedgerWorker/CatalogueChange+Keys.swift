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

    /// Makes a key's successor. A key has one at most: the second would inherit the end that the overlap gave the first.
    func rollKey(
        _ id: Bits128, _ key: NewKey, overlapSeconds: Int64, grantor: KeyRights, now: Instant
    ) async throws -> Answer {
        guard let old = try await KeyStore.find(id, environmentID: environmentID, on: connection) else {
            return refused(.unknownKey)
        }
        guard old.revokedAt == nil else { return refused(Problem(.conflict, "The key is revoked. Create a new one.")) }
        guard try await !KeyStore.isReplaced(id, environmentID: environmentID, on: connection) else {
            return refused(
                Problem(.conflict, "The key was rolled before. Roll the key that replaces it, or create a new one."))
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
            // Revoked and not expired: it ends now by every node's clock.
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
                .forbiddenScope, "A key cannot give more than it has itself: the new key would have \(names).")
        }
        return Problem(
            .forbiddenScope,
            "A key cannot give more than it has itself: it expires at \(grantor.expiresAt.map(String.init(describing:)) ?? ""), and the new key would live longer."
        )
    }
}
