package import Credits

/// One account by the written rules, in the simplest possible way: every question is answered by searching the whole
/// history.
///
/// Amounts are millicredits. The model shares no ledger code with the core, so the two can be compared.
package struct ModelLedger: Sendable {
    package static let largestAmount: Int64 = 9_007_199_254_740_991

    /// The credits of one grant.
    package struct Block: Equatable, Sendable {
        package let number: Int
        package let original: Int64
        package var remaining: Int64
        package let priority: Int64
        package var expiresAt: Instant?
        package var isPaid = false
        package var source = ""
        /// Empty means all features.
        package let features: [String]
        package var hasExpired = false
        /// The instant at which the credits arrive: that of the grant, or its later start.
        package var arrivesAt = Instant(microseconds: 0)
        /// Whether the grant was made before its start.
        package var isPlanned = false
        /// Whether the credits are still to arrive.
        package var isAwaited = false
        package var revokedAt: Instant?
        /// The id that the server gave the block.
        package var id = ""
        /// The number of the subscription that gave the credits, and the place of its line; no line for a trial's.
        package var subscription: Int?
        package var line: Int?
        package var endsWithPeriod = false
        /// Whether the first use of the block opens the window of its line, and whether that decides when it expires.
        package var waitsForUse = false
        var endsWithWindow = false

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
            isAwaited
                ? "scheduled"
                : revokedAt != nil ? "revoked" : hasExpired ? "expired" : remaining == 0 ? "spent" : "active"
        }

        package func isOver(at now: Instant) -> Bool { expiresAt.map { $0 <= now } ?? false }

        /// Forgets what only the model knows of the block, so that it can be compared.
        package mutating func forgetWindow() { (waitsForUse, endsWithWindow) = (false, false) }
        package func isOpen(to feature: String) -> Bool { features.isEmpty || features.contains(feature) }
    }

    /// The change of one block by an entry.
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
        /// The features of a reservation over several, in the order of the request.
        package var features: [String] = []
        package var units: Int64?
        /// The units by which a commit of a reservation over several features exceeds that feature's earlier commits.
        package var added: Int64?
        package var quantities: [String: Int64] = [:]
        package var attributes: [String: String] = [:]
        package var version: Int?
        package var reservation: Int?
        package var refunds: Int64?
        package var counterparty: String?
        package var payment: String?
        package var forfeited: Int64 = 0
        package var isDeadline = false
        package var isSettlement = false
        /// The subscription that caused the entry, the place of its line, and the index of its period.
        package var subscription: Int?
        package var line: Int?
        package var period: Int?
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

    /// The reason why a command is refused. A refused command has no effect of its own.
    package struct Refusal: Error, Equatable {
        package let code: String
        package let figures: [Int64]
        /// The feature that is unknown, not in the plan or not priced.
        package var feature: String?

        package init(_ code: String, _ figures: Int64..., of feature: String? = nil) {
            self.code = code
            self.figures = figures
            self.feature = feature
        }

        package static func insufficient(effective: Int64, spendable: Int64, required: Int64) -> Refusal {
            Refusal("insufficient_credits", effective, spendable, required)
        }
    }

    /// One feature of a job.
    package struct Part: Equatable, Sendable {
        package let feature: String
        /// The version of the price at the time of the reservation.
        package let version: Int?
        package var watermark: ModelDemand?
        package var charged: Int64 = 0

        package init(feature: String, version: Int?) {
            self.feature = feature
            self.version = version
        }
    }

    /// Credits held for a job.
    package struct Reservation: Equatable, Sendable {
        package let number: Int
        /// In the order of the request.
        package var parts: [Part]
        package let estimate: ModelDemand
        package let attributes: [String: String]
        package let estimatedCost: Int64
        package var status = "active"
        package var holds: [Share]
        package var uncovered: Int64
        package var expiresAt: Instant
        package let createdAt: Instant
        package var finishedAt: Instant?

        package init(
            number: Int, parts: [Part], estimate: ModelDemand, attributes: [String: String],
            estimatedCost: Int64, holds: [Share], uncovered: Int64, expiresAt: Instant, createdAt: Instant
        ) {
            self.number = number
            self.parts = parts
            self.estimate = estimate
            self.attributes = attributes
            self.estimatedCost = estimatedCost
            self.holds = holds
            self.uncovered = uncovered
            self.expiresAt = expiresAt
            self.createdAt = createdAt
        }

        package var features: [String] { parts.map(\.feature) }
        package var isOfSeveral: Bool { parts.count > 1 }
        /// The only feature, or the first of several.
        package var feature: String { parts[0].feature }
        package var version: Int? { parts[0].version }
        /// The watermark of the only feature, or of the first of several.
        package var watermark: ModelDemand? { parts[0].watermark }
        package var charged: Int64 { parts.reduce(0) { $0 + $1.charged } }
    }

    /// The usage for which an event counts in limits. Each limit counts the features that it covers.
    struct Tally: Sendable {
        /// The usages of each feature of which the largest counts: that of a use, or the estimate and the progress of a
        /// reservation.
        var usages: [String: [ModelDemand]] = [:]
        /// The credits that each feature was charged.
        var credits: [String: Int64] = [:]
        /// The credits that count at least: the estimate of an active reservation.
        var least: Int64 = 0
    }

    /// A use or a reservation that limits count.
    struct Counted: Sendable {
        let features: [String]
        let attributes: [String: String]
        let at: Instant
        var tally: Tally
        /// The quotas that the features had at that time, with any limit.
        let quotas: [String: Set<String>]
        let reservation: Int?
        var isActive: Bool
        /// The zone of that time.
        let zone: ModelZone
        /// All usages so far, which decide whether a window was opened.
        var past: [Tally]
        /// The ends of the windows in which a reservation was made, by limit.
        var ends: [String: Instant] = [:]
        /// The limits in which the growth of a reservation counts as an event of its own, because its estimate counted
        /// nothing and its window is over or was opened by others.
        var missed: Set<String> = []
        /// The one limit that counts the event.
        var only: String?
        /// The attributes of the commit of a reservation.
        var final: [String: String]?
        /// For a commit with other attributes: those of its reservation, and the instant at which that was made.
        var reserved: (attributes: [String: String], at: Instant)?
        /// The names of the variants' limits that applied at that time.
        var variantLimits: Set<String> = []
        /// The starts of the subscriptions of that time, by slot.
        var starts: [String: Instant] = [:]
    }

    /// A feature of a reservation.
    struct PartKey: Hashable, Sendable {
        let reservation: Int
        let feature: String
    }

    /// Units that fill the tiers of a month or of a subscription's period.
    struct Filling: Sendable {
        let feature: String
        /// The start of the window.
        let window: Instant
        let units: [String: Int64]
    }

    /// Usage for the summary of a postpaid subscription.
    struct Bill: Sendable {
        let subscription: Int
        let usage: Usage
    }

    /// The overage of one entry.
    package struct Debt: Equatable, Sendable {
        package let entry: Int64
        package var amount: Int64
    }

    /// The parts of a charge that one refund gave back.
    struct RefundRecord: Sendable {
        let charge: Int64
        let units: Int64?
        let credits: Int64
        let overage: Int64
        let settled: Int64
        let blocks: [Int: Int64]
        var isSettlement = false
    }

    package var catalogue: ModelCatalogue
    package var endUser = ""
    package var blocks: [Block] = []
    package var entries: [Entry] = []
    package var reservations: [Reservation] = []
    package var debts: [Debt] = []
    package var events: [Event] = []
    package var topUps = TopUps()
    /// Nil means those of the environment.
    package var thresholds: [Threshold]?
    var told: [String: Told] = [:]
    var exhausted: [Exhausted] = []
    /// The instant up to which time has gone through the account.
    var reached = Instant(microseconds: .min)
    package var subscriptions: [ModelSubscription] = []
    /// The overage that the latest end of a postpaid period has settled.
    var overageClosed: Int64 = 0
    var bills: [Bill] = []
    package var caps: [Cap] = []
    package var capCount = 0
    package var limits: [String: OwnLimit] = [:]
    package var policy: ModelCatalogue.Policy?
    package var overageLimit: Int64?
    package var overrides: [String: Override] = [:]
    package var testClock: Int?
    package var exists = false
    package var isErased = false
    package var name: String?
    package var lifetime: Int64 = 0
    package var now = Instant(microseconds: .min)
    /// The idempotency key of the command that is being applied.
    package var key: String?
    var counted: [Counted] = []
    var fillings: [Filling] = []
    /// The sums of prices that carry fractions, by feature and version.
    var sums: [String: [ModelSumKey: ModelSum]] = [:]
    /// The millicredits that each job was charged for growth by prices that depend on earlier events.
    var growthCosts: [PartKey: Int64] = [:]
    /// The millicredits that each job was charged by prices that carry fractions, by dimension.
    var carriedCosts: [PartKey: [String: Int64]] = [:]
    var refundRecords: [RefundRecord] = []

    /// An account without history.
    package init(catalogue: ModelCatalogue, endUser: String = "") {
        self.catalogue = catalogue
        self.endUser = endUser
    }

    package init(features: [String: Feature]) {
        self.init(catalogue: ModelCatalogue(features: features))
    }
}

