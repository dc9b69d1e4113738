import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Ledger
import Storage

/// End users and their settings.
struct EndUserRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/end-users", .write(.credits),
            Operation(
                "createEndUser", "Creates an end user, or changes one that is there.", body: Self.newEndUser,
                answers: .set(.endUser), problems: [.notFound, .unknownEndUser, .unknownFeature, .testModeOnly]),
            use: create)
        routes.get(
            "/v1/end-users", .read(.credits),
            Operation(
                "listEndUsers", "Lists the end users, newest first.", query: Self.page, answers: .page(of: .endUser)),
            use: list)
        routes.get(
            "/v1/end-users/{id}", .read(.credits),
            Operation("getEndUser", "Shows an end user.", answers: .ok(.endUser), problems: [.unknownEndUser]),
            use: show)
        routes.patch(
            "/v1/end-users/{id}", .write(.credits),
            Operation(
                "updateEndUser", "Changes an end user. Null clears a field, an absent one keeps its value.",
                body: Self.change, answers: .ok(.endUser),
                problems: [.unknownEndUser, .unknownFeature, .testModeOnly]), use: update)
        routes.post(
            "/v1/end-users/{id}/erase", .write(.credits),
            Operation(
                "eraseEndUser", "Erases an end user: all text that can name a person.", answers: .ok(.erasure),
                problems: [.unknownEndUser]), use: erase)
    }

    @Sendable private static func page(_ query: inout RequestQuery) throws(Problem) -> PageRequest { try query.page() }

    @Sendable private static func newEndUser(
        _ reader: inout JSONReader
    ) -> (endUserID: EndUserID, request: EndUserChange)? {
        reader.ofEndUser { $0.endUserChange() }
    }

    @Sendable private static func change(_ reader: inout JSONReader) -> EndUserChange? { reader.endUserChange() }

    /// Erases an end user. When the answer comes, the id leads to nothing any more. The answer waits until the clear text
    /// of the past is removed too, at most as long as the request waits for its effect.
    @Sendable private func erase(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let patience = headers.preferences.patience(usual: services.mutations.wait)
        let endUserID = try context.endUserID()
        try read(try await request.json()) { _ -> Void? in () }
        let response = try await services.mutations.account(
            .eraseEndUser, of: endUserID, key: headers.idempotencyKey, headers)
        guard response.status == .ok, case .decided(by: let deadline) = patience else { return response }
        var pause = Duration.milliseconds(20)
        // The erasure is decided, so a read that fails only ends the waiting.
        while ContinuousClock.now + pause < deadline, (try? await isBeingErased(endUserID, caller)) == true {
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(500))
        }
        return response
    }

    /// Whether an erasure of an end user with this id still has text to remove.
    private func isBeingErased(_ endUserID: EndUserID, _ caller: Caller) async throws -> Bool {
        try await services.reads.lookUp(of: caller.environmentID) { connection in
            try await ErasureStore.isRunning(
                AccountKey(environmentID: caller.environmentID, endUserID: endUserID), on: connection)
        }
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let (endUserID, change) = try read(try await request.json(), Self.newEndUser)
        try requireTestMode(change, caller)
        return try await services.mutations.account(
            .createEndUser(change), of: endUserID, key: headers.idempotencyKey, headers)
    }

    @Sendable private func update(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let endUserID = try context.endUserID()
        let change = try read(try await request.json(), Self.change)
        try requireTestMode(change, caller)
        return try await services.mutations.account(
            .updateEndUser(change), of: endUserID, key: headers.idempotencyKey, headers)
    }

    private func requireTestMode(_ change: EndUserChange, _ caller: Caller) throws(Problem) {
        if change.testClock != nil, caller.kind != .test { throw .testClockInLiveMode }
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let key = AccountKey(environmentID: caller.environmentID, endUserID: try context.endUserID())
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await AccountReads.endUser(key, on: connection)
        }
        guard let found else { throw Problem.unknownEndUser }
        var json = JSONWriter()
        json.endUser(found.profile, found.settings, id: found.endUserID)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let page = try request.query(Self.page)
        let before = try page.cursorNumber { AccountID($0) }
        let endUsers = try await services.reads.read(of: caller.environmentID) { connection in
            try await AccountReads.endUsers(
                environmentID: caller.environmentID, before: before, limit: page.limit + 1, on: connection)
        }
        return .json(
            page.json(endUsers, cursor: { [.integer($0.accountID.rawValue)] }) { json, endUser in
                json.endUser(endUser.profile, endUser.settings, id: endUser.endUserID)
            })
    }
}
