import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage

/// Top-up packages: amounts of credits that a tenant sells at a price.
struct PackageRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post("/v1/topup-packages", .write(.catalog), use: create)
        routes.get("/v1/topup-packages", .read(.catalog), use: list)
        routes.get("/v1/topup-packages/{key}", .read(.catalog), use: show)
        routes.patch("/v1/topup-packages/{key}", .write(.catalog), use: update)
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let action = try read(try await request.json()) { $0.newPackage() }
        return try await services.changeCatalogue(action, caller, headers)
    }

    @Sendable private func update(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let key = try packageKey(context)
        let change = try read(try await request.json()) { $0.packageChange() }
        return try await services.changeCatalogue(.updatePackage(key: key, change), caller, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let key = try packageKey(context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await PackageStore.find(key, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownPackage() }
        var json = JSONWriter()
        json.topupPackage(found)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let after = try page.cursorParts { parts in CatalogueCursor(parts) { PackageKey($0) } }
        let packages = try await services.reads.read(of: caller.environmentID) { connection in
            try await PackageStore.list(
                environmentID: caller.environmentID, after: after.map { ($0.createdAt, $0.key) },
                limit: page.limit + 1, on: connection)
        }
        return .json(
            page.json(packages, cursor: { CatalogueCursor.parts($0.createdAt, $0.key.rawValue) }) {
                $0.topupPackage($1)
            })
    }

    private func packageKey(_ context: APIContext) throws(Problem) -> PackageKey {
        guard let key = PackageKey(try context.pathParameter("key")) else { throw .unknownPackage() }
        return key
    }
}
