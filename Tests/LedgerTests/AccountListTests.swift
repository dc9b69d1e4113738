import Credits
import Ledger
import SeededRandom
import Testing

@Suite("The lists of an account's blocks and reservations")
struct AccountListTests {
    private func block(_ number: Int32, _ random: inout SeededGenerator) throws -> Block {
        Block(
            number: number, original: try Millicredits(Int64(9)),
            remaining: try Millicredits(Int64.random(in: 0...9, using: &random)), held: .zero,
            priority: .random(in: 0...2, using: &random),
            expiresAt: Bool.random(using: &random) ? nil : Instant(microseconds: .random(in: 0...3, using: &random)),
            isPaid: Bool.random(using: &random), since: Instant(microseconds: .random(in: 0...3, using: &random)),
            startsLater: Bool.random(using: &random))
    }

    @Test("blocks stay in burn order, and each is found by its number, whatever is set", arguments: 0..<40)
    func blocks(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let numbers: Int32 = random.pick([5, 70, 600, 3_000])
        var list = BlockList()
        var expected: [Int32: Block] = [:]
        for step in 0..<4_000 {
            // A block never changes its place in the burn order, but an update of a replica may find another block under
            // the number, for instance after a restored backup.
            let block = try block(.random(in: 1...numbers, using: &random), &random)
            list.set(block)
            expected[block.number] = block.remaining > .zero ? block : nil
            guard step.isMultiple(of: 400) else { continue }
            let sorted = expected.values.sorted { $0.place < $1.place }
            #expect(Array(list) == sorted)
            #expect(list.count == sorted.count)
            for number in 1...numbers { #expect(list.block(number) == expected[number]) }
            #expect(list == BlockList(sorted.shuffled(using: &random)))
        }
    }

    @Test("a list walks backwards as it walks forwards")
    func backwards() throws {
        var random = SeededGenerator(seed: 1)
        let blocks = try (1...1_000).map { try block($0, &random) }
        let list = BlockList(blocks)
        #expect(Array(list.reversed()) == Array(list).reversed())
        #expect(list.first == Array(list).first)
    }

    @Test("a set of features finds each of its keys and no other")
    func features() throws {
        let keys = try (0..<100).map { try #require(FeatureKey("feature_\($0 * 37 % 100)")) }
        let set = try #require(FeatureSet(keys))
        #expect(set.keys == keys)
        for key in keys { #expect(set.contains(key)) }
        for other in ["feature_100", "feature", "a", "z", "feature_1x"] {
            #expect(!set.contains(try #require(FeatureKey(other))))
        }
        #expect(FeatureSet([]) == nil)
    }
}
