import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage

/// Test clocks, which stand still until a request moves them. They set the time of end users in a test environment.
struct TestClockRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/test-clocks", .write(.admin),
            Operation(
                "createTestClock", "Creates a clock that stands still until a request moves it.",
                body: { $0.instant("now") }, answers: .created(.testClock), problems: [.testModeOnly]), use: create)
        routes.get(
            "/v1/test-clocks/{id}", .read(.admin),
            Operation("getTestClock", "Shows a test clock.", answers: .ok(.testClock), problems: [.testModeOnly]),
            use: show)
        routes.post(
            "/v1/test-clocks/{id}/advance", .write(.admin),
            Operation(
                "advanceTestClock", "Moves a test clock and every end user on it forward.", body: { $0.instant("to") },
                answers: .ok(.testClock), problems: [.testModeOnly]), use: advance)
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        try requireTestMode(caller)
        let headers = try MutationHeaders(request, context, caller)
        let now = try read(try await request.json()) { $0.instant("now") }
        return try await services.changeCatalogue(.createTestClock(now: now), caller, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try requireTestMode(caller)
        try RequestQuery(request).finish()
        let id = try clockID(context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await TestClockStore.find(id, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownTestClock }
        var json = JSONWriter()
        json.testClock(found)
        return .json(json.bytes)
    }

    @Sendable private func advance(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        try requireTestMode(caller)
        let headers = try MutationHeaders(request, context, caller)
        let id = try clockID(context)
        let instant = try read(try await request.json()) { $0.instant("to") }
        let patience = headers.preferences.patience(usual: services.mutations.wait)
        // The request waits for the clock in any case, because the accounts advance to the clock's instant. A
        // repetition finds the clock moved and advances the remaining accounts.
        var commandID = Bits128(high: 0, low: 0)
        let moved = try await services.mutations.catalogue(
            {
                commandID = $0
                return .advanceTestClock(id: id, to: instant)
            }, headers.waiting)
        guard moved.status == .ok else { return moved }
        let followers = ClockFollowers(services: services, caller: caller, headers: headers)
        guard try await followers.advance(on: id, until: patience) else {
            return Mutations.pending(PublicID(.operation, commandID), headers.preferences)
        }
        return moved
    }

    private func requireTestMode(_ caller: Caller) throws(Problem) {
        guard caller.kind == .test else { throw .testClockInLiveMode }
    }

    private func clockID(_ context: APIContext) throws(Problem) -> Bits128 {
        guard let id = PublicID(.testClock, parsing: try context.pathParameter("id")) else { throw .unknownTestClock }
        return id.bits
    }
}
