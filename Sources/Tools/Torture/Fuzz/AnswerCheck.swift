import JSON

/// The rules that every answer keeps, whatever the request was.
struct AnswerCheck: Sendable {
    /// A broken rule.
    struct Fault {
        /// The rule in a few words. Faults are counted by it.
        let kind: String
        let detail: String
    }

    /// Texts of the bystander, which no answer to the fuzzing tenant may contain.
    let secrets: [String]

    /// The nesting of an answer. It may contain metadata of the largest nesting inside of its own levels.
    private static let depth = 128

    /// The faults of a final answer.
    ///
    /// - Parameter reader: The reader that has found the answer.
    func faults(of answer: RawAnswer, _ reader: AnswerReader) -> [Fault] {
        var faults: [Fault] = []
        let ids = answer.values("x-request-id")
        if ids.count != 1 || !ids.allSatisfy(Self.isRequestID) {
            faults.append(Fault(kind: "no request id", detail: "X-Request-Id is \(ids)"))
        }
        if answer.values("date").count != 1 {
            faults.append(Fault(kind: "no date", detail: "Date is \(answer.values("date"))"))
        }
        switch answer.status {
        case 200, 201, 202: faults += Self.faultsOfSuccess(answer)
        case 204: break
        // The root leads to the documentation.
        case 302 where answer.values("location") == ["/docs"]: break
        case 400...499: faults += Self.faultsOfProblem(answer)
        case 500...599: faults += Self.faultsOfFailure(answer, reader)
        default: faults.append(Fault(kind: "status \(answer.status)", detail: "no endpoint has this status"))
        }
        return faults
    }

    /// The fault of bytes that contain something of the bystander.
    func leak(in received: [UInt8]) -> Fault? {
        guard let secret = secrets.first(where: { received.contains(sequence: utf8($0)) }) else { return nil }
        return Fault(kind: "leak", detail: "the answer contains \(secret.prefix(12))… of another tenant")
    }

    /// The server keeps a client's own id of 1 to 64 visible ASCII characters and makes one in place of any other.
    private static func isRequestID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (33...126).contains($0) }
    }

    private static func faultsOfSuccess(_ answer: RawAnswer) -> [Fault] {
        // A notification of the Model Context Protocol is answered without a body.
        guard let body = answer.body, answer.status != 202 || !body.isEmpty else { return [] }
        let isWhole: Bool
        switch answer.values("content-type") {
        case ["application/json"]: isWhole = isJSON(body)
        case ["application/x-ndjson"]: isWhole = body.split(separator: UInt8(ascii: "\n")).allSatisfy(isJSON)
        case ["text/plain; version=0.0.4"]: isWhole = true
        default: isWhole = false
        }
        guard !isWhole else { return [] }
        return [Fault(kind: "body of a success", detail: "it is not of the type \(answer.values("content-type"))")]
    }

    private static func faultsOfProblem(_ answer: RawAnswer) -> [Fault] {
        guard let body = answer.body else { return [] }
        let type = answer.values("content-type")
        if type == ["application/json"], isRPCError(body) { return [] }
        guard type == ["application/problem+json"] else {
            return [Fault(kind: "type of a problem", detail: "it is \(type)")]
        }
        guard let problem = parsed(body) else {
            return [Fault(kind: "body of a problem", detail: "it is not JSON")]
        }
        let texts = ["type", "title", "code", "detail"].map { problem[$0]?.text ?? "" }
        guard problem["status"]?.integer == Int64(answer.status), texts.allSatisfy({ !$0.isEmpty }) else {
            return [Fault(kind: "body of a problem", detail: "it lacks a member, or has another status")]
        }
        return []
    }

    /// A transfer coding that the server does not know is the client's fault, and HTTP gives it the status 501.
    private static func faultsOfFailure(_ answer: RawAnswer, _ reader: AnswerReader) -> [Fault] {
        let code = answer.body.flatMap(parsed)?["code"]?.text
        if answer.status == 501, code == "not_implemented" || answer.body == nil, reader.mentions("transfer-encoding") {
            return faultsOfProblem(answer)
        }
        return [
            Fault(kind: "status \(answer.status) \(code ?? "without a code")", detail: "the server says that it failed")
        ]
    }

    /// Whether a body is an error of JSON-RPC, in which `/mcp` refuses messages.
    private static func isRPCError(_ body: some Collection<UInt8>) -> Bool {
        guard let message = parsed(body), message["jsonrpc"]?.text == "2.0", let error = message["error"] else {
            return false
        }
        return error["code"]?.integer != nil && error["message"]?.text?.isEmpty == false && message["id"] != nil
    }

    private static func isJSON(_ text: some Collection<UInt8>) -> Bool { parsed(text) != nil }

    private static func parsed(_ text: some Collection<UInt8>) -> JSONValue? {
        // The parser refuses the character NUL, which an answer may quote.
        let withoutNUL = String(decoding: text, as: UTF8.self).split(separator: "\\u0000").joined(separator: "\\u0001")
        return try? JSONParser.parse(Array(withoutNUL.utf8), maximumDepth: depth)
    }
}
