import HandleThread

/// A queue as the migrator declares it.
package struct AMQPQueue: Sendable {
    package var name: String

    /// Whether the queue survives a restart of the broker. A quorum queue always does.
    package var durable: Bool

    /// Whether the queue is a quorum queue: replicated, with every confirmed message on the disks of a majority.
    package var quorum: Bool

    /// Whether only one consumer at a time gets the messages. The next one takes over, in order, when its channel
    /// closes.
    package var singleActiveConsumer: Bool

    /// The largest number of ready messages; nil for no bound.
    package var maxLength: Int?

    /// Whether a full queue refuses new messages (`.rejected`) instead of dropping old ones.
    package var overflowRejectPublish: Bool

    /// How many members a new quorum queue starts with; nil for the broker's default.
    package var initialGroupSize: Int?

    package init(
        name: String, durable: Bool = true, quorum: Bool = true, singleActiveConsumer: Bool = false,
        maxLength: Int? = nil, overflowRejectPublish: Bool = false, initialGroupSize: Int? = nil
    ) {
        self.name = name
        self.durable = durable
        self.quorum = quorum
        self.singleActiveConsumer = singleActiveConsumer
        self.maxLength = maxLength
        self.overflowRejectPublish = overflowRejectPublish
        self.initialGroupSize = initialGroupSize
    }

    var options: Connection.QueueOptions {
        var arguments: [(name: String, value: FieldValue)] = [("x-queue-type", .text(quorum ? "quorum" : "classic"))]
        if singleActiveConsumer { arguments.append(("x-single-active-consumer", .boolean(true))) }
        if let maxLength { arguments.append(("x-max-length", .integer(Int64(maxLength)))) }
        if overflowRejectPublish { arguments.append(("x-overflow", .text("reject-publish"))) }
        if quorum, let initialGroupSize {
            arguments.append(("x-quorum-initial-group-size", .integer(Int64(initialGroupSize))))
        }
        return Connection.QueueOptions(durable: durable || quorum, arguments: arguments)
    }
}

/// Declares and inspects queues. Each call opens a connection of its own, so the calls are for start-up and migrations,
/// not for every request.
///
/// Errors: `.unavailable` when there is no connection, `.channelClosed` when the broker refuses (404: no such queue,
/// 406: it exists with other arguments, 403: not allowed).
package enum AMQPTopology {
    /// Declares the queues that do not exist, and leaves existing ones as they are, whatever their arguments. Arguments
    /// cannot be changed, and a queue may have been given more members since.
    package static func declareMissing(
        _ queues: [AMQPQueue], configuration: AMQPConfiguration
    ) async throws(AMQPError) {
        try await withConnection(configuration) { (connection) throws(ConnectionLoss) in
            for queue in queues where try !exists(queue.name, connection) {
                try connection.declareQueue(queue.name, queue.options, channel: channel)
            }
        }
    }

    /// The broker closes the channel when the queue does not exist, so the channel is opened again then.
    private static func exists(_ name: String, _ connection: Connection) throws(ConnectionLoss) -> Bool {
        do throws(ConnectionLoss) {
            try connection.declareQueue(name, Connection.QueueOptions(passive: true), channel: channel)
            return true
        } catch {
            guard error.channelClose?.code == 404 else { throw error }
            try connection.confirmChannelClose(channel)
            try connection.openChannel(channel)
            return false
        }
    }

    /// Declares queues. A queue that exists with the same arguments stays as it is.
    package static func declare(
        _ queues: [AMQPQueue], configuration: AMQPConfiguration
    ) async throws(AMQPError) {
        try await withConnection(configuration) { (connection) throws(ConnectionLoss) in
            for queue in queues { try connection.declareQueue(queue.name, queue.options, channel: channel) }
        }
    }

    /// Checks that queues exist, with any arguments.
    package static func check(_ names: [String], configuration: AMQPConfiguration) async throws(AMQPError) {
        try await withConnection(configuration) { (connection) throws(ConnectionLoss) in
            for name in names {
                try connection.declareQueue(name, Connection.QueueOptions(passive: true), channel: channel)
            }
        }
    }

    /// Deletes queues with all their messages. A queue that does not exist is no error.
    package static func delete(_ names: [String], configuration: AMQPConfiguration) async throws(AMQPError) {
        try await withConnection(configuration) { (connection) throws(ConnectionLoss) in
            for name in names { try connection.deleteQueue(name, channel: channel) }
        }
    }

    /// The number of messages ready for delivery (not those delivered and unacknowledged), and the number of consumers.
    /// A quorum queue reports them with a delay of some seconds.
    package static func messageCount(
        queue: String, configuration: AMQPConfiguration
    ) async throws(AMQPError) -> (ready: Int, consumers: Int) {
        try await withConnection(configuration) { (connection) throws(ConnectionLoss) in
            let counts = try connection.declareQueue(
                queue, Connection.QueueOptions(passive: true), channel: channel)
            return (counts.messages, counts.consumers)
        }
    }

    private static let channel: UInt16 = 1

    private static func withConnection<Value: Sendable>(
        _ configuration: AMQPConfiguration,
        _ body: @escaping @Sendable (Connection) throws(ConnectionLoss) -> Value
    ) async throws(AMQPError) -> Value {
        let thread: HandleThread<TopologyOwner>
        do throws(HandleThreadError) {
            thread = try HandleThread(name: "amqp-topology") { TopologyOwner() }
        } catch {
            throw AMQPError(error)
        }
        let outcome: Result<Value, AMQPError> = await withCheckedContinuation { continuation in
            let task: @Sendable () -> Void = {
                continuation.resume(returning: Self.outcome(configuration, body))
            }
            if !thread.send(task) { continuation.resume(returning: .failure(AMQPError(.closed))) }
            thread.stop()
        }
        return try outcome.get()
    }

    private static func outcome<Value>(
        _ configuration: AMQPConfiguration, _ body: (Connection) throws(ConnectionLoss) -> Value
    ) -> Result<Value, AMQPError> {
        do throws(ConnectionLoss) {
            let connection = try connected(configuration)
            defer { connection.close() }
            try connection.openChannel(channel)
            return .success(try body(connection))
        } catch {
            if let close = error.channelClose {
                return .failure(AMQPError(.channelClosed(code: close.code, text: close.text)))
            }
            return .failure(AMQPError(.unavailable(error.reason)))
        }
    }
}

/// Connects to the first node that answers.
private func connected(_ configuration: AMQPConfiguration) throws(ConnectionLoss) -> Connection {
    var latest = ConnectionLoss(reason: "the URL names no host")
    for endpoint in configuration.endpoints {
        do throws(ConnectionLoss) {
            return try Connection(configuration, at: endpoint)
        } catch {
            latest = error
        }
    }
    throw latest
}

/// Runs blocking closures on its handle thread.
private final class TopologyOwner: HandleOwner {
    typealias Command = @Sendable () -> Void

    var descriptor: Int32? { nil }
    var wantsToWrite: Bool { false }
    var wakeAt: UInt64? { nil }

    func receive(_ command: Command) { command() }
    func turn(readable: Bool, writable: Bool) {}
    func stop() {}
}
