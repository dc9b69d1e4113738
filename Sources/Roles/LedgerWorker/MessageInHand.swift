import Commands
import Credits
import Messaging
import RabbitMQ

/// A message that the worker has received and not yet acknowledged, with what has been decided of it so far.
///
/// A lane may decide a part of a message and leave the rest to the next lane that takes the message.
struct MessageInHand: Sendable {
    let delivery: AMQPDelivery
    /// Nil for a message of several environments, which only older releases send.
    let environmentID: EnvironmentID?
    /// Nil until a lane has decoded the message.
    private(set) var content: Content?
    /// How often a lane has taken the message.
    private(set) var turns = 0
    /// Whether a command was decided since the latest call of `beginTurn`.
    private(set) var hasProgress = false

    struct Content: Sendable {
        let requests: [CommandRequest]
        /// The results of each request; empty for a request that has its reply.
        fileprivate(set) var results: [[CommandResult?]]
        /// The number of requests, from the first on, that have their reply.
        fileprivate(set) var answered = 0
    }

    init(_ delivery: AMQPDelivery) {
        self.delivery = delivery
        environmentID = CommandMessage.environment(of: delivery.body)
    }

    /// The size that the message counts for. It is never zero, so that a waiting message without a body is noticed.
    var size: Int { delivery.body.count + 1 }

    var requests: [CommandRequest] { content?.requests ?? [] }

    /// Whether every command of the message has its result, so that the message can be acknowledged. False for a message
    /// that is not decoded.
    var isDecided: Bool {
        guard let content else { return false }
        return content.results.allSatisfy { results in results.allSatisfy { $0 != nil } }
    }

    mutating func decoded(_ requests: [CommandRequest]) {
        content = Content(
            requests: requests, results: requests.map { Array(repeating: nil, count: $0.commands.count) })
    }

    /// Notes that a lane takes the message.
    mutating func beginTurn() {
        hasProgress = false
        turns += 1
    }

    mutating func set(_ result: CommandResult, request: Int, command: Int) {
        hasProgress = true
        content?.results[request][command] = result
    }

    func hasResult(request: Int, command: Int) -> Bool {
        guard let results = content?.results[request], !results.isEmpty else { return true }
        return results[command] != nil
    }

    /// The requests that have become complete since the last call, in order, with their results.
    mutating func takeComplete() -> [(request: CommandRequest, results: [CommandResult])] {
        guard let content else { return [] }
        var complete: [(CommandRequest, [CommandResult])] = []
        for (request, results) in zip(content.requests, content.results).dropFirst(content.answered) {
            let present = results.compactMap { $0 }
            guard present.count == results.count else { break }
            complete.append((request, present))
        }
        for index in content.answered..<content.answered + complete.count { self.content?.results[index] = [] }
        self.content?.answered += complete.count
        return complete
    }
}
