import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Ledger
import Runtime

/// Automatic top-ups: an end user's rule, and the failures of its requests. `POST /v1/topups` answers a request.
struct AutoTopUpRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        let path = "/v1/end-users/{id}/auto-topup"
        routes.get(
            path, .read(.credits),
            Operation(
                "getAutoTopUp", "Shows the rule for automatic top-ups.", answers: .ok(.autoTopUp),
                problems: [.unknownEndUser]), use: show)
        routes.put(
            path, .write(.credits),
            Operation(
                "setAutoTopUp", "Sets the rule for automatic top-ups.", body: Self.rule, answers: .set(.autoTopUp),
                problems: [.unknownEndUser]), use: set)
        routes.delete(
            path, .write(.credits),
            Operation(
                "deleteAutoTopUp", "Deletes the rule for automatic top-ups.", answers: .deleted,
                problems: [.unknownEndUser]), use: delete)
        routes.post(
            "/v1/auto-topups/{id}/failed", .write(.credits),
            Operation(
                "failTopUpRequest", "Tells that the payment for a requested top-up has failed.", body: Self.failure,
                answers: .ok(.failedTopUpRequest), problems: [.unknownEndUser]), use: fail)
    }

    @Sendable private static func rule(_ reader: inout JSONReader) -> AutoTopUpRule? { reader.autoTopUpRule() }

    @Sendable private static func failure(_ reader: inout JSONReader) -> String?? { .some(reader.reason()) }

    @Sendable private func set(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let endUserID = try context.endUserID()
        let rule = try read(try await request.json(), Self.rule)
        return try await services.mutations.account(
            .setAutoTopUp(rule), of: endUserID, key: headers.idempotencyKey, headers)
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let endUserID = try context.endUserID()
        _ = try read(try await request.json()) { _ in true }
        return try await services.mutations.account(
            .deleteAutoTopUp, of: endUserID, key: headers.idempotencyKey, headers)
    }

    @Sendable private func fail(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let reason = try read(try await request.json(), Self.failure)
        let (accountID, number) = try context.accountAndNumber(.topUpRequest, unknown: .unknownTopUpRequest)
        let owner = try await services.owner(of: accountID, caller, unknown: .unknownTopUpRequest)
        return try await services.mutations.account(
            .failTopUpRequest(number, reason: reason), of: owner, key: headers.idempotencyKey, headers)
    }

    /// The rule comes from memory, like checks. A request that became due since the last command is shown.
    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let stored = try services.admission.account(try context.endUserID(), of: caller)
        let catalogue = try services.admission.catalogue(of: caller)
        let now = stored.currentInstant(clock: Instant.now, catalogue: catalogue)
        let account = try Admission.advanced(stored, to: now, in: catalogue)
        guard let autoTopUp = account.autoTopUp, autoTopUp.rule != nil else { throw Problem.unknownAutoTopUp }
        var json = JSONWriter()
        json.autoTopUp(autoTopUp, of: account.name)
        return .json(json.bytes)
    }
}
