package import Credits

/// A request to take back the unspent credits of a block.
package struct Revocation: Hashable, Sendable {
    package var block: Int32
    package var reason: String?
    package var metadata: Metadata?

    package init(block: Int32, reason: String? = nil, metadata: Metadata? = nil) {
        self.block = block
        self.reason = reason
        self.metadata = metadata
    }
}

extension AccountDraft {
    mutating func apply(_ revocation: Revocation, _ context: ActionContext) throws(Refusal) -> Outcome {
        guard let block = block(revocation.block), let granted = recorded(revocation.block) else {
            throw .unknownBlock(revocation.block)
        }
        guard block.revokedAt == nil else { return .revoked(granted, 0, nil, account.balances) }
        // Credits that have not landed are in no sum, so their revocation has no entry.
        let taken = block.isScheduled ? 0 : block.available
        mark(revocation.block, revokedAt: context.now)
        var entry: Entry?
        if taken > 0 {
            entry = post(
                Posting(
                    .revoke, amount: -taken, allocations: [Allocation(block: block.number, amount: -taken)],
                    cause: EntryCause(
                        idempotencyKey: context.idempotencyKey, reason: revocation.reason,
                        metadata: revocation.metadata), effectiveAt: context.now), now: context.now)
        }
        return .revoked(
            recorded(revocation.block) ?? granted, block.isScheduled ? block.original.rawValue : taken, entry,
            account.balances)
    }

    /// Marks an open, scheduled or closed block as revoked. A scheduled one never lands.
    private mutating func mark(_ number: Int32, revokedAt: Instant) {
        guard var block = block(number) else { return }
        block.revokedAt = revokedAt
        block.isScheduled = false
        account.scheduled.set(block)
        if account.blocks.block(number) != nil { account.blocks.set(block) }
        recorder.changed(block)
    }

    /// A block in its present state, with the facts that were recorded about it.
    func recorded(_ number: Int32) -> GrantedBlock? {
        guard
            let granted = recorder.granted(number) ?? history.blocks[number],
            let block = block(number)
        else { return nil }
        return granted.with(block)
    }
}
