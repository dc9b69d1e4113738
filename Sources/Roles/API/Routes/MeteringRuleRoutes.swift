import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Metering
import Storage

/// Metering rules, which are the prices of features.
struct MeteringRuleRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/metering-rules", .write(.catalog),
            Operation(
                "createMeteringRule", "Creates a version of the price of a feature.", body: { $0.newRule() },
                answers: .created(.meteringRule), problems: [.unknownFeature, .notFound]), use: create)
        routes.get(
            "/v1/metering-rules", .read(.catalog),
            Operation(
                "listMeteringRules", "Lists the metering rules, newest first.", query: Self.listQuery,
                answers: .page(of: .meteringRule)), use: list)
        routes.get(
            "/v1/metering-rules/{id}", .read(.catalog),
            Operation("getMeteringRule", "Shows a metering rule.", answers: .ok(.meteringRule)), use: show)
        // A preview stores nothing, so it requires the scope for reading only.
        routes.post(
            "/v1/metering-rules/preview", .read(.catalog),
            Operation(
                "previewPrice", "Shows the cost of an event, line by line. Nothing is stored.",
                body: { PricePreviewRequest(&$0) }, answers: .ok(.preview), problems: [.notFound, .featureNotPriced]),
            use: preview)
    }

    @Sendable private static func listQuery(_ query: inout RequestQuery) throws(Problem) -> (PageRequest, FeatureKey?) {
        (try query.page(), try query.optionalFeatureKey())
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let rule = try read(try await request.json(upTo: .rule)) { $0.newRule() }
        try Self.requireSize(of: rule.price)
        return try await services.changeCatalogue(
            .createRule(
                featureKey: rule.featureKey, price: rule.price, effectiveFrom: rule.effectiveFrom, variant: rule.variant
            ), caller, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try RequestQuery(request).finish()
        let found = try await rule(try context.pathParameter("id"), of: caller)
        var json = JSONWriter()
        json.rule(found)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let (page, featureKey) = try request.query(Self.listQuery)
        let before = try page.cursorParts { parts in Bits128(cursor: parts, .rule) }
        let rules = try await services.reads.read(of: caller.environmentID) { connection in
            try await RuleStore.list(
                environmentID: caller.environmentID, featureKey: featureKey, before: before, limit: page.limit + 1,
                on: connection)
        }
        return .json(page.json(rules, cursor: { [.string("\($0.id)")] }) { $0.rule($1) })
    }

    private func rule(_ id: String, of caller: Caller) async throws -> MeteringRule {
        guard let id = PublicID(.rule, parsing: id) else { throw Problem.unknownRule }
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await RuleStore.find(id.bits, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownRule }
        return found
    }

    /// Throws when the stored form of a price is too large. It can be larger than the request, which may leave out
    /// defaults.
    private static func requireSize(of price: Price) throws(Problem) {
        guard price.canonicalJSON.utf8.count > PriceLimit.bytes else { return }
        throw Problem(
            .bodyTooLarge, "The rule is larger than \(PriceLimit.bytes) bytes of JSON. Use fewer price rows or tiers.")
    }

    // MARK: - Preview

    @Sendable private func preview(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let question = try read(try await request.json()) { PricePreviewRequest(&$0) }
        let price: Price
        switch question.subject {
        case .price(let given):
            try Self.requireSize(of: given)
            price = given
        case .rule(let id): price = try await rule(id, of: caller).price
        }
        var json = JSONWriter()
        json.beginObject()
        json.members(try question.priced(by: price))
        json.endObject()
        return .json(json.bytes)
    }
}
