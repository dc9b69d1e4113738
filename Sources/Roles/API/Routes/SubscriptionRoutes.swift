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
        routes.post(
            "/v1/subscriptions", .write(.subscriptions),
            Operation(
                "createSubscription", "Subscribes an end user to a variant of a plan.", body: Self.newSubscription,
                answers: .created(.subscription), problems: [.notFound, .unknownEndUser, .alreadySubscribed]),
            use: create)
        routes.get(
            "/v1/subscriptions", .read(.subscriptions),
            Operation(
                "listSubscriptions", "Lists the subscriptions of an end user, newest first.", query: Self.listQuery,
                answers: .page(of: .subscription), problems: [.unknownEndUser]), use: list)
        routes.get(
            "/v1/subscriptions/{id}", .read(.subscriptions),
            Operation("getSubscription", "Shows a subscription.", answers: .ok(.subscription)), use: show)
        routes.get(
            "/v1/subscriptions/{id}/preview", .read(.subscriptions),
            Operation(
                "previewSubscriptionChange", "Shows what a change would do. Nothing is written.",
                query: Self.previewQuery, answers: .ok(.forecast),
                problems: [.invalidTransition, .insufficientCredits, .conflict]), use: preview)
        routes.get(
            "/v1/subscriptions/{id}/upcoming", .read(.subscriptions),
            Operation(
                "forecastSubscription", "Forecasts the next events if nobody changes anything.",
                answers: .ok(.forecast)), use: upcoming)
        addActions(to: &routes)
    }

    private func addActions(to routes: inout RouteTable) {
        typealias Read = @Sendable (inout JSONReader) -> SubscriptionAction?
        let actions: [(name: String, summary: String, read: Read)] = [
            ("renew", "Reports the payment for the next period.", { _ in .renew }),
            (
                "upgrade", "Changes the variant, at once unless the request says otherwise.",
                { $0.variantChange(by: .now) }
            ),
            (
                "downgrade", "Changes the variant, at the period's end unless the request says otherwise.",
                { $0.variantChange(by: .periodEnd) }
            ),
            ("quantity", "Changes the quantity.", { $0.quantityChange() }),
            ("pause", "Pauses a subscription and freezes its credits.", { $0.pause() }),
            ("resume", "Ends a pause.", { _ in .resume }),
            ("cancel", "Cancels a subscription.", { $0.cancellation() }),
            ("uncancel", "Withdraws a cancellation at the period's end.", { _ in .uncancel }),
        ]
        let problems: [ProblemCode] = [.unknownEndUser, .invalidTransition, .alreadySubscribed, .insufficientCredits]
        for action in actions {
            routes.post(
                "/v1/subscriptions/{id}/\(action.name)", .write(.subscriptions),
                Operation(
                    "\(action.name)Subscription", action.summary, body: action.read, answers: .ok(.subscription),
                    problems: problems), use: act(action.read))
        }
        routes.delete(
            "/v1/subscriptions/{id}/pending-change", .write(.subscriptions),
            Operation(
                "withdrawPendingChange", "Withdraws a change that would take effect at the period's end.",
                answers: .ok(.subscription), problems: problems), use: act { _ in .withdrawChange })
    }

    @Sendable private static func newSubscription(
        _ reader: inout JSONReader
    ) -> (endUserID: EndUserID, request: NewSubscription)? {
        reader.ofEndUser { $0.newSubscription() }
    }

    @Sendable private static func listQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (EndUserID, SubscriptionStatus?, PageRequest) {
        (try query.endUserID(), try query.optional("status", oneOf: SubscriptionStatus.self), try query.page())
    }

    @Sendable private static func previewQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (
        variant: VariantName?, quantity: Int64?, timing: SubscriptionChange.Timing?,
        proration: SubscriptionChange.Proration?
    ) {
        (
            try query.optional("to", expected: VariantKey.nameExpectation) { VariantName($0) },
            try query.optional("quantity", in: Subscription.quantities),
            try query.optional("effective", oneOf: SubscriptionChange.Timing.self),
            try query.optional("proration", oneOf: SubscriptionChange.Proration.self)
        )
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let (endUserID, subscription) = try read(try await request.json(), Self.newSubscription)
        return try await services.mutations.account(
            .subscribe(subscription), of: endUserID, key: headers.idempotencyKey, headers)
    }

    /// Makes the handler of an action on the subscription in the path.
    private func act(_ action: @escaping @Sendable (inout JSONReader) -> SubscriptionAction?) -> RouteTable.Handler {
        { request, context, caller in
            let headers = try MutationHeaders(request, context, caller)
            let body = try await request.json()
            let action = try read(body, action)
            let (account, number) = try subscription(context)
            let owner = try await services.owner(of: account, caller, unknown: .unknownSubscription)
            return try await services.mutations.account(
                .subscription(number, action), of: owner, key: headers.idempotencyKey, headers)
        }
    }

    /// The account and the number of the subscription, from the id in the path.
    private func subscription(_ context: APIContext) throws(Problem) -> (AccountID, Int32) {
        try context.accountAndNumber(.subscription, unknown: .unknownSubscription)
    }

    // MARK: - Forecasts

    /// Previews a change. Nothing is written.
    @Sendable private func preview(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let (variant, quantity, timing, proration) = try request.query(Self.previewQuery)
        guard variant != nil || quantity != nil else {
            throw Problem(
                .invalidRequest, "Name the variant in `to`, the `quantity`, or both.",
                errors: [Problem.FieldError(pointer: "/query/to", detail: "is missing")])
        }
        let change = SubscriptionChange(
            variant: variant, quantity: quantity.map { Int32($0) }, timing: timing ?? (variant == nil ? nil : .now),
            proration: proration ?? .credits)
        let (account, number, latest, catalogue, now) = try await live(context, caller)
        let (outcome, forecast) = await withTaskExecutorPreference(LongWork.threads) {
            account.preview(.change(change), of: number, latest: latest, catalogue, at: now)
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
        let (account, number, latest, catalogue, now) = try await live(context, caller)
        let forecast = await withTaskExecutorPreference(LongWork.threads) {
            account.upcoming(events: 12, of: number, latest: latest, catalogue, at: now)
        }
        var json = JSONWriter()
        json.forecast(forecast, of: account.name)
        return .json(json.bytes)
    }

    /// The account of a live subscription from memory, its current instant, and the number of its latest subscription, which
    /// may have ended.
    private func live(
        _ context: APIContext, _ caller: Caller
    ) async throws -> (account: Account, number: Int32, latest: Int32, catalogue: Catalogue, now: Instant) {
        let (id, number) = try subscription(context)
        guard let owner = services.replica.endUserID(of: id, in: caller.environmentID) else {
            throw Problem.unknownSubscription
        }
        let newest = try await services.reads.read(of: caller.environmentID) { connection in
            try await SubscriptionStore.list(
                environmentID: caller.environmentID, accountID: id, status: nil, before: nil, limit: 1, on: connection)
        }
        let known = try services.admission.catalogue(of: caller)
        let stored = try services.admission.account(owner, of: caller) { $0.billedCounterIDs(known) }
        // The account may be newer than the catalogue that was read before it.
        let catalogue = try services.admission.catalogue(of: caller)
        let now = stored.currentInstant(clock: Instant.now, catalogue: catalogue)
        let latest = max(newest.first?.number ?? 0, number)
        guard try Admission.advanced(stored, to: now, in: catalogue).subscriptions[at: number] != nil else {
            throw Problem(.notFound, "No live subscription has that id in this environment. Check the id.")
        }
        return (stored, number, latest, catalogue, now)
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
        let (endUserID, status, page) = try request.query(Self.listQuery)
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
