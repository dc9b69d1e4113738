import Credits
import Hummingbird
import JSON
import Messaging
import Representations

/// What became of a mutation that was answered 202.
struct OperationRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.get("/v1/operations/{id}", .scopeOrRoot([]), use: show)
    }

    /// An operation is the command itself: decided once the ledger has its result, pending before.
    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        guard let id = PublicID(.operation, parsing: try context.pathParameter("id")) else {
            throw Problem(.notFound, "There is no operation with that id.")
        }
        let result = try await site.mutations.answers.find(environmentID: caller.environmentID, commandID: id.bits)?
            .result
        let isParked =
            result == nil
            ? try await site.mutations.answers.isParked(environmentID: caller.environmentID, commandID: id.bits) : false
        var json = JSONWriter()
        json.beginObject()
        json.object("operation") { json in
            json.member("id", id)
            guard let result else {
                json.member("status", isParked ? "failed" : "pending")
                guard isParked else { return }
                json.object("result") { json in
                    json.member("status", Int64(Problem.parked.code.status))
                    json.member("body", raw: Problem.parked.json(requestID: context.requestID))
                }
                return
            }
            json.member("status", result.isSuccess ? "succeeded" : "failed")
            json.object("result") { json in
                json.member("status", Int64(result.status))
                let body =
                    result.isSuccess
                    ? site.shownOnce.completed(result.body, commandID: id.bits, kind: caller.kind) : result.body
                json.member("body", raw: body)
            }
        }
        json.endObject()
        var response = Response.json(json.bytes)
        if let result { response.headers[.position] = PositionToken.text(result.position) }
        return response
    }
}
