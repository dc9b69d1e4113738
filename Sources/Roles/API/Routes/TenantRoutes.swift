import Credits
import Hummingbird
import JSON
import Messaging
import Postgres
import Answers
import Storage

/// Tenants, for the holder of the root key.
struct TenantRoutes: Sendable {
    let site: Site
    private var keys: KeyDerivation { site.shownOnce.keys }

    func add(to routes: inout RouteTable) {
        routes.post("/v1/admin/tenants", .root, use: createTenant)
        routes.get("/v1/admin/tenants", .root, use: listTenants)
        routes.get("/v1/admin/tenants/{id}", .root, use: showTenant)
    }

    @Sendable private func createTenant(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let name = try read(body) { $0.string("name", length: 1...200) }
        let identity = CommandIdentity(environmentID: .installation, idempotencyKey: headers.idempotencyKey) {
            CommandIdentity.content(request, body)
        }
        let live = keys.key(.live, commandID: identity.id)
        let test = keys.key(.test, commandID: identity.id)
        return try await site.mutations.catalogue(
            .createTenant(name: name, liveKey: NewKey(live), testKey: NewKey(test)), identity: identity,
            caller: caller, headers: headers)
    }

    @Sendable private func listTenants(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorParts { Bits128(cursor: $0, .tenant) }
        let tenants = try await site.reads.read(of: .installation) { connection in
            try await CatalogueReads.tenants(before: before, limit: page.limit + 1, on: connection)
        }
        return .json(page.json(tenants, cursor: { [.string("\(PublicID(.tenant, $0.id))")] }) { $0.tenant($1) })
    }

    @Sendable private func showTenant(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
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
}
