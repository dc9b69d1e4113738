import Credits
import Hummingbird
import JSON
import Ledger
import Messaging
import Metering
import Answers
import Storage

/// Metered events, one or many at a time.
struct UsageRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.post("/v1/usage", .write(.usage), use: record)
        routes.get("/v1/usage", .read(.usage), use: totals)
        routes.post("/v1/usage/batch", .write(.usage), use: recordBatch)
    }

    @Sendable private func record(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context)
        let sent = try read(try await request.json()) { SentEvent(&$0) }
        if let header = headers.idempotencyKey, let body = sent.idempotencyKey, header != body {
            throw Problem(
                .invalidRequest, "The Idempotency-Key header and idempotency_key in the body differ. Send one of them.",
                errors: [Problem.FieldError(pointer: "/idempotency_key", detail: "differs from the header")])
        }
        return try await site.mutations.account(
            .use(sent.event), of: sent.endUserID,
            identity: sent.identity(caller, idempotencyKey: headers.idempotencyKey ?? sent.idempotencyKey),
            caller: caller, headers: headers)
    }

    @Sendable private func recordBatch(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        var batch = UsageBatch(site: site, caller: caller, headers: headers)
        try await batch.read(request)
        return try await batch.run()
    }

    /// What an end user has used and what it cost, in all or by local day or feature.
    @Sendable private func totals(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        let feature = try query.optional("feature_key", expected: FeatureKey.expectation) { FeatureKey($0) }
        let from = try query.instant("from")
        let to = try query.instant("to")
        let grouping = try query.optional("group_by", expected: "day or feature") { UsageGrouping(rawValue: $0) }
        try query.finish()
        let account = try site.gate.account(endUserID, of: caller)
        let totals = try await site.reads.read(of: caller.environmentID) { connection in
            try await LedgerReads.usageTotals(
                environmentID: caller.environmentID, accountID: account.id, featureKey: feature, from: from, to: to,
                groupBy: grouping, on: connection)
        }
        var json = JSONWriter()
        json.beginObject()
        json.array("data", totals) { $0.usageTotal($1) }
        json.endObject()
        return .json(json.bytes)
    }
}

/// An event as a client sent it.
struct SentEvent {
    let endUserID: EndUserID
    let event: UsageEvent
    let idempotencyKey: String?

    /// Reads an event; what is wrong with it is reported to the reader.
    init?(_ reader: inout JSONReader) {
        let endUserID = reader.endUserID()
        let featureKey = reader.featureKey()
        let measure = reader.measure()
        let attributes = reader.attributes()
        let occurredAt = reader.optionalInstant("occurred_at")
        let idempotencyKey = reader.optionalString("idempotency_key", length: 1...IdempotencyKey.maximumBytes)
        let metadata = reader.metadata()
        guard let endUserID, let featureKey, let measure, let attributes else { return nil }
        self.endUserID = endUserID
        self.idempotencyKey = idempotencyKey
        event = UsageEvent(
            featureKey: featureKey, measure: measure, attributes: attributes, occurredAt: occurredAt,
            metadata: metadata)
    }

    /// The event's identity. Its fingerprint is that of the event itself: the same key sent alone, in a batch, by header
    /// or in the body is the same request.
    func identity(_ caller: Caller, idempotencyKey: String?) -> CommandIdentity {
        CommandIdentity(environmentID: caller.environmentID, idempotencyKey: idempotencyKey) {
            var json = JSONWriter()
            json.beginArray()
            json.value("usage")
            json.value(endUserID.rawValue)
            json.value(event.featureKey.rawValue)
            if case .units(let units) = event.measure { json.value(units) } else { json.null() }
            if let occurredAt = event.occurredAt { json.value(occurredAt.microseconds) } else { json.null() }
            json.value(event.metadata?.canonicalJSON ?? "")
            if case .quantities(let quantities) = event.measure {
                json.beginObject()
                for (dimension, quantity) in quantities.sorted(by: { $0.key < $1.key }) {
                    json.key(dimension)
                    json.value(quantity)
                }
                json.endObject()
            }
            if !event.attributes.values.isEmpty { json.value(event.attributes.canonicalJSON) }
            json.endArray()
            return json.bytes
        }
    }
}
