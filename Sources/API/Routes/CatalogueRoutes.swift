import Credits
import Hummingbird
import JSON
import Messaging
import Metering
import Representations
import Storage

/// Features and metering rules: what an environment sells.
struct CatalogueRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.post("/v1/features", .write(.catalog), use: createFeature)
        routes.get("/v1/features", .read(.catalog), use: listFeatures)
        routes.get("/v1/features/{key}", .read(.catalog), use: showFeature)
        routes.patch("/v1/features/{key}", .write(.catalog), use: updateFeature)
        routes.post("/v1/metering-rules", .write(.catalog), use: createRule)
        routes.get("/v1/metering-rules", .read(.catalog), use: listRules)
        routes.get("/v1/metering-rules/{id}", .read(.catalog), use: showRule)
    }

    // MARK: - Features

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
        let after = try page.cursorParts { parts -> (Instant, FeatureKey)? in
            guard parts.count == 2, case .integer(let microseconds) = parts[0], case .string(let text) = parts[1],
                let key = FeatureKey(text)
            else { return nil }
            return (Instant(microseconds: microseconds), key)
        }
        let features = try await site.reads.read(of: caller.environmentID) { connection in
            try await CatalogueReads.features(
                environmentID: caller.environmentID, after: after.map { (createdAt: $0.0, key: $0.1) },
                limit: page.limit + 1, on: connection)
        }
        return .json(
            page.json(features, cursor: { [.integer($0.createdAt.microseconds), .string($0.key.rawValue)] }) {
                $0.feature($1)
            })
    }

    private func featureKey(_ context: APIContext) throws(Problem) -> FeatureKey {
        guard let key = FeatureKey(try context.pathParameter("key")) else { throw unknownFeature }
        return key
    }

    private var unknownFeature: Problem {
        Problem(.unknownFeature, "There is no feature with that key in this environment.")
    }

    // MARK: - Metering rules

    @Sendable private func createRule(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let action = try read(body) { reader -> CatalogueAction? in
            let key = reader.featureKey()
            let model = reader.pricingModel()
            let effectiveFrom = reader.optionalInstant("effective_from")
            guard let key, let model else { return nil }
            return .createRule(featureKey: key, model: model, effectiveFrom: effectiveFrom)
        }
        return try await site.changeCatalogue(action, caller: caller, request, body, headers)
    }

    @Sendable private func showRule(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let unknown = Problem(.notFound, "There is no metering rule with that id in this environment.")
        guard let id = PublicID(.rule, parsing: try context.pathParameter("id")) else { throw unknown }
        let found = try await site.reads.read(of: caller.environmentID) { connection in
            try await CatalogueReads.rule(id.bits, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw unknown }
        var json = JSONWriter()
        json.rule(found)
        return .json(json.bytes)
    }

    @Sendable private func listRules(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var query = try RequestQuery(request)
        let page = try query.page()
        let featureKey = try query.optional("feature_key", expected: FeatureKey.expectation) { FeatureKey($0) }
        try query.finish()
        let before = try page.cursorParts { parts in Bits128(cursor: parts, .rule) }
        let rules = try await site.reads.read(of: caller.environmentID) { connection in
            try await CatalogueReads.rules(
                environmentID: caller.environmentID, featureKey: featureKey, before: before, limit: page.limit + 1,
                on: connection)
        }
        return .json(page.json(rules, cursor: { [.string("\($0.rule.id)")] }) { $0.rule($1) })
    }
}

private enum ModelName: String, CaseIterable {
    case flat
    case perUnit = "per_unit"
}

extension JSONReader {
    /// `model` and the members that belong to it.
    fileprivate mutating func pricingModel() -> PricingModel? {
        switch choice("model", of: ModelName.self) {
        case .flat:
            amount("amount").map { .flat(amount: $0) }
        case .perUnit:
            if let unitCost = amount("unit_cost"),
                let perUnits = int64("per_units", default: 1, .plain, in: 1...Millicredits.limit)
            {
                .perUnit(unitCost: unitCost, perUnits: perUnits)
            } else {
                nil
            }
        case nil: nil
        }
    }

    private mutating func amount(_ key: String) -> Millicredits? {
        int64(key, .amount, in: 0...Millicredits.limit).flatMap { try? Millicredits($0) }
    }
}

extension Bits128 {
    /// A cursor that is one public id.
    init?(cursor parts: [JSONValue], _ kind: PublicIDKind) {
        guard parts.count == 1, case .string(let text) = parts[0], let id = PublicID(kind, parsing: text) else {
            return nil
        }
        self = id.bits
    }
}
