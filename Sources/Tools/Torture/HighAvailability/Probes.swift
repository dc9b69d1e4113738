import JSON
import LedgerModel
import Synchronization

/// Mutations and checks at fixed rates on every node, sent whether or not the earlier ones are answered: clients that wait
/// for their answers would send hardly anything during an outage. The mutations are recorded, and checked like all others.
final class Probes: Sendable {
    private static let endUsers = 16
    private static let mutationPause = Duration.milliseconds(100)
    private static let checkPause = Duration.milliseconds(50)
    /// The most probes of a node that may be unanswered; further ones are left out.
    private static let mostUnanswered = 400

    private let environment: Environment
    private let fleet: Fleet
    private let http: HTTPCaller
    private let control: LoadControl
    let timeline = AnswerTimeline()
    private let journal = Mutex(ClientJournal(client: -3))

    init(environment: Environment, fleet: Fleet, http: HTTPCaller, control: LoadControl) {
        self.environment = environment
        self.fleet = fleet
        self.http = http
        self.control = control
    }

    /// Sends probes until the storm is over and all of them are answered.
    ///
    /// - Returns: The mutations and their outcomes.
    func run() async -> ClientJournal {
        for number in 0..<Self.endUsers {
            await mutate(.grant(ModelCommand.Grant(credits: 10_000_000)), number, "grant", fleet.apiNodes[0], nil)
        }
        await withTaskGroup(of: Void.self) { group in
            for node in fleet.apiNodes {
                group.addTask { await self.every(Self.mutationPause) { await self.use(number: $0, at: node) } }
            }
            for node in fleet.checkingNodes {
                group.addTask { await self.every(Self.checkPause) { await self.check(number: $0, at: node) } }
            }
        }
        return journal.withLock { $0 }
    }

    /// Starts the body again and again, with a growing number.
    private func every(_ pause: Duration, _ body: @escaping @Sendable (Int) async -> Void) async {
        let unanswered = Unanswered()
        var next = ContinuousClock.now
        await withDiscardingTaskGroup { group in
            for number in 0... {
                if control.isOver { break }
                next += pause
                try? await Task.sleep(until: next, clock: .continuous)
                guard unanswered.count.load(ordering: .relaxed) < Self.mostUnanswered else { continue }
                unanswered.count.add(1, ordering: .relaxed)
                group.addTask {
                    await body(number)
                    unanswered.count.subtract(1, ordering: .relaxed)
                }
            }
        }
    }

    private func use(number: Int, at node: Node) async {
        let use = ModelCommand.Use(feature: "calls", demand: .units(1))
        await mutate(
            .use(use), number, "\(node.name)-\(number)", node,
            AnswerTimeline.Series(kind: .mutation, node: node.name))
    }

    private func mutate(
        _ command: ModelCommand, _ number: Int, _ key: String, _ node: Node, _ series: AnswerTimeline.Series?
    ) async {
        let endUser = EndUser(environment: environment.number, id: Self.endUserID(number))
        let operation = Operation(endUser, command, key: "probe-\(endUser.id)-\(key)")
        let result = await http.send(
            operation.method, node, operation.path, key: environment.apiKey, body: operation.body().bytes,
            headers: [("Idempotency-Key", operation.key)])
        if let series { timeline.note(result, in: series) }
        let outcome = Outcome(result)
        journal.withLock {
            $0.records.append(Record(operation: operation, firstOutcome: outcome, outcome: outcome, answer: nil))
        }
    }

    private func check(number: Int, at node: Node) async {
        let path = "/v1/entitlements/check?end_user_id=\(Self.endUserID(number))&feature_key=calls"
        let result = await http.send("GET", node, path, key: environment.apiKey)
        timeline.note(result, in: AnswerTimeline.Series(kind: .check, node: node.name))
    }

    private static func endUserID(_ number: Int) -> String { "probe-\(number % endUsers)" }
}

/// The probes of one node that are not answered yet.
private final class Unanswered: Sendable {
    let count = Atomic<Int>(0)
}
