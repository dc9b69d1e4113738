import RabbitMQ
import Testing

@Suite(.timeLimit(.minutes(5))) struct TopologyTests {
    @Test("a queue can be declared again with the same arguments, and not with other arguments")
    func unequalArguments() async throws {
        let configuration = try Broker.configuration()
        let queue = AMQPQueue(
            name: Broker.uniqueName(), singleActiveConsumer: true, maxLength: 10, overflowRejectPublish: true,
            initialGroupSize: 1)
        try await AMQPTopology.declare([queue, queue], configuration: configuration)
        var other = queue
        other.maxLength = 11
        let error = await #expect(throws: AMQPError.self) {
            try await AMQPTopology.declare([other], configuration: configuration)
        }
        guard case .channelClosed(406, _) = error?.kind else {
            Issue.record("expected 406, got \(String(describing: error))")
            return
        }
        try await AMQPTopology.check([queue.name], configuration: configuration)
        try await AMQPTopology.delete([queue.name], configuration: configuration)
    }

    @Test("a declaration of missing queues leaves an existing one as it is, and makes the others")
    func declareMissing() async throws {
        let configuration = try Broker.configuration()
        let existing = AMQPQueue(name: Broker.uniqueName(), maxLength: 10, initialGroupSize: 1)
        try await AMQPTopology.declare([existing], configuration: configuration)
        var grown = existing
        grown.initialGroupSize = 3
        let missing = [AMQPQueue(name: Broker.uniqueName()), AMQPQueue(name: Broker.uniqueName(), quorum: false)]
        let all = [missing[0], grown, missing[1]]
        for _ in 0..<2 { try await AMQPTopology.declareMissing(all, configuration: configuration) }
        try await AMQPTopology.check(all.map(\.name), configuration: configuration)
        // The existing queue has kept its arguments.
        try await AMQPTopology.declare([existing], configuration: configuration)
        try await AMQPTopology.delete(all.map(\.name), configuration: configuration)
    }

    @Test("a check finds a missing queue, and deleting a missing queue is no error")
    func missing() async throws {
        let configuration = try Broker.configuration()
        let name = Broker.uniqueName()
        let error = await #expect(throws: AMQPError.self) {
            try await AMQPTopology.check([name], configuration: configuration)
        }
        guard case .channelClosed(404, _) = error?.kind else {
            Issue.record("expected 404, got \(String(describing: error))")
            return
        }
        try await AMQPTopology.delete([name], configuration: configuration)
    }

    @Test("the counts are those of ready messages and of consumers")
    func counts() async throws {
        try await Broker.withQueue(quorum: false) { queue in
            let configuration = try Broker.configuration()
            try await Broker.withPublisher { publisher, _ in
                for _ in 0..<3 { try await publisher.publish(AMQPMessage(routingKey: queue, body: [])) }
            }
            let before = try await AMQPTopology.messageCount(queue: queue, configuration: configuration)
            #expect(before == (3, 0))
            var running = try await RunningConsumer(queues: [queue], prefetch: 2)
            let deliveries = await running.next(2)
            #expect(deliveries.count == 2)
            let after = try await AMQPTopology.messageCount(queue: queue, configuration: configuration)
            #expect(after == (1, 1))
            await running.stop()
        }
    }

    @Test("a wrong password is unavailable, and the error does not show it")
    func wrongPassword() async throws {
        let right = try Broker.configuration()
        let wrong = try AMQPConfiguration(url: "amqp://\(right.user):hunter2@\(right.endpoints[0])/")
        let error = await #expect(throws: AMQPError.self) {
            try await AMQPTopology.check(["any"], configuration: wrong)
        }
        guard case .unavailable(let reason) = error?.kind else {
            Issue.record("expected unavailable, got \(String(describing: error))")
            return
        }
        #expect(reason.contains("ACCESS_REFUSED"))
        #expect(!reason.contains("hunter2"))
    }
}
