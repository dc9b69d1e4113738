import HTTPTypes

extension HTTPField.Name {
    /// Makes one of the API's header names. Every name below is a valid token, so the fallback is never used.
    private static func literal(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .age }

    static let apiKey = literal("X-API-Key")
    static let requestID = literal("X-Request-Id")
    static let idempotencyKey = literal("Idempotency-Key")
    static let idempotentReplayed = literal("X-Idempotent-Replayed")
    static let position = literal("QuotaStack-Position")
    static let minimumPosition = literal("QuotaStack-Min-Position")
    static let prefer = literal("Prefer")
    static let traceParent = literal("traceparent")
}
