import Credits

/// The blocks of an account with remaining credits, in burn order.
///
/// Finding, replacing, inserting and removing one of n blocks costs O(log n); a walk costs O(n).
package struct BlockList: Hashable, Sendable {
    /// The size from which on blocks are found by number through a dictionary. Below it a walk is faster and smaller.
    private static let indexedSize = 64

    private var blocks: OrderedList<Block>
    /// The places in the burn order, by the block's number; nil for a short list.
    private var places: [Int32: BurnPlace]?

    package init() {
        blocks = OrderedList()
    }

    /// - Parameter blocks: In any order.
    package init(_ blocks: [Block]) {
        self.blocks = OrderedList(blocks)
        indexIfLong()
    }

    private mutating func indexIfLong() {
        guard places == nil, blocks.count >= Self.indexedSize else { return }
        places = Dictionary(uniqueKeysWithValues: blocks.map { ($0.number, $0.place) })
    }

    /// The block with a number; nil if nothing remains of it.
    package func block(_ number: Int32) -> Block? {
        index(of: number).map { blocks[$0] }
    }

    private func index(of number: Int32) -> Index? {
        if let places { return places[number].flatMap { blocks.index(of: $0) } }
        return blocks.firstIndex { $0.number == number }
    }

    // MARK: - Changing

    /// Replaces the block with the same number, inserts a new one, and removes one of which nothing remains.
    package mutating func set(_ block: Block) {
        if let index = index(of: block.number), block.remaining == .zero || blocks[index].place != block.place {
            remove(at: index)
        }
        if block.remaining > .zero { insert(block) }
    }

    /// Inserts a block, also one without credits, which the caller is about to fill.
    mutating func insert(_ block: Block) {
        blocks.set(block)
        places?[block.number] = block.place
        indexIfLong()
    }

    /// Changes a block. The change must not move it in the burn order.
    ///
    /// - Returns: The block after the change; nil if there is none with the number.
    mutating func update(_ number: Int32, _ change: (inout Block) -> Void) -> Block? {
        guard let index = index(of: number) else { return nil }
        blocks.update(at: index, change)
        return blocks[index]
    }

    /// Removes a block of which nothing remains.
    mutating func removeSpent(_ number: Int32) {
        guard let index = index(of: number), blocks[index].remaining == .zero else { return }
        remove(at: index)
    }

    private mutating func remove(at index: Index) {
        places?[blocks[index].number] = nil
        blocks.remove(at: index)
    }

    package static func == (left: BlockList, right: BlockList) -> Bool { left.blocks == right.blocks }

    package func hash(into hasher: inout Hasher) { hasher.combine(blocks) }
}

extension BlockList: BidirectionalCollection {
    package typealias Index = OrderedList<Block>.Index

    package var count: Int { blocks.count }
    package var startIndex: Index { blocks.startIndex }
    package var endIndex: Index { blocks.endIndex }
    package func index(after index: Index) -> Index { blocks.index(after: index) }
    package func index(before index: Index) -> Index { blocks.index(before: index) }
    package subscript(index: Index) -> Block { blocks[index] }
    package func makeIterator() -> OrderedList<Block>.Iterator { blocks.makeIterator() }
}

/// The place of a block in the burn order: lower priority first, then earlier expiry (no expiry is last), then free before
/// paid, then older. Of blocks of one instant those that landed by themselves are older than those that a command made,
/// because due things happen before commands.
package struct BurnPlace: Comparable, Sendable {
    private let priority: Int16
    private let isPaid: Bool
    private let startsLater: Bool
    private let number: Int32
    private let expiresAt: Int64
    private let since: Instant

    fileprivate init(_ block: Block) {
        priority = block.priority
        isPaid = block.isPaid
        startsLater = block.startsLater
        number = block.number
        since = block.since
        expiresAt = block.expiresAt?.microseconds ?? .max
    }

    package static func < (left: BurnPlace, right: BurnPlace) -> Bool {
        if left.priority != right.priority { return left.priority < right.priority }
        if left.expiresAt != right.expiresAt { return left.expiresAt < right.expiresAt }
        if left.isPaid != right.isPaid { return right.isPaid }
        if left.since != right.since { return left.since < right.since }
        if left.startsLater != right.startsLater { return left.startsLater }
        return left.number < right.number
    }
}

extension Block: Ordered {
    package var place: BurnPlace { BurnPlace(self) }
}
