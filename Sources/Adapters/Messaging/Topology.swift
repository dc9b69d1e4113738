package import Credits
package import RabbitMQ

/// The queues of an installation. Only `migrate` declares them.
package struct Topology: Hashable, Sendable {
    /// The number of messages that a queue takes before it refuses more. The API answers a refused message with 503.
    package static let maximumQueueLength = 100_000

    /// The prefix of every queue's name, with which installations can share a broker.
    package let prefix: String
    package let shardCount: Int32

    package init(prefix: String, shardCount: Int32) {
        self.prefix = prefix
        self.shardCount = shardCount
    }

    /// The queue for an end user's commands.
    package func ledgerQueue(environmentID: EnvironmentID, endUserID: EndUserID) -> String {
        ledgerQueue(shard: shard(environmentID: environmentID, endUserID: endUserID))
    }

    package func ledgerQueue(shard: Int32) -> String {
        "\(prefix)ledger.\(shard)"
    }

    /// The queue for commands on the catalogue, its configuration, its API keys and tenants.
    package var catalogueQueue: String { "\(prefix)catalog" }

    /// Every command queue.
    package var commandQueues: [String] {
        (0..<shardCount).map(ledgerQueue(shard:)) + [catalogueQueue]
    }

    /// The shard of an end user: FNV-1a over the environment's four bytes (little-endian) and the id's UTF-8 bytes; the
    /// hash is combined by XOR with its own upper half and taken modulo the number of shards. The function must never
    /// change for an installation, because it keeps all commands of an end user in one queue.
    package func shard(environmentID: EnvironmentID, endUserID: EndUserID) -> Int32 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        withUnsafeBytes(of: environmentID.rawValue.littleEndian) { for byte in $0 { mix(byte) } }
        for byte in endUserID.rawValue.utf8 { mix(byte) }
        return Int32((hash ^ hash >> 32) % UInt64(shardCount))
    }

    /// Declares every command queue that does not exist: a durable quorum queue with a single active consumer and a bound,
    /// refusing messages when full. It has no delivery limit, because such a limit also counts the messages that were merely in
    /// hand when another message ended the consumer. An existing queue stays as it is, with the members that it has.
    ///
    /// - Parameter members: The number of nodes that keep a new queue. The broker takes all its nodes when it has fewer.
    package func declare(members: Int, configuration: AMQPConfiguration) async throws {
        try await AMQPTopology.declareMissing(
            commandQueues.map { name in
                AMQPQueue(
                    name: name, durable: true, quorum: true, singleActiveConsumer: true,
                    maxLength: Self.maximumQueueLength, overflowRejectPublish: true, initialGroupSize: members)
            }, configuration: configuration)
    }
}
