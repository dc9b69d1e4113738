import Credits
import Synchronization
import Testing
import WebhookReceiver
import Webhooks

@testable import WebhookWorker

/// Single attempts against real receivers. Names are resolved by the test.
@Suite("Sender")
struct SenderTests {
    private static let message = OutgoingMessage(
        signature: WebhookSignature(
            id: "evt_1", at: Instant(microseconds: 1_700_000_000_000_000), body: Array("{}".utf8),
            secrets: [WebhookSecret(bytes: Array(0..<32))]), body: Array("{}".utf8))

    /// Counts the look-ups, from 0.
    private final class Count: Sendable {
        private let value = Mutex(0)

        func next() -> Int {
            value.withLock { value in
                defer { value += 1 }
                return value
            }
        }
    }

    private static let loopback = TargetRules(allowed: ["127.0.0.0/8"].compactMap { IPNetwork($0) })

    /// Sends to a URL, with a resolver that answers from a list, one answer after another.
    private func send(
        _ url: String, _ rules: TargetRules = loopback, answers: [[String]] = [["127.0.0.1"]], times: Int = 1,
        within limit: Duration = .seconds(15)
    ) async throws -> [Reply] {
        let asked = Count()
        let sender = Sender(
            rules: rules,
            resolver: Resolver { _ in
                .success(answers[min(asked.next(), answers.count - 1)].compactMap { IPAddress($0) })
            })
        let target = try #require(WebhookURL(url))
        var replies: [Reply] = []
        for _ in 0..<times {
            replies.append(await sender.send(Self.message, to: target, of: EnvironmentID(1), within: limit))
        }
        await sender.close()
        return replies
    }

    @Test("a message arrives with its headers at the address that was checked, under the name of the URL")
    func arrives() async throws {
        try await WebhookReceiver.serving { receiver in
            let url = "http://hooks.invalid:\(receiver.port)/in?x=1"
            let replies = try await send(url, times: 3)
            #expect(replies.allSatisfy { $0 == Reply(status: 200, retryAfter: nil, excerpt: "", error: nil) })
            #expect(receiver.requests.count == 3 && receiver.connections == 1)
            let request = try #require(receiver.requests.first)
            #expect(request.path == "/in?x=1" && request.text == "{}")
            #expect(request.headers["host"] == "hooks.invalid:\(receiver.port)")
            #expect(request.headers["content-type"] == "application/json")
            #expect(request.headers["webhook-id"] == "evt_1")
            #expect(request.headers["webhook-timestamp"] == "1700000000")
            #expect(request.headers["webhook-signature"] == Self.message.signature.signature)
        }
    }

    @Test(
        "a refused target is told with its address, and its listener stays silent",
        arguments: [
            ("http://hooks.invalid", ["127.0.0.1"]), ("http://hooks.invalid", ["1.1.1.1", "127.0.0.1"]),
            ("http://127.0.0.1", []), ("http://hooks.invalid", ["::ffff:127.0.0.1"]), ("http://[::ffff:127.0.0.1]", []),
            ("http://hooks.invalid", ["0.0.0.0"]), ("http://0.0.0.0", []), ("http://hooks.invalid", ["::"]),
            ("http://localhost", ["127.0.0.1"]), ("http://hooks.invalid", ["127.8.9.10"]),
        ])
    func refused(base: String, answers: [String]) async throws {
        try await WebhookReceiver.serving { receiver in
            let replies = try await send("\(base):\(receiver.port)/", TargetRules(), answers: [answers])
            #expect(replies[0].status == nil && replies[0].error?.hasPrefix("refused: ") == true, "\(replies)")
            #expect(receiver.connections == 0)
        }
    }

    @Test(
        "a name that turns into a loopback address between two attempts is refused, and so is one before the connection"
    )
    func rebinding() async throws {
        try await WebhookReceiver.serving { receiver in
            // Only the first of these is asked for: the attempt connects to the answer that was checked.
            let url = "http://hooks.invalid:\(receiver.port)/"
            let allowed = try await send(url, answers: [["127.0.0.1"], ["127.0.0.2"]])
            #expect(allowed[0].status == 200 && receiver.connections == 1)
            let refused = try await send(url, TargetRules(), answers: [["93.184.215.14"], ["127.0.0.1"]])
            #expect(refused[0].error?.hasPrefix("refused: port") == true)
            #expect(receiver.connections == 1)
        }
    }

    @Test("redirects are not followed")
    func redirects() async throws {
        try await WebhookReceiver.serving { target in
            let location = target.url
            try await WebhookReceiver.serving({ _ in .answer(307, headers: ["location": location]) }) { receiver in
                let replies = try await send(receiver.url)
                #expect(replies[0].status == 307 && replies[0].error?.contains("redirects") == true)
                #expect(target.connections == 0)
            }
        }
    }

    @Test("an attempt keeps 1 KiB of the response as text, and reads a long response only in part")
    func longResponses() async throws {
        let long = String(repeating: "x", count: 5_000_000)
        try await WebhookReceiver.serving({ request in
            request.number == 1 ? .answer(500, "a\u{0}b\u{E9}") : .answer(200, long)
        }) { receiver in
            let replies = try await send(receiver.url, times: 2)
            #expect(replies[0].excerpt == "a\u{FFFD}b\u{E9}" && replies[0].error == "status 500")
            #expect(replies[1].status == 200 && replies[1].error == nil)
            #expect(replies[1].excerpt == String(repeating: "x", count: 1_024))
        }
    }

    @Test("a receiver that answers nothing is given up in time, and a closed connection is told")
    func silence() async throws {
        try await WebhookReceiver.serving({ request in request.number == 1 ? .silence : .closed }) { receiver in
            let begun = ContinuousClock.now
            let replies = try await send(receiver.url, times: 2, within: .seconds(1))
            #expect(replies[0].error == "no complete response within 1 s" && replies[0].status == nil)
            #expect(ContinuousClock.now - begun < .seconds(10))
            #expect(replies[1].error != nil && replies[1].status == nil)
        }
    }

    @Test("Retry-After is read, and a port that nobody listens on is told at once")
    func retryAfter() async throws {
        var port = 0
        try await WebhookReceiver.serving({ _ in .answer(503, headers: ["retry-after": "77"]) }) { receiver in
            port = receiver.port
            let replies = try await send(receiver.url)
            #expect(replies[0].retryAfter == 77 && replies[0].error == "status 503")
        }
        let begun = ContinuousClock.now
        let replies = try await send("http://127.0.0.1:\(port)/")
        #expect(replies[0].error != nil && ContinuousClock.now - begun < .seconds(5))
    }
}
