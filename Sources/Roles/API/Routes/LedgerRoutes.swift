import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Ledger
import Metering
import NIOCore
import Runtime
import Storage

/// The ledger: as a list, as an export, and as an explanation of its sums.
struct LedgerRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.get(
            "/v1/ledger", .read(.credits),
            Operation(
                "listEntries", "Lists the entries of an end user's ledger.", query: Self.listQuery,
                answers: .ok(.entryPage), problems: [.unknownEndUser]), use: list)
        routes.get(
            "/v1/ledger/export", .read(.credits),
            Operation(
                "exportLedger", "Streams all entries, one per line, in a form that can be verified offline.",
                query: { (query) throws(Problem) in try query.optionalEndUserID() },
                answers: .stream("application/x-ndjson"), problems: [.unknownEndUser]), use: export)
        routes.get(
            "/v1/ledger/stream", .read(.credits),
            Operation(
                "streamLedger", "Streams new entries as server-sent events.", query: Self.streamQuery,
                answers: .stream("text/event-stream"), problems: [.unknownEndUser, .invalidCursor]), use: stream)
        routes.get(
            "/v1/ledger/explain", .read(.credits),
            Operation(
                "explainBalance", "Derives a balance and, for a feature, the answer to a check.",
                query: Self.explainQuery, answers: .ok(.explanation), problems: [.unknownEndUser, .amountOutOfRange]),
            use: explain)
    }

    // MARK: - Queries

    private enum Order: String, CaseIterable {
        case asc, desc
    }

    @Sendable private static func listQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (endUserID: EndUserID, page: PageRequest, filter: EntryFilter) {
        let endUserID = try query.endUserID()
        let page = try query.page()
        var filter = EntryFilter(limit: page.limit + 1)
        filter.type = try query.optional("type", oneOf: EntryType.self)
        filter.featureKey = try query.optionalFeatureKey()
        filter.from = try query.instant("from")
        filter.to = try query.instant("to")
        filter.ascending = try query.optional("order", oneOf: Order.self) == .asc
        filter.after = try page.cursorNumber { $0 }
        return (endUserID, page, filter)
    }

    @Sendable private static func streamQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (endUserID: EndUserID?, filter: LedgerStreamFilter) {
        var filter = LedgerStreamFilter()
        let endUserID = try query.optionalEndUserID()
        filter.type = try query.optional("type", oneOf: EntryType.self)
        filter.featureKey = try query.optionalFeatureKey()
        return (endUserID, filter)
    }

    @Sendable private static func explainQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (endUserID: EndUserID, instant: Instant?, featureKey: FeatureKey?, units: Int64) {
        (try query.endUserID(), try query.instant("at"), try query.optionalFeatureKey(), try query.units())
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let (endUserID, page, filter) = try request.query(Self.listQuery)
        let account = try await services.settledAccount(endUserID, caller, context)
        let size: ReadSize = filter.type == nil && filter.featureKey == nil ? .small : .large
        let entries = try await services.reads.read(of: caller.environmentID, size) { [filter] connection in
            try await EntryStore.list(
                environmentID: caller.environmentID, accountID: account.id, filter, on: connection)
        }
        return .json(
            page.json(entries, cursor: { [.integer($0.sequence)] }) { json, entry in
                json.raw(entry.json(account: account.id, endUserID: endUserID))
            })
    }

    // MARK: - Export

    /// Streams one entry per line, in the order of account and sequence: what the hash covers, and its proof. The next
    /// page is read when the client has taken the previous one, and no connection is kept in between: a client that
    /// reads slowly or has gone away costs one page of memory. When a read fails, the answer ends without its last
    /// chunk.
    @Sendable private func export(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        var account: AccountID?
        let endUserID = try request.query { (query) throws(Problem) in try query.optionalEndUserID() }
        if let endUserID { account = try await services.settledAccount(endUserID, caller, context).id }
        let (reads, environmentID, only) = (services.reads, caller.environmentID, account)
        guard let permit = reads.permitExport(of: environmentID) else {
            throw Problem(
                .rateLimited,
                "As many exports of this environment are under way as may be. Begin another when one has ended.")
        }
        let body = ResponseBody { writer in
            var last: (accountID: AccountID, sequence: Int64)?
            while true {
                let page = try await reads.readExport(of: environmentID) { [last] connection in
                    try await LedgerReads.export(
                        environmentID: environmentID, accountID: only, after: last, on: connection)
                }
                guard let end = page.last else { break }
                var lines = ByteBuffer()
                for line in page {
                    lines.writeBytes(line.line)
                    lines.writeInteger(UInt8(ascii: "\n"))
                }
                try await writer.write(lines)
                last = (end.owner.account, end.entry.sequence)
            }
            try await writer.finish(nil)
            withExtendedLifetime(permit) {}
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }

    // MARK: - Stream

    /// Streams new entries as server-sent events, in the order of their transactions. `Last-Event-ID` names the place from
    /// which it continues.
    @Sendable private func stream(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        var (endUserID, filter) = try request.query(Self.streamQuery)
        var start: FeedPlace?
        if let text = request.headers[.lastEventID], !text.isEmpty {
            // A place of another installation could be one that is never reached.
            guard let place = FeedPlace(text: text),
                try await services.streams.hasReached(place, in: caller.environmentID)
            else {
                throw Problem(.invalidCursor, "Last-Event-ID must be an id of an event of this stream.")
            }
            start = place
        }
        if let endUserID { filter.account = try await services.settledAccount(endUserID, caller, context).id }
        let permit = try services.streams.permit(of: caller.environmentID)
        let authenticator = services.admission.authenticator
        let watcher = LedgerWatcher(
            streams: services.streams, environmentID: caller.environmentID, filter: filter, start: start,
            isAdmitted: {
                let present = try? authenticator.caller(request, .read(.credits))
                return present?.environmentID == caller.environmentID
            })
        let body = ResponseBody { writer in
            try await watcher.run(&writer)
            withExtendedLifetime(permit) {}
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"], body: body)
    }

    // MARK: - Explanation

    /// Explains a balance and, for a feature, the answer to a check. A past instant is explained from the entries up to
    /// it.
    @Sendable private func explain(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let (endUserID, instant, featureKey, units) = try request.query(Self.explainQuery)
        let catalogue = try services.admission.catalogue(of: caller)
        let clock = Instant.now
        let account = try await services.settledAccount(endUserID, caller, context) { account in
            let requests = featureKey.map { [EntitlementRequest(feature: $0, demand: .measured(.units(units), .none))] }
            return account.counterIDs(for: requests ?? [], catalogue, clock: clock)
        }
        if let instant { try catalogue.requirePast(instant, for: account) }
        let now = account.currentInstant(clock: Instant.now, catalogue: catalogue)
        let explanation = try await explanation(of: account, at: instant, now: now, caller)
        var json = JSONWriter(capacity: 4_096)
        json.beginObject()
        json.members(explanation)
        json.arithmetic(of: explanation, feature: featureKey)
        if let featureKey {
            let then =
                instant == nil
                ? account.advanced(to: now, in: catalogue)
                : try explanation.account(environmentID: caller.environmentID, settings: account.settings)
            json.entitlement(
                ExplainedEntitlement(
                    of: featureKey, units: units, account: then, catalogue: catalogue, at: instant ?? now,
                    isPast: instant != nil), of: explanation.account)
        }
        json.endObject()
        return .json(json.bytes)
    }

    private func explanation(
        of account: Account, at instant: Instant?, now: Instant, _ caller: Caller
    ) async throws -> LedgerExplanation {
        try await services.reads.read(of: caller.environmentID, .large) { connection in
            try await LedgerReads.explanation(
                of: account.name, environmentID: caller.environmentID, at: instant, now: now, on: connection)
        }
    }
}

extension Catalogue {
    /// Throws when an instant is after the account's current instant.
    func requirePast(_ instant: Instant, for account: Account) throws(Problem) {
        let now = account.currentInstant(clock: Instant.now, catalogue: self)
        guard instant <= now else {
            throw Problem(.invalidRequest, "The query parameter at is \(instant), which is after now (\(now)).")
        }
    }
}
