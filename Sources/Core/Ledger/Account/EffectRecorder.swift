import Catalogue
import Credits

/// Receives the changes of an account, in order: a writer records them, a reader ignores them. The account has already
/// changed when a method is called.
protocol EffectRecorder {
    /// - Parameters:
    ///   - changed: The blocks that the posting changed, in their state after it.
    ///   - account: The account after the posting.
    mutating func posted(_ posting: Posting, changed: [Block], account: Account, now: Instant)
    mutating func opened(_ granted: GrantedBlock)
    /// A block changed without an entry.
    mutating func changed(_ block: Block)
    /// A reservation was made, changed or ended.
    mutating func changed(_ reservation: Reservation)
    /// A request for a top-up was made or has ended.
    mutating func changed(_ request: TopUpRequest)
    /// Something happened that the tenant is told.
    ///
    /// - Parameter instant: The instant at which it was due.
    mutating func happened(_ content: EventContent, at instant: Instant, now: Instant)
    /// Time has changed something that is neither a row nor told.
    mutating func hasPassed()
    /// The types of events that are recorded. Events of other types need not be made.
    var recorded: EventTypes { get }
    /// Whether time judges the balance after each instant. What follows from an action is judged with the action.
    var judgesBalance: Bool { get }
    /// The source of a block that has just received credits; nil if it is not known.
    func source(ofBlock number: Int32) -> BlockSource?
    /// A subscription was made, changed or ended.
    mutating func changed(_ subscription: Subscription)
    /// Whether time must stop, because it has done as much as one step may cost.
    var isFull: Bool { get }
    /// The present state of a block that has changed and may be closed; nil if it is not known.
    func changedBlock(_ number: Int32) -> Block?
    /// The cause of the entry by which the credits of a scheduled block land.
    func causeOfLanding(_ number: Int32) -> EntryCause
    /// The number of the next block that opens; nil when the account has had as many as it ever may.
    mutating func nextBlockNumber() -> Int32?
    /// The number of the next subscription that is made.
    mutating func nextSubscriptionNumber() -> Int32
}

/// The recorder of a reader: it ignores everything. Its blocks and subscriptions have numbers behind all stored ones, so
/// that they sort like those that a writer would make.
struct NoRecorder: EffectRecorder {
    private var latestNumber = Block.maximumCount
    private var effectCount = 0

    var isFull: Bool { effectCount >= Account.maximumEffects }

    mutating func posted(_ posting: Posting, changed: [Block], account: Account, now: Instant) { effectCount += 1 }
    mutating func opened(_ granted: GrantedBlock) {}
    mutating func changed(_ block: Block) {}
    mutating func changed(_ reservation: Reservation) {}
    mutating func changed(_ request: TopUpRequest) {}
    mutating func happened(_ content: EventContent, at instant: Instant, now: Instant) {}
    mutating func hasPassed() {}
    var recorded: EventTypes { .none }
    var judgesBalance: Bool { false }
    func source(ofBlock number: Int32) -> BlockSource? { nil }
    mutating func changed(_ subscription: Subscription) { effectCount += 1 }
    func changedBlock(_ number: Int32) -> Block? { nil }
    func causeOfLanding(_ number: Int32) -> EntryCause { EntryCause() }

    mutating func nextBlockNumber() -> Int32? { nextNumber() }
    mutating func nextSubscriptionNumber() -> Int32 { nextNumber() }

    private mutating func nextNumber() -> Int32 {
        if latestNumber < .max { latestNumber += 1 }
        return latestNumber
    }
}

