import Credits

/// The blocks of an account whose grants start later, in the order in which they land: by instant, then by number.
///
/// Finding, inserting and removing one of n blocks costs O(log n); a walk costs O(n).
package struct ScheduledBlocks: Hashable, Sendable {
    private var blocks: OrderedList<ScheduledBlock>
    /// The instants of landing, by the block's number.
    private var instants: [Int32: Instant]
    /// The sum of the credits that are going to land, in millicredits. The account refuses a grant with which the sum
    /// of all credits would leave the range, so that a landing never does.
    package private(set) var credits: Int64

    package init() {
        self.init([])
    }

    /// - Parameter blocks: Scheduled blocks, in any order.
    package init(_ blocks: [Block]) {
        self.blocks = OrderedList(blocks.map { ScheduledBlock(block: $0) })
        instants = Dictionary(uniqueKeysWithValues: blocks.map { ($0.number, $0.since) })
        credits = blocks.reduce(0) { $0 + $1.original.rawValue }
    }

    /// The scheduled block with a number; nil if there is none.
    package func block(_ number: Int32) -> Block? {
        instants[number].flatMap { blocks[at: ScheduledBlock.Place(at: $0, number: number)]?.block }
    }

    /// Inserts a scheduled block or replaces the one with its number, and removes one that has landed or was revoked.
    package mutating func set(_ block: Block) {
        if let old = self.block(block.number) {
            credits -= old.original.rawValue
            blocks[at: ScheduledBlock(block: old).place] = nil
            instants[block.number] = nil
        }
        guard block.isScheduled else { return }
        credits += block.original.rawValue
        blocks[at: ScheduledBlock(block: block).place] = ScheduledBlock(block: block)
        instants[block.number] = block.since
    }
}

extension ScheduledBlocks: BidirectionalCollection {
    package struct Index: Comparable {
        fileprivate let index: OrderedList<ScheduledBlock>.Index

        package static func < (left: Index, right: Index) -> Bool { left.index < right.index }
    }

    package var count: Int { blocks.count }
    package var startIndex: Index { Index(index: blocks.startIndex) }
    package var endIndex: Index { Index(index: blocks.endIndex) }
    package func index(after index: Index) -> Index { Index(index: blocks.index(after: index.index)) }
    package func index(before index: Index) -> Index { Index(index: blocks.index(before: index.index)) }
    package subscript(index: Index) -> Block { blocks[index.index].block }
}

/// A block in the order of landing.
private struct ScheduledBlock: Ordered {
    /// The instant of the landing, then the number.
    struct Place: Comparable {
        let at: Instant
        let number: Int32

        static func < (left: Place, right: Place) -> Bool { (left.at, left.number) < (right.at, right.number) }
    }

    let block: Block

    var place: Place { Place(at: block.since, number: block.number) }
}
