import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Replica

/// The outcome of a mutation that was answered 202.
struct OperationRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.get(
            "/v1/operations/{id}", .scopeOrRoot([]),
            Operation(
                "getOperation", "Shows the outcome of a mutation that was answered 202.", answers: .ok(.operation)),
            use: show)
    }

    /// An operation is the command itself: it is pending until the ledger has decided it, and then has succeeded or
    /// failed.
    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        guard let id = PublicID(.operation, parsing: try context.pathParameter("id")) else {
            throw Problem(.notFound, "There is no operation with that id.")
        }
        var decided = try await services.mutations.answers.find(environmentID: caller.environmentID, commandID: id.bits)
        if let found = decided {
            try requireSight(of: found, caller)
            // The operation stays pending until this node shows the effect.
            if !(await services.replica.reaches(found.position, by: .now + .seconds(1))) { decided = nil }
        }
        let isParked =
            decided == nil
            ? try await services.mutations.answers.isParked(environmentID: caller.environmentID, commandID: id.bits)
            : false
        var json = JSONWriter()
        json.beginObject()
        json.object("operation") { [decided] json in
            json.member("id", id)
            guard let decided else {
                json.member("status", isParked ? "failed" : "pending")
                guard isParked else { return }
                json.object("result") { json in
                    json.member("status", Int64(Problem.parked.code.status))
                    json.member("body", raw: Problem.parked.json(requestID: context.requestID))
                }
                return
            }
            let result = CommandResult(decided, isReplay: false, wantsBody: true)
            json.member("status", result.isSuccess ? "succeeded" : "failed")
            json.object("result") { json in
                json.member("status", Int64(result.status))
                let body = SecretAnswers.jsonWithoutSecret(of: result, action: decided.action)
                if body.isEmpty { json.member("body", nil as String?) } else { json.member("body", raw: body) }
            }
        }
        json.endObject()
        var response = Response.json(json.bytes)
        if let decided { response.headers[.position] = PositionToken.text(decided.position) }
        return response
    }

    /// Throws when the caller may not see a decision. A key sees its own mutations, and other mutations of the areas
    /// that it may read.
    private func requireSight(of decided: DecidedCommand, _ caller: Caller) throws(Problem) {
        guard decided.actor.keyID != caller.keyID else { return }
        try caller.require(.read(decided.action?.area ?? .admin))
    }
}
