import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage

/// Tenants. These endpoints require the root key.
struct TenantRoutes: Sendable {
    let services: APIServices
    private var keys: KeyDerivation { services.mutations.secrets.keys }

    func add(to routes: inout RouteTable) {
        routes.post("/v1/admin/tenants", .root, use: createTenant)
        routes.get("/v1/admin/tenants", .root, use: listTenants)
        routes.get("/v1/admin/tenants/{id}", .root, use: showTenant)
    }

    @Sendable private func createTenant(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let name = try read(try await request.json()) { $0.name() }
        return try await services.mutations.catalogue(
            { commandID in
                .createTenant(
                    name: name, liveKey: NewKey(keys.key(.live, commandID: commandID)),
                    testKey: NewKey(keys.key(.test, commandID: commandID)))
            }, kind: nil, headers)
    }

    @Sendable private func listTenants(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorParts { Bits128(cursor: $0, .tenant) }
        let tenants = try await services.reads.read(of: .installation) { connection in
            try await TenantStore.list(before: before, limit: page.limit + 1, on: connection)
        }
        return .json(page.json(tenants, cursor: { [.string("\(PublicID(.tenant, $0.id))")] }) { $0.tenant($1) })
    }

    @Sendable private func showTenant(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let unknown = Problem(.notFound, "There is no tenant with that id.")
        guard let id = PublicID(.tenant, parsing: try context.pathParameter("id")) else { throw unknown }
        let found = try await services.reads.read(of: .installation) { connection in
            try await TenantStore.find(id.bits, on: connection)
        }
        guard let found else { throw unknown }
        var json = JSONWriter()
        json.tenant(found)
        return .json(json.bytes)
    }
}
