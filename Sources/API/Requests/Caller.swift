import Credits
import Hummingbird
import Replica
import Representations

/// Who makes a request: the holder of an API key, hence a tenant's environment.
struct Caller: Sendable {
    let environmentID: EnvironmentID
    let kind: EnvironmentKind
}

/// Finds out who makes a request.
struct Authenticator: Sendable {
    private let replica: Replica
    private let rootKeyHash: KeyHash?

    /// - Parameter rootKey: Nil on a node that serves nothing for the root key.
    init(replica: Replica, rootKey: String?) {
        self.replica = replica
        rootKeyHash = rootKey.map { KeyHash(APIKey.hash($0)) }
    }

    /// The environment of the key that a request carries.
    func caller(_ request: Request) throws(Problem) -> Caller {
        let text = try keyText(request)
        switch APIKey.kind(of: text) {
        case .live?, .test?: break
        case .root?:
            throw Problem(.forbiddenScope, "The root key is for /v1/admin only. Use a key of the tenant's environment.")
        case nil: throw Self.invalid
        }
        guard replica.state != .loading else {
            throw Problem(.unavailable, "This node is still loading. Try again in a moment.")
        }
        guard let holder = replica.keyHolder(KeyHash(APIKey.hash(text))) else { throw Self.invalid }
        return Caller(environmentID: holder.environmentID, kind: holder.kind)
    }

    /// Refuses every key but the installation's root key.
    func requireRoot(_ request: Request) throws(Problem) {
        let text = try keyText(request)
        guard let kind = APIKey.kind(of: text) else { throw Self.invalid }
        guard kind == .root else { throw Problem(.forbiddenScope, "This takes the installation's root key.") }
        guard KeyHash(APIKey.hash(text)) == rootKeyHash else { throw Self.invalid }
    }

    /// Whether a request carries the installation's root key.
    func isRoot(_ request: Request) -> Bool {
        (try? requireRoot(request)) != nil
    }

    private func keyText(_ request: Request) throws(Problem) -> String {
        if let authorization = request.headers[.authorization] {
            let parts = authorization.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw Self.missing }
            return String(parts[1])
        }
        guard let key = request.headers[.apiKey] else { throw Self.missing }
        return key
    }

    private static let missing = Problem(
        .unauthenticated, "Send an API key: Authorization: Bearer qs_live_… or X-API-Key: qs_live_….")
    private static let invalid = Problem(
        .unauthenticated, "The API key is unknown, mistyped or revoked. Create one, or check how it was copied.")
}
