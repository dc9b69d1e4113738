import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Ledger
import Replica
import Runtime
import Storage

/// Subscriptions of end users to plan variants.
struct SubscriptionRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post("/v1/subscriptions", .write(.subscriptions), use: create)
        routes.get("/v1/subscriptions", .read(.subscriptions), use: list)
        routes.get("/v1/subscriptions/{id}", .read(.subscriptions), use: show)
        routes.get("/v1/subscriptions/{id}/preview", .read(.subscriptions), use: preview)
        routes.get("/v1/subscriptions/{id}/upcoming", .read(.subscriptions), use: upcoming)
        let actions: [(name: String, read: @Sendable (inout JSONReader) -> SubscriptionAction?)] = [
            ("renew", { _ in .renew }), ("upgrade", { $0.variantChange(by: .now) }),
            ("downgrade", { $0.variantChange(by: .periodEnd) }), ("quantity", { $0.quantityChange() }),
            ("pause", { $0.pause() }), ("resume", { _ in .resume }), ("cancel", { $0.cancellation() }),
            ("uncancel", { _ in .uncancel }),
        ]
        for action in actions {
            routes.post("/v1/subscriptions/{id}/\(action.name)", .write(.subscriptions)) { request, context, caller in
                try await act(request, context, caller, action.read)
            }
        }
        routes.delete("/v1/subscriptions/{id}/pending-change", .write(.subscriptions)) { request, context, caller in
            try await act(request, context, caller) { _ in .withdrawChange }
        }
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let body = try await request.json()
        let (endUserID, subscription) = try read(body) { reader -> (EndUserID, NewSubscription)? in
            let endUserID = reader.endUserID()
            let subscription = reader.newSubscription()
            guard let endUserID, let subscription else { return nil }
            return (endUserID, subscription)
        }
        return try await services.mutations.account(
            .subscribe(subscription), of: endUserID, key: headers.idempotencyKey, headers)
    }

    private func act(
        _ request: Request, _ context: APIContext, _ caller: Caller,
        _ action: (inout JSONReader) -> SubscriptionAction?
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let body = try await request.json()
        let action = try read(body, action)
        let (account, number) = try subscription(context)
        let owner = try await services.owner(of: account, caller, unknown: .unknownSubscription)
        return try await services.mutations.account(
            .subscription(number, action), of: owner, key: headers.idempotencyKey, headers)
    }

    /// The account and the number of the subscription, from the id in the path.
    private func subscription(_ context: APIContext) throws(Problem) -> (AccountID, Int32) {
        try context.accountAndNumber(.subscription, unknown: .unknownSubscription)
    }

    // MARK: - Forecasts

    /// Previews a change. Nothing is written.
    @Sendable private func preview(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        var query = try RequestQuery(request)
        let variant = try query.optional("to", expected: VariantKey.nameExpectation) { VariantName($0) }
        let quantity = try query.optional("quantity", expected: "an integer from 1 to 1000000") { text in
            Int64(text).flatMap { Subscription.quantities.contains($0) ? Int32($0) : nil }
        }
        let timing = try query.optional("effective", expected: "now or period_end") {
            SubscriptionChange.Timing(rawValue: $0)
        }
        let proration = try query.optional("proration", expected: "credits or restart") {
            SubscriptionChange.Proration(rawValue: $0)
        }
        try query.finish()
        guard variant != nil || quantity != nil else {
            throw Problem(
                .invalidRequest, "Name the variant in `to`, the `quantity`, or both.",
                errors: [Problem.FieldError(pointer: "/query/to", detail: "is missing")])
        }
        let change = SubscriptionChange(
            variant: variant, quantity: quantity, timing: timing ?? (variant == nil ? nil : .now),
            proration: proration ?? .credits)
        let (account, number, catalogue, now) = try live(context, caller)
        let (outcome, forecast) = await withTaskExecutorPreference(LongWork.threads) {
            account.preview(.change(change), of: number, catalogue, at: now)
        }
        if case .refused(let refusal) = outcome { throw Problem(refusal, account: account.id) }
        var json = JSONWriter()
        json.forecast(forecast, of: account.name)
        return .json(json.bytes)
    }

    /// Forecasts the next twelve events if nobody changes anything. The list ends earlier when they are too far away.
    @Sendable private func upcoming(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        try RequestQuery(request).finish()
        let (account, number, catalogue, _) = try live(context, caller)
        let forecast = await withTaskExecutorPreference(LongWork.threads) {
            account.upcoming(events: 12, of: number, catalogue)
        }
        var json = JSONWriter()
        json.forecast(forecast, of: account.name)
        return .json(json.bytes)
    }

    /// The account of a live subscription from memory, advanced to its current instant.
    private func live(
        _ context: APIContext, _ caller: Caller
    ) throws(Problem) -> (account: Account, number: Int32, catalogue: Catalogue, now: Instant) {
        let (id, number) = try subscription(context)
        guard let owner = services.replica.endUserID(of: id, in: caller.environmentID) else {
            throw .unknownSubscription
        }
        let known = try services.admission.catalogue(of: caller)
        let stored = try services.admission.account(owner, of: caller) { $0.billedCounterIDs(known) }
        // The account may be newer than the catalogue that was read before it.
        let catalogue = try services.admission.catalogue(of: caller)
        let now = stored.currentInstant(clock: Instant.now, catalogue: catalogue)
        let account = try Admission.advanced(stored, to: now, in: catalogue)
        guard account.subscriptions[at: number] != nil else {
            throw Problem(.notFound, "No live subscription has that id in this environment. Check the id.")
        }
        return (account, number, catalogue, now)
    }

    // MARK: - Reading

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let (accountID, number) = try subscription(context)
        let owner = try await services.owner(of: accountID, caller, unknown: .unknownSubscription)
        let account = try await services.settledAccount(owner, caller, context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await SubscriptionStore.find(
                number, accountID: account.id, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownSubscription }
        var json = JSONWriter()
        json.subscription(found, of: AccountName(id: account.id, endUserID: owner))
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        let status = try query.optional("status", oneOf: SubscriptionStatus.self)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorNumber { Int32(exactly: $0) }
        let account = try await services.settledAccount(endUserID, caller, context)
        let subscriptions = try await services.reads.read(of: caller.environmentID) { connection in
            try await SubscriptionStore.list(
                environmentID: caller.environmentID, accountID: account.id, status: status, before: before,
                limit: page.limit + 1, on: connection)
        }
        let name = AccountName(id: account.id, endUserID: endUserID)
        return .json(
            page.json(subscriptions, cursor: { [.integer(Int64($0.number))] }) { json, subscription in
                json.subscription(subscription, of: name)
            })
    }
}
