import Credits
import Hummingbird
import JSON
import Messaging
import Representations

/// What became of a mutation that was answered 202.
struct OperationRoutes: Sendable {
    let site: Site

    func add(to router: Router<APIContext>) {
        router.get("/v1/operations/:id", use: show)
    }

    /// An operation is the command itself: decided once the ledger has its result, pending before.
    @Sendable private func show(_ request: Request, context: APIContext) async throws -> Response {
        try await site.gate.reachMinimumPosition(request)
        let (environmentID, kind) = try site.operationScope(request)
        guard let id = PublicID(.operation, parsing: try context.pathParameter("id")) else {
            throw Problem(.notFound, "There is no operation with that id.")
        }
        let result = try await site.mutations.answers.find(environmentID: environmentID, commandID: id.bits)
        var json = JSONWriter()
        json.beginObject()
        json.object("operation") { json in
            json.member("id", id)
            guard let result else {
                json.member("status", "pending")
                return
            }
            json.member("status", result.isSuccess ? "succeeded" : "failed")
            json.object("result") { json in
                json.member("status", Int64(result.status))
                let body =
                    result.isSuccess
                    ? site.shownOnce.completed(result.body, commandID: id.bits, kind: kind) : result.body
                json.member("body", raw: body)
            }
        }
        json.endObject()
        var response = Response.json(json.bytes)
        if let result { response.headers[.position] = PositionToken.text(result.position) }
        return response
    }
}
