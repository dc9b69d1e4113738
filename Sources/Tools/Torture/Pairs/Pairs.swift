import JSON
import LedgerModel

/// Writes on one API node and checks on another node. With the token of the write, the check must show the write: the
/// balance after a use, and the status of a subscription. Without it, the time until a check shows a use is measured.
struct Pairs {
    /// The results of a client, or of all clients.
    struct Result: Sendable {
        var pairs = 0
        /// The pairs whose write changed a subscription.
        var subscriptions = 0
        var stale: [String] = []
        /// The number of 503 answers, which a node may give when it has not seen the position within its second.
        var turnedAway = 0
        /// The delays of the writes that were checked without a token; zero when the first check showed the write.
        var delays: [Duration] = []
    }

    /// One in this many pairs has no token.
    private static let pairsPerMeasurement = 10
    /// The number of stale answers after which a client stops.
    private static let mostStale = 20
    private static let grant: Int64 = 1_000_000_000
    /// One in this many writes changes a subscription.
    private static let writesPerChange = 4

    let installation: Installation
    let pairs: Int
    let connections: Int
    let deadline: ContinuousClock.Instant

    /// Runs until the last pair or the deadline.
    ///
    /// - Throws: When a write or a check gets an answer that no load excuses.
    func run() async throws -> Result {
        try await withThrowingTaskGroup(of: Result.self) { group in
            for number in 0..<connections {
                group.addTask { try await client(number, pairs: pairs / connections) }
            }
            return try await group.reduce(into: Result()) { total, part in
                total.pairs += part.pairs
                total.subscriptions += part.subscriptions
                total.stale += part.stale
                total.turnedAway += part.turnedAway
                total.delays += part.delays
            }
        }
    }

    private func client(_ number: Int, pairs: Int) async throws -> Result {
        // On a default plan the status would be that of its subscription.
        let environments = installation.environments.filter { $0.catalogue.defaultVariant == nil }
        let environment = environments[number % environments.count]
        let writing = installation.fleet.apiNodes[number % 2]
        let reading = installation.fleet.checkingNodes.filter { $0 !== writing }
        let endUser = "pair-\(number)"
        var result = Result()
        var balance = Self.grant
        var subscriber = Subscriber()
        _ = try await write(
            "/v1/credits/grant", [("end_user_id", .string(endUser)), ("credits", .integer(balance))], environment,
            writing)
        for turn in 1... {
            guard result.pairs < pairs, result.stale.count < Self.mostStale, ContinuousClock.now < deadline else {
                break
            }
            let node = reading[result.pairs % reading.count]
            let isChange = turn % Self.writesPerChange == 0
            let (path, members) =
                isChange
                ? subscriber.next(endUser)
                : (
                    "/v1/usage",
                    [
                        ("end_user_id", .string(endUser)), ("feature_key", .string("flat")), ("units", .integer(1)),
                    ]
                )
            let written = try await write(path, members, environment, writing)
            let effect = written.json["operation"]?["result"]?["body"] ?? written.json
            guard let token = written.position else { throw TortureError("\(path) was answered \(written.text)") }
            if isChange {
                subscriber.learn(effect)
            } else {
                guard let left = effect["balance"]?.integer else {
                    throw TortureError("a use was answered \(written.text)")
                }
                balance = left
                if turn % Self.pairsPerMeasurement == 1 {
                    result.delays.append(try await delay(of: balance, endUser, environment, node))
                    result.pairs += 1
                    continue
                }
            }
            let seen = try await check(endUser, environment, node, headers: [("QuotaStack-Min-Position", token)])
            switch seen.status {
            case 200 where subscriber.isShown(by: seen.json) && (isChange || seen.json["balance"]?.integer == balance):
                result.pairs += 1
                if isChange { result.subscriptions += 1 }
            case 200:
                result.stale.append(
                    "\(node.name) shows \(seen.text) after \(balance) and \(subscriber.status ?? "no subscription") "
                        + "at \(token)")
            case 503: result.turnedAway += 1
            default: throw TortureError("a check was answered \(seen.text)")
            }
        }
        return result
    }

