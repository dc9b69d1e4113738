import RabbitMQ
import TCPProxy
import Testing

@Suite(.timeLimit(.minutes(5))) struct ConsumerTests {
    @Test("a delivery carries what was published")
    func properties() async throws {
        try await Broker.withQueue { queue in
            var running = try await RunningConsumer(queues: [queue])
            let large = (0..<700_000).map { UInt8($0 % 251) }
            try await Broker.withPublisher { publisher, _ in
                try await publisher.publish(
                    AMQPMessage(
                        routingKey: queue, body: large, correlationID: "c1", replyTo: "r1", messageID: "m1",
                        type: "t1", contentType: "application/json", headers: [("trace", "abc")]))
                try await publisher.publish(AMQPMessage(routingKey: queue, body: [], mandatory: false))
            }
            let deliveries = await running.next(2)
            let first = try #require(deliveries.first)
            #expect(first.body == large)
            #expect(first.queue == queue)
            #expect(!first.redelivered)
            #expect([first.correlationID, first.replyTo, first.messageID, first.type] == ["c1", "r1", "m1", "t1"])
            let second = try #require(deliveries.last)
            #expect(second.body.isEmpty)
            #expect([second.correlationID, second.replyTo, second.messageID, second.type] == [nil, nil, nil, nil])
            await running.stop()
        }
    }

    @Test("after the channel was closed, the unacknowledged messages are delivered again, in order")
    func orderAfterClosing() async throws {
        try await Broker.withQueue(singleActiveConsumer: true) { queue in
            try await publishNumbers(0..<40, to: queue)
            var first = try await RunningConsumer(queues: [queue], prefetch: 40)
            var second = try await RunningConsumer(queues: [queue], prefetch: 40)
            let deliveries = await first.next(40)
            #expect(deliveries.map(text) == (0..<40).map(String.init))
            // A prefix is acknowledged, and two more deliveries out of order.
            first.consumer.acknowledge(deliveries[0..<10].map(\.tag))
            first.consumer.acknowledge([deliveries[20].tag, deliveries[15].tag])
            await first.stop()
            let rest = await second.next(28)
            #expect(rest.map(text) == (10..<40).filter { $0 != 15 && $0 != 20 }.map(String.init))
            #expect(rest.allSatisfy { $0.redelivered })
            second.consumer.acknowledge(rest.map(\.tag))
            await second.stop()
            try await publishNumbers(100..<101, to: queue)
            var third = try await RunningConsumer(queues: [queue])
            #expect(await third.next(1).map(text) == ["100"])
            await third.stop()
        }
    }

    @Test("after a cut connection all unacknowledged messages are delivered again, and old tags are ignored")
    func reconnects() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        try await Broker.withQueue(singleActiveConsumer: true) { queue in
            try await publishNumbers(0..<5, to: queue)
            var running = try await RunningConsumer(Broker.configuration(through: proxy), queues: [queue])
            let before = await running.next(5)
            proxy.cut()
            await running.log.lost()
            await running.log.connected()
            running.consumer.acknowledge(before.map(\.tag))
            let after = await running.next(5)
            #expect(after.map(text) == before.map(text))
            #expect(Set(after.map(\.tag)).isDisjoint(with: before.map(\.tag)))
            running.consumer.acknowledge(before.map(\.tag))
            await running.stop()
            var next = try await RunningConsumer(queues: [queue])
            #expect(await next.next(5).map(text) == before.map(text))
            await next.stop()
        }
    }

    @Test("one consumer reads several queues and knows which is which")
    func severalQueues() async throws {
        try await Broker.withQueue { one in
            try await Broker.withQueue(quorum: false) { other in
                var running = try await RunningConsumer(queues: [one, other])
                try await publishNumbers(0..<50, to: one)
                try await publishNumbers(50..<100, to: other)
                let deliveries = await running.next(100)
                #expect(deliveries.filter { $0.queue == one }.map(text) == (0..<50).map(String.init))
                #expect(deliveries.filter { $0.queue == other }.map(text) == (50..<100).map(String.init))
                running.consumer.acknowledge(deliveries.reversed().map(\.tag))
                await running.stop()
            }
        }
    }

    @Test("more messages than the prefetch count pass when they are acknowledged twice and in any order")
    func acknowledgementsInAnyOrder() async throws {
        try await Broker.withQueue { queue in
            var running = try await RunningConsumer(queues: [queue], prefetch: 20)
            try await publishNumbers(0..<1_000, to: queue)
            for start in stride(from: 0, to: 1_000, by: 20) {
                let deliveries = await running.next(20)
                #expect(deliveries.map(text) == (start..<start + 20).map(String.init))
                for delivery in deliveries.shuffled() { running.consumer.acknowledge([delivery.tag, delivery.tag]) }
            }
            #expect(running.consumer.state == .connected)
            await running.stop()
        }
    }

    @Test("each connection has another exclusive reply queue, which receives unconfirmed messages")
    func replies() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        let prefix = Broker.uniqueName()
        var running = try await RunningConsumer(
            Broker.configuration(through: proxy), queues: [], exclusiveQueue: prefix, prefetch: 0, acknowledges: false)
        var names: Set<String> = []
        try await Broker.withPublisher { publisher, _ in
            for round in 0..<3 {
                let name = try #require(running.consumer.exclusiveQueueName)
                #expect(name.hasPrefix("\(prefix)."))
                names.insert(name)
                for number in 0..<200 {
                    publisher.publishWithoutConfirm(
                        AMQPMessage(
                            routingKey: name, body: Array("\(number)".utf8), correlationID: "\(round)",
                            persistent: false, mandatory: false))
                }
                let replies = await running.next(200)
                #expect(replies.map(text) == (0..<200).map(String.init))
                #expect(replies.allSatisfy { $0.correlationID == "\(round)" })
                switch round {
                case 0: proxy.cut()
                case 1: running.consumer.reconnect()
                default: continue
                }
                await running.log.lost()
                await running.log.connected()
            }
        }
        await running.stop()
        await #expect(throws: AMQPError.self) {
            try await AMQPTopology.check(Array(names), configuration: Broker.configuration())
        }
        #expect(names.count == 3)
    }

    @Test("a consumer connects again after its queue was deleted and declared again")
    func queueDeleted() async throws {
        try await Broker.withQueue { queue in
            var running = try await RunningConsumer(queues: [queue])
            let configuration = try Broker.configuration()
            try await AMQPTopology.delete([queue], configuration: configuration)
            await running.log.lost()
            try await AMQPTopology.declare([AMQPQueue(name: queue)], configuration: configuration)
            await running.log.connected()
            try await publishNumbers(0..<1, to: queue)
            #expect(await running.next(1).map(text) == ["0"])
            await running.stop()
        }
    }

    private func publishNumbers(_ numbers: Range<Int>, to queue: String) async throws {
        try await Broker.withPublisher { publisher, _ in
            for number in numbers {
                try await publisher.publish(AMQPMessage(routingKey: queue, body: Array("\(number)".utf8)))
            }
        }
    }
}
