package import Credits
package import Metering

/// One account while a batch of commands is applied to it: its state, and everything that must be written about it.
///
/// Pure: the same account, catalogue, actions and clock give the same draft. A refused action leaves it as it was.
package struct AccountDraft: Hashable, Sendable {
    package private(set) var account: Account
    package private(set) var profile: EndUserProfile?
    /// In order of sequence.
    package private(set) var entries: [Entry] = []
    package private(set) var grantedBlocks: [GrantedBlock] = []
    /// The blocks that were debited in the batch, by number, with their state now.
    package private(set) var changedBlocks: [Int32: Block] = [:]
    private let revisionBefore: Int64
    private let blockCountBefore: Int32

    /// - Parameter profile: Nil for an end user who does not exist yet.
    package init(account: Account, profile: EndUserProfile?) {
        self.account = account
        self.profile = profile
        revisionBefore = account.revision
        blockCountBefore = account.blockCount
    }

    /// Whether there is anything to write.
    package var isChanged: Bool { account.revision != revisionBefore }

    /// Whether the end user came into being in this batch.
    package var isNew: Bool { revisionBefore == 0 && isChanged }

    /// Blocks that existed before the batch and changed in it, with their state now.
    package var olderChangedBlocks: [Block] {
        changedBlocks.values.filter { $0.number <= blockCountBefore }
    }

    /// A granted block in its present state, since it may have been spent from in the same batch.
    package func current(_ granted: GrantedBlock) -> Block {
        changedBlocks[granted.block.number] ?? granted.block
    }

    /// Applies one action at `now`, after everything that time has done by then.
    ///
    /// - Parameter idempotencyKey: What the client called the action; recorded in its entry.
    package mutating func apply(
        _ action: AccountAction, idempotencyKey: String?, catalogue: Catalogue, now clock: Instant
    ) -> Outcome {
        let now = max(clock, account.advancedTo)
        advance(to: now)
        do throws(Refusal) {
            switch action {
            case .grant(let grant):
                return try apply(grant, idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
            case .use(let event):
                return try apply(event, idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
            case .createEndUser(let change):
                let created = profile == nil
                return .endUser(applyProfile(change, now: now), created: created)
            case .updateEndUser(let change):
                guard profile != nil else { return .refused(.unknownEndUser) }
                return .endUser(applyProfile(change, now: now), created: false)
            case .advance: return .advanced
            }
        } catch {
            return .refused(error)
        }
    }
}

// MARK: - Time

extension AccountDraft {
    /// Lets all happen that was due by `now`, each at the instant at which it was due, in due order: blocks expire.
    package mutating func advance(to now: Instant) {
        if account.hasDue(at: now) {
            let due = account.blocks.filter { $0.available > 0 && $0.hasExpired(at: now) }.sorted {
                ($0.expiresAt ?? now, $0.number) < ($1.expiresAt ?? now, $1.number)
            }
            for block in due {
                post(
                    .expire, allocations: [Allocation(block: block.number, amount: -block.available)],
                    amount: -block.available, cause: EntryCause(), effectiveAt: block.expiresAt ?? now, now: now)
            }
            change()
        }
        account.advancedTo = max(account.advancedTo, now)
    }
}

extension Account {
    /// Whether something was due by `now`.
    package func hasDue(at now: Instant) -> Bool {
        guard let dueAt else { return false }
        return dueAt <= now
    }

    /// The account as it is at `now`: what a check or a balance is answered from. Its revision is not a position that
    /// anybody could wait for, since nothing has been written.
    package func advanced(to now: Instant) -> Account {
        guard hasDue(at: now) else { return self }
        var draft = AccountDraft(account: self, profile: nil)
        draft.advance(to: now)
        return draft.account
    }
}

// MARK: - Actions

extension AccountDraft {
    private mutating func apply(
        _ grant: Grant, idempotencyKey: String?, catalogue: Catalogue, now: Instant
    ) throws(Refusal) -> Outcome {
        let expiresAt: Instant? =
            switch grant.expiry {
            case .never: nil
            case .at(let instant): instant
            case .after(let duration): now.adding(duration)
            }
        if let expiresAt, expiresAt <= now { throw .expiresInThePast(expiresAt, now: now) }
        for feature in grant.featureKeys where catalogue.activeFeature(feature) == nil {
            throw .unknownFeature(feature)
        }
        guard let balance = try? account.balance + grant.credits,
            let lifetime = try? account.lifetimeGranted + grant.credits
        else { throw .amountOutOfRange(field: "credits") }
        let block = Block(
            number: account.blockCount + 1, original: grant.credits, remaining: grant.credits, held: .zero,
            priority: grant.priority ?? grant.source.defaultPriority, expiresAt: expiresAt, isPaid: false,
            featureKeys: grant.featureKeys)
        let granted = GrantedBlock(
            block: block, source: grant.source, reason: grant.reason, metadata: grant.metadata, createdAt: now)
        account.blockCount = block.number
        account.lifetimeGranted = lifetime
        let place = account.blocks.firstIndex { Block.burnsBefore(block, $0) } ?? account.blocks.endIndex
        account.blocks.insert(block, at: place)
        grantedBlocks.append(granted)
        account.balance = balance
        let entry = append(
            .grant, allocations: [Allocation(block: block.number, amount: grant.credits.rawValue)],
            amount: grant.credits.rawValue,
            cause: EntryCause(idempotencyKey: idempotencyKey, reason: grant.reason, metadata: grant.metadata),
            effectiveAt: now, now: now)
        exist(now: now)
        change()
        return .granted(granted, entry, account.balances)
    }

    private mutating func apply(
        _ event: UsageEvent, idempotencyKey: String?, catalogue: Catalogue, now: Instant
    ) throws(Refusal) -> Outcome {
        let occurredAt = event.occurredAt ?? now
        if occurredAt < now.adding(seconds: -UsageEvent.maximumAgeSeconds) {
            throw .occurredTooLongAgo(occurredAt, now: now)
        }
        if occurredAt > now.adding(seconds: UsageEvent.maximumLeadSeconds) {
            throw .occursInTheFuture(occurredAt, now: now)
        }
        let entitlement: Entitlement
        do {
            entitlement = try Entitlement.decide(
                account: account, catalogue: catalogue, feature: event.featureKey, units: event.units,
                occurredAt: occurredAt)
        } catch {
            throw .amountOutOfRange(field: "units")
        }
        let cost = entitlement.cost?.rawValue ?? 0
        switch entitlement.denial {
        case .unknownFeature: throw .unknownFeature(event.featureKey)
        case .featureNotPriced: throw .featureNotPriced(event.featureKey)
        case .insufficientCredits:
            throw .insufficientCredits(
                effectiveBalance: account.balances.effective, spendable: entitlement.spendable, required: cost)
        case nil: break
        }
        let cause = EntryCause(
            featureKey: event.featureKey, units: event.units, ruleID: entitlement.ruleID,
            idempotencyKey: idempotencyKey, metadata: event.metadata)
        let entry = post(
            .use, allocations: account.burn(cost, feature: event.featureKey), amount: -cost, cause: cause,
            effectiveAt: occurredAt, now: now)
        exist(now: now)
        change()
        return .used(entry, account.balances)
    }

    private mutating func applyProfile(_ change: EndUserChange, now: Instant) -> EndUserProfile {
        var changed = profile ?? EndUserProfile(name: nil, metadata: nil, createdAt: now, updatedAt: now)
        changed.apply(change, now: now)
        profile = changed
        self.change()
        return changed
    }
}

// MARK: - Writing

extension AccountDraft {
    /// Debits blocks by `allocations` and appends the entry that says so.
    @discardableResult
    private mutating func post(
        _ type: EntryType, allocations: [Allocation], amount: Int64, cause: EntryCause, effectiveAt: Instant,
        now: Instant
    ) -> Entry {
        for allocation in allocations { debit(allocation) }
        account.blocks.removeAll { $0.remaining == .zero }
        account.balance = account.balance.taking(-amount)
        return append(
            type, allocations: allocations, amount: amount, cause: cause, effectiveAt: effectiveAt, now: now)
    }

    private mutating func debit(_ allocation: Allocation) {
        guard let index = account.blocks.firstIndex(where: { $0.number == allocation.block }) else { return }
        account.blocks[index].remaining = account.blocks[index].remaining.taking(-allocation.amount)
        changedBlocks[allocation.block] = account.blocks[index]
    }

    private mutating func append(
        _ type: EntryType, allocations: [Allocation], amount: Int64, cause: EntryCause, effectiveAt: Instant,
        now: Instant
    ) -> Entry {
        let unhashed = Entry(
            sequence: account.version + 1, type: type, amount: amount, reservedDelta: 0, overageDelta: 0,
            balanceAfter: account.balance.rawValue, reservedAfter: account.reserved.rawValue,
            allocations: allocations, cause: cause, effectiveAt: effectiveAt, recordedAt: now, hash: .zero)
        let hash = unhashed.expectedHash(
            after: account.lastHash, account: account.id, endUserID: account.endUserID)
        let entry = unhashed.with(hash: hash)
        account.version = entry.sequence
        account.lastHash = hash
        entries.append(entry)
        return entry
    }

    private mutating func exist(now: Instant) {
        if profile == nil { profile = EndUserProfile(name: nil, metadata: nil, createdAt: now, updatedAt: now) }
    }

    private mutating func change() {
        account.revision += 1
    }
}

extension Account {
    /// What each block pays of a cost that the spendable credits cover, in burn order.
    func burn(_ cost: Int64, feature: FeatureKey) -> [Allocation] {
        var owed = cost
        var allocations: [Allocation] = []
        for block in blocks where owed > 0 && block.isOpen(to: feature) && block.available > 0 {
            let share = min(owed, block.available)
            allocations.append(Allocation(block: block.number, amount: -share))
            owed -= share
        }
        return allocations
    }
}

extension Entry {
    fileprivate func with(hash: EntryHash) -> Entry {
        Entry(
            sequence: sequence, type: type, amount: amount, reservedDelta: reservedDelta, overageDelta: overageDelta,
            balanceAfter: balanceAfter, reservedAfter: reservedAfter, allocations: allocations, cause: cause,
            effectiveAt: effectiveAt, recordedAt: recordedAt, hash: hash)
    }
}
