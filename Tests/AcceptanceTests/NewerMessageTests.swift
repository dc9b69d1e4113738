import ChildProcesses
import Credits
import JSON
import JSON
import Logging
import Messaging
import Postgres
import RabbitMQ
import Synchronization
import Testing

extension Acceptance.Processes {
    /// A message of a release that this worker does not know yet.
    @Suite struct NewerMessageTests {
        @Test("A worker leaves a message of a newer revision in its queue, in order, and serves the other queues")
        func isLeft() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let worker = try await installation.startNodes("quotastack-ledger", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                let endUsers = try await endUsersByQueue(installation)
                let blocked = "\(installation.name).ledger.0"
                for endUser in endUsers.values { try await client.grant(endUser, 100).expect(201) }

                try await publish(Self.newerMessage, to: blocked, installation)
                try await waitUntil("the worker has given the queue back") {
                    worker.log.contains("holds a message of a newer release")
                }
                let use = JSONValue.object([
                    "end_user_id": .string(try #require(endUsers[blocked])), "feature_key": "api",
                ])
                let waiting = try await client.post("/v1/usage", use, headers: ["Prefer": "respond-async"])
                let operation = try waiting.expect(202).text("operation.id")
                for (queue, endUser) in endUsers where queue != blocked {
                    let use = JSONValue.object(["end_user_id": .string(endUser), "feature_key": "api"])
                    try await client.post("/v1/usage", use).expect(201)
                }
                #expect(try await client.status(of: operation) == "pending")

                // The message goes, as if a newer worker had applied it.
                try await consumeOne(of: blocked, installation)
                try await waitUntil("the command behind it is applied") {
                    try await client.status(of: operation) == "succeeded"
                }
                let books = try await installation.run("verify")
                #expect(books.status == 0 && !books.output.contains("parked"), "\(books.output)")
            }
        }

        private static var silent: Logger {
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            return logger
        }

        /// One request that demands revision 99: the time of sending, the number of requests, and a frame with the revision
        /// and a body that this release could not read.
        private static let newerMessage: [UInt8] =
            [0x09, 0, 0, 0, 0, 0, 0, 0, 0] + [0x10, 2] + [0x1A, 6, 0x08, 0xC6, 0x01, 0x12, 1, 0xFF]

        /// An end user for each of the four shards of the only tenant's test environment.
        private func endUsersByQueue(_ installation: Installation) async throws -> [String: String] {
            let number = try await PostgresConnection.lent(installation.database) { connection in
                try await connection.run(
                    PostgresQuery("select environment_id from environments where kind = 'test'")
                ).first?.int32(0)
            }
            let environmentID = EnvironmentID(try #require(number))
            let topology = Topology(prefix: "\(installation.name).", shardCount: 4)
            var endUsers: [String: String] = [:]
            for number in 0..<100 {
                let endUser = try #require(EndUserID("user-\(number)"))
                endUsers[topology.ledgerQueue(environmentID: environmentID, endUserID: endUser)] = endUser.rawValue
            }
            try #require(endUsers.count == 4)
            return endUsers
        }

        private func publish(_ body: [UInt8], to queue: String, _ installation: Installation) async throws {
            let publisher = try AMQPPublisher(configuration: installation.amqp, logger: Self.silent)
            let running = Task { await publisher.run() }
            try await waitUntil("the publisher is connected") { publisher.state == .connected }
            try await publisher.publish(AMQPMessage(routingKey: queue, body: body))
            await publisher.close()
            await running.value
        }

        /// Takes the oldest message from a queue, and gives back everything behind it.
        private func consumeOne(of queue: String, _ installation: Installation) async throws {
            let first = Mutex<AMQPDeliveryTag?>(nil)
            let consumer = try AMQPConsumer(
                configuration: installation.amqp, queues: [queue], prefetch: 1, acknowledges: true, logger: Self.silent
            ) { deliveries in
                first.withLock { $0 = $0 ?? deliveries.first?.tag }
            }
            let running = Task { await consumer.run() }
            try await waitUntil("the message comes", within: 120) { first.withLock { $0 } != nil }
            if let tag = first.withLock({ $0 }) { consumer.acknowledge([tag]) }
            await consumer.stop()
            await running.value
        }
    }
}
