import Credits
import JSON
import Testing

/// Expects an instant in UTC, as the API writes it.
func expectInstant(_ value: JSONValue?, sourceLocation: SourceLocation = #_sourceLocation) {
    let text = value?.text ?? ""
    #expect(
        text.hasSuffix("Z") && Instant(rfc3339: text)?.description == text, "\(text) is not an instant",
        sourceLocation: sourceLocation)
}

/// Expects the headers of a mutation that was decided.
func expectMutationHeaders(_ answer: Answer, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(answer.headers["content-type"] == "application/json", sourceLocation: sourceLocation)
    #expect(answer.position?.isEmpty == false, "QuotaStack-Position", sourceLocation: sourceLocation)
    #expect(answer.headers["x-request-id"]?.isEmpty == false, "X-Request-Id", sourceLocation: sourceLocation)
    #expect(answer.headers["x-idempotent-replayed"] == nil, sourceLocation: sourceLocation)
}

/// Expects problem details as RFC 9457 and the contract require them.
func expectProblem(_ answer: Answer, _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation) {
    let code = answer.code ?? ""
    var wrong: [String] = []
    if answer.headers["content-type"] != "application/problem+json" { wrong.append("Content-Type") }
    if answer["type"] != .string("/docs/errors/\(code)") { wrong.append("type") }
    if answer["status"]?.integer != Int64(answer.status) { wrong.append("status") }
    if answer["title"]?.text?.isEmpty != false { wrong.append("title") }
    if answer["detail"]?.text?.isEmpty != false { wrong.append("detail") }
    if answer["request_id"]?.text?.isEmpty != false { wrong.append("request_id") }
    if answer["errors"]?.items == nil { wrong.append("errors") }
    if answer.headers["x-request-id"] == nil { wrong.append("X-Request-Id") }
    #expect(wrong.isEmpty, "\(comment): \(wrong) of \(answer.testDescription)", sourceLocation: sourceLocation)
}
