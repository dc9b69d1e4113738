package import Credits

/// A violated invariant of the books, at the first place where it shows.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
    /// The number of the invariant: I1, I2, ….
    package let invariant: String
    package let environmentID: EnvironmentID
    package let endUserID: EndUserID
    /// The entry at which the invariant fails; nil if no single entry does.
    package let entry: PublicID?
    package let detail: String

    package init(
        invariant: String, environmentID: EnvironmentID, endUserID: EndUserID, entry: PublicID?, detail: String
    ) {
        self.invariant = invariant
        self.environmentID = environmentID
        self.endUserID = endUserID
        self.entry = entry
        self.detail = detail
    }

    package var description: String {
        let place = entry.map { ", entry \($0)" } ?? ""
        return
            "\(invariant): end user \(endUserID.rawValue) of environment \(environmentID.rawValue)\(place): \(detail)"
    }
}

/// Checks the books of one account: its entries by themselves, then its stored sums, blocks and reservations against
/// the entries.
///
/// Call `take` for every entry in order of sequence, then `finish`. Only running sums are kept, no entries.
package struct AccountAudit {
    private let accountID: AccountID
    private let environmentID: EnvironmentID
    private let owner: EntryOwner
    /// The first violation. Later ones are not reported, because they usually follow from it.
    package private(set) var violation: Violation?
    /// The entries that an erasure has left without the text that their hash covers: those of `EntryVersion.clear`. Their
    /// stated hash is taken as it is, so that the chain and the sums are checked all the same.
    package private(set) var unprovable = 0
    private var sequence: Int64 = 0
    private var balance: Int64 = 0
    private var reserved: Int64 = 0
    private var overage: Int64 = 0
    private var hash = EntryHash.zero
    private var recordedAt = Instant(microseconds: .min)
    private var remaining: [Int32: Int64] = [:]
    private var held: [Int32: Int64] = [:]
    /// The amount that each reservation holds of each block. Reservations without holds are removed.
    private var holds: [Int32: [Int32: Int64]] = [:]
    /// The blocks that start later and have an entry.
    private var landed: Set<Int32> = []
    /// The terms of the blocks by number; empty if they are unknown.
    private let terms: [Int32: Block]
    /// Whether the end user was erased and all text must be gone.
    private let isErased: Bool

    /// The latest period that the entries of each subscription name.
    private var periods: [Int32: Int32] = [:]
    /// The lines of each subscription that have rolled over in that period.
    private var rolledOver: [Int32: Set<Int16>] = [:]

    /// - Parameter blocks: Every block of the account, open or closed; empty if only the entries are available.
    package init(
        owner: EntryOwner, environmentID: EnvironmentID, blocks: [Block] = [], isErased: Bool = false
    ) {
        self.isErased = isErased
        self.accountID = owner.account
        self.environmentID = environmentID
        self.owner = owner
        terms = Dictionary(uniqueKeysWithValues: blocks.map { ($0.number, $0) })
    }

    /// - Parameter owner: The owner of before an erasure while text is still being removed; nil for the account's.
    package init(account: Account, salt: Salt?, owner: EntryOwner? = nil, blocks: [Block]) {
        self.init(
            owner: owner ?? EntryOwner(account: account.id, endUserID: account.endUserID, salt: salt),
            environmentID: account.environmentID, blocks: blocks, isErased: owner == nil && salt == nil)
    }

    /// - Parameter owner: The owner that the entry's own line of an export states; nil for the account's.
    package mutating func take(_ entry: Entry, of owner: EntryOwner? = nil) {
        guard violation == nil else { return }
        sequence += 1
        if entry.sequence != sequence {
            blame("I7", entry, "sequence \(entry.sequence) follows sequence \(sequence - 1)")
        }
        if entry.recordedAt < recordedAt { blame("I8", entry, "recorded_at is earlier than in the previous entry") }
        recordedAt = entry.recordedAt
        takeSums(entry)
        takeBlocks(entry)
        takeHash(entry, of: owner ?? self.owner)
        takeSubscription(entry)
        if isErased, entry.hasPersonalText { blame("I27", entry, "the end user was erased, and the entry has text") }
        if !isErased, entry.personalDigest != nil, entry.hasPersonalText {
            blame("I27", entry, "the entry has a digest instead of its text, and text, which could be another one")
        }
    }

    private mutating func takeHash(_ entry: Entry, of owner: EntryOwner) {
        let expected = entry.expectedHash(after: hash, of: owner)
        hash = expected ?? entry.hash
        if entry.hash != hash {
            blame("I9", entry, "the hash does not match the contents and the previous hash")
        }
        guard expected == nil else { return }
        if entry.version == .clear {
            unprovable += 1
        } else {
            blame("I9", entry, "neither the account has a salt nor the entry its personal_digest")
        }
    }

    /// Checks that the periods of a subscription follow each other, and that each line rolls over once for each period.
    private mutating func takeSubscription(_ entry: Entry) {
        guard let cause = entry.cause.details.subscription else { return }
        let number = cause.subscription
        if cause.periodIndex < periods[number, default: 0] {
            blame("I28", entry, "the entry belongs to a period of its subscription that is over")
        }
        if cause.periodIndex > periods[number, default: 0] { rolledOver[number] = [] }
        periods[number] = cause.periodIndex
        guard entry.type == .rollover, let line = cause.line else { return }
        if !rolledOver[number, default: []].insert(line).inserted {
            blame("I28", entry, "the line has rolled over in this period already")
        }
    }

    private mutating func takeSums(_ entry: Entry) {
        for (sum, delta) in [
            (balance, entry.amount), (reserved, entry.reservedDelta), (overage, entry.overageDelta),
        ] {
            let (result, overflow) = sum.addingReportingOverflow(delta)
            if overflow || result.magnitude > UInt64(Millicredits.limit) {
                return blame("I5", entry, "a sum is outside ±(2^53 − 1)")
            }
        }
        balance += entry.amount
        reserved += entry.reservedDelta
        overage += entry.overageDelta
        if entry.balanceAfter != balance {
            blame("I7", entry, "balance_after is \(entry.balanceAfter), but the sum of the amounts is \(balance)")
        }
        if entry.reservedAfter != reserved {
            blame("I7", entry, "reserved_after is \(entry.reservedAfter), but the sum of the deltas is \(reserved)")
        }
        if entry.overageAfter != overage {
            blame("I7", entry, "overage_after is \(entry.overageAfter), but the sum of the deltas is \(overage)")
        }
        if reserved < 0 || overage < 0 || balance < -overage {
            blame("I3", entry, "reserved or overage is below zero, or the balance is below minus the overage")
        }
        if Self.sum(entry.allocations) != Int128(entry.amount) + Int128(entry.overageDelta) {
            blame("I2", entry, "the allocation does not add up to amount plus overage_delta")
        }
        if Self.sum(entry.holds) != Int128(entry.reservedDelta) {
            blame("I2", entry, "the hold allocation does not add up to reserved_delta")
        }
    }

    private mutating func takeBlocks(_ entry: Entry) {
        for hold in entry.holds {
            held[hold.block, default: 0] &+= hold.amount
            guard let reservation = entry.cause.reservation else {
                blame("I15", entry, "the entry changes holds but names no reservation")
                continue
            }
            let left = holds[reservation]?[hold.block] ?? 0
            holds[reservation, default: [:]][hold.block] = left &+ hold.amount == 0 ? nil : left &+ hold.amount
            if left &+ hold.amount < 0 { blame("I15", entry, "the entry gives back more than its reservation holds") }
        }
        if let reservation = entry.cause.reservation, holds[reservation]?.isEmpty == true { holds[reservation] = nil }
        for allocation in entry.allocations { remaining[allocation.block, default: 0] &+= allocation.amount }
        for number in Set((entry.allocations + entry.holds).map(\.block)) {
            let left = remaining[number, default: 0]
            let heldOf = held[number, default: 0]
            if left < 0 { blame("I3", entry, "the entry takes more from a block than remains") }
            if heldOf < 0 || heldOf > left {
                blame("I3", entry, "the held credits of a block are below zero or exceed its remaining credits")
            }
            guard let block = terms[number] else { continue }
            checkLanding(entry, block)
            if left > block.original.rawValue { blame("I3", entry, "a block has more credits than it was granted") }
            checkSpending(entry, block)
        }
    }

    /// Checks that no credits are spent from an expired or revoked block, except credits that were held before.
    private mutating func checkSpending(_ entry: Entry, _ block: Block) {
        guard [.use, .commit, .transfer, .adjust, .settle].contains(entry.type) else { return }
        let spent = -entry.allocations.reduce(0) { $0 + ($1.block == block.number ? $1.amount : 0) }
        let freed = -entry.holds.reduce(0) { $0 + ($1.block == block.number ? $1.amount : 0) }
        guard spent > max(0, freed) else { return }
        // A landing may pay overage from a block that has expired before the entries of both are written.
        let instant = entry.type == .settle ? entry.effectiveAt : entry.recordedAt
        // A renewal ends the blocks of the period before at its instant, after what was spent at it.
        // Credits of a late renewal, whose period is over, pay overage when they come in.
        if entry.type == .settle, block.origin != nil, block.since == instant { return }
        let isOver = block.endsWithPeriod ? block.expiresAt.map { $0 < instant } : block.hasExpired(at: instant)
        if isOver ?? false {
            blame("I19", entry, "the entry spends from a block at or after its expiry")
        }
        if let revokedAt = block.revokedAt, instant > revokedAt {
            blame("I19", entry, "the entry spends from a revoked block")
        }
    }

    /// Checks that the first entry of a block that starts later brings its credits at its start.
    private mutating func checkLanding(_ entry: Entry, _ block: Block) {
        guard block.startsLater, landed.insert(block.number).inserted else { return }
        let brought = Allocation(block: block.number, amount: block.original.rawValue)
        if entry.type != .grant || entry.effectiveAt != block.since || entry.allocations != [brought] {
            blame("I26", entry, "the entry changes a scheduled block before its credits have landed")
        }
    }

    private static func sum(_ allocations: [Allocation]) -> Int128 {
        allocations.reduce(0) { $0 + Int128($1.amount) }
    }

    /// Compares the sums of the entries with the stored values.
    package mutating func finish(account: Account, book: AccountBook, blocks: [Block]) {
        compare("I7", "version", account.version, sequence)
        compare("I2", "balance", account.balance.rawValue, balance)
        compare("I2", "reserved", account.reserved.rawValue, reserved)
        compare("I2", "overage", account.overage.rawValue, overage)
        if book.lastHash != hash { blame("I9", nil, "the account's last hash differs from the hash of its last entry") }
        for block in blocks {
            let id = PublicID(.block, account: accountID, number: Int64(block.number))
            compare(
                "I1", "remaining of block \(id)", block.remaining.rawValue,
                remaining.removeValue(forKey: block.number) ?? 0)
            compare("I1", "held of block \(id)", block.held.rawValue, held.removeValue(forKey: block.number) ?? 0)
            if block.held < .zero || block.held > block.remaining || block.remaining > block.original {
                blame("I3", nil, "block \(id) violates 0 ≤ held ≤ remaining ≤ original")
            }
            checkSchedule(of: block, id, account)
        }
        if !remaining.isEmpty || held.values.contains(where: { $0 != 0 }) {
            blame("I1", nil, "the entries name a block that does not exist")
        }
        for (number, period) in periods {
            if number < 1 || number > book.subscriptionCount {
                blame("I28", nil, "the entries name a subscription that does not exist")
            }
            if let live = account.subscriptions[at: number], period > live.periodIndex {
                blame("I28", nil, "the entries are of a later period than that of subscription \(number)")
            }
        }
        for subscription in account.subscriptions {
            if let due = subscription.nextDue, due.at <= account.advancedTo {
                blame("I28", nil, "subscription \(subscription.number) has not changed at \(due.at), when it was due")
            }
            if subscription.period.end < subscription.period.start {
                blame("I28", nil, "the period of subscription \(subscription.number) ends before it starts")
            }
        }
        for reservation in account.reservations {
            let stored = Dictionary(uniqueKeysWithValues: reservation.holds.map { ($0.block, $0.amount) })
            if stored != holds.removeValue(forKey: reservation.number) ?? [:] {
                blame("I15", nil, "the holds of reservation \(reservation.number) differ from its entries")
            }
        }
        if let number = holds.keys.min() {
            blame("I15", nil, "reservation \(number) is not active, but its entries still hold credits")
        }
        let inBlocks = blocks.reduce(0) { $0 + $1.remaining.rawValue }
        compare("I2", "the sum of the blocks minus overage", inBlocks - account.overage.rawValue, balance)
        compare("I2", "the held sum of the blocks", blocks.reduce(0) { $0 + $1.held.rawValue }, reserved)
    }

    /// Checks that a block that starts later has landed exactly if the account has reached its start and the block was
    /// not revoked before.
    private mutating func checkSchedule(of block: Block, _ id: PublicID, _ account: Account) {
        guard block.startsLater else { return }
        let wasDropped = block.revokedAt.map { $0 < block.since } ?? false
        let isDue = block.since <= account.advancedTo
        if block.isScheduled ? isDue : !isDue && !wasDropped {
            blame("I26", nil, "block \(id) is scheduled for an instant that is over, or landed before it")
        }
        if landed.contains(block.number) != !(block.isScheduled || wasDropped) {
            blame("I26", nil, "block \(id) has landed without its entry, or has an entry and has not landed")
        }
    }

    private mutating func compare(_ invariant: String, _ what: String, _ stored: Int64, _ derived: Int64) {
        if stored != derived { blame(invariant, nil, "\(what) is \(stored), but the entries give \(derived)") }
    }

    /// Records a violation, unless there is one already.
    private mutating func blame(_ invariant: String, _ entry: Entry?, _ detail: String) {
        guard violation == nil else { return }
        violation = Violation(
            invariant: invariant, environmentID: environmentID, endUserID: owner.endUserID,
            entry: entry.map { PublicID(.entry, account: accountID, number: $0.sequence) }, detail: detail)
    }
}
