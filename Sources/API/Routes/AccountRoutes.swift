import Credits
import Hummingbird
import JSON
import Ledger
import Messaging
import Replica
import Representations
import Storage

/// End users, their credits and their ledger.
struct AccountRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.post("/v1/end-users", .write(.credits), use: createEndUser)
        routes.get("/v1/end-users", .read(.credits), use: listEndUsers)
        routes.get("/v1/end-users/{id}", .read(.credits), use: showEndUser)
        routes.patch("/v1/end-users/{id}", .write(.credits), use: updateEndUser)
        routes.post("/v1/credits/grant", .write(.credits), use: grant)
        routes.get("/v1/credits/balance", .read(.credits), use: balance)
        routes.get("/v1/credits/blocks", .read(.credits), use: blocks)
        routes.get("/v1/ledger", .read(.credits), use: ledger)
    }

    // MARK: - End users

    @Sendable private func createEndUser(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let (endUserID, change) = try read(body) { reader -> (EndUserID, EndUserChange)? in
            let endUserID = reader.endUserID()
            let change = reader.endUserChange()
            return endUserID.map { ($0, change) }
        }
        return try await mutate(.createEndUser(change), of: endUserID, caller, request, body, headers)
    }

    @Sendable private func updateEndUser(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let endUserID = try endUserID(context)
        let body = try await request.json()
        let change = try read(body) { reader -> EndUserChange? in reader.endUserChange() }
        return try await mutate(.updateEndUser(change), of: endUserID, caller, request, body, headers)
    }

    @Sendable private func showEndUser(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let key = AccountKey(environmentID: caller.environmentID, endUserID: try endUserID(context))
        let found = try await site.reads.read(of: caller.environmentID) { connection in
            try await AccountReads.endUser(key, on: connection)
        }
        guard let found else { throw Self.unknownEndUser }
        var json = JSONWriter()
        json.endUser(found.profile, id: found.endUserID)
        return .json(json.bytes)
    }

    @Sendable private func listEndUsers(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let before = try page.cursorParts { parts -> AccountID? in
            guard parts.count == 1, case .integer(let number) = parts[0] else { return nil }
            return AccountID(number)
        }
        let endUsers = try await site.reads.read(of: caller.environmentID) { connection in
            try await AccountReads.endUsers(
                environmentID: caller.environmentID, before: before, limit: page.limit + 1, on: connection)
        }
        return .json(
            page.json(endUsers, cursor: { [.integer($0.accountID.rawValue)] }) { json, endUser in
                json.endUser(endUser.profile, id: endUser.endUserID)
            })
    }

    private func endUserID(_ context: APIContext) throws(Problem) -> EndUserID {
        guard let id = EndUserID(try context.pathParameter("id")) else { throw Self.unknownEndUser }
        return id
    }

    static let unknownEndUser = Problem(
        .unknownEndUser, "No end user has that id in this environment. Create it, or check the id.")

    private func mutate(
        _ action: AccountAction, of endUserID: EndUserID, _ caller: Caller, _ request: Request, _ body: JSONValue,
        _ headers: MutationHeaders
    ) async throws -> Response {
        let identity = CommandIdentity(
            environmentID: caller.environmentID, idempotencyKey: headers.idempotencyKey
        ) { CommandIdentity.content(request, body) }
        return try await site.mutations.account(
            action, of: endUserID, identity: identity, caller: caller, headers: headers)
    }

    // MARK: - Credits

    @Sendable private func grant(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let (endUserID, grant) = try read(body) { reader -> (EndUserID, Grant)? in
            let endUserID = reader.endUserID()
            let grant = reader.grant()
            guard let endUserID, let grant else { return nil }
            return (endUserID, grant)
        }
        return try await mutate(.grant(grant), of: endUserID, caller, request, body, headers)
    }

    @Sendable private func balance(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        try query.finish()
        let now = systemNow()
        let stored = try account(caller, endUserID)
        let account = stored.advanced(to: now)
        var json = JSONWriter()
        json.beginObject()
        json.member("end_user_id", endUserID.rawValue)
        json.members(account.balances)
        json.member("overage", account.overage.rawValue)
        json.member("lifetime_granted", account.lifetimeGranted.rawValue)
        json.member("version", account.version)
        json.member("as_of", now as Instant?)
        json.member("position", PositionToken.text(.account(stored.id, revision: stored.revision)))
        json.endObject()
        return .json(json.bytes)
    }

    @Sendable private func blocks(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        let status = try query.optional("status", expected: "active, spent or expired") { BlockStatus(rawValue: $0) }
        let page = try query.page()
        try query.finish()
        let account = try await advancedInDatabase(caller, endUserID, context)
        let after = try page.cursorParts { AccountReads.BlockCursor($0) }
        let blocks = try await site.reads.read(of: caller.environmentID) { connection in
            try await AccountReads.blocks(
                environmentID: caller.environmentID, accountID: account.id, status: status, now: systemNow(),
                after: after, limit: page.limit + 1, on: connection)
        }
        let name = AccountName(id: account.id, endUserID: endUserID)
        return .json(
            page.json(blocks, cursor: { AccountReads.BlockCursor($0).parts }) { json, stored in
                json.block(stored.granted, remaining: stored.block, status: stored.status, of: name)
            })
    }

    @Sendable private func ledger(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        let page = try query.page()
        let types = EntryType.allCases.map(\.rawValue).joined(separator: ", ")
        var filter = EntryFilter(limit: page.limit + 1)
        filter.type = try query.optional("type", expected: "one of \(types)") { EntryType(rawValue: $0) }
        filter.featureKey = try query.optional("feature_key", expected: FeatureKey.expectation) { FeatureKey($0) }
        filter.from = try query.instant("from")
        filter.to = try query.instant("to")
        filter.ascending =
            try query.optional("order", expected: "asc or desc") { ["asc": true, "desc": false][$0] } ?? false
        filter.after = try page.cursorParts { parts -> Int64? in
            guard parts.count == 1, case .integer(let sequence) = parts[0] else { return nil }
            return sequence
        }
        try query.finish()
        let account = try await advancedInDatabase(caller, endUserID, context)
        let entries = try await site.reads.read(of: caller.environmentID) { [filter] connection in
            try await EntryStore.list(
                environmentID: caller.environmentID, accountID: account.id, filter, on: connection)
        }
        return .json(
            page.json(entries, cursor: { [.integer($0.entry.sequence)] }) { json, found in
                json.raw(found.entry.json(account: account.id, endUserID: endUserID))
            })
    }

    private func account(_ caller: Caller, _ endUserID: EndUserID) throws(Problem) -> Account {
        let key = AccountKey(environmentID: caller.environmentID, endUserID: endUserID)
        guard let account = site.replica.account(key) else { throw Self.unknownEndUser }
        return account
    }

    /// The account, after the database has written what time has done to it: a list of entries or blocks shows an
    /// expiry from the instant at which it was due. When the queue cannot be reached the list is given as it is.
    private func advancedInDatabase(
        _ caller: Caller, _ endUserID: EndUserID, _ context: APIContext
    ) async throws -> Account {
        let account = try account(caller, endUserID)
        guard account.hasDue(at: systemNow()) else { return account }
        _ = await site.mutations.gateway.send(
            to: site.mutations.topology.ledgerQueue(environmentID: caller.environmentID, endUserID: endUserID),
            requestID: context.requestID, traceParent: nil,
            actor: Actor(keyID: caller.keyID, address: context.clientAddress), environmentID: caller.environmentID,
            wantsBodies: false,
            commands: .account([
                AccountCommand(
                    identity: CommandIdentity(environmentID: caller.environmentID, idempotencyKey: nil) { [] },
                    endUserID: endUserID, action: .advance)
            ]), deadline: .now + .seconds(2), returnsWhenAccepted: false)
        return account
    }
}

