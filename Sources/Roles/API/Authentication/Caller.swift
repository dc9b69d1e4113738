import Answers
import Catalogue
import Credits
import Hummingbird
import Messaging
import Replica
import Runtime

/// The caller of a request: the holder of an environment's API key, or of the root key.
struct Caller: Sendable {
    /// The installation, for the root key.
    let environmentID: EnvironmentID
    /// Nil for the root key.
    let kind: EnvironmentKind?
    /// Nil for the root key.
    let keyID: Bits128?
    let rights: KeyRights
    let config: EnvironmentConfig

    static let root = Caller(
        environmentID: .installation, kind: nil, keyID: nil, rights: .all, config: EnvironmentConfig())

    /// Throws when the key lacks a scope that the access requires.
    func require(_ access: Access) throws(Problem) {
        let missing = access.scopes.subtracting(rights.scopes)
        guard missing.isEmpty else {
            throw Problem(
                .forbiddenScope,
                "The API key lacks the scope \((missing.names ?? []).joined(separator: ", ")). Use one that has it.")
        }
    }
}

/// Finds the caller of a request by its API key.
struct Authenticator: Sendable {
    private let replica: Replica
    private let rootKeyHash: KeyHash?

    /// - Parameter rootKey: Nil on a node that has no endpoint for the root key.
    init(replica: Replica, rootKey: String?) {
        self.replica = replica
        rootKeyHash = rootKey.map { KeyHash(APIKey.hash($0)) }
    }

    /// Returns the holder of the request's key. Throws when the key is unknown or of another kind than the access
    /// requires. It does not check scopes; see `Caller.require`.
    func caller(_ request: Request, _ access: Access) throws(Problem) -> Caller {
        try caller(key: try keyText(request), access)
    }

    /// Returns the holder of a key, in the same way.
    func caller(key text: String, _ access: Access) throws(Problem) -> Caller {
        switch (APIKey.kind(of: text), access) {
        case (nil, _): throw Self.invalid
        case (.root?, .root), (.root?, .scopeOrRoot):
            guard KeyHash(APIKey.hash(text)) == rootKeyHash else { throw Self.invalid }
            return .root
        case (.root?, _):
            throw Problem(.forbiddenScope, "The root key cannot be used here. Use a key of the tenant's environment.")
        case (_, .root): throw Problem(.forbiddenScope, "This endpoint requires the installation's root key.")
        case (_, .anybody), (_, .scope), (_, .scopeOrRoot): return try holder(text)
        }
    }

    /// The hash by which a request's key is looked up; nil when the request has no well-formed key of an environment.
    func keyHash(_ request: Request) -> KeyHash? {
        guard let text = try? keyText(request), let kind = APIKey.kind(of: text), kind != .root else { return nil }
        return KeyHash(APIKey.hash(text))
    }

    private func holder(_ text: String) throws(Problem) -> Caller {
        guard replica.state != .loading else {
            throw Problem(.unavailable, "This node is still loading. Try again in a moment.")
        }
        guard let holder = replica.keyHolder(KeyHash(APIKey.hash(text))) else { throw Self.invalid }
        if let expiresAt = holder.rights.expiresAt, expiresAt <= Instant.now {
            throw Problem(
                .unauthenticated, "The API key expired at \(expiresAt). Use its successor, or create a new key.")
        }
        return Caller(
            environmentID: holder.environmentID, kind: holder.kind, keyID: holder.keyID, rights: holder.rights,
            config: holder.config)
    }

    /// The bearer token, or else `X-API-Key`. Another scheme in `Authorization` is for a proxy on the way.
    private func keyText(_ request: Request) throws(Problem) -> String {
        let credentials = (request.headers[.authorization] ?? "").split(separator: " ", maxSplits: 1)
        if credentials.count == 2, credentials[0].lowercased() == "bearer" { return credentials[1].trimmingBlanks }
        guard let key = request.headers[.apiKey] else { throw Self.missing }
        return key
    }

    private static let missing = Problem(
        .unauthenticated, "Send an API key: Authorization: Bearer qs_live_… or X-API-Key: qs_live_….")
    private static let invalid = Problem(
        .unauthenticated,
        "The API key is unknown, mistyped or revoked. Check that it was copied whole, or create a new one.")
}
