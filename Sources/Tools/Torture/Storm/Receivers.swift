import ChildProcesses
import Credits
import JSON
import Synchronization
import WebhookReceiver

/// The receivers of webhooks during a storm. Every environment has an endpoint that accepts everything, one that refuses
/// some events when they come first, and one that nobody listens to.
///
/// Afterwards every event of the feed must have arrived at both living endpoints, and an event only once the event of
/// the same end user before it was accepted.
final class Receivers: Sendable {
    /// The extent of the comparison.
    struct Counts {
        /// Events that arrived and were accepted, at all living endpoints together.
        var accepted = 0
        /// Further deliveries of an accepted event.
        var repeated = 0
        var refused = 0
    }

    private enum Endpoint: String, CaseIterable {
        case steady, moody
    }

    /// The numbers of one end user's events at one endpoint.
    private struct Line: Hashable {
        let path: Substring
        /// Empty for the events of the environment.
        let endUser: String
    }

    private struct State {
        var accepted: [Line: Set<Int64>] = [:]
        var refused: Set<String> = []
        var counts = Counts()
        var complaints: [String] = []
    }

    private let state = Mutex(State())
    /// The commands that registered the endpoints.
    private let registrations = Mutex<Set<Bits128>>([])

    var commands: Set<Bits128> { registrations.withLock { $0 } }
    var counts: Counts { state.withLock { $0.counts } }

    /// Registers the endpoints of all environments and listens while the body runs.
    static func listening<Value>(
        for installation: Installation, _ body: (Receivers) async throws -> Value
    ) async throws -> Value {
        let receivers = Receivers()
        return try await WebhookReceiver.serving({ receivers.reply(to: $0) }) { receiver in
            for environment in installation.environments {
                for endpoint in Endpoint.allCases {
                    let url = "http://127.0.0.1:\(receiver.port)/\(environment.number)/\(endpoint.rawValue)"
                    try await receivers.register(url, environment, installation)
                }
                try await receivers.register("http://127.0.0.1:9/", environment, installation)
            }
            return try await body(receivers)
        }
    }

    private func register(_ url: String, _ environment: Environment, _ installation: Installation) async throws {
        let key = "register-\(url)"
        registrations.withLock { commands in
            _ = commands.insert(commandIdentifier(environment: environment.identifier, key: key))
        }
        let result = await installation.http.send(
            "POST", installation.fleet.apiNodes[0], "/v1/webhook-endpoints", key: environment.apiKey,
            body: JSONValue.members([("url", .string(url))]).bytes, headers: [("Idempotency-Key", key)])
        guard case .answered(let answer) = result, answer.status == 201 else {
            throw TortureError("an endpoint was not registered: \(result)")
        }
    }

    private func reply(to request: WebhookReceiver.Request) -> WebhookReceiver.Reply {
        guard let event = try? JSONParser.parse(request.body), let id = event["id"]?.text,
            let sequence = event["sequence"]?.integer
        else {
            state.withLock { $0.complaints.append("a delivery is no event: \(request.text.prefix(300))") }
            return .accepted
        }
        let line = Line(path: request.path[...], endUser: event["end_user_id"]?.text ?? "")
        return state.withLock { state in
            let seen = state.accepted[line] ?? []
            if sequence > 1, !seen.contains(sequence - 1) {
                state.complaints.append(
                    "event \(sequence) of \(line.endUser) arrived at \(line.path) before event \(sequence - 1)")
            }
            let name = "\(line.path) \(id)"
            // Every seventh event is refused once.
            let isMoody = line.path.hasSuffix(Endpoint.moody.rawValue)
            if isMoody, sequence % 7 == 3, !seen.contains(sequence), state.refused.insert(name).inserted {
                state.counts.refused += 1
                return sequence % 2 == 0 ? .closed : .answer(500)
            }
            if seen.contains(sequence) { state.counts.repeated += 1 } else { state.counts.accepted += 1 }
            state.accepted[line, default: []].insert(sequence)
            return .accepted
        }
    }

    /// Waits until every event of the feeds has arrived, and reports what is missing or came in the wrong order.
    func check(_ installation: Installation, _ violations: Violations, within seconds: Int = 240) async throws {
        for environment in installation.environments {
            var feed: [String: Set<Int64>] = [:]
            for event in try await self.feed(of: environment, installation) {
                guard let sequence = event["sequence"]?.integer else { continue }
                let endUser = event["end_user_id"]?.text ?? ""
                if !feed[endUser, default: []].insert(sequence).inserted {
                    violations.add(
                        "the feed of environment \(environment.number) has event \(sequence) of \(endUser) twice")
                }
            }
            for (endUser, sequences) in feed where sequences.max() != Int64(sequences.count) {
                violations.add("the feed has \(sequences.count) events of \(endUser), up to \(sequences.max() ?? 0)")
            }
            for endpoint in Endpoint.allCases {
                let path = "/\(environment.number)/\(endpoint.rawValue)"[...]
                do {
                    try await waitUntil("all events have arrived at \(path)", within: seconds) {
                        missing(feed, at: path) == 0
                    }
                } catch is WaitedInVain {
                    violations.add("webhooks: \(missing(feed, at: path)) events have not arrived at \(path)")
                }
                let more = state.withLock { state in
                    state.accepted.filter { $0.key.path == path && !$0.value.isSubset(of: feed[$0.key.endUser] ?? []) }
                }
                for (line, _) in more { violations.add("webhooks: \(line) has events that the feed does not have") }
            }
        }
        for complaint in state.withLock({ $0.complaints }) { violations.add("webhooks: \(complaint)") }
    }

    private func missing(_ feed: [String: Set<Int64>], at path: Substring) -> Int {
        state.withLock { state in
            feed.reduce(0) { sum, one in
                sum + one.value.subtracting(state.accepted[Line(path: path, endUser: one.key)] ?? []).count
            }
        }
    }

    private func feed(of environment: Environment, _ installation: Installation) async throws -> [JSONValue] {
        var events: [JSONValue] = []
        var after = ""
        while true {
            let result = await installation.http.send(
                "GET", installation.fleet.apiNodes[environment.number % 2], "/v1/events?limit=100\(after)",
                key: environment.apiKey)
            guard case .answered(let answer) = result, answer.status == 200,
                let cursor = answer.json["pagination"]?["next_cursor"]?.text
            else { throw TortureError("the feed of environment \(environment.number): \(result)") }
            events += answer.json["data"]?.items ?? []
            after = "&after=\(cursor)"
            if answer.json["pagination"]?["has_more"] != .bool(true) { return events }
        }
    }
}
