package import Credits

/// One end user's account: the unit of consistency. Commands of one account are applied one after another.
///
/// A value of this type is complete and right as of `advancedTo`; `advance(to:)` brings it forward. The ledger worker
/// and every replica hold the same type and run the same code on it.
package struct Account: Hashable, Sendable {
    package let id: AccountID
    package let environmentID: EnvironmentID
    package let endUserID: EndUserID

    /// The number of ledger entries; also the sequence of the latest.
    package internal(set) var version: Int64
    /// Rises with every committed change of the account, entries or not; what a position token names.
    package internal(set) var revision: Int64
    /// Σ remaining of the open blocks − overage.
    package internal(set) var balance: Millicredits
    /// Σ held by active reservations.
    package internal(set) var reserved: Millicredits
    /// Debt: what was used beyond the credits.
    package internal(set) var overage: Millicredits
    /// Everything ever granted; never decreases.
    package internal(set) var lifetimeGranted: Millicredits
    /// The number of the latest block.
    package internal(set) var blockCount: Int32
    /// The hash of the latest entry; 32 zero bytes before the first.
    package internal(set) var lastHash: EntryHash
    /// The clock of the account: the latest instant it was advanced to. It never goes backwards.
    package internal(set) var advancedTo: Instant
    /// The blocks with something remaining, in burn order.
    package internal(set) var blocks: [Block]
    /// The number of the latest reservation.
    package internal(set) var reservationCount: Int32
    /// The active ones, by number.
    package internal(set) var reservations: [Reservation]
    package internal(set) var settings: AccountSettings
    package internal(set) var counters: UsageCounters

    /// An account without history, as every end user has it before the first mutation.
    package init(id: AccountID, environmentID: EnvironmentID, endUserID: EndUserID) {
        self.init(
            id: id, environmentID: environmentID, endUserID: endUserID, version: 0, revision: 0, balance: .zero,
            reserved: .zero, overage: .zero, lifetimeGranted: .zero, blockCount: 0, lastHash: .zero,
            advancedTo: Instant(microseconds: .min), blocksInBurnOrder: [], reservationCount: 0, reservations: [],
            settings: .none, counters: .none)
    }

    /// An account as it was stored; its blocks must be in burn order, its active reservations by number.
    package init(
        id: AccountID, environmentID: EnvironmentID, endUserID: EndUserID, version: Int64, revision: Int64,
        balance: Millicredits, reserved: Millicredits, overage: Millicredits, lifetimeGranted: Millicredits,
        blockCount: Int32, lastHash: EntryHash, advancedTo: Instant, blocksInBurnOrder: [Block],
        reservationCount: Int32, reservations: [Reservation], settings: AccountSettings, counters: UsageCounters
    ) {
        self.id = id
        self.environmentID = environmentID
        self.endUserID = endUserID
        self.version = version
        self.revision = revision
        self.balance = balance
        self.reserved = reserved
        self.overage = overage
        self.lifetimeGranted = lifetimeGranted
        self.blockCount = blockCount
        self.lastHash = lastHash
        self.advancedTo = advancedTo
        self.blocks = blocksInBurnOrder
        self.reservationCount = reservationCount
        self.reservations = reservations
        self.settings = settings
        self.counters = counters
    }

    /// The four sums that every answer shows.
    package var balances: Balances {
        let frozen: Int64 = 0
        let effective = balance.rawValue - reserved.rawValue - frozen
        return Balances(
            balance: balance.rawValue, reserved: reserved.rawValue, frozen: frozen, effective: effective)
    }

    /// What a new charge of the feature could use: Σ (remaining − held) over the blocks open to it.
    package func spendable(for feature: FeatureKey) -> Int64 {
        blocks.reduce(0) { $0 + ($1.isOpen(to: feature) ? $1.available : 0) }
    }

    /// The next instant at which time changes the account, or nil: the earliest expiry or deadline.
    package var dueAt: Instant? {
        var due: Instant?
        for block in blocks where block.available > 0 {
            guard let expiresAt = block.expiresAt else { continue }
            due = min(due ?? expiresAt, expiresAt)
        }
        for reservation in reservations { due = min(due ?? reservation.expiresAt, reservation.expiresAt) }
        return due
    }

    /// When the scheduler shall look after the account: never where a test clock decides what time it is.
    package var scheduledAt: Instant? { settings.testClock == nil ? dueAt : nil }
}

/// The sums of an account, in millicredits.
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
