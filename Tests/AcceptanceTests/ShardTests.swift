import ChildProcesses
import Glibc
import JSON
import Testing

extension Acceptance.Processes {
    /// Several ledger workers and API nodes, each in a separate process.
    @Suite struct ShardTests {
        @Test(
            "Ledger workers share the queues when they start, stop or die, and the order of commands is kept"
        )
        func shares() async throws {
            try await withInstallation(serves: false) { installation in
                let workers = try await installation.startNodes("quotastack-ledger", 1)
                let apis = try await installation.startNodes("quotastack-api", 2)
                let client = try await installation.makeTenant(through: apis[0]).test
                try await client.sell("api", unitCost: 1)
                let order = CommandOrder(clients: apis.map { Client(url: $0.url, key: client.key) })
                for endUser in order.endUsers { try await client.grant(endUser, 1_000_000).expect(201) }
                try await expectQueues(workers, total: 5)

                let joined = try await order.whileSending {
                    let second = try await installation.startNodes("quotastack-ledger", 1)
                    try await expectQueues(workers + second, total: 5)
                    #expect(try await second[0].metric("quotastack_ledger_queues") == 2)
                    let third = try await installation.startNodes("quotastack-ledger", 1)
                    try await expectQueues(workers + second + third, total: 5)
                    return second + third
                }
                try await order.whileSending {
                    #expect(await workers[0].stop() == 0)
                    try await expectQueues(joined, total: 5)
                }
                try await order.whileSending {
                    await joined[0].kill()
                    try await expectQueues([joined[1]], total: 5)
                }
                try await order.expectKept(client)
            }
        }

        /// Expects every queue at exactly one worker.
        private func expectQueues(_ workers: [Node], total: Double) async throws {
            try await waitUntil("\(workers.count) workers have \(total) queues", within: 20) {
                var sum = 0.0
                for worker in workers {
                    let held = try await worker.metric("quotastack_ledger_queues") ?? 0
                    guard held > 0 else { return false }
                    sum += held
                }
                return sum == total
            }
        }
    }
}

/// Clients that each send the commands of one end user in order, without waiting for their effect. The queue and the
/// workers alone determine the order of the effects.
private final class CommandOrder: Sendable {
    let endUsers = (0..<12).map { "user-\($0)" }
    private let clients: [Client]
    private let sent: [Counter]

    init(clients: [Client]) {
        self.clients = clients
        sent = endUsers.map { _ in Counter() }
    }

    /// Sends until the body returns.
    func whileSending<Value: Sendable>(_ body: @Sendable () async throws -> Value) async throws -> Value {
        let isDone = Counter()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for number in endUsers.indices {
                group.addTask { [self] in
                    while isDone.value == 0 { try await send(number) }
                }
            }
            let value: Value
            do {
                value = try await body()
            } catch {
                group.cancelAll()
                throw error
            }
            _ = isDone.next()
            try await group.waitForAll()
            return value
        }
    }

    /// Sends a command. The queue has confirmed it when this returns.
    private func send(_ number: Int) async throws {
        let index = sent[number].next()
        let answer = try await clients[number % clients.count].post(
            "/v1/usage",
            ["end_user_id": .string(endUsers[number]), "feature_key": "api", "units": 1],
            key: "\(number)-\(index)", headers: ["Prefer": "respond-async"])
        #expect(answer.status == 202 || answer.status == 201, "\(answer)")
    }

    /// Expects that every command has taken effect once, in the order of sending.
    func expectKept(_ client: Client) async throws {
        for (number, endUser) in endUsers.enumerated() {
            let expected = (0..<sent[number].value).map { "\(number)-\($0 + 1)" }
            try await waitUntil("all commands of \(endUser) are decided") {
                try await client.balance(endUser)["balance"] == .integer(1_000_000 - Int64(expected.count))
            }
            let keys = try await client.ledger(endUser, type: "use").compactMap { $0[path: "idempotency_key"]?.text }
            #expect(keys == expected)
            #expect(expected.count > 20)
        }
    }
}
