import Credits
import Messaging
import Testing

@Suite("Topology")
struct TopologyTests {
    /// The shards were computed independently, by FNV-1a over the bytes 01 00 00 00 and the id. They must never change.
    @Test(
        "the shard of an end user never changes",
        arguments: [("user_0", 1), ("user_1", 2), ("user_123", 4), ("ä", 4)] as [(String, Int32)])
    func shards(id: String, shard: Int32) throws {
        let topology = Topology(prefix: "", shardCount: 8)
        let endUser = try #require(EndUserID(id))
        #expect(topology.shard(environmentID: EnvironmentID(1), endUserID: endUser) == shard)
    }

    @Test("ten thousand end users spread evenly over the shards")
    func spread() throws {
        let topology = Topology(prefix: "", shardCount: 8)
        var counts = Array(repeating: 0, count: 8)
        for number in 0..<10_000 {
            let endUser = try #require(EndUserID("user_\(number)"))
            counts[Int(topology.shard(environmentID: EnvironmentID(2), endUserID: endUser))] += 1
        }
        #expect(counts.allSatisfy { (1_100...1_400).contains($0) }, "\(counts)")
    }

    @Test("queues carry the prefix, and there is one for each shard and one for the catalogue")
    func names() {
        let topology = Topology(prefix: "a.", shardCount: 2)
        #expect(topology.commandQueues == ["a.ledger.0", "a.ledger.1", "a.catalog"])
    }
}
