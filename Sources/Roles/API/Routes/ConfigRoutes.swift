import Answers
import Catalogue
import Commands
import Hummingbird
import JSON

/// The configuration of an environment.
struct ConfigRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.get(
            "/v1/config", .read(.admin),
            Operation("getConfig", "Shows the configuration of the environment.", answers: .ok(.config)), use: show)
        routes.patch(
            "/v1/config", .write(.admin),
            Operation(
                "updateConfig", "Changes the configuration. Null sets a default, an absent field keeps its value.",
                body: { $0.configChange() }, answers: .ok(.config), problems: [.notFound]), use: update)
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
        let headers = try MutationHeaders(request, context, caller)
        let change = try read(try await request.json()) { $0.configChange() }
        return try await services.changeCatalogue(.updateConfig(change), caller, headers)
    }
}
