import Credits
import Hummingbird
import JSON
import Messaging
import Representations
import Storage

/// Tenants, for the holder of the root key, and the API keys of a tenant's environment.
struct TenantRoutes: Sendable {
    let site: Site
    private var keys: KeyDerivation { site.shownOnce.keys }

    func add(to router: Router<APIContext>) {
        router.post("/v1/admin/tenants", use: createTenant)
        router.get("/v1/admin/tenants", use: listTenants)
        router.get("/v1/admin/tenants/:id", use: showTenant)
        router.post("/v1/api-keys", use: createKey)
        router.get("/v1/api-keys", use: listKeys)
        router.post("/v1/api-keys/:id/revoke", use: revokeKey)
    }

    // MARK: - Tenants

    @Sendable private func createTenant(_ request: Request, context: APIContext) async throws -> Response {
        try site.authenticator.requireRoot(request)
        let headers = try MutationHeaders(request, requestID: context.requestID)
        let body = try await request.json()
        let name = try read(body) { $0.string("name", length: 1...200) }
        let identity = CommandIdentity(environmentID: .installation, idempotencyKey: headers.idempotencyKey) {
            CommandIdentity.content(request, body)
        }
        let live = keys.key(.live, commandID: identity.id)
        let test = keys.key(.test, commandID: identity.id)
        return try await site.mutations.catalogue(
            .createTenant(name: name, liveKey: newKey(live), testKey: newKey(test)), identity: identity,
            environmentID: .installation, kind: nil, headers: headers)
    }

    @Sendable private func listTenants(_ request: Request, context: APIContext) async throws -> Response {
        try site.authenticator.requireRoot(request)
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorParts { Bits128(cursor: $0, .tenant) }
        let tenants = try await site.reads.read(of: .installation) { connection in
            try await CatalogueReads.tenants(before: before, limit: page.limit + 1, on: connection)
        }
        return .json(page.json(tenants, cursor: { [.string("\(PublicID(.tenant, $0.id))")] }) { $0.tenant($1) })
    }

    @Sendable private func showTenant(_ request: Request, context: APIContext) async throws -> Response {
        try site.authenticator.requireRoot(request)
        let unknown = Problem(.notFound, "There is no tenant with that id.")
        guard let id = PublicID(.tenant, parsing: try context.pathParameter("id")) else { throw unknown }
        let found = try await site.reads.read(of: .installation) { connection in
            try await CatalogueReads.tenant(id.bits, on: connection)
        }
        guard let found else { throw unknown }
        var json = JSONWriter()
        json.tenant(found)
        return .json(json.bytes)
    }

    // MARK: - API keys

    @Sendable private func createKey(_ request: Request, context: APIContext) async throws -> Response {
        let (caller, headers) = try site.mutator(request, context)
        let body = try await request.json()
        let name = try read(body) { $0.string("name", length: 1...200) }
        let identity = CommandIdentity(
            environmentID: caller.environmentID, idempotencyKey: headers.idempotencyKey
        ) { CommandIdentity.content(request, body) }
        let key = keys.key(APIKey.Kind(caller.kind), commandID: identity.id)
        return try await site.mutations.catalogue(
            .createKey(name: name, newKey(key)), identity: identity, environmentID: caller.environmentID,
            kind: caller.kind, headers: headers)
    }

    @Sendable private func revokeKey(_ request: Request, context: APIContext) async throws -> Response {
        let (caller, headers) = try site.mutator(request, context)
        guard let id = PublicID(.key, parsing: try context.pathParameter("id")) else {
            throw Problem(.notFound, "There is no key with that id in this environment.")
        }
        let body = try await request.json()
        _ = try read(body) { _ in true }
        return try await site.changeCatalogue(.revokeKey(id: id.bits), caller: caller, request, body, headers)
    }

    @Sendable private func listKeys(_ request: Request, context: APIContext) async throws -> Response {
        let caller = try await site.reader(request)
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorParts { Bits128(cursor: $0, .key) }
        let keys = try await site.reads.read(of: caller.environmentID) { connection in
            try await CatalogueReads.keys(
                environmentID: caller.environmentID, before: before, limit: page.limit + 1, on: connection)
        }
        return .json(page.json(keys, cursor: { [.string("\(PublicID(.key, $0.id))")] }) { $0.key($1) })
    }

    private func newKey(_ text: String) -> NewKey {
        NewKey(hash: APIKey.hash(text), hint: APIKey.hint(text))
    }
}
