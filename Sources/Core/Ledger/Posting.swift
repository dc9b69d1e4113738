import Credits

/// An entry to be: what it changes, before it has its place in the ledger.
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

extension AccountDraft {
    /// Changes blocks and sums as the posting says, and appends its entry.
    ///
    /// Whatever it would make impossible was refused before; that it is not is worth a check on every entry.
    @discardableResult
    mutating func post(_ posting: Posting, now: Instant) -> Entry {
        for hold in posting.holds { change(hold.block) { $0.held = $0.held.changed(by: hold.amount) } }
        for allocation in posting.allocations {
            change(allocation.block) { $0.remaining = $0.remaining.changed(by: allocation.amount) }
        }
        for number in (posting.holds + posting.allocations).map(\.block) {
            guard let block = changedBlocks[number] else { continue }
            precondition(
                .zero <= block.held && block.held <= block.remaining && block.remaining <= block.original,
                "an entry that no block can bear reached the books")
        }
        account.blocks.removeAll { $0.remaining == .zero }
        account.balance = account.balance.changed(by: posting.amount)
        account.reserved = account.reserved.changed(by: posting.reservedDelta)
        account.overage = account.overage.changed(by: posting.overageDelta)
        precondition(account.reserved >= .zero && account.overage >= .zero, "a sum below zero reached the books")
        return append(posting, now: now)
    }

    /// Puts a new block among the open ones. Its credits come with the entry that grants it.
    mutating func open(_ granted: GrantedBlock) {
        account.blockCount = granted.block.number
        insert(granted.block)
        grantedBlocks.append(granted)
    }

    /// A block of the account in its present state, open or closed; nil for one that nobody has loaded.
    func block(_ number: Int32) -> Block? {
        changedBlocks[number] ?? account.blocks.first { $0.number == number }
            ?? grantedBlocks.first { $0.block.number == number }?.block ?? history.blocks[number]?.block
    }

    /// Changes a block; a closed one is opened again.
    mutating func change(_ number: Int32, _ body: (inout Block) -> Void) {
        if let index = account.blocks.firstIndex(where: { $0.number == number }) {
            body(&account.blocks[index])
            changedBlocks[number] = account.blocks[index]
        } else if var closed = block(number) {
            body(&closed)
            if closed.remaining > .zero { insert(closed) }
            changedBlocks[number] = closed
        } else {
            preconditionFailure("a block that was not loaded reached the books")
        }
    }

    private mutating func insert(_ block: Block) {
        let place = account.blocks.firstIndex { Block.burnsBefore(block, $0) } ?? account.blocks.endIndex
        account.blocks.insert(block, at: place)
    }

    private mutating func append(_ posting: Posting, now: Instant) -> Entry {
        let unhashed = Entry(
            sequence: account.version + 1, type: posting.type, amount: posting.amount,
            reservedDelta: posting.reservedDelta, overageDelta: posting.overageDelta,
            balanceAfter: account.balance.rawValue, reservedAfter: account.reserved.rawValue,
            overageAfter: account.overage.rawValue, allocations: posting.allocations, holds: posting.holds,
            cause: posting.cause, effectiveAt: posting.effectiveAt, recordedAt: now, hash: .zero)
        let hash = unhashed.expectedHash(after: account.lastHash, account: account.id, endUserID: account.endUserID)
        let entry = unhashed.with(hash: hash)
        account.version = entry.sequence
        account.lastHash = hash
        entries.append(entry)
        return entry
    }

    /// Brings the end user into being with the first mutation that names them.
    mutating func exist(now: Instant) {
        if profile == nil { profile = EndUserProfile(name: nil, metadata: nil, createdAt: now, updatedAt: now) }
    }

    /// Marks the account as changed by one action.
    mutating func change() {
        account.revision += 1
    }
}

extension Account {
    /// What each block pays of a cost, in burn order, and what of the cost no block pays.
    func burn(_ cost: Int64, from isEligible: (Block) -> Bool) -> (allocations: [Allocation], rest: Int64) {
        var owed = cost
        var allocations: [Allocation] = []
        for block in blocks where owed > 0 && block.available > 0 && isEligible(block) {
            let share = min(owed, block.available)
            allocations.append(Allocation(block: block.number, amount: -share))
            owed -= share
        }
        return (allocations, owed)
    }
}

extension [Allocation] {
    /// Σ amounts.
    var total: Int64 { reduce(0) { $0 + $1.amount } }

    /// The same with the other sign.
    var negated: [Allocation] { map { Allocation(block: $0.block, amount: -$0.amount) } }
}

extension Entry {
    fileprivate func with(hash: EntryHash) -> Entry {
        Entry(
            sequence: sequence, type: type, amount: amount, reservedDelta: reservedDelta, overageDelta: overageDelta,
            balanceAfter: balanceAfter, reservedAfter: reservedAfter, overageAfter: overageAfter,
            allocations: allocations, holds: holds, cause: cause, effectiveAt: effectiveAt, recordedAt: recordedAt,
            hash: hash)
    }
}
