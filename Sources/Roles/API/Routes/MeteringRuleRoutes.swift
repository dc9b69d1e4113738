import Credits
import Hummingbird
import JSON
import Messaging
import Metering
import Answers
import Storage

/// Metering rules: what features cost.
struct MeteringRuleRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.post("/v1/metering-rules", .write(.catalog), use: create)
        routes.get("/v1/metering-rules", .read(.catalog), use: list)
        routes.get("/v1/metering-rules/{id}", .read(.catalog), use: show)
        // It stores nothing, so it needs no more than reading.
        routes.post("/v1/metering-rules/preview", .read(.catalog), use: preview)
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let action = try read(body) { reader -> CatalogueAction? in
            let key = reader.featureKey()
            let price = reader.price()
            let effectiveFrom = reader.optionalInstant("effective_from")
            guard let key, let price else { return nil }
            return .createRule(featureKey: key, price: price, effectiveFrom: effectiveFrom)
        }
        return try await site.changeCatalogue(action, caller: caller, request, body, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let found = try await rule(try context.pathParameter("id"), of: caller)
        var json = JSONWriter()
        json.rule(found)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
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

    private func rule(_ id: String, of caller: Caller) async throws -> RuleRecord {
        let unknown = Problem(.notFound, "There is no metering rule with that id in this environment.")
        guard let id = PublicID(.rule, parsing: id) else { throw unknown }
        let found = try await site.reads.read(of: caller.environmentID) { connection in
            try await CatalogueReads.rule(id.bits, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw unknown }
        return found
    }

    // MARK: - Preview

    @Sendable private func preview(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let question = try read(try await request.json()) { PricePreview(&$0) }
        let price: Price
        switch question.subject {
        case .price(let given): price = given
        case .rule(let id): price = try await rule(id, of: caller).rule.price
        }
        var json = JSONWriter()
        json.beginObject()
        json.members(try question.priced(by: price))
        json.endObject()
        return .json(json.bytes)
    }
}

/// What an event would cost, by a rule that is there or by one that is not.
private struct PricePreview {
    enum Subject {
        case price(Price)
        case rule(id: String)
    }

    /// The units of the period before the event.
    private enum UsedBefore {
        case units(Int64)
        case quantities([String: Int64])
    }

    let subject: Subject
    private let measure: Measure
    private let attributes: Attributes
    private let usedBefore: UsedBefore?

    init?(_ reader: inout JSONReader) {
        let subject = reader.previewSubject()
        let measure = reader.measure()
        let attributes = reader.attributes()
        let usedBefore: UsedBefore? =
            switch reader.value("used_before") {
            case nil: nil
            case .object?:
                reader.quantities("used_before", upTo: Millicredits.limit).map { .quantities($0) }
            default: reader.int64("used_before", .plain, in: 0...Millicredits.limit).map { .units($0) }
            }
        guard let subject, let measure, let attributes else { return nil }
        self.subject = subject
        self.measure = measure
        self.attributes = attributes
        self.usedBefore = usedBefore
    }

    func priced(by price: Price) throws(Problem) -> PricedEvent {
        let used = try used(by: price)
        do throws(PricingFailure) {
            return try price.priced(measure, attributes: attributes, used: used)
        } catch {
            throw Problem(error)
        }
    }

    private func used(by price: Price) throws(Problem) -> PeriodUsage {
        switch (usedBefore, price.terms(for: attributes)) {
        case (nil, _), (_, nil): return PeriodUsage()
        case (.units(let units)?, .model?): return PeriodUsage(used: ["": units])
        case (.quantities(let quantities)?, .dimensions(let models)?):
            if let unknown = quantities.keys.sorted().first(where: { models[$0] == nil }) {
                throw Self.refused("/used_before".appendingPointerToken(unknown), "is not a dimension of the price")
            }
            return PeriodUsage(used: quantities)
        case (.units?, .dimensions?):
            throw Self.refused("/used_before", "must be an object of units by dimension: the price has dimensions")
        case (.quantities?, .model?):
            throw Self.refused("/used_before", "must be an integer: the price has no dimensions")
        }
    }

    private static func refused(_ pointer: String, _ detail: String) -> Problem {
        Problem(
            .invalidRequest, "\(pointer) \(detail).",
            errors: [Problem.FieldError(pointer: pointer, detail: detail)])
    }
}

extension JSONReader {
    /// `rule`, the body that would make it, or `rule_id`.
    fileprivate mutating func previewSubject() -> PricePreview.Subject? {
        guard value("rule") != nil else {
            guard value("rule_id") != nil else {
                report("rule", "is required, or rule_id in its place")
                return nil
            }
            return string("rule_id").map { .rule(id: $0) }
        }
        if value("rule_id") != nil { report("rule_id", "excludes rule: give one of them") }
        return object("rule") { rule in
            // A rule's own body is taken as it stands; neither of these makes a difference to what an event costs.
            if rule.value("feature_key") != nil { _ = rule.featureKey() }
            _ = rule.optionalInstant("effective_from")
            return rule.price().map { .price($0) }
        }
    }
}
