package import Catalogue
package import Credits

/// One account while a batch of commands is applied to it: its state, and everything that must be written about it. This
/// is the plan of "read → decide → write".
///
/// Pure: the same account, history, catalogue, actions and clock give the same draft. A refused action has no effect of its
/// own; expiries and lapses due before `now` are still recorded. Each action is in the file named after its noun, below
/// `Actions`. An action changes the account through `post`, `open` and `set`, which record it, and `apply` closes it: the
/// end user is created if need be, counters of ended windows are dropped, and the revision rises if anything changed.
package struct AccountDraft: Hashable, Sendable {
    package internal(set) var account: Account
    package internal(set) var profile: EndUserProfile?
    /// The past of the account as far as the batch's refunds and revocations need it.
    package var history = AccountHistory()
    var recorder: BatchRecorder
    private let before: Account
    private let bookBefore: AccountBook

    /// - Parameter profile: Nil for an end user who does not exist yet.
    package init(account: Account, book: AccountBook = .new, profile: EndUserProfile?) {
        self.account = account
        self.profile = profile
        recorder = BatchRecorder(book: book)
        before = account
        bookBefore = book
    }

    // MARK: - Applying

    /// Applies one action at `clock`, or at the instant that the end user's test clock shows, after everything that was due by
    /// then.
    ///
    /// - Parameter idempotencyKey: The client's name for the request; recorded in the entry.
    /// - Precondition: The action is no transfer: see `transfer(_:from:to:)`.
    package mutating func apply(
        _ action: AccountAction, idempotencyKey: String?, catalogue: Catalogue, now clock: Instant
    ) -> Outcome {
        do throws(Refusal) {
            try attachClock(action, catalogue: catalogue)
            let now = account.currentInstant(clock: clock, catalogue: catalogue)
            advance(to: now)
            let context = ActionContext(idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
            let mark = Mark(self)
            let outcome = try perform(action, context)
            close(since: mark, at: now)
            return outcome
        } catch {
            return .refused(error)
        }
    }

    private mutating func perform(_ action: AccountAction, _ context: ActionContext) throws(Refusal) -> Outcome {
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
        case .createEndUser(let change): return try apply(change, isCreated: profile == nil, context)
        case .updateEndUser(let change):
            guard profile != nil else { throw .unknownEndUser }
            return try apply(change, isCreated: false, context)
        case .advance: return .advanced
        }
    }

    /// Lets everything happen that was due by `now`; all of it together is one change.
    package mutating func advance(to now: Instant) {
        let count = recorder.effectCount
        account.advance(to: now, into: &recorder)
        if recorder.effectCount > count { account.revision += 1 }
    }

    /// The draft before an action, as far as it shows whether the action changes anything.
    struct Mark {
        fileprivate let effectCount: Int
        fileprivate let settings: AccountSettings
        fileprivate let profile: EndUserProfile?

        init(_ draft: AccountDraft) {
            effectCount = draft.recorder.effectCount
            settings = draft.account.settings
            profile = draft.profile
        }
    }

    /// Closes an action: the one place that knows what every change of an account entails. Nothing happens when the action
    /// changed nothing.
    mutating func close(since mark: Mark, at now: Instant) {
        guard
            recorder.effectCount > mark.effectCount || account.settings != mark.settings || profile != mark.profile
        else { return }
        if profile == nil { profile = EndUserProfile(name: nil, metadata: nil, createdAt: now, updatedAt: now) }
        account.counters.forgetEnded(by: now)
        account.revision += 1
    }

    // MARK: - Changes that actions make

    /// Applies a posting and gives its entry.
    @discardableResult
    mutating func post(_ posting: Posting, now: Instant) -> Entry {
        for number in (posting.holds + posting.allocations).map(\.block) { reopen(number) }
        account.post(posting, now: now, into: &recorder)
        guard let entry = recorder.entries.last else { preconditionFailure("a posting makes an entry") }
        return entry
    }

    /// Puts a closed block that gets credits back among the open ones again.
    private mutating func reopen(_ number: Int32) {
        guard !account.blocks.contains(where: { $0.number == number }), let closed = block(number) else { return }
        account.insert(closed)
    }

    /// A block of the account in its present state, open or closed; nil for one that was not loaded.
    func block(_ number: Int32) -> Block? {
        recorder.changedBlocks[number] ?? account.blocks.first { $0.number == number }
            ?? recorder.grantedBlocks.first { $0.block.number == number }?.block ?? history.blocks[number]?.block
    }

    // MARK: - What must be written

    /// Whether there is anything to write.
    package var isChanged: Bool { account.revision != before.revision }

    /// Whether the settings changed.
    package var hasNewSettings: Bool { account.settings != before.settings }

    package var book: AccountBook { recorder.book }

    /// The entries of the batch, in order of sequence.
    package var entries: [Entry] { recorder.entries }

    /// The blocks that the batch granted, as they were granted.
    package var grantedBlocks: [GrantedBlock] { recorder.grantedBlocks }

    /// A granted block in its present state, since it may have been spent from in the same batch.
    package func current(_ granted: GrantedBlock) -> Block {
        recorder.changedBlocks[granted.block.number] ?? granted.block
    }

    /// Blocks that existed before the batch and changed in it, with their state now.
    package var olderChangedBlocks: [Block] {
        recorder.changedBlocks.values.filter { $0.number <= bookBefore.blockCount }
    }

    /// Reservations that existed before the batch and changed in it, with their state now.
    package var olderChangedReservations: [Reservation] {
        recorder.changedReservations.values.filter { $0.number <= bookBefore.reservationCount }
    }

    /// Reservations that were made in the batch, with their state now.
    package var newReservations: [Reservation] {
        recorder.changedReservations.values.filter { $0.number > bookBefore.reservationCount }
    }
}

/// The past of an account beyond its state, as far as a batch needs it: only refunds and revocations do.
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

/// The surroundings of an action.
struct ActionContext {
    let idempotencyKey: String?
    let catalogue: Catalogue
    /// The account's current instant.
    let now: Instant
}