extension JSONReader {
    /// `name` and `metadata`; null clears, absence keeps.
    fileprivate mutating func endUserChange() -> EndUserChange {
        let hasName = presence(of: "name") != .absent
        let hasMetadata = presence(of: "metadata") != .absent
        let name = optionalString("name", length: 1...200)
        let metadata = metadata()
        return EndUserChange(name: hasName ? .set(name) : .keep, metadata: hasMetadata ? .set(metadata) : .keep)
    }

    fileprivate mutating func grant() -> Grant? {
        let credits = int64("credits", .amount, in: 1...Millicredits.limit)
        let source = optionalChoice("source", of: BlockSource.self) ?? .promotional
        let priority = optionalInt64("priority", .plain, in: 0...100)
        let expiresAt = optionalInstant("expires_at")
        let expiresAfter = optionalString("expires_after", expected: "an ISO 8601 duration, such as P30D or PT5H") {
            CalendarDuration(iso8601: $0)
        }
        let featureKeys = optionalStrings("feature_keys", count: 1...100, length: 1...FeatureKey.maximumBytes)
        let reason = optionalString("reason", length: 1...500)
        let metadata = metadata()
        var expiry = Grant.Expiry.never
        if let expiresAt { expiry = .at(expiresAt) }
        if let expiresAfter { expiry = .after(expiresAfter) }
        if expiresAt != nil, expiresAfter != nil { report("expires_after", "excludes expires_at: give one of them") }
        let keys = featureKeys?.compactMap { FeatureKey($0) } ?? []
        if keys.count != featureKeys?.count ?? 0 { report("feature_keys", "must be keys of \(FeatureKey.expectation)") }
        guard let credits, let amount = try? Millicredits(credits) else { return nil }
        return Grant(
            credits: amount, source: source, priority: priority.map { Int16($0) }, expiry: expiry, featureKeys: keys,
            reason: reason, metadata: metadata)
    }
}

extension AccountReads.BlockCursor {
    init(_ stored: AccountReads.StoredBlock) {
        self.init(
            open: stored.status == .active, priority: stored.block.priority, expiresAt: stored.block.expiresAt,
            isPaid: stored.block.isPaid, number: stored.block.number)
    }

    init?(_ parts: [JSONValue]) {
        guard parts.count == 5, case .bool(let open) = parts[0], case .integer(let priority) = parts[1],
            case .bool(let isPaid) = parts[3], case .integer(let number) = parts[4]
        else { return nil }
        var expiresAt: Instant?
        if case .integer(let microseconds) = parts[2] { expiresAt = Instant(microseconds: microseconds) }
        guard let priority = Int16(exactly: priority), let number = Int32(exactly: number) else { return nil }
        self.init(open: open, priority: priority, expiresAt: expiresAt, isPaid: isPaid, number: number)
    }

    var parts: [JSONValue] {
        [
            .bool(open), .integer(Int64(priority)), expiresAt.map { .integer($0.microseconds) } ?? .null, .bool(isPaid),
            .integer(Int64(number)),
        ]
    }
}