    private func delay(
        of balance: Int64, _ endUser: String, _ environment: Environment, _ node: Node
    ) async throws -> Duration {
        let start = ContinuousClock.now
        var delay = Duration.zero
        while try await check(endUser, environment, node).json["balance"]?.integer != balance {
            delay = ContinuousClock.now - start
            guard delay < .seconds(30) else { throw TortureError("\(node.name) never shows \(balance)") }
        }
        return delay
    }

    private func write(
        _ path: String, _ members: [(String, JSONValue?)], _ environment: Environment, _ node: Node
    ) async throws -> Answer {
        let body = JSONValue.members(members)
        let result = await installation.http.send("POST", node, path, key: environment.apiKey, body: body.bytes)
        guard case .answered(let answer) = result, [200, 201, 202].contains(answer.status) else {
            throw TortureError("POST \(path): \(result)")
        }
        guard answer.status == 202, let operation = answer.json["operation"]?["id"]?.text else { return answer }
        return try await followed(operation, environment, node)
    }

    /// Returns the result of a write that took longer than its node waits.
    private func followed(_ operation: String, _ environment: Environment, _ node: Node) async throws -> Answer {
        for _ in 0..<600 {
            let result = await installation.http.send(
                "GET", node, "/v1/operations/\(operation)", key: environment.apiKey)
            if case .answered(let answer) = result, answer.json["operation"]?["status"]?.text == "succeeded" {
                return answer
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw TortureError("the operation \(operation) is not decided within a minute")
    }

    private func check(
        _ endUser: String, _ environment: Environment, _ node: Node, headers: [(String, String)] = []
    ) async throws -> Answer {
        let path = "/v1/entitlements/check?end_user_id=\(endUser)&feature_key=flat"
        let result = await installation.http.send("GET", node, path, key: environment.apiKey, headers: headers)
        guard case .answered(let answer) = result else { throw TortureError("GET \(path): \(result)") }
        return answer
    }
}

/// The subscription of an end user: it begins, is paused and resumed, gets another seat, and is canceled, again and
/// again.
private struct Subscriber {
    private var steps = 0
    private var id = ""
    /// The status that a check must show; nil without a subscription.
    private(set) var status: String?

    /// The path and the members of the next change.
    mutating func next(_ endUser: String) -> (String, [(String, JSONValue?)]) {
        let step = steps % 5
        steps += 1
        let path = "/v1/subscriptions/\(id)"
        switch step {
        case 0:
            status = "active"
            return (
                "/v1/subscriptions",
                [("end_user_id", .string(endUser)), ("plan_variant_id", .string(Market.key(6)))]
            )
        case 1:
            status = "paused"
            return (path + "/pause", [])
        case 2:
            status = "active"
            return (path + "/resume", [])
        case 3: return (path + "/quantity", [("quantity", .integer(2))])
        default:
            status = nil
            return (path + "/cancel", [("at", .string("now")), ("revoke_credits", .bool(true))])
        }
    }

    mutating func learn(_ subscription: JSONValue) { id = subscription["id"]?.text ?? id }

    func isShown(by check: JSONValue) -> Bool { check["subscription_status"] == status.map { .string($0) } ?? .null }
}

extension Pairs.Result {
    /// The table that the command prints.
    func table(took: Duration) -> String {
        let sorted = delays.sorted()
        func milliseconds(_ share: Double) -> String {
            guard !sorted.isEmpty else { return "-" }
            let value = sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
            return "\((Double(value / .microseconds(1)) / 1_000).roundedToTenths) ms"
        }
        let older = sorted.filter { $0 > .zero }.count
        let bound = pairs > delays.count ? 3.0 / Double(pairs - delays.count) : 1
        return """
            | write on one node, check on another | |
            |---|---|
            | pairs with the token | \(pairs - delays.count) |
            | of these, after a change of a subscription | \(subscriptions) |
            | older answers to them | \(stale.count)\(stale.isEmpty ? " (< \(bound))" : "") |
            | turned away with 503 replica_behind | \(turnedAway) |
            | pairs without the token | \(delays.count) |
            | of these, first check older than the write | \(older) |
            | until the write shows: p50, p99, p99.9, longest | \(milliseconds(0.5)), \(milliseconds(0.99)), \
            \(milliseconds(0.999)), \(milliseconds(1)) |
            | took | \(took.components.seconds) s |
            """
    }
}

extension Double {
    fileprivate var roundedToTenths: Double { (self * 10).rounded() / 10 }
}