/// The recorder of a batch: it collects the entries, the events and the rows that must be written.
struct BatchRecorder: EffectRecorder, Hashable {
    var book: AccountBook
    /// The older entries and blocks that the batch needs.
    var history = AccountHistory()
    /// In order of sequence.
    var entries: [Entry] = []
    var grantedBlocks: [GrantedBlock] = []
    /// The blocks that changed in the batch, by number, in their present state.
    var changedBlocks: [Int32: Block] = [:]
    /// The reservations that were made or changed in the batch, by number, in their present state.
    var changedReservations: [Int32: Reservation] = [:]
    /// The requests for top-ups that were made or have ended in the batch, by number, in their present state.
    var changedTopUpRequests: [Int32: TopUpRequest] = [:]
    /// The subscriptions that were made or changed in the batch, by number, in their present state.
    var changedSubscriptions: [Int32: Subscription] = [:]
    /// In order of sequence.
    var events: [Event] = []
    /// The number of recorded changes.
    var effectCount = 0
    /// The number of changes from which on time stops.
    var effectLimit = Int.max
    /// The types of events of the environment; none until a catalogue is known.
    var recorded = EventTypes.none
    var judgesBalance = false
    /// Whether nothing will be written: the history of what lands was not loaded.
    var isForecast = false

    var isFull: Bool { effectCount >= effectLimit }

    init(book: AccountBook) {
        self.book = book
    }

    /// A block that was granted in the batch, as it was granted. The numbers of granted blocks have no gaps.
    func granted(_ number: Int32) -> GrantedBlock? {
        guard let first = grantedBlocks.first?.block.number else { return nil }
        let index = Int(number) - Int(first)
        return grantedBlocks.indices.contains(index) ? grantedBlocks[index] : nil
    }

    mutating func posted(_ posting: Posting, changed: [Block], account: Account, now: Instant) {
        effectCount += 1
        for block in changed { changedBlocks[block.number] = block }
        let unhashed = Entry(
            sequence: account.version, type: posting.type, amount: posting.amount,
            reservedDelta: posting.reservedDelta, overageDelta: posting.overageDelta,
            balanceAfter: account.balance.rawValue, reservedAfter: account.reserved.rawValue,
            overageAfter: account.overage.rawValue, allocations: posting.allocations, holds: posting.holds,
            cause: posting.cause, effectiveAt: posting.effectiveAt, recordedAt: now, hash: .zero,
            personalDigest: book.salt == nil ? .ofNoPerson : nil)
        let owner = EntryOwner(account: account.id, endUserID: account.endUserID, salt: book.salt)
        guard let hash = unhashed.expectedHash(after: book.lastHash, of: owner) else {
            preconditionFailure("a new entry has its salt or its personal digest")
        }
        book.lastHash = hash
        entries.append(unhashed.with(hash: hash))
    }

    mutating func opened(_ granted: GrantedBlock) {
        effectCount += 1
        book.blockCount = granted.block.number
        grantedBlocks.append(granted)
    }

    mutating func changed(_ block: Block) {
        effectCount += 1
        changedBlocks[block.number] = block
    }

    mutating func changed(_ reservation: Reservation) {
        effectCount += 1
        book.reservationCount = max(book.reservationCount, reservation.number)
        changedReservations[reservation.number] = reservation
    }

    mutating func changed(_ subscription: Subscription) {
        effectCount += 1
        book.subscriptionCount = max(book.subscriptionCount, subscription.number)
        changedSubscriptions[subscription.number] = subscription
    }

    func nextBlockNumber() -> Int32? { book.blockCount < Block.maximumCount ? book.blockCount + 1 : nil }
    func nextSubscriptionNumber() -> Int32 { book.subscriptionCount + 1 }

    mutating func changed(_ request: TopUpRequest) {
        effectCount += 1
        changedTopUpRequests[request.number] = request
    }

    mutating func happened(_ content: EventContent, at instant: Instant, now: Instant) {
        guard recorded.contains(content.type) else { return }
        effectCount += 1
        book.eventCount += 1
        events.append(Event(sequence: book.eventCount, content: content, at: instant, recordedAt: now))
    }

    mutating func hasPassed() { effectCount += 1 }

    func changedBlock(_ number: Int32) -> Block? { changedBlocks[number] }

    func source(ofBlock number: Int32) -> BlockSource? { granted(number)?.source ?? history.blocks[number]?.source }

    func causeOfLanding(_ number: Int32) -> EntryCause {
        guard let granted = granted(number) ?? history.blocks[number] else {
            if isForecast { return EntryCause() }
            preconditionFailure("a scheduled block must be loaded before it lands")
        }
        return granted.cause(idempotencyKey: nil)
    }
}
