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
        let setup = services.webhooks
        routes.post(
            path, .write(.webhooks),
            Operation(
                "createWebhookEndpoint", "Creates an endpoint that gets events.",
                body: { $0.newWebhookEndpoint(setup) }, answers: .created(.newWebhookEndpoint)), use: create)
        routes.get(
            path, .read(.webhooks),
            Operation(
                "listWebhookEndpoints", "Lists the webhook endpoints, newest first.", query: Self.page,
                answers: .page(of: .webhookEndpoint)), use: list)
        routes.get(
            "\(path)/{id}", .read(.webhooks),
            Operation("getWebhookEndpoint", "Shows a webhook endpoint.", answers: .ok(.webhookEndpoint)), use: show)
        routes.patch(
            "\(path)/{id}", .write(.webhooks),
            Operation(
                "updateWebhookEndpoint", "Changes a webhook endpoint. An absent field keeps its value.",
                body: { $0.webhookEndpointChange(setup) }, answers: .ok(.webhookEndpoint)), use: update)
        routes.delete(
            "\(path)/{id}", .write(.webhooks),
            Operation("deleteWebhookEndpoint", "Deletes a webhook endpoint.", answers: .deleted), use: delete)
        addActions(path, to: &routes)
    }

    private func addActions(_ path: String, to routes: inout RouteTable) {
        routes.post(
            "\(path)/{id}/rotate-secret", .write(.webhooks),
            Operation(
                "rotateWebhookSecret", "Replaces the secret. The old one signs too for a while.", body: Self.overlap,
                answers: .ok(.newWebhookEndpoint)), use: rotate)
        routes.post(
            "\(path)/{id}/test", .write(.webhooks),
            Operation("testWebhookEndpoint", "Sends a test event.", answers: .ok(.webhookDelivery)), use: test)
        routes.post(
            "\(path)/{id}/replay", .write(.webhooks),
            Operation(
                "replayWebhookEvents", "Delivers the events of a span again.", body: { $0.replay() },
                answers: .ok(.webhookEndpoint)), use: replay)
    }

    @Sendable private static func page(_ query: inout RequestQuery) throws(Problem) -> PageRequest { try query.page() }

    @Sendable private static func overlap(_ reader: inout JSONReader) -> Int64? {
        reader.int64(
            "overlap_seconds", default: WebhookLimits.defaultOverlapSeconds, .plain, in: WebhookLimits.overlapSeconds)
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
        let overlap = try read(try await request.json(), Self.overlap)
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
        let page = try request.query(Self.page)
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
