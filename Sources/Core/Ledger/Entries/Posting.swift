import Credits

/// An entry to be: the changes that it makes, before it has its place in the ledger.
struct Posting {
    var type: EntryType
    var amount: Int64
    var reservedDelta: Int64
    var overageDelta: Int64
    var allocations: [Allocation]
    var holds: [Allocation]
    var cause: EntryCause
    var effectiveAt: Instant

    init(
        _ type: EntryType, amount: Int64 = 0, reservedDelta: Int64 = 0, overageDelta: Int64 = 0,
        allocations: [Allocation] = [], holds: [Allocation] = [], cause: EntryCause = EntryCause(),
        effectiveAt: Instant
    ) {
        self.type = type
        self.amount = amount
        self.reservedDelta = reservedDelta
        self.overageDelta = overageDelta
        self.allocations = allocations
        self.holds = holds
        self.cause = cause
        self.effectiveAt = effectiveAt
    }
}

extension Account {
    /// Changes blocks and sums as the posting says, and gives the recorder the entry to be.
    ///
    /// Callers must have refused postings that would overdraw a block. The preconditions check that again for every entry,
    /// because a wrong entry can never be taken back.
    mutating func post(_ posting: Posting, now: Instant, into recorder: inout some EffectRecorder) {
        var changed: [Block] = []
        for change in posting.blockChanges {
            guard let index = blocks.firstIndex(where: { $0.number == change.block }) else {
                preconditionFailure("an entry of a block that was not loaded reached the books")
            }
            blocks[index].held = blocks[index].held.changed(by: change.held)
            blocks[index].remaining = blocks[index].remaining.changed(by: change.remaining)
            let block = blocks[index]
            precondition(
                .zero <= block.held && block.held <= block.remaining && block.remaining <= block.original,
                "an entry that no block can bear reached the books")
            changed.append(block)
        }
        if changed.contains(where: { $0.remaining == .zero }) { blocks.removeAll { $0.remaining == .zero } }
        balance = balance.changed(by: posting.amount)
        reserved = reserved.changed(by: posting.reservedDelta)
        overage = overage.changed(by: posting.overageDelta)
        precondition(reserved >= .zero && overage >= .zero, "a sum below zero reached the books")
        version += 1
        recorder.posted(posting, changed: changed, account: self, now: now)
    }

    /// Puts a new block among the open ones. Its credits come with the entry that grants it.
    mutating func open(_ granted: GrantedBlock, into recorder: inout some EffectRecorder) {
        insert(granted.block)
        recorder.opened(granted)
    }

    /// Puts a block at its place in the burn order.
    mutating func insert(_ block: Block) {
        let place = blocks.firstIndex { Block.burnsBefore(block, $0) } ?? blocks.endIndex
        blocks.insert(block, at: place)
    }
}

extension Posting {
    /// The changes of each block, in the order in which the holds and the allocations name them.
    fileprivate var blockChanges: [(block: Int32, held: Int64, remaining: Int64)] {
        var changes = holds.map { (block: $0.block, held: $0.amount, remaining: Int64(0)) }
        for allocation in allocations {
            if let index = changes.firstIndex(where: { $0.block == allocation.block }) {
                changes[index].remaining += allocation.amount
            } else {
                changes.append((block: allocation.block, held: 0, remaining: allocation.amount))
            }
        }
        return changes
    }
}

extension [Allocation] {
    /// Σ amounts.
    var total: Int64 { reduce(0) { $0 + $1.amount } }

    /// The same with the other sign.
    var negated: [Allocation] { map { Allocation(block: $0.block, amount: -$0.amount) } }
}

extension Entry {
    func with(hash: EntryHash) -> Entry {
        Entry(
            sequence: sequence, type: type, amount: amount, reservedDelta: reservedDelta, overageDelta: overageDelta,
            balanceAfter: balanceAfter, reservedAfter: reservedAfter, overageAfter: overageAfter,
            allocations: allocations, holds: holds, cause: cause, effectiveAt: effectiveAt, recordedAt: recordedAt,
            hash: hash)
    }
}
