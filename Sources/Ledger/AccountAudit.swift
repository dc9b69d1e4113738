package import Credits

/// A rule of the books that does not hold, at the first place where it shows.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
    /// The number of the invariant in the reliability notes: I1, I2, ….
    package let invariant: String
    package let environmentID: EnvironmentID
    package let endUserID: EndUserID
    /// The entry, where one is to blame.
    package let entry: PublicID?
    package let detail: String

    package var description: String {
        let place = entry.map { ", entry \($0)" } ?? ""
        return
            "\(invariant): end user \(endUserID.rawValue) of environment \(environmentID.rawValue)\(place): \(detail)"
    }
}

/// Checks one account's books from its entries alone and then against its stored sums and blocks.
///
/// Feed it every entry in order of sequence, then call `finish`. It keeps no entry, only the running sums.
package struct AccountAudit {
    private let account: Account
    /// The first violation; what follows it would only repeat it.
    package private(set) var violation: Violation?
    private var sequence: Int64 = 0
    private var balance: Int64 = 0
    private var reserved: Int64 = 0
    private var hash = EntryHash.zero
    private var recordedAt = Instant(microseconds: .min)
    private var remaining: [Int32: Int64] = [:]
    private let expiries: [Int32: Instant]

    /// - Parameter blocks: Every block of the account, open or not.
    package init(account: Account, blocks: [Block]) {
        self.account = account
        expiries = Dictionary(
            uniqueKeysWithValues: blocks.compactMap { block in block.expiresAt.map { (block.number, $0) } })
    }

    package mutating func take(_ entry: Entry) {
        guard violation == nil else { return }
        sequence += 1
        if entry.sequence != sequence {
            blame("I7", entry, "the entry after \(sequence - 1) has sequence \(entry.sequence)")
        }
        if entry.recordedAt < recordedAt { blame("I8", entry, "it was recorded before the entry before it") }
        let (sum, overflow) = balance.addingReportingOverflow(entry.amount)
        guard !overflow, abs(sum) <= Millicredits.limit else {
            return blame("I5", entry, "the balance leaves the range of amounts")
        }
        balance = sum
        reserved += entry.reservedDelta
        if entry.balanceAfter != balance {
            blame("I7", entry, "balance_after is \(entry.balanceAfter), the sum of the amounts \(balance)")
        }
        if entry.reservedAfter != reserved {
            blame("I7", entry, "reserved_after is \(entry.reservedAfter), the sum of the deltas \(reserved)")
        }
        if entry.allocations.reduce(0, { $0 + $1.amount }) - entry.overageDelta != entry.amount {
            blame("I2", entry, "its allocation does not add up to its amount")
        }
        for allocation in entry.allocations {
            let left = remaining[allocation.block, default: 0] + allocation.amount
            remaining[allocation.block] = left
            if left < 0 { blame("I3", entry, "it takes more from a block than there is") }
            if entry.type == .use, let expiresAt = expiries[allocation.block], entry.recordedAt >= expiresAt {
                blame("I19", entry, "it spends from a block at or after its expiry")
            }
        }
        hash = entry.expectedHash(after: hash, account: account.id, endUserID: account.endUserID)
        if entry.hash != hash {
            blame("I9", entry, "its hash does not follow from its contents and the entry before it")
        }
        recordedAt = entry.recordedAt
    }

    /// Compares the sums of the entries with what is stored.
    package mutating func finish(blocks: [Block]) {
        compare("I7", "version", account.version, sequence)
        compare("I2", "balance", account.balance.rawValue, balance)
        compare("I2", "reserved", account.reserved.rawValue, reserved)
        if account.lastHash != hash { blame("I9", nil, "the account's last hash is not that of its last entry") }
        for block in blocks {
            let id = PublicID(.block, account: account.id, number: Int64(block.number))
            compare(
                "I1", "remaining of block \(id)", block.remaining.rawValue,
                remaining.removeValue(forKey: block.number) ?? 0)
            if block.held < .zero || block.held > block.remaining || block.remaining > block.original {
                blame("I3", nil, "block \(id) is out of bounds")
            }
        }
        if !remaining.isEmpty { blame("I1", nil, "entries speak of a block that does not exist") }
        let inBlocks = blocks.reduce(0) { $0 + $1.remaining.rawValue }
        compare("I2", "the blocks' sum less overage", inBlocks - account.overage.rawValue, balance)
        compare("I2", "the blocks' sum of held", blocks.reduce(0) { $0 + $1.held.rawValue }, reserved)
    }

    private mutating func compare(_ invariant: String, _ what: String, _ stored: Int64, _ derived: Int64) {
        if stored != derived { blame(invariant, nil, "\(what) is \(stored), the entries say \(derived)") }
    }

    /// Keeps the first violation.
    private mutating func blame(_ invariant: String, _ entry: Entry?, _ detail: String) {
        guard violation == nil else { return }
        violation = Violation(
            invariant: invariant, environmentID: account.environmentID, endUserID: account.endUserID,
            entry: entry.map { PublicID(.entry, account: account.id, number: $0.sequence) }, detail: detail)
    }
}
