import Credits
import Hummingbird
import JSON
import Messaging
import Postgres
import Answers
import Storage

/// The API keys of a tenant's environment.
struct KeyRoutes: Sendable {
    /// How long a rolled key may go on beside its successor.
    private static let overlapSeconds: ClosedRange<Int64> = 0...7 * 86_400
    private static let defaultOverlapSeconds: Int64 = 86_400

    let site: Site
    private var keys: KeyDerivation { site.shownOnce.keys }

    func add(to routes: inout RouteTable) {
        routes.post("/v1/api-keys", .write(.admin), use: create)
        routes.get("/v1/api-keys", .read(.admin), use: list)
        routes.post("/v1/api-keys/{id}/revoke", .write(.admin), use: revoke)
        routes.post("/v1/api-keys/{id}/roll", .write(.admin), use: roll)
    }

    @Sendable private func create(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let (name, rights) = try read(body) { reader -> (String, KeyRights)? in
            let name = reader.string("name", length: 1...200)
            let scopes = reader.scopes()
            let expiresAt = reader.optionalInstant("expires_at")
            guard let name, let scopes else { return nil }
            return (name, KeyRights(scopes: scopes, expiresAt: expiresAt))
        }
        return try await makeKey(request, body, caller, headers) { key in
            .createKey(name: name, key, rights, grantor: caller.rights)
        }
    }

    @Sendable private func roll(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context)
        let id = try keyID(context)
        let body = try await request.json()
        let overlap = try read(body) { reader in
            reader.int64("overlap_seconds", default: Self.defaultOverlapSeconds, .plain, in: Self.overlapSeconds)
        }
        return try await makeKey(request, body, caller, headers) { key in
            .rollKey(id: id, key, overlapSeconds: overlap, grantor: caller.rights)
        }
    }

    /// Sends a command that makes a key. The key that asks is part of what an idempotency key stands for, since the
    /// answer shows a secret: another key gets no replay of it.
    private func makeKey(
        _ request: Request, _ body: JSONValue, _ caller: Caller, _ headers: MutationHeaders,
        _ action: (NewKey) -> CatalogueAction
    ) async throws -> Response {
        guard let kind = caller.kind, let keyID = caller.keyID else {
            throw Problem(.forbiddenScope, "Only a key of an environment can make another.")
        }
        let identity = CommandIdentity(
            environmentID: caller.environmentID, idempotencyKey: headers.idempotencyKey
        ) { CommandIdentity.content(request, body) + Array("\n\(PublicID(.key, keyID))".utf8) }
        let key = NewKey(keys.key(APIKey.Kind(kind), commandID: identity.id))
        return try await site.mutations.catalogue(
            action(key), identity: identity, caller: caller, headers: headers)
    }

    @Sendable private func revoke(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context)
        let id = try keyID(context)
        let body = try await request.json()
        _ = try read(body) { _ in true }
        return try await site.changeCatalogue(.revokeKey(id: id), caller: caller, request, body, headers)
    }

    @Sendable private func list(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorParts { Bits128(cursor: $0, .key) }
        let keys = try await site.reads.read(of: caller.environmentID) { connection in
            try await KeyStore.list(
                environmentID: caller.environmentID, before: before, limit: page.limit + 1, on: connection)
        }
        return .json(page.json(keys, cursor: { [.string("\(PublicID(.key, $0.id))")] }) { $0.key($1) })
    }

    private func keyID(_ context: APIContext) throws(Problem) -> Bits128 {
        guard let id = PublicID(.key, parsing: try context.pathParameter("id")) else {
            throw Problem(.notFound, "There is no key with that id in this environment.")
        }
        return id.bits
    }
}

extension NewKey {
    /// What the ledger is told of a key.
    init(_ text: String) {
        self.init(hash: APIKey.hash(text), hint: APIKey.hint(text))
    }
}

extension JSONReader {
    /// `scopes`; absence is all of them.
    fileprivate mutating func scopes() -> KeyScopes? {
        guard presence(of: "scopes") == .present else {
            _ = value("scopes")
            return .all
        }
        let expected = "one of " + KeyScopes.named.map { "\"\($0.name)\"" }.joined(separator: ", ")
        return optionalStrings("scopes", count: 1...KeyScopes.named.count, expected: expected) { KeyScopes(name: $0) }
            .map { scopes in scopes.reduce(into: []) { $0.formUnion($1) } }
    }
}
