import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Ledger
import Metering
import Runtime

/// Spend caps: limits on an end user's spending in a window of time, whatever the balance.
struct SpendCapRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/spend-caps", .write(.entitlements),
            Operation(
                "createSpendCap", "Caps the spending of an end user in a window.", body: Self.newCap,
                answers: .created(.spendCap), problems: [.unknownEndUser, .unknownFeature]), use: create)
        routes.get(
            "/v1/spend-caps", .read(.entitlements),
            Operation(
                "listSpendCaps", "Lists the spend caps of an end user, newest first.", query: Self.listQuery,
                answers: .page(of: .spendCap), problems: [.unknownEndUser]), use: list)
        routes.get(
            "/v1/spend-caps/{id}", .read(.entitlements),
            Operation("getSpendCap", "Shows a spend cap.", answers: .ok(.spendCap)), use: show)
        routes.delete(
            "/v1/spend-caps/{id}", .write(.entitlements),
            Operation("deleteSpendCap", "Deletes a spend cap.", answers: .deleted, problems: [.unknownEndUser]),
            use: delete)
    }

    @Sendable private static func newCap(_ reader: inout JSONReader) -> (endUserID: EndUserID, request: NewSpendCap)? {
        reader.ofEndUser { $0.spendCap() }
    }

    @Sendable private static func listQuery(_ query: inout RequestQuery) throws(Problem) -> (EndUserID, PageRequest) {
        (try query.endUserID(), try query.page())
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let (endUserID, cap) = try read(try await request.json(), Self.newCap)
        return try await services.mutations.account(
            .createSpendCap(cap), of: endUserID, key: headers.idempotencyKey, headers)
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let body = try await request.json()
        _ = try read(body) { _ in true }
        let (account, number) = try cap(context)
        let owner = try await services.owner(of: account, caller, unknown: .unknownSpendCap)
        return try await services.mutations.account(
            .deleteSpendCap(number), of: owner, key: headers.idempotencyKey, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let (accountID, number) = try cap(context)
        let owner = try await services.owner(of: accountID, caller, unknown: .unknownSpendCap)
        let (name, caps) = try caps(of: owner, caller)
        guard let found = caps.first(where: { $0.cap.number == number }) else { throw Problem.unknownSpendCap }
        var json = JSONWriter()
        json.spendCap(found.cap, state: found.state, of: name)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let (endUserID, page) = try request.query(Self.listQuery)
        let before = try page.cursorNumber { Int32(exactly: $0) }
        let (name, caps) = try caps(of: endUserID, caller)
        let older = caps.reversed().filter { $0.cap.number < before ?? .max }
        return .json(
            page.json(Array(older.prefix(page.limit + 1)), cursor: { [.integer(Int64($0.cap.number))] }) {
                $0.spendCap($1.cap, state: $1.state, of: name)
            })
    }

    /// The account's caps with their current states, oldest first. They come from memory, like checks.
    private func caps(
        of endUserID: EndUserID, _ caller: Caller
    ) throws(Problem) -> (name: AccountName, caps: [(cap: SpendCap, state: LimitState)]) {
        let (account, catalogue, now) = try services.admission.limitedAccount(endUserID, of: caller)
        let caps = account.limits(catalogue).compactMap { applied -> (cap: SpendCap, state: LimitState)? in
            guard case .cap(let cap) = applied.face else { return nil }
            return (cap, account.state(of: applied, value: nil, catalogue, now: now))
        }
        return (account.name, caps)
    }

    /// The account and the number of the cap, from the id in the path.
    private func cap(_ context: APIContext) throws(Problem) -> (AccountID, Int32) {
        try context.accountAndNumber(.spendCap, unknown: .unknownSpendCap)
    }
}
