import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage
package import Webhooks

/// What an API node needs to know for webhook endpoints.
package struct WebhookSetup: Sendable {
    /// Nil on a node without QUOTASTACK_WEBHOOK_KEY, which cannot create endpoints.
    let seal: SecretSeal?
    let rules: TargetRules

    /// - Parameter key: QUOTASTACK_WEBHOOK_KEY.
    package init(key: String? = nil, rules: TargetRules = TargetRules()) {
        seal = key.map { SecretSeal(key: $0) }
        self.rules = rules
    }
}

/// The webhook endpoints of an environment.
struct WebhookEndpointRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        let path = "/v1/webhook-endpoints"
        routes.post(path, .write(.webhooks), use: create)
        routes.get(path, .read(.webhooks), use: list)
        routes.get("\(path)/{id}", .read(.webhooks), use: show)
        routes.patch("\(path)/{id}", .write(.webhooks), use: update)
        routes.delete("\(path)/{id}", .write(.webhooks), use: delete)
        routes.post("\(path)/{id}/rotate-secret", .write(.webhooks), use: rotate)
        routes.post("\(path)/{id}/test", .write(.webhooks), use: test)
        routes.post("\(path)/{id}/replay", .write(.webhooks), use: replay)
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let new = try read(try await request.json()) { $0.newWebhookEndpoint(services.webhooks) }
        return try await sealing(headers) { sealed in
            .createWebhookEndpoint(
                NewWebhookEndpoint(
                    url: new.url, eventTypes: new.eventTypes, description: new.description, sealedSecret: sealed))
        }
    }

    @Sendable private func rotate(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let id = try endpointID(context)
        let overlap = try read(try await request.json()) { reader in
            reader.int64(
                "overlap_seconds", default: WebhookLimits.defaultOverlapSeconds, .plain,
                in: WebhookLimits.overlapSeconds)
        }
        return try await sealing(headers) {
            .rotateWebhookSecret(id: id, sealedSecret: $0, overlapSeconds: overlap)
        }
    }

    /// Sends a command with a new secret, which is derived from the command's id.
    private func sealing(
        _ headers: MutationHeaders, _ action: (_ sealedSecret: [UInt8]) -> CatalogueAction
    ) async throws -> Response {
        guard let seal = services.webhooks.seal else {
            throw Problem(
                .unavailable,
                "This installation has no key for webhook secrets. Its operator sets QUOTASTACK_WEBHOOK_KEY.")
        }
        return try await services.mutations.catalogue(
            { commandID in
                let secret = services.mutations.secrets.keys.webhookSecret(commandID: commandID)
                return action(seal.sealed(secret, of: headers.origin.environmentID))
            }, headers)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorParts { Bits128(cursor: $0, .webhookEndpoint) }
        let (endpoints, replays) = try await services.reads.read(of: caller.environmentID) { connection in
            let endpoints = try await WebhookEndpointStore.list(
                environmentID: caller.environmentID, before: before, limit: page.limit + 1, on: connection)
            let replays = try await WebhookEndpointStore.replays(
                environmentID: caller.environmentID, on: connection)
            return (endpoints, replays)
        }
        return .json(
            page.json(endpoints, cursor: { [.string("\($0.publicID)")] }) {
                $0.webhookEndpoint($1, replay: replays[$1.id])
            })
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let id = try endpointID(context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            let endpoint = try await WebhookEndpointStore.find(
                id, environmentID: caller.environmentID, on: connection)
            let replay = try await WebhookEndpointStore.replay(
                of: id, environmentID: caller.environmentID, on: connection)
            return (endpoint, replay)
        }
        guard let endpoint = found.0 else { throw Problem.unknownWebhookEndpoint }
        var json = JSONWriter()
        json.webhookEndpoint(endpoint, replay: found.1)
        return .json(json.bytes)
    }

    @Sendable private func update(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let id = try endpointID(context)
        let change = try read(try await request.json()) { $0.webhookEndpointChange(services.webhooks) }
        return try await services.changeCatalogue(.updateWebhookEndpoint(id: id, change), caller, headers)
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let id = try endpointID(context)
        _ = try read(try await request.json()) { _ in true }
        return try await services.changeCatalogue(.deleteWebhookEndpoint(id: id), caller, headers)
    }

    @Sendable private func test(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let id = try endpointID(context)
        _ = try read(try await request.json()) { _ in true }
        return try await services.changeCatalogue(.testWebhookEndpoint(id: id), caller, headers)
    }

    @Sendable private func replay(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let id = try endpointID(context)
        let (from, to) = try read(try await request.json()) { $0.replay() }
        return try await services.changeCatalogue(.replayWebhookEvents(id: id, from: from, to: to), caller, headers)
    }

    private func endpointID(_ context: APIContext) throws(Problem) -> Bits128 {
        guard let id = PublicID(.webhookEndpoint, parsing: try context.pathParameter("id")) else {
            throw .unknownWebhookEndpoint
        }
        return id.bits
    }
}
