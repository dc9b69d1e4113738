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
        routes.get("/v1/end-users/{id}/limits", .read(.entitlements), use: list)
        routes.get("/v1/end-users/{id}/limits/{key}", .read(.entitlements), use: show)
        routes.put("/v1/end-users/{id}/limits/{key}", .write(.entitlements), use: set)
        routes.delete("/v1/end-users/{id}/limits/{key}", .write(.entitlements), use: delete)
    }

    /// Sets a limit. A body whose `limit` is null lifts the limit with the key.
    @Sendable private func set(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let endUserID = try context.endUserID()
        let key = try ownKey(context)
        let limit = try read(try await request.json()) { reader -> Limit?? in
            if let stated = reader.optionalString("key"), stated != key.rawValue {
                reader.report("key", "must be the key in the path, \(key.rawValue)")
            }
            guard reader.presence(of: "limit") == .null else { return reader.limit().map { .some($0) } }
            _ = reader.value("limit")
            return .some(nil)
        }
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
        var query = try RequestQuery(request)
        let value = query.optional("per_value")
        try query.finish()
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
