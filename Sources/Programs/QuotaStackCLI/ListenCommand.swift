import ArgumentParser
import AsyncHTTPClient
import Glibc
import JSON
import NIOCore
import NIOHTTP1
import Webhooks

/// Prints the events of an environment as they happen, and forwards them to a local receiver.
struct ListenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "Print a test environment's events and forward them to a local URL, until Ctrl-C.",
        discussion: """
            The events come from the feed, GET /v1/events, so no endpoint is registered and nothing has to be reachable \
            from outside. Only events from now on are shown, unless --after names an event or a cursor; the last line \
            names the cursor from which a later run continues.

            A forwarded event has the body of a delivery and the header webhook-id, and no signature: it comes from \
            this machine. An event that the receiver does not accept is printed as failed and not sent again.

            quotastack listen --forward-to http://localhost:3000/webhooks
            """)

    @OptionGroup var environment: EnvironmentOptions
    @Option(help: "The URL of the receiver; without it the events are only printed.") var forwardTo: String?
    @Option(help: "The id of an event or a cursor of the feed, after which to begin.") var after: String?
    @Option(help: "End after this number of events.") var count: Int?

    func run() async throws {
        let client = try environment.client()
        if let forwardTo, WebhookURL(forwardTo) == nil {
            throw ValidationError("--forward-to must be an http or https URL, such as http://localhost:3000/webhooks.")
        }
        var cursor = try await start(client)
        line("listening for events\(forwardTo.map { " and forwarding them to \($0)" } ?? "")")
        var seen = 0
        while count.map({ seen < $0 }) ?? true {
            let page = try await client.call("GET", "/v1/events?limit=100&after=\(percentEncoded(cursor))")
            guard case .array(let events)? = page["data"], let next = page["pagination"]?["next_cursor"]?.text else {
                throw CallError("GET /v1/events has no events in its answer")
            }
            for event in events.prefix(count.map { $0 - seen } ?? events.count) {
                seen += 1
                line(await shown(event))
            }
            cursor = next
            if events.isEmpty { try await Task.sleep(for: .milliseconds(500)) }
        }
        line("continue with --after \(cursor)")
    }

    /// The cursor behind the last event that is there already. Costs a request for every 100 events of the environment.
    private func start(_ client: APIClient) async throws -> String {
        if let after { return after }
        var cursor: String?
        while true {
            let position = cursor.map { "&after=\(percentEncoded($0))" } ?? ""
            let page = try await client.call("GET", "/v1/events?limit=100\(position)")
            guard let next = page["pagination"]?["next_cursor"]?.text else {
                throw CallError("GET /v1/events has no cursor in its answer")
            }
            cursor = next
            if page["pagination"]?["has_more"] != .bool(true) { return next }
        }
    }

    /// Forwards an event, and describes it with what came of it.
    private func shown(_ event: JSONValue) async -> String {
        let id = event["id"]?.text ?? ""
        var text = "\(event["created_at"]?.text ?? "") \(event["type"]?.text ?? "") \(id)"
        if let endUser = event["end_user_id"]?.text { text += " \(JSONValue.string(endUser).line)" }
        guard let forwardTo else { return "\(text) \(String(decoding: event.bytes, as: UTF8.self))" }
        var request = HTTPClientRequest(url: forwardTo)
        request.method = .POST
        request.headers = ["content-type": "application/json", "webhook-id": id, "user-agent": "quotastack-listen"]
        request.body = .bytes(ByteBuffer(bytes: event.bytes))
        do {
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(15))
            let isSuccess = (200..<300).contains(response.status.code)
            return "\(text) -> \(response.status.code)\(isSuccess ? "" : " failed")"
        } catch {
            return "\(text) -> failed: \(error)"
        }
    }

    /// Prints a line at once, also into a pipe.
    private func line(_ text: String) {
        print(text)
        fflush(nil)
    }

    private func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || "-_".utf8.contains(byte)
            return isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}
