package import Credits
package import RabbitMQ

/// The queues of an installation. `migrate` declares them; everybody else only checks that they are there.
package struct Topology: Hashable, Sendable {
    /// How many messages a queue takes before it refuses more, which the API answers with 503.
    package static let maximumQueueLength = 100_000

    /// Set before every queue's name, so that installations can share a broker.
    package let prefix: String
    package let shardCount: Int32

    package init(prefix: String, shardCount: Int32) {
        self.prefix = prefix
        self.shardCount = shardCount
    }

    /// The queue of an end user's commands.
    package func ledgerQueue(environmentID: EnvironmentID, endUserID: EndUserID) -> String {
        ledgerQueue(shard: shard(environmentID: environmentID, endUserID: endUserID))
    }

    package func ledgerQueue(shard: Int32) -> String {
        "\(prefix)ledger.\(shard)"
    }

    /// The queue of plans, rules, keys and tenants.
    package var catalogueQueue: String { "\(prefix)catalog" }

    /// Every command queue.
    package var commandQueues: [String] {
        (0..<shardCount).map(ledgerQueue(shard:)) + [catalogueQueue]
    }

    /// The shard of an end user: FNV-1a over the environment's four bytes (little-endian) and the id's UTF-8 bytes,
    /// its halves folded together, modulo the number of shards. It must never change for an installation: it is what
    /// keeps an end user's commands in one queue.
    package func shard(environmentID: EnvironmentID, endUserID: EndUserID) -> Int32 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        withUnsafeBytes(of: environmentID.rawValue.littleEndian) { for byte in $0 { mix(byte) } }
        for byte in endUserID.rawValue.utf8 { mix(byte) }
        return Int32((hash ^ hash >> 32) % UInt64(shardCount))
    }

    /// Declares every command queue: durable, replicated, one active consumer, bounded, refusing when full, and with no
    /// delivery limit, since the limit counts the innocent neighbours of a message that kills its consumer.
    package func declare(configuration: AMQPConfiguration) async throws {
        try await AMQPTopology.declare(
            commandQueues.map { name in
                AMQPQueue(
                    name: name, durable: true, quorum: true, singleActiveConsumer: true,
                    maxLength: Self.maximumQueueLength, overflowRejectPublish: true, initialGroupSize: 1)
            }, configuration: configuration)
    }
}
