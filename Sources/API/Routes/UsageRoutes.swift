import Credits
import Hummingbird
import JSON
import Ledger
import Messaging
import Representations

/// Metered events, one or many at a time.
struct UsageRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.post("/v1/usage", .write(.usage), use: record)
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
        let units = reader.int64("units", default: 1, .plain, in: 0...Int64.max)
        let occurredAt = reader.optionalInstant("occurred_at")
        let idempotencyKey = reader.optionalString("idempotency_key", length: 1...IdempotencyKey.maximumBytes)
        let metadata = reader.metadata()
        guard let endUserID, let featureKey, let units else { return nil }
        self.endUserID = endUserID
        self.idempotencyKey = idempotencyKey
        event = UsageEvent(featureKey: featureKey, units: units, occurredAt: occurredAt, metadata: metadata)
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
            json.value(event.units)
            if let occurredAt = event.occurredAt { json.value(occurredAt.microseconds) } else { json.null() }
            json.value(event.metadata?.canonicalJSON ?? "")
            json.endArray()
            return json.bytes
        }
    }
}
