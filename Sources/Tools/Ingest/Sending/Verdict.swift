import JSON

/// The next step after an answer, or after a request without an answer.
enum Verdict: Sendable, Equatable {
    case done(BatchAnswer)
    /// The result is unknown or not final; the same request has to be repeated to learn it.
    case again(reason: String, retryAfter: Duration?)
    case stop(IngestFailure)

    /// - Parameter retryAfter: The `Retry-After` header. Only its form in seconds is read; the API sends no other.
    init(status: Int, retryAfter: String?, body: some Collection<UInt8>, batch: EventBatch) {
        switch status {
        case 200:
            do throws(UnusableAnswer) {
                let answer = try BatchAnswer(body, eventCount: batch.events.count)
                if let passing = answer.rejections.first(where: \.isPassing) {
                    self = .again(
                        reason:
                            "the server answers \(passing.status ?? 0) for some events: \(passing.detail.printable)",
                        retryAfter: nil)
                } else {
                    self = .done(answer)
                }
            } catch {
                self = .stop(.unexpectedAnswer(error.sentence, lines: batch.lines))
            }
        case 202:
            // The events are accepted but not decided; the repeated request waits for their results.
            self = .again(reason: "the server has not finished the batch", retryAfter: Self.seconds(retryAfter))
        case 408, 429, 500...599:
            let problem = Problem(body)
            let detail = problem.map { ": \($0.detail.printable)" } ?? ""
            self = .again(reason: "the server answers \(status)\(detail)", retryAfter: Self.seconds(retryAfter))
        case 400...499:
            self = .stop(.refused(Self.refusal(status, body, batch)))
        default:
            self = .stop(.unexpectedAnswer("its status is \(status)", lines: batch.lines))
        }
    }

    private static func seconds(_ text: String?) -> Duration? {
        guard let seconds = text.flatMap({ UInt32($0) }) else { return nil }
        return .seconds(Int64(seconds))
    }

    private static func refusal(
        _ status: Int, _ body: some Collection<UInt8>, _ batch: EventBatch
    ) -> IngestFailure.Refusal {
        guard let problem = Problem(body) else {
            // The answer comes from a proxy or another server. Its text helps more than the fact that it is not JSON.
            let text = String(decoding: body.prefix(200), as: UTF8.self)
            return IngestFailure.Refusal(
                status: status, detail: text.isEmpty ? "it gives no reason" : text, lines: batch.lines, rows: [])
        }
        return IngestFailure.Refusal(
            status: status, code: problem.code, detail: problem.detail, requestID: problem.requestID,
            lines: batch.lines, rows: problem.errors.prefix(10).compactMap { $0.rowProblem(in: batch) })
    }
}

/// The parts of an RFC 9457 problem document that help to find the cause.
private struct Problem {
    struct FieldError {
        var pointer: String
        var detail: String

        /// The error at `/events/<index>/…`, as a problem of the row that the event was made from.
        func rowProblem(in batch: EventBatch) -> RowProblem? {
            let tokens = pointer.split(separator: "/", maxSplits: 2)
            guard tokens.count >= 2, tokens[0] == "events", let index = Int(tokens[1]),
                batch.events.indices.contains(index)
            else { return nil }
            let field = tokens.count > 2 ? "\(tokens[2]) " : ""
            return RowProblem(line: batch.events[index].line, column: nil, sentence: "\(field)\(detail)")
        }
    }

    var code: String?
    var detail: String
    var requestID: String?
    var errors: [FieldError] = []

    /// Nil when the body is not a problem document.
    init?(_ body: some Collection<UInt8>) {
        guard case .object(let object)? = try? JSONParser.parse(body),
            let detail = object["detail"]?.text ?? object["title"]?.text
        else { return nil }
        code = object["code"]?.text
        self.detail = detail
        requestID = object["request_id"]?.text
        guard case .array(let elements)? = object["errors"] else { return }
        for case .object(let element) in elements {
            guard let pointer = element["pointer"]?.text, let detail = element["detail"]?.text else { continue }
            errors.append(FieldError(pointer: pointer, detail: detail))
        }
    }
}
