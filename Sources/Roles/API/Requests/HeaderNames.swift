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
    static let lastEventID = literal("Last-Event-ID")
    static let prefer = literal("Prefer")
    static let traceParent = literal("traceparent")
    static let referrerPolicy = literal("Referrer-Policy")
    static let preferenceApplied = literal("Preference-Applied")
    static let protocolVersion = literal("MCP-Protocol-Version")
    static let mcpMethod = literal("Mcp-Method")
    static let mcpName = literal("Mcp-Name")

    /// The headers of a request that the API reads. Their bytes must be UTF-8, so that no two values become one.
    static let readAsText: [HTTPField.Name] = [
        .apiKey, .authorization, .requestID, .idempotencyKey, .minimumPosition, .lastEventID, .prefer, .traceParent,
        .contentType,
        .contentEncoding, .contentLength, .transferEncoding, .expect, .connection, literal("Host"),
    ]

    /// The headers that a request may have once. Two of them would be joined to one value that nobody has sent.
    static let sentOnce: [HTTPField.Name] = [
        .apiKey, .authorization, .idempotencyKey, .minimumPosition, .lastEventID, .contentType,
    ]
}
