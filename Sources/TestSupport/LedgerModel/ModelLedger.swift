package import Credits

/// One account by the written rules, in the most naive way: every question is answered by going through everything that
/// ever happened.
///
/// Amounts are millicredits. It shares no code with the ledger itself, so that both can be held against each other.
package struct ModelLedger: Sendable {
    package static let largestAmount: Int64 = 9_007_199_254_740_991

    /// One grant's credits.
    package struct Block: Equatable, Sendable {
        package let number: Int
        package let original: Int64
        package var remaining: Int64
        package let priority: Int64
        package let expiresAt: Instant?
        package var isPaid = false
        package var source = ""
        /// Empty means all.
        package let features: [String]
        package var hasExpired = false
        package var revokedAt: Instant?
        /// As the server named it.
        package var id = ""

        package init(
            number: Int, original: Int64, remaining: Int64, priority: Int64, expiresAt: Instant?, features: [String]
        ) {
            self.number = number
            self.original = original
            self.remaining = remaining
            self.priority = priority
            self.expiresAt = expiresAt
            self.features = features
        }

        package var status: String {
            revokedAt != nil ? "revoked" : hasExpired ? "expired" : remaining == 0 ? "spent" : "active"
        }

        package func isOver(at now: Instant) -> Bool { expiresAt.map { $0 <= now } ?? false }
        package func isOpen(to feature: String) -> Bool { features.isEmpty || features.contains(feature) }
    }

    /// What one block gained or lost by an entry.
    package struct Share: Hashable, Sendable {
        package let block: Int
        package var amount: Int64

        package init(block: Int, amount: Int64) {
            self.block = block
            self.amount = amount
        }
    }

    /// One line of the account's ledger.
    package struct Entry: Equatable, Sendable {
        package let sequence: Int64
        package let type: String
        package let amount: Int64
        package var reservedDelta: Int64 = 0
        package var overageDelta: Int64 = 0
        package let balanceAfter: Int64
        package var reservedAfter: Int64 = 0
        package var overageAfter: Int64 = 0
        package let allocation: [Share]
        package var holds: [Share] = []
        package var feature: String?
        package var units: Int64?
        package var quantities: [String: Int64] = [:]
        package var attributes: [String: String] = [:]
        package var version: Int?
        package var reservation: Int?
        package var refunds: Int64?
        package var counterparty: String?
        package var payment: String?
        package var forfeited: Int64 = 0
        package var isDeadline = false
        package var key: String?
        package var effectiveAt: Instant?
        package var recordedAt: Instant?

        package init(sequence: Int64, type: String, amount: Int64, balanceAfter: Int64, allocation: [Share]) {
            self.sequence = sequence
            self.type = type
            self.amount = amount
            self.balanceAfter = balanceAfter
            self.allocation = allocation
        }
    }

    /// Why something is refused; a refusal changes nothing.
    package struct Refusal: Error, Equatable {
        package let code: String
        package let figures: [Int64]

        package init(_ code: String, _ figures: Int64...) {
            self.code = code
            self.figures = figures
        }

        package static func insufficient(effective: Int64, spendable: Int64, required: Int64) -> Refusal {
            Refusal("insufficient_credits", effective, spendable, required)
        }
    }

    /// Credits put aside for a job.
    package struct Reservation: Equatable, Sendable {
        package let number: Int
        package let feature: String
        package let estimate: ModelDemand
        package let attributes: [String: String]
        package let version: Int?
        package let estimatedCost: Int64
        package var status = "active"
        package var holds: [Share]
        package var uncovered: Int64
        package var watermark: ModelDemand?
        package var charged: Int64 = 0
        package var expiresAt: Instant
        package let createdAt: Instant
        package var finishedAt: Instant?

        package init(
            number: Int, feature: String, estimate: ModelDemand, attributes: [String: String], version: Int?,
            estimatedCost: Int64, holds: [Share], uncovered: Int64, expiresAt: Instant, createdAt: Instant
        ) {
            self.number = number
            self.feature = feature
            self.estimate = estimate
            self.attributes = attributes
            self.version = version
            self.estimatedCost = estimatedCost
            self.holds = holds
            self.uncovered = uncovered
            self.expiresAt = expiresAt
            self.createdAt = createdAt
        }
    }

    /// Something that quotas and caps count: a use, or what a reservation stands for.
    struct Counted: Sendable {
        let feature: String
        let at: Instant
        var units: Int64
        var credits: Int64
        /// Whether the feature had a quota then.
        let isLimited: Bool
        /// The caps that there were then.
        let caps: [Int]
        let reservation: Int?
    }

    /// What the tiers of a month are filled by.
    struct Filling: Sendable {
        let feature: String
        let at: Instant
        let units: [String: Int64]
    }

    /// What is owed for one entry.
    package struct Debt: Equatable, Sendable {
        package let entry: Int64
        package var amount: Int64
    }

    /// What a refund gave back of a charge.
    struct RefundRecord: Sendable {
        let charge: Int64
        let units: Int64?
        let credits: Int64
        let overage: Int64
        let settled: Int64
        let blocks: [Int: Int64]
    }

    package var catalogue: ModelCatalogue
    package var endUser = ""
    package var blocks: [Block] = []
    package var entries: [Entry] = []
    package var reservations: [Reservation] = []
    package var debts: [Debt] = []
    package var caps: [Cap] = []
    package var capCount = 0
    package var policy: ModelCatalogue.Policy?
    package var overageLimit: Int64?
    package var overrides: [String: Override] = [:]
    package var testClock: Int?
    package var exists = false
    package var name: String?
    package var lifetime: Int64 = 0
    package var now = Instant(microseconds: .min)
    /// The idempotency key of the command under way.
    package var key: String?
    var counted: [Counted] = []
    var fillings: [Filling] = []
    /// What reservations were charged for filling the tiers of months.
    var periodCosts: [Int: Int64] = [:]
    var refundRecords: [RefundRecord] = []

    /// An end user who has nothing yet.
    package init(catalogue: ModelCatalogue, endUser: String = "") {
        self.catalogue = catalogue
        self.endUser = endUser
    }

    package init(features: [String: Feature]) {
        self.init(catalogue: ModelCatalogue(features: features))
    }
}

