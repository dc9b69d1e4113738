import Glibc
import Logging
import RabbitMQ
import TCPProxy
import Synchronization
import TCPProxy
import Testing

/// The broker that the tests use, and the objects that they create there.
enum Broker {
    struct Missing: Error, CustomStringConvertible {
        let description = "QUOTASTACK_TEST_AMQP_URL is not set: these tests need a RabbitMQ broker"
    }

    static func configuration() throws -> AMQPConfiguration {
        guard let url = environment("QUOTASTACK_TEST_AMQP_URL") else { throw Missing() }
        return try AMQPConfiguration(url: url)
    }

    /// The same user and virtual host at the endpoint of a proxy.
    static func configuration(through proxy: Proxy, parameters: String = "") throws -> AMQPConfiguration {
        guard let url = environment("QUOTASTACK_TEST_AMQP_URL") else { throw Missing() }
        let direct = try AMQPConfiguration(url: url)
        let authority = "\(direct.endpoints[0])"
        let parts = url.split(separator: authority, maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw Missing() }
        return try AMQPConfiguration(url: "\(parts[0])127.0.0.1:\(proxy.port)\(parts[1])\(parameters)")
    }

    /// The same user and virtual host, with further nodes in front of the broker's own.
    static func configuration(behind nodes: String) throws -> AMQPConfiguration {
        guard let url = environment("QUOTASTACK_TEST_AMQP_URL"), let at = url.lastIndex(of: "@") else {
            throw Missing()
        }
        return try AMQPConfiguration(url: "\(url[...at])\(nodes),\(url[url.index(after: at)...])")
    }

    /// Lends a queue with a unique name, and deletes it afterwards.
    static func withQueue<Value>(
        quorum: Bool = true, singleActiveConsumer: Bool = false, maxLength: Int? = nil,
        _ body: (String) async throws -> Value
    ) async throws -> Value {
        let name = uniqueName()
        let configuration = try configuration()
        let queue = AMQPQueue(
            name: name, quorum: quorum, singleActiveConsumer: singleActiveConsumer, maxLength: maxLength,
            overflowRejectPublish: maxLength != nil)
        try await AMQPTopology.declare([queue], configuration: configuration)
        do {
            let value = try await body(name)
            try await AMQPTopology.delete([name], configuration: configuration)
            return value
        } catch {
            try? await AMQPTopology.delete([name], configuration: configuration)
            throw error
        }
    }

    /// Lends a connected publisher, and closes it afterwards.
    static func withPublisher<Value>(
        _ configuration: AMQPConfiguration? = nil, window: Int = 512, confirmDeadline: Duration = .seconds(10),
        _ body: (AMQPPublisher, ConnectionLog) async throws -> Value
    ) async throws -> Value {
        let log = ConnectionLog()
        let publisher = try AMQPPublisher(
            configuration: try configuration ?? self.configuration(), window: window,
            confirmDeadline: confirmDeadline, logger: log.logger)
        let running = Task { await publisher.run() }
        await log.connected()
        let result: Result<Value, any Error>
        do { result = .success(try await body(publisher, log)) } catch { result = .failure(error) }
        await publisher.close()
        await running.value
        return try result.get()
    }

    static func uniqueName() -> String { "test-\(UInt64.random(in: 0 ... .max))" }
}

/// Turns the log lines of a connection into signals that a test can wait for.
final class ConnectionLog: Sendable {
    private struct State {
        var connections = 0
        var losses = 0
        var seenConnections = 0
        var seenLosses = 0
        var waiter: CheckedContinuation<Void, Never>?
        var counts: [String: Int] = [:]
    }

    private let state = Mutex(State())

    var logger: Logger {
        Logger(label: "test") { _ in Handler(log: self) }
    }

    /// The number of lines with a text.
    func count(of text: String) -> Int { state.withLock { $0.counts[text] ?? 0 } }

    /// Waits for the next connection that was not awaited yet. One waiter at a time.
    func connected() async {
        await wait { state in
            guard state.connections > state.seenConnections else { return false }
            state.seenConnections += 1
            return true
        }
    }

    /// Waits for the next loss or failed attempt that was not awaited yet. One waiter at a time.
    func lost() async {
        await wait { state in
            guard state.losses > state.seenLosses else { return false }
            state.seenLosses += 1
            return true
        }
    }

    private func wait(_ arrived: (inout State) -> Bool) async {
        while !state.withLock({ arrived(&$0) }) {
            let before = state.withLock { $0.connections + $0.losses }
            await withCheckedContinuation { continuation in
                let changed = state.withLock { state in
                    if state.connections + state.losses != before { return true }
                    state.waiter = continuation
                    return false
                }
                if changed { continuation.resume() }
            }
        }
    }

    private func note(_ message: String) {
        let waiter = state.withLock { state in
            state.counts[message, default: 0] += 1
            if message == "connected to the broker" { state.connections += 1 }
            if message == "no connection to the broker" { state.losses += 1 }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    private struct Handler: LogHandler {
        let log: ConnectionLog
        var metadata = Logger.Metadata()
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.note(event.message.description)
        }
    }
}

/// A running consumer, and the stream of its deliveries.
struct RunningConsumer {
    let consumer: AMQPConsumer
    let log = ConnectionLog()
    private let running: Task<Void, Never>
    private var batches: AsyncStream<[AMQPDelivery]>.Iterator
    private var rest: [AMQPDelivery] = []

    init(
        _ configuration: AMQPConfiguration? = nil, queues: [String], exclusiveQueue: String? = nil,
        prefetch: UInt16 = 100, acknowledges: Bool = true
    ) async throws {
        let (stream, continuation) = AsyncStream<[AMQPDelivery]>.makeStream()
        let consumer = try AMQPConsumer(
            configuration: try configuration ?? Broker.configuration(), queues: queues,
            exclusiveQueue: exclusiveQueue, prefetch: prefetch, acknowledges: acknowledges, logger: log.logger
        ) { continuation.yield($0) }
        self.consumer = consumer
        running = Task {
            await consumer.run()
            continuation.finish()
        }
        batches = stream.makeAsyncIterator()
        await log.connected()
    }

    /// The next deliveries, exactly as many as requested.
    mutating func next(_ count: Int) async -> [AMQPDelivery] {
        while rest.count < count {
            guard let batch = await batches.next() else { break }
            #expect(!batch.isEmpty)
            rest += batch
        }
        defer { rest.removeFirst(min(count, rest.count)) }
        return Array(rest.prefix(count))
    }

    func stop() async {
        await consumer.stop()
        await running.value
    }
}

func text(_ delivery: AMQPDelivery) -> String { String(decoding: delivery.body, as: UTF8.self) }

func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}
