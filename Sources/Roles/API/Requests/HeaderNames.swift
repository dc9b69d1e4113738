import HTTPTypes

extension HTTPField.Name {
    /// The header names of the contract. Each is a literal token, so the fallback is never reached.
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
