import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Ledger
import Messaging
import Runtime
import Storage

/// Credits: grants, top-ups, refunds, revocations, adjustments, transfers, balances and blocks.
struct CreditRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/credits/grant", .write(.credits),
            Operation(
                "grantCredits", "Grants credits to an end user.", body: Self.grant, answers: .created(.grant),
                problems: [.unknownEndUser, .unknownFeature]), use: change(Self.grant))
        routes.post(
            "/v1/credits/grant/batch", .write(.credits),
            Operation(
                "grantCreditsInBatch", "Grants credits to many end users. Each grant succeeds or fails by itself.",
                body: { CommandBatch.Kind.grants.describe(&$0) }, answers: .ok(.batch)
            ).orLines, use: grantBatch)
        routes.post(
            "/v1/topups", .write(.credits),
            Operation(
                "topUp", "Adds credits that an end user has paid for.", body: Self.topUp, answers: .created(.grant),
                problems: [.notFound, .unknownEndUser, .unknownFeature, .paymentAlreadyApplied]), use: topUp)
        routes.post(
            "/v1/credits/refund", .write(.credits),
            Operation(
                "refundCredits", "Gives back the credits of a use or a part of them.", body: Self.refund,
                answers: .created(.refund), problems: [.notFound, .unknownEndUser, .alreadyRefunded]),
            use: change(Self.refund))
        routes.post(
            "/v1/credits/revoke", .write(.credits),
            Operation(
                "revokeCredits", "Takes back what is left of a block.", body: Self.revocation,
                answers: .ok(.revocation), problems: [.notFound, .unknownEndUser]), use: revoke)
        routes.post(
            "/v1/credits/adjust", .write(.credits),
            Operation(
                "adjustCredits", "Corrects a balance.", body: Self.adjustment, answers: .created(.adjustment),
                problems: [.unknownEndUser, .insufficientCredits]), use: change(Self.adjustment))
        routes.post(
            "/v1/credits/transfer", .write(.credits),
            Operation(
                "transferCredits", "Moves credits from one end user to another.", body: Self.transfer,
                answers: .created(.transfer), problems: [.unknownEndUser, .insufficientCredits]), use: transfer)
        routes.get(
            "/v1/credits/balance", .read(.credits),
            Operation(
                "getBalance", "Shows a balance, now or at a past instant.", query: Self.balanceQuery,
                answers: .ok(.balance), problems: [.unknownEndUser]), use: balance)
        routes.get(
            "/v1/credits/blocks", .read(.credits),
            Operation(
                "listBlocks", "Lists the blocks of an end user's credits in burn order.", query: Self.blocksQuery,
                answers: .page(of: .block), problems: [.unknownEndUser]), use: blocks)
    }

    // MARK: - Bodies

    @Sendable private static func grant(_ reader: inout JSONReader) -> (endUserID: EndUserID, request: AccountAction)? {
        reader.ofEndUser { $0.grant().map { .grant($0) } }
    }

    @Sendable private static func topUp(_ reader: inout JSONReader) -> (endUserID: EndUserID, request: TopUp)? {
        reader.ofEndUser { $0.topUp() }
    }

    @Sendable private static func refund(_ reader: inout JSONReader) -> (endUserID: EndUserID, request: AccountAction)?
    {
        reader.ofEndUser { $0.refund().map { .refund($0) } }
    }

    @Sendable private static func adjustment(
        _ reader: inout JSONReader
    ) -> (endUserID: EndUserID, request: AccountAction)? {
        reader.ofEndUser { $0.adjustment().map { .adjust($0) } }
    }

    @Sendable private static func transfer(_ reader: inout JSONReader) -> (sender: EndUserID, transfer: Transfer)? {
        let sender = reader.endUserID("from_end_user_id")
        let transfer = reader.transfer(from: sender)
        guard let sender, let transfer else { return nil }
        return (sender, transfer)
    }

    @Sendable private static func revocation(_ reader: inout JSONReader) -> (PublicID?, String?, Revocation)? {
        let blockID = reader.optionalID("block_id", .block)
        let paymentID = reader.optionalString("external_payment_id", length: 1...JSONReader.externalIDBytes)
        reader.exactlyOne(of: ["block_id", "external_payment_id"])
        return (blockID, paymentID, reader.revocation())
    }

    // MARK: - Changes

    @Sendable private func grantBatch(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var batch = CommandBatch(
            .grants, services: services, caller: caller, headers: try MutationHeaders(request, context, caller))
        try await batch.read(request)
        return try await batch.run()
    }

    @Sendable private func topUp(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        var (endUserID, topUp) = try read(try await request.json(), Self.topUp)
        topUp.fingerprint = Bits128(digestOf: topUp.content(endUserID: endUserID))
        return try await services.mutations.account(.topUp(topUp), of: endUserID, key: headers.idempotencyKey, headers)
    }

    /// Makes the handler of a mutation of the account of the end user that the body names.
    private func change(
        _ action: @escaping @Sendable (inout JSONReader) -> (endUserID: EndUserID, request: AccountAction)?
    ) -> RouteTable.Handler {
        { request, context, caller in
            let headers = try MutationHeaders(request, context, caller)
            let (endUserID, action) = try read(try await request.json(), action)
            return try await services.mutations.account(action, of: endUserID, key: headers.idempotencyKey, headers)
        }
    }

    @Sendable private func transfer(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let (sender, transfer) = try read(try await request.json(), Self.transfer)
        return try await services.mutations.account(
            .transfer(transfer), of: sender, key: headers.idempotencyKey, headers)
    }

    @Sendable private func revoke(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let (blockID, paymentID, revocation) = try read(try await request.json(), Self.revocation)
        let (account, number) = try await block(blockID, paidBy: paymentID, caller)
        let owner = try await services.owner(of: account, caller, unknown: .unknownBlock)
        var named = revocation
        named.block = number
        return try await services.mutations.account(.revoke(named), of: owner, key: headers.idempotencyKey, headers)
    }

    /// The account and the number of a block, by its id or by the payment that paid for it.
    private func block(
        _ id: PublicID?, paidBy paymentID: String?, _ caller: Caller
    ) async throws -> (AccountID, Int32) {
        if let id, let number = Int32(exactly: id.number), number > 0 { return (id.account, number) }
        guard let paymentID else { throw Problem.unknownBlock }
        let found = try await services.reads.lookUp(of: caller.environmentID) { connection in
            try await PaymentStore.block(
                of: PaymentKey(environmentID: caller.environmentID, externalID: paymentID), on: connection)
        }
        guard let found else { throw Problem.unknownBlock }
        return (found.accountID, found.block)
    }

    // MARK: - Reading

    @Sendable private static func balanceQuery(_ query: inout RequestQuery) throws(Problem) -> (EndUserID, Instant?) {
        (try query.endUserID(), try query.instant("at"))
    }

    @Sendable private static func blocksQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (EndUserID, BlockStatus?, PageRequest) {
        (try query.endUserID(), try query.optional("status", oneOf: BlockStatus.self), try query.page())
    }

    @Sendable private func balance(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let (endUserID, instant) = try request.query(Self.balanceQuery)
        if let instant { return try await balance(of: endUserID, at: instant, caller, context) }
        let stored = try services.admission.account(endUserID, of: caller)
        let catalogue = try services.admission.catalogue(of: caller)
        let now = stored.currentInstant(clock: Instant.now, catalogue: catalogue)
        let account = try Admission.advanced(stored, to: now, in: catalogue)
        return Self.balance(
            of: stored, account.balances, overage: account.overage.rawValue,
            lifetimeGranted: account.lifetimeGranted.rawValue, version: account.version, asOf: now)
    }

    /// The balance at a past instant, as a request at that instant would have shown it.
    private func balance(
        of endUserID: EndUserID, at instant: Instant, _ caller: Caller, _ context: APIContext
    ) async throws -> Response {
        let account = try await services.settledAccount(endUserID, caller, context)
        try services.admission.catalogue(of: caller).requirePast(instant, for: account)
        let standing = try await services.reads.read(of: caller.environmentID, .large) { connection in
            try await LedgerReads.balances(
                of: account.name, environmentID: caller.environmentID, at: instant, on: connection)
        }
        return Self.balance(
            of: account, standing.balances, overage: standing.overage, lifetimeGranted: standing.lifetimeGranted,
            version: standing.version, asOf: instant)
    }

    private static func balance(
        of account: Account, _ balances: Balances, overage: Int64, lifetimeGranted: Int64, version: Int64,
        asOf instant: Instant
    ) -> Response {
        var json = JSONWriter()
        json.beginObject()
        json.member("end_user_id", account.endUserID.rawValue)
        json.members(balances)
        json.member("overage", overage)
        json.member("lifetime_granted", lifetimeGranted)
        json.member("version", version)
        json.member("as_of", instant as Instant?)
        json.member("position", PositionToken.text(.account(account.id, revision: account.revision)))
        json.endObject()
        return .json(json.bytes)
    }

    @Sendable private func blocks(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let (endUserID, status, page) = try request.query(Self.blocksQuery)
        let account = try await services.settledAccount(endUserID, caller, context)
        let now = account.currentInstant(clock: Instant.now, catalogue: try services.admission.catalogue(of: caller))
        let after = try page.cursorParts { AccountReads.BlockCursor($0) }
        let size: ReadSize = [nil, .active, .scheduled].contains(status) && after?.open != false ? .small : .large
        let blocks = try await services.reads.read(of: caller.environmentID, size) { connection in
            try await AccountReads.blocks(
                environmentID: caller.environmentID, accountID: account.id, status: status, now: now,
                after: after, limit: page.limit + 1, on: connection)
        }
        let name = AccountName(id: account.id, endUserID: endUserID)
        return .json(
            page.json(blocks, cursor: { AccountReads.BlockCursor($0).parts }) { json, stored in
                json.block(stored.granted, remaining: stored.block, status: stored.status, of: name)
            })
    }
}

