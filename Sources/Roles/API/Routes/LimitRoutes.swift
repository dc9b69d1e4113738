import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Ledger
import Metering

/// Limits of an end user: at most so many units, credits or jobs at once, in windows, by attributes. Quotas and spend
/// caps are limits too, and are listed with them.
struct LimitRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        let path = "/v1/end-users/{id}/limits/{key}"
        routes.get(
            "/v1/end-users/{id}/limits", .read(.entitlements),
            Operation(
                "listLimits", "Lists all limits that apply to an end user.", query: Self.valueQuery,
                answers: .ok(.limits), problems: [.unknownEndUser]), use: list)
        routes.get(
            path, .read(.entitlements),
            Operation(
                "getLimit", "Shows a limit that applies to an end user.", query: Self.valueQuery, answers: .ok(.limit),
                problems: [.unknownEndUser]), use: show)
        routes.put(
            path, .write(.entitlements),
            Operation(
                "setLimit", "Sets a limit of one end user. `limit` as null lifts the limit with the key.",
                body: { Self.limit(&$0, key: nil) }, answers: .set(.limit),
                problems: [.unknownEndUser, .unknownFeature]), use: set)
        routes.delete(
            path, .write(.entitlements),
            Operation(
                "deleteLimit", "Deletes a limit of one end user. The limits of plans and features stay.",
                answers: .deleted, problems: [.unknownEndUser]), use: delete)
    }

    @Sendable private static func valueQuery(_ query: inout RequestQuery) throws(Problem) -> String? {
        query.optional("per_value")
    }

    /// - Parameter key: The key in the path, which a key in the body must repeat; nil in a description.
    private static func limit(_ reader: inout JSONReader, key: LimitKey?) -> Limit?? {
        if let stated = reader.optionalString("key"), let key, stated != key.rawValue {
            reader.report("key", "must be the key in the path, \(key.rawValue)")
        }
        guard reader.presence(of: "limit") == .null else { return reader.limit().map { .some($0) } }
        _ = reader.value("limit")
        return .some(nil)
    }

    /// Sets a limit. A body whose `limit` is null lifts the limit with the key.
    @Sendable private func set(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let endUserID = try context.endUserID()
        let key = try ownKey(context)
        let limit = try read(try await request.json()) { Self.limit(&$0, key: key) }
        return try await services.mutations.account(
            .setLimit(key, limit), of: endUserID, key: headers.idempotencyKey, headers)
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let endUserID = try context.endUserID()
        let key = try ownKey(context)
        _ = try read(try await request.json()) { _ in true }
        return try await services.mutations.account(
            .deleteLimit(key), of: endUserID, key: headers.idempotencyKey, headers)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let limits = try limits(request, context, caller)
        var json = JSONWriter()
        json.beginObject()
        json.array("data", limits) { json, limit in json.limit(limit.key, limit.state) }
        json.endObject()
        return .json(json.bytes)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let key = try key(context)
        guard let limit = try limits(request, context, caller).first(where: { $0.key == key }) else {
            throw Problem(.notFound, "No limit with the key \(key.rawValue) applies to the end user.")
        }
        var json = JSONWriter()
        json.limit(limit.key, limit.state)
        return .json(json.bytes)
    }

    /// All limits that apply to the end user, and without a state those that it has lifted. They come from memory, like
    /// checks.
    private func limits(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) throws -> [(key: LimitKey, state: LimitState?)] {
        let value = try request.query(Self.valueQuery)
        let (account, catalogue, now) = try services.admission.limitedAccount(
            try context.endUserID(), perValue: value, of: caller)
        let applied = account.limits(catalogue).map { applied in
            let value = applied.limit.per == nil ? nil : value
            return (key: applied.key, state: Optional(account.state(of: applied, value: value, catalogue, now: now)))
        }
        let lifted = account.settings.limits.filter { $0.value.limit == nil }.keys.sorted()
        return applied + lifted.map { (key: $0, state: nil) }
    }

    private func key(_ context: APIContext) throws(Problem) -> LimitKey {
        guard let key = LimitKey(try context.pathParameter("key")) else {
            throw Problem(.invalidRequest, "The key of a limit must be \(FeatureKey.expectation).")
        }
        return key
    }

    /// A key that may be set. The ids of spend caps are the keys of those.
    private func ownKey(_ context: APIContext) throws(Problem) -> LimitKey {
        let key = try key(context)
        guard PublicID(.spendCap, parsing: key.rawValue) == nil else {
            throw Problem(
                .invalidRequest, "\(key.rawValue) is the id of a spend cap. Change those with /v1/spend-caps.")
        }
        return key
    }
}
