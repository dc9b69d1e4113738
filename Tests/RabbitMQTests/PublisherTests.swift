import RabbitMQ
import TCPProxy
import Testing

@Suite(.timeLimit(.minutes(5))) struct PublisherTests {
    @Test("a message to a quorum queue is confirmed")
    func confirmed() async throws {
        try await Broker.withQueue { queue in
            try await Broker.withPublisher { publisher, _ in
                #expect(publisher.state == .connected)
                try await publisher.publish(AMQPMessage(routingKey: queue, body: Array("hello".utf8)))
            }
        }
    }

    @Test("messages published at the same time are all confirmed, whatever frames the broker uses")
    func concurrent() async throws {
        try await Broker.withQueue { queue in
            try await Broker.withPublisher(window: 64) { publisher, _ in
                let outcomes = await publishAll(2_000, publisher) {
                    AMQPMessage(routingKey: queue, body: [UInt8($0 % 251)])
                }
                #expect(outcomes == [nil: 2_000])
            }
        }
    }

    @Test("an unroutable message is returned, and its neighbours are not")
    func unroutable() async throws {
        try await Broker.withQueue { queue in
            try await Broker.withPublisher { publisher, _ in
                let nowhere = Broker.uniqueName()
                let outcomes = await publishAll(300, publisher) {
                    AMQPMessage(routingKey: $0 % 3 == 0 ? nowhere : queue, body: [1])
                }
                #expect(outcomes == [nil: 200, .returned("312 NO_ROUTE"): 100])
                try await publisher.publish(AMQPMessage(routingKey: nowhere, body: [], mandatory: false))
            }
        }
    }

    @Test("a full queue that rejects messages gives the outcome rejected")
    func full() async throws {
        try await Broker.withQueue(quorum: false, maxLength: 3) { queue in
            try await Broker.withPublisher { publisher, _ in
                for _ in 0..<3 { try await publisher.publish(AMQPMessage(routingKey: queue, body: [1])) }
                await #expect(throws: AMQPError(.rejected)) {
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
                }
            }
        }
    }

    @Test("a full quorum queue rejects too")
    func fullQuorum() async throws {
        try await Broker.withQueue(maxLength: 3) { queue in
            try await Broker.withPublisher { publisher, _ in
                // A quorum queue tells its publishers with some delay that it is full.
                var rejected = 0
                for _ in 0..<20 where rejected == 0 {
                    let outcomes = await publishAll(500, publisher) { _ in AMQPMessage(routingKey: queue, body: [1]) }
                    rejected = outcomes[.rejected, default: 0]
                    #expect(outcomes[nil, default: 0] + rejected == 500)
                }
                #expect(rejected > 0)
            }
        }
    }

    @Test("a refusal replaces the channel, and costs no message to another queue its confirmation")
    func refusalReplacesChannel() async throws {
        try await Broker.withQueue(quorum: false, maxLength: 1) { full in
            try await Broker.withQueue { open in
                let log = ConnectionLog()
                let publisher = try AMQPPublisher(
                    configuration: try Broker.configuration(), window: 64, logger: log.logger)
                let running = Task { await publisher.run() }
                await log.connected()
                try await publisher.publish(AMQPMessage(routingKey: full, body: [1]))
                // The channel is replaced at the first refusal, and again a second later.
                var rounds = 0
                while log.count(of: Self.replaced) < 2 {
                    let outcomes = await publishAll(400, publisher) {
                        AMQPMessage(routingKey: $0 % 2 == 0 ? full : open, body: [1])
                    }
                    #expect(outcomes == [nil: 200, .rejected: 200])
                    rounds += 1
                }
                #expect(publisher.state == .connected)
                await publisher.close()
                await running.value
                let waiting = try await AMQPTopology.messageCount(queue: open, configuration: Broker.configuration())
                #expect(waiting.ready == rounds * 200)
            }
        }
    }

    private static let replaced = "the channel was replaced because the broker refused a message on it"

    @Test("of several nodes one that answers is used")
    func severalNodes() async throws {
        // Nothing listens on the ports 1 and 2 of the loopback interface.
        let configuration = try Broker.configuration(behind: "127.0.0.1:1,127.0.0.1:2")
        try await Broker.withQueue { queue in
            for _ in 0..<3 {
                try await Broker.withPublisher(configuration) { publisher, _ in
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
                }
            }
            try await AMQPTopology.check([queue], configuration: configuration)
        }
    }

    @Test("when nothing listens, publishing fails at once")
    func nothingListens() async throws {
        let proxy = Proxy(target: 1)
        proxy.end()
        let log = ConnectionLog()
        let publisher = try AMQPPublisher(
            configuration: try Broker.configuration(through: proxy), logger: log.logger)
        let running = Task { await publisher.run() }
        await log.lost()
        let clock = ContinuousClock()
        for _ in 0..<20 {
            let start = clock.now
            let error = await #expect(throws: AMQPError.self) {
                try await publisher.publish(AMQPMessage(routingKey: "any", body: []))
            }
            #expect(clock.now - start < .seconds(2))
            guard case .unavailable = error?.kind else {
                Issue.record("expected unavailable, got \(String(describing: error))")
                break
            }
        }
        guard case .disconnected = publisher.state else {
            Issue.record("expected disconnected, got \(publisher.state)")
            return
        }
        await publisher.close()
        await running.value
    }

    @Test("a publisher reports that it does not run yet, or that it is closed")
    func notRunning() async throws {
        let publisher = try AMQPPublisher(configuration: try Broker.configuration(), logger: ConnectionLog().logger)
        await #expect(throws: AMQPError(.unavailable("not started"))) {
            try await publisher.publish(AMQPMessage(routingKey: "any", body: []))
        }
        await publisher.close()
        await publisher.run()
        await #expect(throws: AMQPError(.closed)) {
            try await publisher.publish(AMQPMessage(routingKey: "any", body: []))
        }
    }

    @Test("a publisher reconnects by itself after a cut connection")
    func reconnects() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        try await Broker.withQueue { queue in
            try await Broker.withPublisher(Broker.configuration(through: proxy)) { publisher, log in
                for _ in 0..<3 {
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
                    proxy.cut()
                    await log.lost()
                    await log.connected()
                }
                try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
            }
        }
    }

    @Test("messages in flight when the connection breaks are unconfirmed")
    func unconfirmedByLoss() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        try await Broker.withQueue { queue in
            try await Broker.withPublisher(Broker.configuration(through: proxy)) { publisher, log in
                proxy.holdAnswers()
                async let outcomes = publishAll(10, publisher) { _ in AMQPMessage(routingKey: queue, body: [1]) }
                // All messages have arrived, which the publisher cannot know.
                var running = try await RunningConsumer(queues: [queue])
                #expect(await running.next(10).count == 10)
                await running.stop()
                proxy.cut()
                await log.lost()
                let got = await outcomes
                #expect(got.values.reduce(0, +) == 10)
                #expect(got.keys.allSatisfy { $0.map { AMQPError($0).outcomeIsUnknown } ?? false })
            }
        }
    }

    @Test("a frozen broker makes a message unconfirmed within its deadline, and is given up")
    func frozen() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        try await Broker.withQueue { queue in
            let configuration = try Broker.configuration(through: proxy, parameters: "?heartbeat=1")
            try await Broker.withPublisher(configuration, confirmDeadline: .milliseconds(500)) { publisher, log in
                proxy.freeze()
                let clock = ContinuousClock()
                let start = clock.now
                let error = await #expect(throws: AMQPError.self) {
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
                }
                let took = clock.now - start
                #expect(error?.outcomeIsUnknown == true)
                #expect(took >= .milliseconds(500) && took < .seconds(5))
                await log.lost()
                #expect(clock.now - start < .seconds(6))
                await #expect(throws: AMQPError.self) {
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
                }
                proxy.thaw()
                proxy.cut()
                await log.connected()
                try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
            }
        }
    }

    @Test("a broker that confirms nothing is given up before the deadline of its messages and without a heartbeat")
    func silent() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        try await Broker.withQueue { queue in
            let configuration = try Broker.configuration(through: proxy, parameters: "?heartbeat=60")
            try await Broker.withPublisher(configuration, confirmDeadline: .seconds(60)) { publisher, log in
                try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
                proxy.freeze()
                let start = ContinuousClock.now
                let error = await #expect(throws: AMQPError.self) {
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [2]))
                }
                #expect(error?.outcomeIsUnknown == true)
                await log.lost()
                #expect(ContinuousClock.now - start < .seconds(30))
            }
        }
    }

    @Test("large bodies into a frozen socket do not block a caller beyond the deadline and the watchdog")
    func frozenWithFullSocket() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        try await Broker.withQueue { queue in
            try await Broker.withPublisher(
                Broker.configuration(through: proxy), confirmDeadline: .seconds(1)
            ) { publisher, _ in
                proxy.freeze()
                let body = [UInt8](repeating: 7, count: 1_024 * 1_024)
                let clock = ContinuousClock()
                let start = clock.now
                let outcomes = await publishAll(40, publisher) { _ in AMQPMessage(routingKey: queue, body: body) }
                #expect(clock.now - start < .seconds(5))
                #expect(outcomes[nil] == nil)
                #expect(outcomes.values.reduce(0, +) == 40)
            }
        }
    }

    @Test("at most a window is sent, at most the queue's length waits, and the rest is refused at once")
    func windowBound() async throws {
        let proxy = Proxy(target: try Broker.configuration().endpoints[0].port)
        defer { proxy.end() }
        try await Broker.withQueue { queue in
            try await Broker.withPublisher(
                Broker.configuration(through: proxy), window: 4, confirmDeadline: .seconds(3)
            ) { publisher, _ in
                proxy.freeze()
                let outcomes = await publishAll(4_200, publisher) { _ in AMQPMessage(routingKey: queue, body: [1]) }
                #expect(outcomes[.windowFull] == 100)
                let unknown = outcomes.filter { $0.key.map { AMQPError($0).outcomeIsUnknown } ?? false }
                #expect(unknown.values.reduce(0, +) == 4)
                #expect(outcomes.values.reduce(0, +) == 4_200)
                #expect(outcomes[nil] == nil)
            }
        }
    }

    @Test("an exchange that does not exist closes the channel, and the publisher recovers")
    func channelClosed() async throws {
        try await Broker.withQueue { queue in
            try await Broker.withPublisher { publisher, log in
                let error = await #expect(throws: AMQPError.self) {
                    try await publisher.publish(AMQPMessage(routingKey: "a", exchange: Broker.uniqueName(), body: []))
                }
                guard case .channelClosed(404, _) = error?.kind else {
                    Issue.record("expected 404, got \(String(describing: error))")
                    return
                }
                await log.connected()
                try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
            }
        }
    }

    @Test("a property longer than AMQP can carry is refused and does not affect other messages")
    func oversized() async throws {
        try await Broker.withQueue { queue in
            try await Broker.withPublisher { publisher, _ in
                let long = String(repeating: "x", count: 256)
                await #expect(throws: AMQPError(.unencodable("correlation id"))) {
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [], correlationID: long))
                }
                try await publisher.publish(
                    AMQPMessage(routingKey: queue, body: [], correlationID: String(long.dropLast())))
            }
        }
    }

    @Test("a hint that breaks its channel does not disturb confirmed messages")
    func hintChannel() async throws {
        try await Broker.withQueue { queue in
            try await Broker.withPublisher { publisher, _ in
                for _ in 0..<5 {
                    publisher.publishWithoutConfirm(
                        AMQPMessage(routingKey: "a", exchange: Broker.uniqueName(), body: []))
                    try await publisher.publish(AMQPMessage(routingKey: queue, body: [1]))
                }
                #expect(publisher.state == .connected)
            }
        }
    }
}

/// Publishes all messages at the same time and counts the outcomes; nil stands for confirmed.
func publishAll(
    _ count: Int, _ publisher: AMQPPublisher, _ message: @escaping @Sendable (Int) -> AMQPMessage
) async -> [AMQPError.Kind?: Int] {
    await withTaskGroup(of: AMQPError.Kind?.self) { group in
        for number in 0..<count {
            group.addTask {
                do throws(AMQPError) {
                    try await publisher.publish(message(number))
                    return nil
                } catch {
                    return error.kind
                }
            }
        }
        var outcomes: [AMQPError.Kind?: Int] = [:]
        for await outcome in group { outcomes[outcome, default: 0] += 1 }
        return outcomes
    }
}
