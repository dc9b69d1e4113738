import Credits
import Hummingbird
import JSON
import Messaging
import Metering
import Answers
import Storage

/// Features: what an environment sells.
struct CatalogueRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.post("/v1/features", .write(.catalog), use: createFeature)
        routes.get("/v1/features", .read(.catalog), use: listFeatures)
        routes.get("/v1/features/{key}", .read(.catalog), use: showFeature)
        routes.patch("/v1/features/{key}", .write(.catalog), use: updateFeature)
    }

    @Sendable private func createFeature(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let action = try read(body) { reader -> CatalogueAction? in
            let key = reader.featureKey("key")
            let name = reader.string("name", length: 1...200)
            let type = reader.choice("type", of: FeatureType.self)
            let unitName = reader.optionalString("unit_name", length: 1...64)
            let quota = reader.optionalObject("quota") { $0.quota() }
            if quota != nil, let type, type != .metered { reader.report("quota", "is for metered features only") }
            guard let key, let name, let type else { return nil }
            return .createFeature(NewFeature(key: key, name: name, type: type, unitName: unitName, quota: quota))
        }
        return try await site.changeCatalogue(action, caller: caller, request, body, headers)
    }

    @Sendable private func updateFeature(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let key = try featureKey(context)
        let body = try await request.json()
        let change = try read(body) { reader -> FeatureChange? in
            FeatureChange(
                name: reader.optionalString("name", length: 1...200),
                unitName: reader.optionalString("unit_name", length: 1...64),
                isArchived: reader.optionalBool("archived"),
                quota: reader.fieldChange("quota") { $0.optionalObject("quota") { $0.quota() } })
        }
        return try await site.changeCatalogue(
            .updateFeature(key: key, change), caller: caller, request, body, headers)
    }

    @Sendable private func showFeature(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let key = try featureKey(context)
        let found = try await site.reads.read(of: caller.environmentID) { connection in
            try await CatalogueReads.feature(key, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw unknownFeature }
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
        let features = try await site.reads.read(of: caller.environmentID) { connection in
            try await CatalogueReads.features(
                environmentID: caller.environmentID, after: after.map { ($0.createdAt, $0.key) },
                limit: page.limit + 1, on: connection)
        }
        return .json(
            page.json(features, cursor: { CatalogueCursor.parts($0.createdAt, $0.key.rawValue) }) { $0.feature($1) })
    }

    private func featureKey(_ context: APIContext) throws(Problem) -> FeatureKey {
        guard let key = FeatureKey(try context.pathParameter("key")) else { throw unknownFeature }
        return key
    }

    private var unknownFeature: Problem {
        Problem(.unknownFeature, "There is no feature with that key in this environment.")
    }
}
