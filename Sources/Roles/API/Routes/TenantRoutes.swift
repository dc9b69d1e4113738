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
        routes.post(
            "/v1/admin/tenants", .root,
            Operation(
                "createTenant", "Creates a tenant with a live and a test environment.", body: { $0.name() },
                answers: .created(.newTenant)), use: createTenant)
        routes.get(
            "/v1/admin/tenants", .root,
            Operation("listTenants", "Lists the tenants, newest first.", query: Self.page, answers: .page(of: .tenant)),
            use: listTenants)
        routes.get(
            "/v1/admin/tenants/{id}", .root, Operation("getTenant", "Shows a tenant.", answers: .ok(.tenant)),
            use: showTenant)
        routes.post(
            "/v1/admin/tenants/{id}/api-keys", .root,
            Operation(
                "createTenantAPIKey", "Creates a key for a tenant whose keys are lost.", body: { $0.newTenantKey() },
                answers: .created(.newAPIKey)), use: createKey)
        routes.get(
            "/v1/admin/tenants/{id}/limits", .root,
            Operation("getTenantLimits", "Shows the operator's limits of a tenant.", answers: .ok(.tenantLimits)),
            use: showLimits)
        routes.patch(
            "/v1/admin/tenants/{id}/limits", .root,
            Operation(
                "updateTenantLimits", "Changes the operator's limits of a tenant.", body: { $0.tenantLimits() },
                answers: .ok(.tenantLimits)), use: updateLimits)
    }

    @Sendable private static func page(_ query: inout RequestQuery) throws(Problem) -> PageRequest { try query.page() }

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
            }, headers)
    }

    @Sendable private func listTenants(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let page = try request.query(Self.page)
        let before = try page.cursorParts { Bits128(cursor: $0, .tenant) }
        let tenants = try await services.reads.read(of: .installation) { connection in
            try await TenantStore.list(before: before, limit: page.limit + 1, on: connection)
        }
        return .json(page.json(tenants, cursor: { [.string("\(PublicID(.tenant, $0.id))")] }) { $0.tenant($1) })
    }

    @Sendable private func showTenant(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try RequestQuery(request).finish()
        let id = try tenantID(context)
        let found = try await services.reads.read(of: .installation) { connection in
            try await TenantStore.find(id, on: connection)
        }
        guard let found else { throw Problem.unknownTenant }
        var json = JSONWriter()
        json.tenant(found)
        return .json(json.bytes)
    }

    /// Creates a key in an environment of a tenant. This is the only way of the root key to a tenant's data, for a
    /// tenant whose keys are lost or revoked. The logs of the installation and of the environment show it.
    @Sendable private func createKey(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let id = try tenantID(context)
        let (kind, name, rights) = try read(try await request.json()) { $0.newTenantKey() }
        return try await services.mutations.catalogue(
            { commandID in
                .createTenantKey(
                    tenantID: id, kind, name: name, NewKey(keys.key(APIKey.Kind(kind), commandID: commandID)), rights)
            }, headers)
    }

    @Sendable private func showLimits(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try RequestQuery(request).finish()
        let id = try tenantID(context)
        let found = try await services.reads.read(of: .installation) { connection in
            try await TenantStore.rateLimit(of: id, on: connection)
        }
        guard let found else { throw Problem.unknownTenant }
        var json = JSONWriter()
        json.tenantLimits(rateLimitPerSecond: found)
        return .json(json.bytes)
    }

    /// Changes the operator's limits of a tenant. The tenant's own `rate_limit_per_second` can only lower them.
    @Sendable private func updateLimits(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let id = try tenantID(context)
        let rateLimit = try read(try await request.json()) { $0.tenantLimits() }
        return try await services.mutations.catalogue(
            { _ in .updateTenantLimits(tenantID: id, rateLimitPerSecond: rateLimit) }, headers)
    }

    private func tenantID(_ context: APIContext) throws(Problem) -> Bits128 {
        guard let id = PublicID(.tenant, parsing: try context.pathParameter("id")) else { throw .unknownTenant }
        return id.bits
    }
}
