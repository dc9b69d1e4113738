import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage

/// The variants of plans. They are shown in their latest versions.
struct PlanVariantRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/plans/{key}/variants", .write(.catalog),
            Operation(
                "createPlanVariant", "Creates a variant of a plan.", body: { $0.newVariant() },
                answers: .created(.planVariant), problems: [.unknownFeature]), use: create)
        routes.get(
            "/v1/plans/{key}/variants", .read(.catalog),
            Operation(
                "listPlanVariants", "Lists the variants of a plan, newest first.", query: Self.page,
                answers: .page(of: .planVariant)), use: list)
        routes.get(
            "/v1/variants/{key}", .read(.catalog),
            Operation("getPlanVariant", "Shows a variant in its latest version.", answers: .ok(.planVariant)), use: show
        )
        routes.patch(
            "/v1/variants/{key}", .write(.catalog),
            Operation(
                "updatePlanVariant", "Makes a new version of a variant. Null gives a field its default.",
                body: { $0.variantChange() }, answers: .ok(.planVariant), problems: [.unknownFeature]), use: update)
    }

    @Sendable private static func page(_ query: inout RequestQuery) throws(Problem) -> PageRequest { try query.page() }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let plan = try planName(context)
        let variant = try read(try await request.json(upTo: .rule)) { $0.newVariant() }
        return try await services.changeCatalogue(.createVariant(plan: plan, variant), caller, headers)
    }

    /// Makes a new version, also for a new name and for archiving. A body that changes nothing makes none.
    @Sendable private func update(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let name = try variantName(context)
        let change = try read(try await request.json(upTo: .rule)) { $0.variantChange() }
        return try await services.changeCatalogue(.updateVariant(name, change), caller, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let name = try variantName(context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await VariantStore.find(name, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownVariant() }
        var json = JSONWriter()
        json.planVariant(found)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let page = try request.query(Self.page)
        let name = try planName(context)
        let before = try page.cursorParts { parts in Bits128(cursor: parts, .planVariant) }
        let variants = try await services.reads.read(of: caller.environmentID) { connection -> [PlanVariant]? in
            let plan = try await PlanStore.find(name, environmentID: caller.environmentID, on: connection)
            guard let plan else { return nil }
            return try await VariantStore.list(
                ofPlan: plan.id, environmentID: caller.environmentID, before: before, limit: page.limit + 1,
                on: connection)
        }
        guard let variants else { throw Problem.unknownPlan() }
        return .json(page.json(variants, cursor: { [.string("\($0.id)")] }) { $0.planVariant($1) })
    }

    private func planName(_ context: APIContext) throws(Problem) -> PlanName {
        guard let name = PlanName(try context.pathParameter("key")) else { throw .unknownPlan() }
        return name
    }

    private func variantName(_ context: APIContext) throws(Problem) -> VariantName {
        guard let name = VariantName(try context.pathParameter("key")) else { throw .unknownVariant() }
        return name
    }
}