// MARK: - Balances and blocks

extension ModelLedger {
    /// The remaining credits of all blocks minus overage.
    package var balance: Int64 { blocks.reduce(0) { $0 + $1.remaining } - overage }

    package var overage: Int64 { debts.reduce(0) { $0 + $1.amount } }

    package var reserved: Int64 {
        reservations.reduce(0) { $0 + $1.holds.reduce(0) { $0 + $1.amount } }
    }

    package var effective: Int64 { balance - reserved - frozen }

    /// The held credits of each block.
    package var held: [Int: Int64] {
        var held: [Int: Int64] = [:]
        for reservation in reservations {
            for share in reservation.holds { held[share.block, default: 0] += share.amount }
        }
        return held
    }

    /// The blocks with available credits, regardless of expiry, and the available amounts.
    package var available: [(block: Block, amount: Int64)] {
        let held = held
        var available: [(block: Block, amount: Int64)] = []
        for block in blocks where block.remaining > 0 {
            let amount = block.remaining - (held[block.number] ?? 0)
            if amount > 0 { available.append((block, amount)) }
        }
        return available
    }

    /// The blocks with remaining credits, in burn order.
    package var burnOrder: [Block] { blocks.filter { $0.remaining > 0 }.sorted(by: Self.burnsBefore) }

