package import Catalogue
package import Credits
package import Metering

/// One account while a batch of commands is applied to it: its state, and all changes that must be written. It is the
/// plan of "read → decide → write".
///
/// Pure: the same account, history, catalogue, actions and clock give the same draft. A refused action has no effect of
/// its own; expiries and lapses due before `now` are still recorded. Each action is in a file of `Actions` that is
/// named after its noun. Actions change the account through `post`, `open` and `set`, which record the change. `apply`
/// then closes the action: it creates the end user if necessary, and raises the revision if anything changed.
package struct AccountDraft: Hashable, Sendable {
    package internal(set) var account: Account
    package internal(set) var profile: EndUserProfile?
    /// Set by an erasure, which is the last action of a batch on the account.
    package internal(set) var erasure: Erasure?
    /// The older entries and blocks that the batch's refunds, revocations and landings need.
    package var history: AccountHistory {
        get { recorder.history }
        set { recorder.history = newValue }
    }
    var recorder: BatchRecorder
    private let revisionBefore: Int64
    private let settingsBefore: AccountSettings
    private let autoTopUpBefore: AutoTopUp?
    private let bookBefore: AccountBook
    private var countersBefore: [CounterID: WindowCounter] = [:]
    private var hasForgottenCounters = false
    /// Whether the scheduler has sent a command for an instant at which nothing was due any more.
    private var isRescheduled = false
    /// The microseconds before an expiry at which the tenant is told of it; nil if it is not told.
    private var expiryLead: Int64?
    /// The definitions of limits whose counters the batch deletes.
    package private(set) var removedGenerations: Set<Int32> = []
    /// The counters that were loaded, or looked for in vain.
    package private(set) var loadedCounters: Set<CounterID> = []

    /// - Parameter profile: Nil if the end user does not exist yet.
    package init(account: Account, book: AccountBook = .new, profile: EndUserProfile?) {
        self.account = account
        self.profile = profile
        recorder = BatchRecorder(book: book)
        revisionBefore = account.revision
        settingsBefore = account.settings
        autoTopUpBefore = account.autoTopUp
        bookBefore = book
    }

    // MARK: - Applying

    /// Applies one action at `clock`, or at the instant of the end user's test clock. Everything due by then happens
    /// first.
    ///
    /// - Parameter idempotencyKey: The client's idempotency key; recorded in the entry.
    /// - Precondition: The action is not a transfer; for transfers see `transfer(_:from:to:)`.
    package mutating func apply(
        _ action: AccountAction, idempotencyKey: String?, catalogue: Catalogue, now clock: Instant
    ) -> Outcome {
        do throws(Refusal) {
            try attachClock(action, catalogue: catalogue)
            let now = account.currentInstant(clock: clock, catalogue: catalogue)
            advance(to: now, in: catalogue)
            guard account.advancedTo >= now else { throw .catchingUp }
            let context = ActionContext(idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
            let mark = Mark(self)
            let standing = account.balanceStanding(catalogue)
            let before = startDefaultPlan(unlessFor: action, context)
            let outcome = performOrRefuse(action, context)
            if let before, case .refused = outcome { self = before }
            openWindows(context)
            judge(since: standing, context)
            close(since: mark, at: now)
            if action == .advance, !isChanged, account.settings.testClock == nil { isRescheduled = true }
            return outcome
        } catch {
            return .refused(error)
        }
    }

    /// Records what follows from the change of the balance by an action: what the tenant is told of it, and a request for a
    /// top-up.
    mutating func judge(since standing: BalanceStanding, _ context: ActionContext) {
        account.judgeBalance(
            since: standing, at: context.now, now: context.now, in: context.catalogue, into: &recorder)
        judgeAutoTopUp(context)
    }

    /// Starts the default plan of an end user that is seen for the first time.
    ///
    /// - Returns: The draft before that, to which a refused action returns; nil if no plan was started.
    mutating func startDefaultPlan(unlessFor action: AccountAction, _ context: ActionContext) -> AccountDraft? {
        guard profile == nil, context.catalogue.config.defaultVariantID != nil, action != .advance else { return nil }
        // An end user that begins with a subscription of the tenant's choice needs no other in its place.
        if case .subscribe(let new) = action,
            let variant = context.catalogue.latestVariant(new.variant),
            context.catalogue.plan(of: variant)?.slot == .base
        {
            return nil
        }
        let before = self
        account.startDefaultPlan(
            SubscriptionMoment(at: context.now, now: context.now, catalogue: context.catalogue), into: &recorder)
        account.advance(to: context.now, in: context.catalogue, into: &recorder)
        return before
    }

    /// Opens the windows of grant lines that open with a use, if the action has used them.
    mutating func openWindows(_ context: ActionContext) {
        for var subscription in account.subscriptions {
            account.openWindows(of: &subscription, context.moment, into: &recorder)
        }
    }

    /// A refused action has no effect of its own. A charge that is refused for want of credits is noted for the automatic
    /// top-up.
    private mutating func performOrRefuse(_ action: AccountAction, _ context: ActionContext) -> Outcome {
        do throws(Refusal) {
            return try perform(action, context)
        } catch {
            note(error, of: action)
            return .refused(error)
        }
    }

    private mutating func perform(_ action: AccountAction, _ context: ActionContext) throws(Refusal) -> Outcome {
        if action != .advance, account.endUserID.isErased { throw .unknownEndUser }
        switch action {
        case .createEndUser, .eraseEndUser, .advance: break
        default: try requireEndUser(context.catalogue)
        }
        switch action {
        case .grant(let grant): return try apply(grant, context)
        case .topUp(let topUp): return try apply(topUp, context)
        case .use(let event): return try apply(event, context)
        case .refund(let refund): return try apply(refund, context)
        case .revoke(let revocation): return try apply(revocation, context)
        case .adjust(let adjustment): return try apply(adjustment, context)
        case .transfer: preconditionFailure("a transfer changes two accounts: use AccountDraft.transfer")
        case .reserve(let request): return try apply(request, context)
        case .reservation(let number, let action): return try apply(action, to: number, context)
        case .createSpendCap(let cap): return try apply(cap, context)
        case .deleteSpendCap(let number): return try deleteSpendCap(number)
        case .setLimit(let key, let limit): return try setLimit(key, limit, context)
        case .deleteLimit(let key): return try deleteLimit(key, context)
        case .subscribe(let new): return try apply(new, context)
        case .subscription(let number, let action): return try apply(action, to: number, context)
        case .setAutoTopUp(let rule): return try setAutoTopUp(rule, context)
        case .deleteAutoTopUp: return try deleteAutoTopUp()
        case .failTopUpRequest(let number, let reason): return try failTopUpRequest(number, reason: reason, context)
        case .createEndUser(let change): return try apply(change, isCreated: profile == nil, context)
        case .updateEndUser(let change):
            guard profile != nil else { throw .unknownEndUser }
            return try apply(change, isCreated: false, context)
        case .eraseEndUser: return try eraseEndUser(context)
        case .advance: return .advanced
        }
    }

    /// Refuses an action of an end user that does not exist, unless actions create end users.
    func requireEndUser(_ catalogue: Catalogue) throws(Refusal) {
        if account.endUserID.isErased { throw .unknownEndUser }
        guard profile != nil || catalogue.config.effectiveEndUserCreation == .implicit else { throw .unknownEndUser }
    }

    /// Stops time after a number of effects of one step.
    package mutating func limitSteps(to effects: Int = Account.maximumEffects) {
        recorder.effectLimit = recorder.effectCount + effects
    }

    /// Records everything that was due by `now`. All of it together raises the revision by one. If that is more than a step
    /// may cost, the account stays at an earlier instant, and another step goes on from there.
    package mutating func advance(to now: Instant, in catalogue: Catalogue) {
        let count = recorder.effectCount
        // Nobody is told of what happens to the credits of an erased end user.
        recorder.recorded =
            account.endUserID.isErased
            ? .none : recorder.isForecast ? .ofSubscriptions : catalogue.config.effectiveEventTypes
        expiryLead = recorder.recorded.expiryLead(catalogue)
        recorder.judgesBalance = true
        account.advance(to: now, in: catalogue, into: &recorder)
        recorder.judgesBalance = false
        if recorder.effectCount > count { account.revision += 1 }
    }

    /// The parts of a draft before an action that show whether the action changes anything.
    struct Mark {
        fileprivate let effectCount: Int
        fileprivate let settings: AccountSettings
        fileprivate let autoTopUp: AutoTopUp?
        fileprivate let profile: EndUserProfile?
        fileprivate let endUserID: EndUserID

        init(_ draft: AccountDraft) {
            endUserID = draft.account.endUserID
            effectCount = draft.recorder.effectCount
            settings = draft.account.settings
            autoTopUp = draft.account.autoTopUp
            profile = draft.profile
        }
    }

    /// Closes an action: makes the changes that every change of an account entails. Does nothing if the action changed
    /// nothing.
    mutating func close(since mark: Mark, at now: Instant) {
        guard
            recorder.effectCount > mark.effectCount || account.settings != mark.settings
                || account.autoTopUp != mark.autoTopUp || profile != mark.profile
                || account.endUserID != mark.endUserID
        else { return }
        if profile == nil { profile = EndUserProfile(name: nil, metadata: nil, createdAt: now, updatedAt: now) }
        account.revision += 1
    }

    /// Whether the account may have no place for some more counters at an instant, and may have more when those of ended
    /// windows are deleted.
    package func mayForgetCounters(toAdd count: Int, at now: Instant) -> Bool {
        account.counters.storedCount + count > UsageCounters.maximumOpen
            && account.counters.endsAt.map { $0 <= now } ?? false
    }

    /// Deletes the counters of a definition of a limit, whose number was loaded.
    mutating func removeCounters(of generation: Int32) {
        account.counters.remove(generation: generation, others: unloadedCounters(of: generation))
        removedGenerations.insert(generation)
    }

    /// The number of the account's counters of a definition of a limit.
    func counters(of generation: Int32) -> Int {
        account.counters.counters.values.count { $0.generation == generation } + unloadedCounters(of: generation)
    }

    private func unloadedCounters(of generation: Int32) -> Int {
        let loaded = countersBefore.values.count { $0.generation == generation }
        return (history.counterCounts[generation] ?? loaded) - loaded
    }

    /// Takes note of the counters that are left after those of ended windows were deleted.
    package mutating func forgetCounters(leaving count: Int, endingAt end: Instant?) {
        account.counters.storedCount = count
        account.counters.endsAt = end
        hasForgottenCounters = true
    }

    // MARK: - Changes that actions make

    /// Applies a posting and returns its entry.
    @discardableResult
    mutating func post(_ posting: Posting, now: Instant) -> Entry {
        for number in (posting.holds + posting.allocations).map(\.block) { reopen(number) }
        account.post(posting, now: now, into: &recorder)
        guard let entry = recorder.entries.last else { preconditionFailure("every posting must record an entry") }
        return entry
    }

    /// Puts a closed block back among the open blocks, because the posting returns credits to it.
    private mutating func reopen(_ number: Int32) {
        guard account.blocks.block(number) == nil, let closed = block(number) else { return }
        account.blocks.insert(closed)
    }

    /// A block of the account in its present state, open or closed; nil if it was not loaded.
    func block(_ number: Int32) -> Block? {
        recorder.changedBlocks[number] ?? account.blocks.block(number) ?? recorder.granted(number)?.block
            ?? history.blocks[number]?.block
    }

    /// The open and the scheduled blocks and the active reservations, which are rows that the next batch of the account
    /// loads.
    package var openRows: Int { openBlocks + account.reservations.count }

    /// The open and the scheduled blocks, of which an account has at most `Block.maximumOpen`.
    var openBlocks: Int { account.blocks.count + account.scheduled.count }

    // MARK: - Changes to write

    /// The number of rows that the changes so far write.
    package var changedRows: Int {
        recorder.entries.count + recorder.changedBlocks.count + recorder.changedReservations.count
            + recorder.changedSubscriptions.count + recorder.events.count + recorder.changedTopUpRequests.count
            + removedGenerations.reduce(0) { $0 + (history.counterCounts[$1] ?? 0) }
    }

    /// Whether the batch has changed the account.
    package var isChanged: Bool { account.revision != revisionBefore }

    /// Whether there is anything to write.
    package var hasWrites: Bool { isChanged || hasForgottenCounters || isRescheduled }

    /// The instant at which the scheduler should send the account a command; nil for accounts on a test clock, and if
    /// nothing is due.
    package var scheduledAt: Instant? {
        account.settings.testClock == nil ? account.dueAt(announcing: expiryLead) : nil
    }

    /// Whether the batch has attached the end user to a test clock.
    package var hasNewClock: Bool { account.settings.testClock != settingsBefore.testClock }

    /// Whether the settings changed.
    package var hasNewSettings: Bool { account.settings != settingsBefore }

    /// Whether the automatic top-up changed.
    package var hasNewAutoTopUp: Bool { account.autoTopUp != autoTopUpBefore }

    package var book: AccountBook { recorder.book }

    /// The counters that the batch has changed, in the order of their ids.
    package var changedCounters: [(id: CounterID, counter: WindowCounter)] {
        account.counters.counters.filter { countersBefore[$0.key] != $0.value }.sorted { $0.key < $1.key }
            .map { (id: $0.key, counter: $0.value) }
    }

    /// The counters that the batch has removed.
    package var removedCounters: [CounterID] {
        countersBefore.keys.filter { account.counters[$0] == nil }.sorted()
    }

    /// Adds stored counters to those that the account has. The other ones that were looked for are not stored.
    package mutating func load(_ counters: [CounterID: WindowCounter], lookedFor ids: Set<CounterID>) {
        loadedCounters.formUnion(ids)
        for (id, counter) in counters where account.counters[id] == nil && countersBefore[id] == nil {
            account.counters.load(id, counter)
            countersBefore[id] = counter
        }
    }

    /// The entries of the batch, in order of sequence.
    package var entries: [Entry] { recorder.entries }

    /// The events of the batch, in order of sequence.
    package var events: [Event] { recorder.events }

    /// The requests for top-ups that were made in the batch, in their present state.
    package var newTopUpRequests: [TopUpRequest] {
        recorder.changedTopUpRequests.values.filter { $0.number > autoTopUpBefore?.requestCount ?? 0 }
    }

    /// The requests for top-ups that existed before the batch and changed in it, in their present state.
    package var olderChangedTopUpRequests: [TopUpRequest] {
        recorder.changedTopUpRequests.values.filter { $0.number <= autoTopUpBefore?.requestCount ?? 0 }
    }

    /// The blocks that the batch granted, in their state at the grant.
    package var grantedBlocks: [GrantedBlock] { recorder.grantedBlocks }

    /// A granted block in its present state. The same batch may have spent from it.
    package func current(_ granted: GrantedBlock) -> Block {
        recorder.changedBlocks[granted.block.number] ?? granted.block
    }

    /// The blocks that existed before the batch and changed in it, in their present state.
    package var olderChangedBlocks: [Block] {
        recorder.changedBlocks.values.filter { $0.number <= bookBefore.blockCount }
    }

    /// The subscriptions that existed before the batch and changed in it, in their present state.
    package var olderChangedSubscriptions: [Subscription] {
        recorder.changedSubscriptions.values.filter { $0.number <= bookBefore.subscriptionCount }
    }

    /// The subscriptions that were made in the batch, in their present state.
    package var newSubscriptions: [Subscription] {
        recorder.changedSubscriptions.values.filter { $0.number > bookBefore.subscriptionCount }
    }

    /// The reservations that existed before the batch and changed in it, in their present state.
    package var olderChangedReservations: [Reservation] {
        recorder.changedReservations.values.filter { $0.number <= bookBefore.reservationCount }
    }

    /// The reservations that were made in the batch, in their present state.
    package var newReservations: [Reservation] {
        recorder.changedReservations.values.filter { $0.number > bookBefore.reservationCount }
    }
}

/// The older entries, blocks and requests of an account that a batch needs. Only refunds, revocations, landings, jobs that
/// get something back, answers to requests and new rules for top-ups need any.
package struct AccountHistory: Hashable, Sendable {
    /// The charges to refund (for a reservation all its commits), and every later entry that reduced overage or
    /// refunded one of these charges; in any order.
    package var entries: [Entry]
    /// The blocks to revoke, the blocks that the charges took from, and the scheduled blocks that may land, by number;
    /// closed blocks included.
    package var blocks: [Int32: GrantedBlock]
    /// The usage in the open windows of the limits that the batch sets, from before they are set.
    package var usage: [UsageQuery: [AttributeValue?: Int64]] = [:]
    /// The numbers of the stored counters of the definitions of limits that the batch may end.
    package var counterCounts: [Int32: Int] = [:]
    /// The numbers of the reservations whose charges were loaded.
    package var reservations: Set<Int32> = []
    /// The requests for top-ups that the batch names, and those that a new rule may have to count, by number.
    package var topUpRequests: [Int32: TopUpRequest] = [:]

    package init(entries: [Entry] = [], blocks: [Int32: GrantedBlock] = [:]) {
        self.entries = entries
        self.blocks = blocks
    }

    /// The number of rows and of allocations in them, for an estimate of what it cost to load them.
    package var rows: Int { entries.reduce(blocks.count + topUpRequests.count) { $0 + 1 + $1.allocations.count } }
}

/// The inputs of an action that are not in the account.
struct ActionContext {
    let idempotencyKey: String?
    let catalogue: Catalogue
    /// The account's current instant.
    let now: Instant
}
