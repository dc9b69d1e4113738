import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Ledger
import Storage

/// Reservations: credits that are held for jobs under way.
struct ReservationRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post("/v1/reservations", .write(.reservations), use: create)
        routes.get("/v1/reservations", .read(.reservations), use: list)
        routes.get("/v1/reservations/{id}", .read(.reservations), use: show)
        routes.post("/v1/reservations/{id}/commit", .write(.reservations), use: commit)
        routes.post("/v1/reservations/{id}/release", .write(.reservations), use: release)
        routes.post("/v1/reservations/{id}/extend", .write(.reservations), use: extend)
        routes.post("/v1/reservations/{id}/progress", .write(.reservations), use: progress)
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let body = try await request.json()
        let (endUserID, reservation) = try read(body) { reader -> (EndUserID, ReservationRequest)? in
            let endUserID = reader.endUserID()
            let reservation = reader.reservationRequest()
            guard let endUserID, let reservation else { return nil }
            return (endUserID, reservation)
        }
        return try await services.mutations.account(
            .reserve(reservation), of: endUserID, key: headers.idempotencyKey, headers)
    }

    // MARK: - Actions

    @Sendable private func commit(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        try await act(request, context, caller) { $0.commit() }
    }

    @Sendable private func release(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try await act(request, context, caller) { _ in .release }
    }

    @Sendable private func extend(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        try await act(request, context, caller) { $0.extendedTime() }
    }

    @Sendable private func progress(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try await act(request, context, caller) { $0.progress() }
    }

    private func act(
        _ request: Request, _ context: APIContext, _ caller: Caller,
        _ action: (inout JSONReader) -> ReservationAction?
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let body = try await request.json()
        let action = try read(body, action)
        let (account, number) = try reservation(context)
        let owner = try await services.owner(of: account, caller, unknown: .unknownReservation)
        return try await services.mutations.account(
            .reservation(number, action), of: owner, key: headers.idempotencyKey, headers)
    }

    /// The account and the number of the reservation, from the id in the path.
    private func reservation(_ context: APIContext) throws(Problem) -> (AccountID, Int32) {
        try context.accountAndNumber(.reservation, unknown: .unknownReservation)
    }

    // MARK: - Reading

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let (accountID, number) = try reservation(context)
        let owner = try await services.owner(of: accountID, caller, unknown: .unknownReservation)
        let account = try await services.settledAccount(owner, caller, context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await ReservationStore.find(
                number, accountID: account.id, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownReservation }
        var json = JSONWriter()
        json.reservation(found, of: AccountName(id: account.id, endUserID: owner))
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        let status = try query.optional("status", oneOf: ReservationStatus.self)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorNumber { Int32(exactly: $0) }
        let account = try await services.settledAccount(endUserID, caller, context)
        let size: ReadSize = status == nil || status == .active ? .small : .large
        let reservations = try await services.reads.read(of: caller.environmentID, size) { connection in
            try await ReservationStore.list(
                environmentID: caller.environmentID, accountID: account.id, status: status, before: before,
                limit: page.limit + 1, on: connection)
        }
        let name = AccountName(id: account.id, endUserID: endUserID)
        return .json(
            page.json(reservations, cursor: { [.integer(Int64($0.number))] }) { json, reservation in
                json.reservation(reservation, of: name)
            })
    }
}