// MARK: - What is there

extension ModelLedger {
    /// What all blocks have left, without what is owed.
    package var balance: Int64 { blocks.reduce(0) { $0 + $1.remaining } - overage }

    package var overage: Int64 { debts.reduce(0) { $0 + $1.amount } }

    package var reserved: Int64 {
        reservations.reduce(0) { $0 + $1.holds.reduce(0) { $0 + $1.amount } }
    }

    package var effective: Int64 { balance - reserved }

    /// What is held of each block.
    package var held: [Int: Int64] {
        var held: [Int: Int64] = [:]
        for reservation in reservations {
            for share in reservation.holds { held[share.block, default: 0] += share.amount }
        }
        return held
    }

    /// The blocks that a charge could take something from, their time aside, and how much.
    package var available: [(block: Block, amount: Int64)] {
        let held = held
        var available: [(block: Block, amount: Int64)] = []
        for block in blocks where block.remaining > 0 {
            let amount = block.remaining - (held[block.number] ?? 0)
            if amount > 0 { available.append((block, amount)) }
        }
        return available
    }

    /// The blocks with something left, in the order in which they burn.
    package var burnOrder: [Block] { blocks.filter { $0.remaining > 0 }.sorted(by: Self.burnsBefore) }

    package static func burnsBefore(_ left: Block, _ right: Block) -> Bool {
        if left.priority != right.priority { return left.priority < right.priority }
        switch (left.expiresAt, right.expiresAt) {
        case (let left?, let right?) where left != right: return left < right
        case (.some, nil): return true
        case (nil, .some): return false
        default: break
        }
        if left.isPaid != right.isPaid { return right.isPaid }
        return left.number < right.number
    }

    /// The blocks that a charge of the feature can take from; of no feature, those open to all.
    func eligible(_ feature: String?) -> [(block: Block, amount: Int64)] {
        available.filter { block, _ in
            !block.isOver(at: now) && (feature.map { block.isOpen(to: $0) } ?? block.features.isEmpty)
        }.sorted { Self.burnsBefore($0.block, $1.block) }
    }

    /// What a use of the feature could be charged to.
    package func spendable(_ feature: String) -> Int64 { eligible(feature).reduce(0) { $0 + $1.amount } }

    /// The policy in force and its limit.
    package var terms: (isAllowed: Bool, limit: Int64?) {
        ((policy ?? catalogue.policy ?? .block) != .block, overageLimit ?? catalogue.overageLimit)
    }

