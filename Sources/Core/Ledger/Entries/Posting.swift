import Credits

/// The changes of an entry before it has its place in the ledger.
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
    /// Applies the posting to blocks and sums, and gives it to the recorder.
    ///
    /// Callers must have refused postings that would overdraw a block. The preconditions check that again for every entry,
    /// because a wrong entry can never be taken back.
    mutating func post(_ posting: Posting, now: Instant, into recorder: inout some EffectRecorder) {
        var changed: [Block] = []
        for change in posting.blockChanges {
            guard let index = blocks.firstIndex(where: { $0.number == change.block }) else {
                preconditionFailure("a posting names a block that was not loaded")
            }
            blocks[index].held = blocks[index].held.changed(by: change.held)
            blocks[index].remaining = blocks[index].remaining.changed(by: change.remaining)
            let block = blocks[index]
            precondition(
                .zero <= block.held && block.held <= block.remaining && block.remaining <= block.original,
                "a posting violates 0 ≤ held ≤ remaining ≤ original of a block")
            changed.append(block)
        }
        if changed.contains(where: { $0.remaining == .zero }) { blocks.removeAll { $0.remaining == .zero } }
        balance = balance.changed(by: posting.amount)
        reserved = reserved.changed(by: posting.reservedDelta)
        overage = overage.changed(by: posting.overageDelta)
        precondition(reserved >= .zero && overage >= .zero, "a posting takes reserved or overage below zero")
        version += 1
        recorder.posted(posting, changed: changed, account: self, now: now)
    }

    /// Inserts a new block among the open blocks. Its credits come with the entry that grants it.
    mutating func open(_ granted: GrantedBlock, into recorder: inout some EffectRecorder) {
        insert(granted.block)
        recorder.opened(granted)
    }

    /// Inserts a block at its place in the burn order.
    mutating func insert(_ block: Block) {
        let place = blocks.firstIndex { Block.burnsBefore(block, $0) } ?? blocks.endIndex
        blocks.insert(block, at: place)
    }
}

extension Posting {
    /// The changes per block, in the order in which the holds and then the allocations name the blocks.
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
    /// The sum of the amounts.
    var total: Int64 { reduce(0) { $0 + $1.amount } }

    /// The same allocations with negated amounts.
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