    /// The blocks whose credits are still to arrive, in the order in which they do.
    package var awaited: [Block] {
        blocks.filter(\.isAwaited).sorted { ($0.arrivesAt, $0.number) < ($1.arrivesAt, $1.number) }
    }

    package static func burnsBefore(_ left: Block, _ right: Block) -> Bool {
        if left.priority != right.priority { return left.priority < right.priority }
        switch (left.expiresAt, right.expiresAt) {
        case (let left?, let right?) where left != right: return left < right
        case (.some, nil): return true
        case (nil, .some): return false
        default: break
        }
        if left.isPaid != right.isPaid { return right.isPaid }
        if left.arrivesAt != right.arrivesAt { return left.arrivesAt < right.arrivesAt }
        if left.isPlanned != right.isPlanned { return left.isPlanned }
        return left.number < right.number
    }

    /// The blocks that are open to every one of the features; for nil, the unrestricted blocks. In burn order.
    func eligible(_ features: [String]?) -> [(block: Block, amount: Int64)] {
        available.filter { block, _ in
            !isOver(block, at: now) && !isFrozen(block)
                && (features.map { $0.allSatisfy(block.isOpen) } ?? block.features.isEmpty)
        }.sorted { Self.burnsBefore($0.block, $1.block) }
    }

    /// The credits that a use of the feature can take.
    package func spendable(_ feature: String) -> Int64 { spendable([feature]) }

    /// The credits that a reservation over the features can take.
    package func spendable(_ features: [String]) -> Int64 { eligible(features).reduce(0) { $0 + $1.amount } }

    /// Whether the policy in force allows overage, and its limit.
    package var terms: (isAllowed: Bool, limit: Int64?) {
        let ofVariant = policySubscription.flatMap { variant(of: $0).policy }
        let limitOfVariant = running.lazy.compactMap { variant(of: $0).overageLimit }.first
        return (
            (policy ?? ofVariant ?? catalogue.policy ?? .block) != .block,
            overageLimit ?? limitOfVariant ?? catalogue.overageLimit
        )
    }

    /// Takes an amount from blocks in the given order; returns the share of each block.
    func portions(_ amount: Int64, of blocks: [(block: Block, amount: Int64)]) -> [Share] {
        var owed = amount
        var shares: [Share] = []
        for (block, available) in blocks where owed > 0 {
            shares.append(Share(block: block.number, amount: min(owed, available)))
            owed -= min(owed, available)
        }
        return shares
    }

