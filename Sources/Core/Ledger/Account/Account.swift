package import Credits

/// One end user's account as decisions and answers read it: sums, open blocks, active reservations, settings and
/// counters.
///
/// An account is the unit of consistency: its commands are applied one after another. A value is complete and correct
/// as of `advancedTo`; `advanced(to:in:)` brings it forward in time. The ledger worker and every replica hold this type
/// and decide by the same code. Numbers that only a writer needs, such as the latest hash, are in `AccountBook`.
package struct Account: Hashable, Sendable {
    package let id: AccountID
    package let environmentID: EnvironmentID
    /// Changes when the end user is erased, and never otherwise.
    package internal(set) var endUserID: EndUserID

    /// The number of ledger entries, which is also the sequence of the latest entry.
    package internal(set) var version: Int64
    /// Rises with every committed change of the account, with or without entries. Position tokens carry it.
    package internal(set) var revision: Int64
    /// Σ remaining of the open blocks − overage.
    package internal(set) var balance: Millicredits
    /// Σ held by active reservations.
    package internal(set) var reserved: Millicredits
    /// The debt: the part of charges that no credits covered.
    package internal(set) var overage: Millicredits
    /// The sum of all credits received by grant, top-up, positive adjustment and transfer; never decreases.
    package internal(set) var lifetimeGranted: Millicredits
    /// The latest instant that the account was advanced to. It never goes back.
    package internal(set) var advancedTo: Instant
    /// The blocks with remaining credits, in burn order.
    package internal(set) var blocks: BlockList
    /// The blocks whose grants start later. They count in no sum.
    package internal(set) var scheduled: ScheduledBlocks
    /// The active reservations, by number.
    package internal(set) var reservations: OrderedList<Reservation>
    /// The live subscriptions, by number.
    package internal(set) var subscriptions: OrderedList<Subscription>
    package internal(set) var settings: AccountSettings
    /// The counters that the reader of the account needs. The ledger loads those that its commands name.
    package var counters: UsageCounters
    /// The limits that were exhausted in windows which are still open. Only the ledger reads it.
    package internal(set) var exhausted: [ExhaustedLimit]
    private var autoTopUpBox: AutoTopUpBox

    /// An account without history, which every end user has before the first mutation.
    package init(id: AccountID, environmentID: EnvironmentID, endUserID: EndUserID) {
        self.init(id: id, environmentID: environmentID, endUserID: endUserID, version: 0, revision: 0, sums: .zero)
    }

    /// An account from its stored values.
    ///
    /// - Parameters:
    ///   - blocks: The blocks with remaining credits.
    ///   - scheduled: The blocks whose grants start later.
    ///   - reservations: The active reservations, by number.
    ///   - subscriptions: The live subscriptions, by number.
    package init(
        id: AccountID, environmentID: EnvironmentID, endUserID: EndUserID, version: Int64, revision: Int64,
        sums: AccountSums, advancedTo: Instant = Instant(microseconds: .min), blocks: BlockList = BlockList(),
        scheduled: ScheduledBlocks = ScheduledBlocks(), reservations: OrderedList<Reservation> = OrderedList(),
        subscriptions: OrderedList<Subscription> = OrderedList(), settings: AccountSettings = .none,
        counters: UsageCounters = .none, exhausted: [ExhaustedLimit] = [], autoTopUp: AutoTopUp? = nil
    ) {
        self.id = id
        self.environmentID = environmentID
        self.endUserID = endUserID
        self.version = version
        self.revision = revision
        balance = sums.balance
        reserved = sums.reserved
        overage = sums.overage
        lifetimeGranted = sums.lifetimeGranted
        self.advancedTo = advancedTo
        self.blocks = blocks
        self.scheduled = scheduled
        self.reservations = reservations
        self.subscriptions = subscriptions
        self.settings = settings
        self.counters = counters
        self.exhausted = exhausted
        autoTopUpBox = AutoTopUpBox(autoTopUp)
    }

    /// The automatic top-up; nil for an account that has never had a rule.
    package internal(set) var autoTopUp: AutoTopUp? {
        get { autoTopUpBox.value }
        set { autoTopUpBox = AutoTopUpBox(newValue) }
    }

    package var name: AccountName { AccountName(id: id, endUserID: endUserID) }

    /// The sums that every answer shows.
    package var balances: Balances {
        let frozen = frozenCredits
        let effective = balance.rawValue - reserved.rawValue - frozen
        return Balances(
            balance: balance.rawValue, reserved: reserved.rawValue, frozen: frozen, effective: effective)
    }

    /// The credits that a new charge of the feature can take: Σ (remaining − held) over the blocks open to the feature.
    /// Costs a walk over the blocks.
    package func spendable(for feature: FeatureKey) -> Int64 { spendable(for: [feature]) }

    /// The credits that a hold over some features can take, from the blocks open to all of them. Costs a walk over the
    /// blocks.
    func spendable(for features: [FeatureKey]) -> Int64 {
        let frozen = frozenSubscriptions
        return blocks.reduce(0) { sum, block in
            block.isOpen(to: features) && !block.isFrom(frozen) ? sum + block.available : sum
        }
    }

    /// The numbers of the subscriptions whose credits cannot be spent now: paused ones, and those past due that permit no
    /// usage then.
    private var frozenSubscriptions: [Int32] { subscriptions.filter(\.deniesUsage).map(\.number) }

    /// The available credits of frozen blocks. Costs a walk over the blocks while a subscription is frozen.
    private var frozenCredits: Int64 {
        let frozen = frozenSubscriptions
        return frozen.isEmpty ? 0 : blocks.reduce(0) { $0 + ($1.isFrom(frozen) ? $1.available : 0) }
    }

    /// The credits that may still be granted: the sum of all that was ever granted, and the sum of all blocks, stay in the
    /// range of an amount. The scheduled credits count, so that they have room when they land. The blocks can have more
    /// than was ever granted, because a refund also gives back what a closed overage has paid.
    var roomForGrants: Int64 { min(Millicredits.limit - lifetimeGranted.rawValue - scheduled.credits, roomInBlocks) }

    /// The credits that the blocks may still take.
    var roomInBlocks: Int64 {
        Millicredits.limit - balance.rawValue - overage.rawValue - scheduled.credits
    }

    /// The debits by which the eligible blocks pay a cost, in burn order, and the rest of the cost that no block pays.
    /// Costs a walk up to the last block that pays.
    func burn(_ cost: Int64, from isEligible: (Block) -> Bool) -> (allocations: [Allocation], rest: Int64) {
        var owed = cost
        var allocations: [Allocation] = []
        let frozen = frozenSubscriptions
        for block in blocks {
            guard owed > 0 else { break }
            guard block.available > 0, !block.isFrom(frozen), isEligible(block) else { continue }
            let share = min(owed, block.available)
            allocations.append(Allocation(block: block.number, amount: -share))
            owed -= share
        }
        return (allocations, owed)
    }
}

