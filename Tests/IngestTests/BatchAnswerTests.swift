import NIOCore
import Testing

@testable import Ingest

@Suite("An answer decides what happens to its batch")
struct BatchAnswerTests {
    @Test("Each event is accepted, replayed or rejected")
    func counts() throws {
        let body = """
            {"accepted": 1, "replayed": 1, "rejected": 1, "later": {}, "results": [
              {"index": 2, "error": {"status": 402, "code": "insufficient_credits", "detail": "Too little."}},
              {"index": 0, "id": "use_1"}, {"index": 1, "id": "use_2"}]}
            """
        let rejection = BatchAnswer.Rejection(
            index: 2, status: 402, code: "insufficient_credits", detail: "Too little.")
        let answer = try BatchAnswer(Array(body.utf8), eventCount: 3)
        #expect(answer.accepted == 1 && answer.replayed == 1 && answer.rejections == [rejection])
    }

    @Test("A replayed refusal counts as rejected, however the server counts it")
    func repeatedRefusal() throws {
        let body = #"{"accepted":0,"replayed":2,"rejected":0,"results":[{"index":0,"id":"u"},{"index":1,"error":{}}]}"#
        let answer = try BatchAnswer(Array(body.utf8), eventCount: 2)
        #expect(answer.replayed == 1 && answer.rejections.map(\.code) == ["unknown"])
    }

    @Test(
        "An answer that does not account for every event is refused",
        arguments: [
            "", "[]", "<html>", "{}", #"{"accepted":2,"results":2}"#,
            #"{"accepted":1,"results":[{"index":0,"id":"u"}]}"#,
            #"{"accepted":2,"results":[{"index":0,"id":"u"},{"index":0,"id":"u"}]}"#,
            #"{"accepted":2,"results":[{"index":0,"id":"u"},{"index":2,"id":"u"}]}"#,
            #"{"accepted":2,"results":[{"index":0,"id":"u"},{"index":-1,"id":"u"}]}"#,
            #"{"accepted":2,"results":[{"index":0,"id":"u"},{"index":1}]}"#,
            #"{"accepted":2,"results":[{"index":0,"id":"u"},null]}"#,
            #"{"accepted":3,"results":[{"index":0,"id":"u"},{"index":1,"id":"u"}]}"#,
            #"{"accepted":-1,"results":[{"index":0,"id":"u"},{"index":1,"id":"u"}]}"#,
            #"{"accepted":2,"results":[{"index":0,"id":"u"},{"index":1,"error":{}}]}"#,
            #"{"results":[{"index":0,"id":"u"},{"index":1,"id":"u"}]}"#,
        ])
    func unusable(body: String) {
        #expect(throws: UnusableAnswer.self) { try BatchAnswer(Array(body.utf8), eventCount: 2) }
    }

    @Test(
        "A batch is sent again only if its next answer may differ",
        arguments: [
            (200, "stop"), (201, "stop"), (202, "again"), (204, "stop"), (301, "stop"), (307, "stop"), (400, "stop"),
            (401, "stop"), (403, "stop"), (404, "stop"), (408, "again"), (413, "stop"), (415, "stop"), (422, "stop"),
            (429, "again"), (500, "again"), (502, "again"), (503, "again"), (504, "again"),
        ])
    func statuses(status: Int, expected: String) {
        let verdict = Verdict(status: status, retryAfter: nil, body: Array("{}".utf8), batch: batch(lines: [2, 3]))
        switch verdict {
        case .again(_, let retryAfter): #expect(expected == "again" && retryAfter == nil)
        case .stop: #expect(expected == "stop")
        case .done: Issue.record("an empty object is no answer")
        }
    }

    @Test(
        "A batch with events that were not decided is sent again; one with final refusals is done",
        arguments: [(402, false), (404, false), (422, false), (429, true), (500, true), (503, true)])
    func undecidedEvents(status: Int, isSentAgain: Bool) {
        let body = """
            {"accepted": 1, "replayed": 0, "rejected": 1, "results": [
              {"index": 0, "id": "use_1"}, {"index": 1, "error": {"status": \(status), "code": "c", "detail": "D."}}]}
            """
        let verdict = Verdict(status: 200, retryAfter: nil, body: Array(body.utf8), batch: batch(lines: [2, 3]))
        switch verdict {
        case .again(let reason, _): #expect(isSentAgain && reason == "the server answers \(status) for some events: D.")
        case .done: #expect(!isSentAgain)
        case .stop(let failure): Issue.record("\(failure)")
        }
    }

