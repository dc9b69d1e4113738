package import Credits

/// One account by the written rules, in the most naive way: every question is answered by going through all blocks.
///
/// Amounts are millicredits. It shares no code with the ledger itself, so that both can be held against each other.
package struct ModelLedger: Sendable {
    package static let largestAmount: Int64 = 9_007_199_254_740_991

    /// One grant's credits.
    package struct Block: Sendable {
        package let number: Int
        package let original: Int64
        package var remaining: Int64
        package let priority: Int64
        package let expiresAt: Instant?
        /// Empty means all.
        package let features: [String]
        package var hasExpired = false
        /// As the server named it.
        package var id = ""

        package var status: String { hasExpired ? "expired" : remaining == 0 ? "spent" : "active" }
    }

    /// What one block gained or lost by an entry.
    package struct Share: Equatable, Sendable {
        package let block: Int
        package let amount: Int64
    }

    /// One line of the account's ledger.
    package struct Entry: Sendable {
        package let sequence: Int64
        package let type: String
        package let amount: Int64
        package let balanceAfter: Int64
        package let allocation: [Share]
        package var feature: String?
        package var units: Int64?
        package var effectiveAt: Instant?
    }

    /// What units of a feature cost.
    package enum Price: Sendable {
        case flat(Int64)
        case perUnit(Int64, per: Int64)

        /// Nil when it is beyond the range of amounts.
        package func cost(_ units: Int64) -> Int64? {
            switch self {
            case .flat(let amount): return units == 0 ? 0 : amount
            case .perUnit(let cost, let per):
                let exact = (Int128(units) * Int128(cost) + Int128(per) - 1) / Int128(per)
                return exact <= Int128(ModelLedger.largestAmount) ? Int64(exact) : nil
            }
        }
    }

    /// Something that is sold, and its prices.
    package struct Feature: Sendable {
        package var isArchived: Bool
        /// In the order in which they took effect.
        package var prices: [(from: Instant, price: Price)]

        package init(isArchived: Bool = false, prices: [(from: Instant, price: Price)] = []) {
            self.isArchived = isArchived
            self.prices = prices
        }
    }

    /// Why something is refused; a refusal changes nothing.
    package enum Refusal: Error, Equatable {
        case malformed(String)
        case unknownFeature, notPriced, unknownEndUser
        case insufficient(effective: Int64, required: Int64)
    }

    package let features: [String: Feature]
    package var blocks: [Block] = []
    package var entries: [Entry] = []
    package var exists = false
    package var name: String?
    package var lifetime: Int64 = 0

    /// An end user who has nothing yet.
    package init(features: [String: Feature]) {
        self.features = features
    }

    /// What all blocks have left.
    package var balance: Int64 { blocks.reduce(0) { $0 + $1.remaining } }

    /// The blocks that can be spent, in the order in which they burn.
    package var burnOrder: [Block] {
        blocks.filter { $0.remaining > 0 }.sorted { left, right in
            if left.priority != right.priority { return left.priority < right.priority }
            switch (left.expiresAt, right.expiresAt) {
            case (let left?, let right?) where left != right: return left < right
            case (.some, nil): return true
            case (nil, .some): return false
            default: return left.number < right.number
            }
        }
    }

    /// What a use of the feature could be charged to.
    package func spendable(_ feature: String) -> Int64 {
        burnOrder.filter { $0.features.isEmpty || $0.features.contains(feature) }.reduce(0) { $0 + $1.remaining }
    }

    /// The instants after one and up to another at which time does something to the account.
    package func expiries(after start: Instant, upTo end: Instant) -> [Instant] {
        blocks.filter { $0.remaining > 0 }.compactMap(\.expiresAt).filter { start < $0 && $0 <= end }.sorted()
    }

    // MARK: - What happens

    /// Lets everything expire that was due, each in its own entry.
    package mutating func advance(to now: Instant) {
        let due = blocks.filter { $0.remaining > 0 && $0.expiresAt.map { $0 <= now } ?? false }
        for block in due.sorted(by: { ($0.expiresAt ?? now, $0.number) < ($1.expiresAt ?? now, $1.number) }) {
            let rest = block.remaining
            blocks[block.number - 1].remaining = 0
            blocks[block.number - 1].hasExpired = true
            append("expire", -rest, [Share(block: block.number, amount: -rest)])
            entries[entries.count - 1].effectiveAt = block.expiresAt
        }
    }

    /// Advances the account, and gives it a block unless the grant is refused.
    package mutating func grant(
        _ credits: Int64, priority: Int64, expiresAt: Instant?, features keys: [String], now: Instant
    ) throws(Refusal) {
        advance(to: now)
        if let expiresAt, expiresAt <= now { throw .malformed("invalid_request") }
        for key in keys where features[key].map(\.isArchived) ?? true { throw .unknownFeature }
        if balance + credits > Self.largestAmount || lifetime + credits > Self.largestAmount {
            throw .malformed("amount_out_of_range")
        }
        let block = Block(
            number: blocks.count + 1, original: credits, remaining: credits, priority: priority, expiresAt: expiresAt,
            features: keys)
        blocks.append(block)
        lifetime += credits
        append("grant", credits, [Share(block: block.number, amount: credits)])
        exists = true
    }

    /// The price in force at an instant.
    package func price(_ feature: String, at instant: Instant) throws(Refusal) -> Price {
        guard let found = features[feature], !found.isArchived else { throw .unknownFeature }
        guard let price = found.prices.last(where: { $0.from <= instant })?.price else { throw .notPriced }
        return price
    }

    /// Advances the account, and charges a use in burn order unless it is refused.
    package mutating func use(_ feature: String, _ units: Int64, occurredAt: Instant?, now: Instant) throws(Refusal) {
        advance(to: now)
        let instant = occurredAt ?? now
        if instant < now.adding(seconds: -35 * 86_400) || instant > now.adding(seconds: 300) {
            throw .malformed("invalid_request")
        }
        guard let cost = try price(feature, at: instant).cost(units) else { throw .malformed("amount_out_of_range") }
        if cost > spendable(feature) { throw .insufficient(effective: balance, required: cost) }
        var owed = cost
        var allocation: [Share] = []
        for block in burnOrder where owed > 0 && (block.features.isEmpty || block.features.contains(feature)) {
            let share = min(owed, block.remaining)
            blocks[block.number - 1].remaining -= share
            allocation.append(Share(block: block.number, amount: -share))
            owed -= share
        }
        append("use", -cost, allocation)
        entries[entries.count - 1].feature = feature
        entries[entries.count - 1].units = units
        exists = true
    }

    private mutating func append(_ type: String, _ amount: Int64, _ allocation: [Share]) {
        entries.append(
            Entry(
                sequence: Int64(entries.count + 1), type: type, amount: amount, balanceAfter: balance,
                allocation: allocation))
    }
}
