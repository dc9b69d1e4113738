import JSON
import LedgerModel

/// Sends mutations while a queue is missing: a node must not accept a command that no queue holds.
struct MissingQueue {
    let environments: [Environment]
    let fleet: Fleet
    let http: HTTPCaller
    private static let operations = 40

    /// Deletes a queue, sends asynchronous operations of many end users, and restores the queue.
    ///
    /// - Returns: A journal of the answers.
    func run(queue: String, restore: () async throws -> Void) async throws -> ClientJournal {
        try await fleet.rabbitmq.deleteQueue(queue)
        var journal = ClientJournal(client: -1)
        for number in 0..<Self.operations {
            let environment = environments[number % environments.count]
            let operation = Operation(
                EndUser(
                    environment: environment.number,
                    id: OperationMix.endUserID(number % OperationMix.endUsersPerEnvironment)),
                .use(ModelCommand.Use(feature: "calls", demand: .units(1))), key: "missing-queue-\(number)")
            let result = await http.send(
                operation.method, fleet.apiNodes[number / 2 % fleet.apiNodes.count], operation.path,
                key: environment.apiKey, body: operation.body().bytes,
                headers: [("Idempotency-Key", operation.key), ("Prefer", "respond-async")])
            let outcome = Outcome(result)
            journal.records.append(Record(operation: operation, firstOutcome: outcome, outcome: outcome, answer: nil))
        }
        try await restore()
        return journal
    }
}
