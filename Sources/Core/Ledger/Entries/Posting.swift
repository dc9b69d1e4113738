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
        let changes = posting.blockChanges
        var changed: [Block] = []
        changed.reserveCapacity(changes.count)
        for change in changes {
            let after = blocks.update(change.block) { block in
                block.held = block.held.changed(by: change.held)
                block.remaining = block.remaining.changed(by: change.remaining)
            }
            guard let block = after else { preconditionFailure("a posting names a block that was not loaded") }
            precondition(
                .zero <= block.held && block.held <= block.remaining && block.remaining <= block.original,
                "a posting violates 0 ≤ held ≤ remaining ≤ original of a block")
            changed.append(block)
        }
        for block in changed where block.remaining == .zero { blocks.removeSpent(block.number) }
        balance = balance.changed(by: posting.amount)
        reserved = reserved.changed(by: posting.reservedDelta)
        overage = overage.changed(by: posting.overageDelta)
        precondition(reserved >= .zero && overage >= .zero, "a posting takes reserved or overage below zero")
        version += 1
        recorder.posted(posting, changed: changed, account: self, now: now)
        guard let event = posting.event(self, recorder) else { return }
        // A use counts when it is applied, whenever it occurred.
        recorder.happened(event, at: posting.type == .use ? now : posting.effectiveAt, now: now)
    }

    /// Inserts a new block among the open or the scheduled blocks. Its credits come with the entry that grants it.
    mutating func open(_ granted: GrantedBlock, into recorder: inout some EffectRecorder) {
        if granted.block.isScheduled { scheduled.set(granted.block) } else { blocks.insert(granted.block) }
        recorder.opened(granted)
    }
}

extension Posting {
    /// The changes per block, in the order in which the holds and then the allocations name the blocks.
    fileprivate var blockChanges: [(block: Int32, held: Int64, remaining: Int64)] {
        if holds.isEmpty { return allocations.map { (block: $0.block, held: 0, remaining: $0.amount) } }
        var changes = holds.map { (block: $0.block, held: $0.amount, remaining: Int64(0)) }
        let places = AllocationPlaces(holds)
        for allocation in allocations {
            if let index = places[allocation.block] {
                changes[index].remaining += allocation.amount
            } else {
                changes.append((block: allocation.block, held: 0, remaining: allocation.amount))
            }
        }
        return changes
    }
}

/// Finds a block's allocation in a list: by a walk in a short list, through a dictionary in a long one.
struct AllocationPlaces {
    private let list: [Allocation]
    private let places: [Int32: Int]?

    /// - Parameter list: Each block is named at most once.
    init(_ list: [Allocation]) {
        self.list = list
        places =
            list.count <= 16
            ? nil : Dictionary(list.enumerated().map { ($0.element.block, $0.offset) }) { first, _ in first }
    }

    subscript(block: Int32) -> Int? {
        if let places { return places[block] }
        return list.firstIndex { $0.block == block }
    }
}

extension [Allocation] {
    /// The sum of the amounts.
    var total: Int64 { reduce(0) { $0 + $1.amount } }

    /// The allocations of both lists, this list first, with one allocation for each block. No list names a block twice.
    func adding(_ others: [Allocation]) -> [Allocation] {
        var sum = self
        let places = AllocationPlaces(self)
        for other in others {
            if let index = places[other.block] {
                sum[index] = Allocation(block: other.block, amount: sum[index].amount + other.amount)
            } else {
                sum.append(other)
            }
        }
        return sum
    }

    /// The same allocations with negated amounts.
    var negated: [Allocation] { map { Allocation(block: $0.block, amount: -$0.amount) } }
}

extension Entry {
    func with(hash: EntryHash) -> Entry {
        var copy = self
        copy.hash = hash
        return copy
    }
}
