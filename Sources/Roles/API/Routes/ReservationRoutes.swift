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
        routes.post(
            "/v1/reservations", .write(.reservations),
            Operation(
                "createReservation", "Holds credits for a job.", body: Self.newReservation,
                answers: .created(.newReservation), problems: ProblemCode.ofUses), use: create)
        routes.get(
            "/v1/reservations", .read(.reservations),
            Operation(
                "listReservations", "Lists the reservations of an end user, newest first.", query: Self.listQuery,
                answers: .page(of: .reservation), problems: [.unknownEndUser]), use: list)
        routes.get(
            "/v1/reservations/{id}", .read(.reservations),
            Operation("getReservation", "Shows a reservation.", answers: .ok(.reservation)), use: show)
        addActions(to: &routes)
    }

    private func addActions(to routes: inout RouteTable) {
        routes.post(
            "/v1/reservations/{id}/commit", .write(.reservations),
            Operation(
                "commitReservation", "Charges for a job and returns the rest of the hold.", body: { $0.commit() },
                answers: .ok(.reservationChange), problems: [.reservationNotActive] + ProblemCode.ofUses),
            use: act { $0.commit() })
        routes.post(
            "/v1/reservations/{id}/release", .write(.reservations),
            Operation(
                "releaseReservation", "Ends a reservation without a further charge.", answers: .ok(.reservationChange),
                problems: [.reservationNotActive, .unknownEndUser]), use: act { _ in .release })
        routes.post(
            "/v1/reservations/{id}/extend", .write(.reservations),
            Operation(
                "extendReservation", "Gives a job more time.", body: { $0.extendedTime() },
                answers: .ok(.reservationChange), problems: [.reservationNotActive, .unknownEndUser]),
            use: act { $0.extendedTime() })
        routes.post(
            "/v1/reservations/{id}/progress", .write(.reservations),
            Operation(
                "reportProgress", "Charges for the part of a job that is done.", body: { $0.progress() },
                answers: .ok(.reservationChange), problems: [.reservationNotActive] + ProblemCode.ofUses),
            use: act { $0.progress() })
    }

    @Sendable private static func newReservation(
        _ reader: inout JSONReader
    ) -> (endUserID: EndUserID, request: ReservationRequest)? {
        reader.ofEndUser { $0.reservationRequest() }
    }

    @Sendable private static func listQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (EndUserID, ReservationStatus?, PageRequest) {
        (try query.endUserID(), try query.optional("status", oneOf: ReservationStatus.self), try query.page())
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let (endUserID, reservation) = try read(try await request.json(), Self.newReservation)
        return try await services.mutations.account(
            .reserve(reservation), of: endUserID, key: headers.idempotencyKey, headers)
    }

    /// Makes the handler of an action on the reservation in the path.
    private func act(_ action: @escaping @Sendable (inout JSONReader) -> ReservationAction?) -> RouteTable.Handler {
        { request, context, caller in
            let headers = try MutationHeaders(request, context, caller)
            let body = try await request.json()
            let action = try read(body, action)
            let (account, number) = try reservation(context)
            let owner = try await services.owner(of: account, caller, unknown: .unknownReservation)
            return try await services.mutations.account(
                .reservation(number, action), of: owner, key: headers.idempotencyKey, headers)
        }
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
        let (endUserID, status, page) = try request.query(Self.listQuery)
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
