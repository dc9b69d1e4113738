import JSON

/// Mutations whose queue is not there: nothing may be said to be accepted that no queue has.
struct MissingQueue {
    let environments: [Environment]
    let fleet: Fleet
    let http: HTTPCaller
    private static let operations = 40

    /// Sends operations without waiting for their effect while a queue that has their shard is gone.
    ///
    /// - Returns: A journal of what the nodes said.
    func run(queue: String, restore: () async throws -> Void) async throws -> ClientJournal {
        try await fleet.rabbitmq.deleteQueue(queue)
        var journal = ClientJournal(client: -1)
        for number in 0..<Self.operations {
            let environment = environments[number % environments.count]
            let operation = Operation(
                endUser: EndUser(
                    environment: environment.number,
                    id: OperationMix.endUserID(number % OperationMix.endUsersPerEnvironment)),
                action: .use(feature: "calls", units: 1, occurredAt: nil), key: "missing-queue-\(number)", canary: nil)
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
