import Answers
import Commands
import JSON

/// The parts that many operations of the document share: headers, refusals and keys.
enum SharedParts {
    // MARK: - Parameters

    static let parameters: [(name: String, json: JSONValue)] = [
        header(
            "IdempotencyKey", "Idempotency-Key",
            "Makes the mutation safe to repeat: a second request with the same key and contents gets the first answer.",
            .text("", "invoice-2026-01", 1...IdempotencyKey.maximumBytes)),
        header(
            "Prefer", "Prefer",
            "`respond-async` is answered 202 at once. `wait=5` waits at most 5 seconds for the effect, at most 60.",
            .text("", "wait=5")),
        header(
            "MinimumPosition", "QuotaStack-Min-Position",
            "The answer must show a state at least as new as this position, which is from an earlier answer.",
            .text("", "0", pattern: "^(0|[ac][0-7][0-9a-hjkmnp-tv-z]{25})$")),
        header(
            "RequestID", "X-Request-Id", "An id of the request, for the log and for the answer.", .text("", "req-4711")),
        header(
            "LastEventID", "Last-Event-ID", "The id of the last event of the stream that was received.",
            .text("", "")),
    ]

    private static func header(
        _ name: String, _ header: String, _ description: String, _ schema: JSONSchema
    ) -> (name: String, json: JSONValue) {
        (
            name,
            .object([
                "name": .string(header), "in": .string("header"), "required": .bool(false),
                "description": .string(description), "schema": schema.json,
            ])
        )
    }

    // MARK: - Headers of answers

    static let headers: [(key: String, value: JSONValue)] = [
        answerHeader("RequestID", "The id of the request, which the log has too.", .text("", "req-4711")),
        answerHeader(
            "Position", "The position of the effect, for QuotaStack-Min-Position.", .text("", "0")),
        answerHeader("IdempotentReplayed", "`true` when this is the first answer again.", .text("", "true")),
        answerHeader("PreferenceApplied", "The preferences that were applied.", .text("", "wait=5")),
        answerHeader("RetryAfter", "The seconds until it is worth trying again.", .text("", "1", pattern: "^[0-9]+$")),
        answerHeader("Location", "The address of the operation.", .text("", "/v1/operations/op_…")),
    ]

    private static func answerHeader(
        _ name: String, _ description: String, _ schema: JSONSchema
    ) -> (key: String, value: JSONValue) {
        (name, .object(["description": .string(description), "schema": schema.json]))
    }

    private static let headerNames = [
        "RequestID": "X-Request-Id", "Position": "QuotaStack-Position", "IdempotentReplayed": "X-Idempotent-Replayed",
        "PreferenceApplied": "Preference-Applied", "RetryAfter": "Retry-After", "Location": "Location",
    ]

    static func headerReferences(_ names: [String]) -> JSONValue {
        .object(
            JSONObject(
                members: names.map { name in
                    (headerNames[name] ?? name, .object(["$ref": .string("#/components/headers/\(name)")]))
                }))
    }

    // MARK: - Responses

    static func reference(_ response: String) -> JSONValue {
        .object(["$ref": .string("#/components/responses/\(response)")])
    }

    /// The responses that all operations share.
    static let responses: [(key: String, value: JSONValue)] = [
        (
            "Pending",
            .object([
                "description": .string("Accepted. The operation tells the outcome."),
                "headers": headerReferences(["RequestID", "Location", "PreferenceApplied"]),
                "content": .object(["application/json": .object(["schema": JSONSchema.operation.json])]),
            ])
        ),
        ("Refusal", problem("A refusal of HTTP itself, such as a request that is too long.", [], ["RequestID"])),
    ]

    /// The response of refusals with one status.
    static func response(_ status: UInt16, _ codes: [ProblemCode]) -> JSONValue {
        let sentences = codes.map { "`\($0.rawValue)`: \($0.title)." }
        let hasRetry = [402, 429, 503].contains(status)
        return problem(sentences.joined(separator: " "), codes, ["RequestID"] + (hasRetry ? ["RetryAfter"] : []))
    }

    private static func problem(_ description: String, _ codes: [ProblemCode], _ headers: [String]) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("description", .string(description)), ("headers", headerReferences(headers)),
            ("content", .object(["application/problem+json": .object(["schema": JSONSchema.problem.json])])),
        ]
        if !codes.isEmpty { members.append(("x-problem-codes", .array(codes.map { .string($0.rawValue) }))) }
        return .object(JSONObject(members: members))
    }

    // MARK: - Keys

    static let securitySchemes: [(key: String, value: JSONValue)] = [
        (
            "bearer",
            .object([
                "type": .string("http"), "scheme": .string("bearer"),
                "description": .string("A key of an environment: `Authorization: Bearer qs_test_…`."),
            ])
        ),
        (
            "header",
            .object([
                "type": .string("apiKey"), "in": .string("header"), "name": .string("X-API-Key"),
                "description": .string("The same key in a header of its own."),
            ])
        ),
        (
            "root",
            .object([
                "type": .string("http"), "scheme": .string("bearer"),
                "description": .string("The root key of the installation."),
            ])
        ),
    ]
}