extension AccountReads.BlockCursor {
    init(_ stored: AccountReads.StoredBlock) {
        self.init(
            open: stored.status == .active, priority: stored.block.priority, expiresAt: stored.block.expiresAt,
            isPaid: stored.block.isPaid, since: stored.block.since, startsLater: stored.block.startsLater,
            number: stored.block.number)
    }

    init?(_ parts: [JSONValue]) {
        guard parts.count == 7, case .bool(let open) = parts[0], case .integer(let priority) = parts[1],
            case .bool(let isPaid) = parts[3], case .integer(let instant) = parts[4],
            let since = Instant(cursor: instant), case .bool(let startsLater) = parts[5],
            case .integer(let number) = parts[6]
        else { return nil }
        var expiresAt: Instant?
        if case .integer(let microseconds) = parts[2] {
            guard let instant = Instant(cursor: microseconds) else { return nil }
            expiresAt = instant
        }
        guard let priority = Int16(exactly: priority), let number = Int32(exactly: number) else { return nil }
        self.init(
            open: open, priority: priority, expiresAt: expiresAt, isPaid: isPaid, since: since,
            startsLater: startsLater, number: number)
    }

    var parts: [JSONValue] {
        [
            .bool(open), .integer(Int64(priority)), expiresAt.map { .integer($0.microseconds) } ?? .null, .bool(isPaid),
            .integer(since.microseconds), .bool(startsLater), .integer(Int64(number)),
        ]
    }
}
