package import Credits
package import Metering

/// One account while a batch of commands is applied to it: its state, and everything that must be written about it.
///
/// Pure: the same account, history, catalogue, actions and clock give the same draft. A refused action changes nothing
/// but what time had done by then. The actions themselves are in the files named after their nouns.
package struct AccountDraft: Hashable, Sendable {
    package internal(set) var account: Account
    package internal(set) var profile: EndUserProfile?
    /// In order of sequence.
    package internal(set) var entries: [Entry] = []
    package internal(set) var grantedBlocks: [GrantedBlock] = []
    /// The blocks that changed in the batch, by number, with their state now.
    package internal(set) var changedBlocks: [Int32: Block] = [:]
    /// The reservations that were made or changed in the batch, by number, with their state now.
    package internal(set) var changedReservations: [Int32: Reservation] = [:]
    /// What the batch's refunds and revocations must know of the past.
    package var history = AccountHistory()
    private let revisionBefore: Int64
    private let settingsBefore: AccountSettings
    private let blockCountBefore: Int32
    private let reservationCountBefore: Int32

    /// - Parameter profile: Nil for an end user who does not exist yet.
    package init(account: Account, profile: EndUserProfile?) {
        self.account = account
        self.profile = profile
        revisionBefore = account.revision
        settingsBefore = account.settings
        blockCountBefore = account.blockCount
        reservationCountBefore = account.reservationCount
    }

    /// Whether there is anything to write.
    package var isChanged: Bool { account.revision != revisionBefore }

    /// Whether the tenant has set something else for the end user.
    package var hasNewSettings: Bool { account.settings != settingsBefore }

    /// Whether the end user came into being in this batch.
    package var isNew: Bool { revisionBefore == 0 && isChanged }

    /// Blocks that existed before the batch and changed in it, with their state now.
    package var olderChangedBlocks: [Block] {
        changedBlocks.values.filter { $0.number <= blockCountBefore }
    }

    /// Reservations that existed before the batch and changed in it, with their state now.
    package var olderChangedReservations: [Reservation] {
        changedReservations.values.filter { $0.number <= reservationCountBefore }
    }

    /// Reservations that were made in the batch, with their state now.
    package var newReservations: [Reservation] {
        changedReservations.values.filter { $0.number > reservationCountBefore }
    }

    /// A granted block in its present state, since it may have been spent from in the same batch.
    package func current(_ granted: GrantedBlock) -> Block {
        changedBlocks[granted.block.number] ?? granted.block
    }

    /// Applies one action at `clock`, or at what the end user's test clock shows, after everything that time has done by then.
    ///
    /// - Parameter idempotencyKey: What the client called the action; recorded in its entry.
    /// - Precondition: The action is no transfer: see `transfer(_:from:to:)`.
    package mutating func apply(
        _ action: AccountAction, idempotencyKey: String?, catalogue: Catalogue, now clock: Instant
    ) -> Outcome {
        do throws(Refusal) {
            try attachClock(action, catalogue: catalogue)
            let now = account.present(clock: clock, catalogue: catalogue)
            advance(to: now)
            let context = ActionContext(idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
            switch action {
            case .grant(let grant): return try apply(grant, context)
            case .topUp(let topUp): return try apply(topUp, context)
            case .use(let event): return try apply(event, context)
            case .refund(let refund): return try apply(refund, context)
            case .revoke(let revocation): return try apply(revocation, context)
            case .adjust(let adjustment): return try apply(adjustment, context)
            case .transfer: preconditionFailure("a transfer changes two accounts")
            case .reserve(let request): return try apply(request, context)
            case .reservation(let number, let action): return try apply(action, to: number, context)
            case .createSpendCap(let cap): return try apply(cap, context)
            case .deleteSpendCap(let number): return try deleteSpendCap(number)
            case .createEndUser(let change):
                let isCreated = profile == nil
                return try apply(change, isCreated: isCreated, context)
            case .updateEndUser(let change):
                guard profile != nil else { throw .unknownEndUser }
                return try apply(change, isCreated: false, context)
            case .advance: return .advanced
            }
        } catch {
            return .refused(error)
        }
    }
}

/// What a batch must know of an account's past beyond its state. Loaded for refunds and revocations only.
package struct AccountHistory: Hashable, Sendable {
    /// The charges to refund (of a reservation all its commits), and every later entry that reduced overage or refunded one
    /// of them; in any order.
    package var entries: [Entry]
    /// The blocks to revoke, and those that the charges took from, by number; closed ones included.
    package var blocks: [Int32: GrantedBlock]

    package init(entries: [Entry] = [], blocks: [Int32: GrantedBlock] = [:]) {
        self.entries = entries
        self.blocks = blocks
    }
}

/// What every action is applied with.
struct ActionContext {
    let idempotencyKey: String?
    let catalogue: Catalogue
    /// The account's present.
    let now: Instant
}

// MARK: - Time

extension AccountDraft {
    /// Lets all happen that was due by `now`, each at the instant at which it was due, in due order: reservations lapse,
    /// blocks expire. At one instant reservations come first, by number, then blocks, by number.
    package mutating func advance(to now: Instant) {
        var isChanged = false
        while let due = account.dueAt, due <= now {
            isChanged = true
            for reservation in account.reservations where reservation.expiresAt <= due {
                lapse(reservation, at: due, now: now)
            }
            sweep(at: due, now: now)
        }
        if isChanged { change() }
        account.advancedTo = max(account.advancedTo, now)
    }

    /// Takes what is free and may not stay: the rest of revoked blocks and of blocks whose time is over.
    mutating func sweep(at instant: Instant, now: Instant) {
        let over = account.blocks.filter { block in
            block.available > 0 && (block.revokedAt != nil || block.hasExpired(at: instant))
        }
        for block in over.sorted(by: { $0.number < $1.number }) {
            post(
                Posting(
                    block.revokedAt != nil ? .revoke : .expire, amount: -block.available,
                    allocations: [Allocation(block: block.number, amount: -block.available)], effectiveAt: instant),
                now: now)
        }
    }
}

extension Account {
    /// Whether something was due by `now`.
    package func hasDue(at now: Instant) -> Bool {
        guard let dueAt else { return false }
        return dueAt <= now
    }

    /// The account's present: what its test clock shows, else the real time; never before anything that has happened to it.
    package func present(clock: Instant, catalogue: Catalogue) -> Instant {
        // Who lives by a clock never falls back to the real time, whatever is known of that clock.
        let shown = settings.testClock.map { catalogue.testClocks[$0] ?? advancedTo } ?? clock
        return max(shown, advancedTo)
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
