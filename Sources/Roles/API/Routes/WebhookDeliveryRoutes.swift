import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage
import Webhooks

/// The deliveries of an environment's webhooks, newest first.
struct WebhookDeliveryRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.get(
            "/v1/webhook-deliveries", .read(.webhooks),
            Operation(
                "listWebhookDeliveries", "Lists the deliveries of webhooks, newest first.", query: Self.listQuery,
                answers: .page(of: .webhookDelivery)), use: list)
        routes.post(
            "/v1/webhook-deliveries/{id}/retry", .write(.webhooks),
            Operation("retryWebhookDelivery", "Delivers again.", answers: .ok(.webhookDelivery)), use: retry)
    }

    @Sendable private static func listQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (endpointID: Bits128?, status: DeliveryStatus?, page: PageRequest) {
        let endpointID = try query.optional("endpoint_id", expected: "the id of a webhook endpoint") {
            PublicID(.webhookEndpoint, parsing: $0)?.bits
        }
        return (endpointID, try query.optional("status", oneOf: DeliveryStatus.self), try query.page())
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let (endpointID, status, page) = try request.query(Self.listQuery)
        let before = try page.cursorNumber { $0 > 0 ? $0 : nil }
        // With both filters the database may walk over all deliveries of the endpoint.
        let size: ReadSize = endpointID != nil && status != nil ? .large : .small
        let deliveries = try await services.reads.read(of: caller.environmentID, size) { connection in
            try await WebhookDeliveryStore.list(
                environmentID: caller.environmentID, endpointID: endpointID, status: status, before: before,
                limit: page.limit + 1, on: connection)
        }
        return .json(page.json(deliveries, cursor: { [.integer($0.number)] }) { $0.webhookDelivery($1) })
    }

    @Sendable private func retry(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        guard let id = PublicID(.webhookDelivery, parsing: try context.pathParameter("id")) else {
            throw Problem.unknownWebhookDelivery
        }
        _ = try read(try await request.json()) { _ in true }
        return try await services.changeCatalogue(
            .retryWebhookDelivery(id.account, number: id.number), caller, headers)
    }
}