    /// The instants after `start` and up to `end` at which time changes the account, in order.
    package func expiries(after start: Instant, upTo end: Instant) -> [Instant] {
        (instants + (topUpInstant.map { [$0] } ?? [])).filter { start < $0 && $0 <= end }.sorted()
    }

    /// The instants at which time changes the account, without those of top-ups.
    private var instants: [Instant] {
        available.map(\.block).filter { liveSubscription(of: $0)?.status != .paused }.compactMap(\.expiresAt)
            + subscriptionInstants
            + reservations.filter { $0.status == "active" }.map(\.expiresAt) + awaited.map(\.arrivesAt)
            + exhausted.map(\.end) + notices.map(\.at)
    }

    /// The next instant at which time changes the account.
    package var due: Instant? { expiries(after: Instant(microseconds: .min), upTo: Instant(microseconds: .max)).first }
}

// MARK: - Writing

extension ModelLedger {
    /// Writes an entry and applies it to the blocks.
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
        // A use counts when it is applied, whenever it occurred.
        openFirstUseWindows(entry, at: type == "use" ? now : instant ?? now)
        tell(of: entry, at: type == "use" ? now : instant ?? now)
        return entry
    }

    /// Merges two lists of shares, so that each block has one share. The order is that of the first list, then the
    /// second.
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
    /// Records everything that was due, in due order, each effect in its own entry.
    ///
    /// - Parameter judges: Whether events of the balance follow each instant. What follows from a command is judged with it.
    package mutating func advance(to instant: Instant, judges: Bool = true) {
        let before = now
        now = max(now, instant)
        let command = key
        key = nil
        defer { key = command }
        var state = balanceState
        while let due, due <= now {
            for index in reservations.indices
            where reservations[index].status == "active" && reservations[index].expiresAt <= due {
                giveBack(reservation: index + 1, status: "expired", at: due)
                sweep(at: due, sparesSubscriptions: true)
            }
            // A command can begin a period that is over already. It has ended when it was due.
            turnSubscriptions(due: due)
            sweep(at: due)
            for block in awaited where block.arrivesAt <= due { arrive(block) }
            resetLimits(at: due)
            tellExpiries(at: due)
            reached = max(reached, due)
            // A later turn of the loop may belong to the same instant.
            if judges, !instants.contains(where: { $0 <= due }) {
                judgeBalance(since: state, at: max(due, before))
                state = balanceState
            }
            judge(at: max(due, before))
        }
        reached = max(reached, now)
    }

    private mutating func arrive(_ block: Block) {
        blocks[block.number - 1].isAwaited = false
        lifetime += block.original
        let share = Share(block: block.number, amount: block.original)
        write("grant", [share], at: block.arrivesAt)
        settle([share], at: block.arrivesAt)
    }

    /// Takes the available credits of revoked and expired blocks.
    ///
    /// - Parameter spares: Whether to leave the blocks of subscriptions that expire at this very instant.
    mutating func sweep(at instant: Instant, sparesSubscriptions spares: Bool = false) {
        let command = key
        key = nil
        defer { key = command }
        for (block, amount) in available {
            let rest = [Share(block: block.number, amount: -amount)]
            if block.revokedAt != nil {
                write("revoke", rest, at: instant)
            } else if isOver(block, at: instant) {
                if spares, block.expiresAt == instant, liveSubscription(of: block) != nil { continue }
                blocks[block.number - 1].hasExpired = true
                write("expire", rest, at: instant)
            }
        }
    }

    /// Ends a reservation without a charge.
    @discardableResult
    mutating func giveBack(reservation number: Int, status: String, at instant: Instant) -> Entry {
        let reservation = reservations[number - 1]
        reservations[number - 1].holds = []
        reservations[number - 1].status = status
        reservations[number - 1].finishedAt = instant
        recount(number, reservation.tally(isActive: false), isActive: false)
        let entry = write("release", [], holds: Self.negative(reservation.holds), at: instant) { entry in
            entry.feature = reservation.isOfSeveral ? nil : reservation.feature
            entry.reservation = number
            entry.isDeadline = status == "expired"
        }
        tell(reservation: number, returned: reservation.holds.reduce(0) { $0 + $1.amount }, at: instant)
        return entry
    }
}