    /// Takes an amount from blocks in their order; what of it each gives.
    func portions(_ amount: Int64, of blocks: [(block: Block, amount: Int64)]) -> [Share] {
        var owed = amount
        var shares: [Share] = []
        for (block, available) in blocks where owed > 0 {
            shares.append(Share(block: block.number, amount: min(owed, available)))
            owed -= min(owed, available)
        }
        return shares
    }

    /// The instants after one and up to another at which time does something to the account.
    package func expiries(after start: Instant, upTo end: Instant) -> [Instant] {
        let instants =
            available.compactMap(\.block.expiresAt)
            + reservations.filter { $0.status == "active" }.map(\.expiresAt)
        return instants.filter { start < $0 && $0 <= end }.sorted()
    }

    /// The next instant at which time does something.
    package var due: Instant? { expiries(after: Instant(microseconds: .min), upTo: Instant(microseconds: .max)).first }
}

// MARK: - Writing

extension ModelLedger {
    /// Writes an entry and books it on the blocks.
    @discardableResult
    mutating func write(
        _ type: String, _ allocation: [Share], overage: Int64 = 0, holds: [Share] = [], at instant: Instant? = nil,
        _ change: (inout Entry) -> Void = { _ in }
    ) -> Entry {
        let last = entries.last
        for share in allocation { blocks[share.block - 1].remaining += share.amount }
        let amount = allocation.reduce(0) { $0 + $1.amount } - overage
        let reservedDelta = holds.reduce(0) { $0 + $1.amount }
        var entry = Entry(
            sequence: Int64(entries.count + 1), type: type, amount: amount,
            balanceAfter: (last?.balanceAfter ?? 0) + amount, allocation: allocation)
        entry.reservedDelta = reservedDelta
        entry.overageDelta = overage
        entry.reservedAfter = (last?.reservedAfter ?? 0) + reservedDelta
        entry.overageAfter = (last?.overageAfter ?? 0) + overage
        entry.holds = holds
        entry.key = key
        entry.effectiveAt = instant ?? now
        entry.recordedAt = now
        change(&entry)
        entries.append(entry)
        return entry
    }

    /// Two lists of shares as one, each block once, in the order of the first.
    static func joined(_ first: [Share], _ second: [Share]) -> [Share] {
        var shares = first
        for share in second {
            if let index = shares.firstIndex(where: { $0.block == share.block }) {
                shares[index].amount += share.amount
            } else {
                shares.append(share)
            }
        }
        return shares
    }

    static func negative(_ shares: [Share]) -> [Share] {
        shares.map { Share(block: $0.block, amount: -$0.amount) }
    }
}

// MARK: - Time

extension ModelLedger {
    /// Lets everything happen that was due, each in its own entry, in the order in which it was due.
    package mutating func advance(to instant: Instant) {
        now = max(now, instant)
        let command = key
        key = nil
        defer { key = command }
        while let due, due <= now {
            for index in reservations.indices
            where reservations[index].status == "active" && reservations[index].expiresAt <= due {
                giveBack(reservation: index + 1, status: "expired", at: due)
                sweep(at: due)
            }
            sweep(at: due)
        }
    }

    /// Takes what is left in blocks that were revoked or are over.
    mutating func sweep(at instant: Instant) {
        let command = key
        key = nil
        defer { key = command }
        for (block, amount) in available {
            let rest = [Share(block: block.number, amount: -amount)]
            if block.revokedAt != nil {
                write("revoke", rest, at: instant)
            } else if block.isOver(at: instant) {
                blocks[block.number - 1].hasExpired = true
                write("expire", rest, at: instant)
            }
        }
    }

    /// Ends a hold without a charge.
    @discardableResult
    mutating func giveBack(reservation number: Int, status: String, at instant: Instant) -> Entry {
        let reservation = reservations[number - 1]
        reservations[number - 1].holds = []
        reservations[number - 1].status = status
        reservations[number - 1].finishedAt = instant
        recount(number, units: reservation.watermark?.total ?? 0, credits: reservation.charged)
        return write("release", [], holds: Self.negative(reservation.holds), at: instant) { entry in
            entry.feature = reservation.feature
            entry.reservation = number
            entry.isDeadline = status == "expired"
        }
    }
}