    @Test("Retry-After is read in seconds")
    func retryAfter() {
        for (text, seconds) in [("0", 0), ("120", 120), ("-1", nil), ("soon", nil)] as [(String, Int?)] {
            let verdict = Verdict(status: 503, retryAfter: text, body: [], batch: batch(lines: [2]))
            #expect(verdict == .again(reason: "the server answers 503", retryAfter: seconds.map { .seconds($0) }))
        }
    }

    @Test("A refusal names the lines of the rows that the server complains about")
    func refusal() {
        let body = """
            {"code": "invalid_request", "detail": "/events/1/units is 6.", "request_id": "r1", "errors": [
              {"pointer": "/events/1/units", "detail": "must be at most 5"}, {"pointer": "/events/9", "detail": "?"},
              {"pointer": "/events/0", "detail": "must be an object"}, {"pointer": "/other", "detail": "is unknown"}]}
            """
        let verdict = Verdict(status: 400, retryAfter: nil, body: Array(body.utf8), batch: batch(lines: [2, 7]))
        guard case .stop(.refused(let refusal)) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(refusal.lines == 2...7)
        #expect(refusal.rows.map(\.description) == ["line 7: units must be at most 5", "line 2: must be an object"])
        #expect(
            refusal.description == """
                The server refuses lines 2 to 7 with 400 invalid_request: /events/1/units is 6. (request r1)
                  line 7: units must be at most 5
                  line 2: must be an object
                """)
    }

    @Test("A refusal that is not a problem document shows its text, without control characters")
    func foreignRefusal() {
        let verdict = Verdict(
            status: 413, retryAfter: nil, body: Array("\u{1B}[31mtoo large\r\n".utf8), batch: batch(lines: [2]))
        guard case .stop(let failure) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(failure.description == "The server refuses line 2 with 413:  [31mtoo large  ")
    }

    private func batch(lines: [Int]) -> EventBatch {
        EventBatch(
            body: ByteBuffer(), events: lines.map { EventBatch.Event(row: $0 - 2, line: $0, bytes: 0..<0) },
            inputBytes: 0)
    }
}

@Suite("Waits between attempts are bounded")
struct RetryPolicyTests {
    @Test("The wait doubles up to its maximum and ends with the last attempt")
    func doubling() {
        let policy = RetryPolicy(maximumAttempts: 6, firstDelay: .seconds(1), maximumDelay: .seconds(5))
        let delays = (1...7).map { policy.delay(afterAttempts: $0, retryAfter: nil, randomness: 0) }
        #expect(delays == [.seconds(1), .seconds(2), .seconds(4), .seconds(5), .seconds(5), nil, nil])
        #expect(policy.delay(afterAttempts: 2, retryAfter: nil, randomness: 1) == .seconds(1))
    }

    @Test("Retry-After replaces the policy's delay, unless it exceeds the maximum")
    func retryAfter() {
        let policy = RetryPolicy(maximumAttempts: 3, firstDelay: .seconds(1), maximumRetryAfter: .seconds(60))
        #expect(policy.delay(afterAttempts: 1, retryAfter: .zero, randomness: 0.5) == .zero)
        #expect(policy.delay(afterAttempts: 2, retryAfter: .seconds(60), randomness: 0.5) == .seconds(60))
        #expect(policy.delay(afterAttempts: 1, retryAfter: .seconds(61), randomness: 0.5) == nil)
        #expect(policy.delay(afterAttempts: 3, retryAfter: .zero, randomness: 0.5) == nil)
    }

    @Test("The default policy outlasts a restart of the server")
    func defaults() {
        let policy = RetryPolicy()
        var sum = Duration.zero
        var attempts = 1
        while let delay = policy.delay(afterAttempts: attempts, retryAfter: nil, randomness: 1) {
            sum += delay
            attempts += 1
        }
        #expect(attempts == 8 && sum > .seconds(15))
    }
}
