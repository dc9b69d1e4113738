import Credits
import Hummingbird
import JSON
import Messaging
import Answers

/// What an environment is set to.
struct ConfigRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.get("/v1/config", .read(.admin), use: show)
        routes.patch("/v1/config", .write(.admin), use: update)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        var json = JSONWriter()
        json.config(caller.config)
        return .json(json.bytes)
    }

    @Sendable private func update(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let change = try read(body) { reader -> ConfigChange? in
            ConfigChange(
                rateLimitPerSecond: reader.setting("rate_limit_per_second", in: EnvironmentConfig.rateLimits),
                failClosedOverMilliseconds: reader.setting(
                    "fail_closed_over_ms", in: EnvironmentConfig.failClosedLimits),
                overagePolicy: reader.fieldChange("overage_policy") { $0.optionalChoice("overage_policy") },
                overageLimit: reader.fieldChange("overage_limit") { $0.optionalAmount("overage_limit") },
                timeZone: reader.fieldChange("timezone") { $0.optionalString("timezone", length: 1...64) })
        }
        return try await site.changeCatalogue(.updateConfig(change), caller: caller, request, body, headers)
    }
}

extension JSONReader {
    /// A number; absence keeps it, null takes the default.
    fileprivate mutating func setting(_ key: String, in range: ClosedRange<Int64>) -> FieldChange<Int32> {
        fieldChange(key) { $0.optionalInt64(key, .plain, in: range).map { Int32($0) } }
    }
}
