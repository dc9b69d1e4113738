import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage

/// The features that an environment sells.
struct FeatureRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post("/v1/features", .write(.catalog), use: createFeature)
        routes.get("/v1/features", .read(.catalog), use: listFeatures)
        routes.get("/v1/features/{key}", .read(.catalog), use: showFeature)
        routes.patch("/v1/features/{key}", .write(.catalog), use: updateFeature)
    }

    @Sendable private func createFeature(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let feature = try read(try await request.json()) { $0.newFeature() }
        return try await services.changeCatalogue(.createFeature(feature), caller, headers)
    }

    @Sendable private func updateFeature(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let key = try featureKey(context)
        let change = try read(try await request.json()) { $0.featureChange() }
        return try await services.changeCatalogue(.updateFeature(key: key, change), caller, headers)
    }

    @Sendable private func showFeature(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let key = try featureKey(context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await FeatureStore.find(key, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownFeature() }
        var json = JSONWriter()
        json.feature(found)
        return .json(json.bytes)
    }

    @Sendable private func listFeatures(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let after = try page.cursorParts { parts in CatalogueCursor(parts) { FeatureKey($0) } }
        let features = try await services.reads.read(of: caller.environmentID) { connection in
            try await FeatureStore.list(
                environmentID: caller.environmentID, after: after.map { ($0.createdAt, $0.key) },
                limit: page.limit + 1, on: connection)
        }
        return .json(
            page.json(features, cursor: { CatalogueCursor.parts($0.createdAt, $0.key.rawValue) }) { $0.feature($1) })
    }

    private func featureKey(_ context: APIContext) throws(Problem) -> FeatureKey {
        guard let key = FeatureKey(try context.pathParameter("key")) else { throw .unknownFeature() }
        return key
    }
}