/// The stored sums of an account.
package struct AccountSums: Hashable, Sendable {
    package var balance: Millicredits
    package var reserved: Millicredits
    package var overage: Millicredits
    package var lifetimeGranted: Millicredits

    package init(balance: Millicredits, reserved: Millicredits, overage: Millicredits, lifetimeGranted: Millicredits) {
        self.balance = balance
        self.reserved = reserved
        self.overage = overage
        self.lifetimeGranted = lifetimeGranted
    }

    package static let zero = AccountSums(balance: .zero, reserved: .zero, overage: .zero, lifetimeGranted: .zero)
}

/// The sums of an account in the form that answers show, in millicredits.
package struct Balances: Hashable, Sendable {
    package let balance: Int64
    package let reserved: Int64
    package let frozen: Int64
    /// `balance − reserved − frozen`.
    package let effective: Int64

    package init(balance: Int64, reserved: Int64, frozen: Int64, effective: Int64) {
        self.balance = balance
        self.reserved = reserved
        self.frozen = frozen
        self.effective = effective
    }
}

/// The account's number and the tenant's name for its end user: the two identifiers that answers contain.
package struct AccountName: Hashable, Sendable {
    package let id: AccountID
    package let endUserID: EndUserID

    package init(id: AccountID, endUserID: EndUserID) {
        self.id = id
        self.endUserID = endUserID
    }

    /// The public id of an object that is numbered inside the account.
    package func id(_ kind: PublicIDKind, _ number: some BinaryInteger) -> PublicID {
        PublicID(kind, account: id, number: Int64(number))
    }
}

/// The numbers that only the ledger worker needs, to continue the numbering and the hash chain of an account.
package struct AccountBook: Hashable, Sendable {
    /// The number of the latest block.
    package internal(set) var blockCount: Int32
    /// The number of the latest reservation.
    package internal(set) var reservationCount: Int32
    /// The number of the latest subscription.
    package internal(set) var subscriptionCount: Int32
    /// The sequence of the latest event.
    package internal(set) var eventCount: Int64
    /// The hash of the latest entry; 32 zero bytes before the first.
    package internal(set) var lastHash: EntryHash
    /// The salt of the personal digests; nil when the end user was erased.
    package internal(set) var salt: Salt?

    package init(
        blockCount: Int32, reservationCount: Int32, subscriptionCount: Int32 = 0, eventCount: Int64 = 0,
        lastHash: EntryHash, salt: Salt?
    ) {
        self.blockCount = blockCount
        self.reservationCount = reservationCount
        self.subscriptionCount = subscriptionCount
        self.eventCount = eventCount
        self.lastHash = lastHash
        self.salt = salt
    }

    /// The book of an account without history that is not stored.
    package static let new = AccountBook(blockCount: 0, reservationCount: 0, lastHash: .zero, salt: .zero)
}
