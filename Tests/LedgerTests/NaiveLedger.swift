import Glibc

/// The rules of the ledger a second time, as plainly as they can be written down: nothing is kept in order, nothing is
/// cached, every answer is found by looking through arrays. It knows nothing of the core; times are µs since 1970.
struct NaiveLedger {
    struct Block {
        let number: Int
        let original: Int64
        var remaining: Int64
        let priority: Int
        let expiresAt: Int64?
        let isPaid: Bool
        let features: [String]
    }

    struct Line: Equatable {
        let type: String
        let amount: Int64
        let balanceAfter: Int64
        let allocations: [[Int64]]
        let effectiveAt: Int64
        let recordedAt: Int64
        let feature: String?
        let units: Int64?
        let ruleVersion: Int?
    }

    struct Price {
        let version: Int
        let effectiveFrom: Int64
        /// Nil for a flat price.
        let perUnits: Int64?
        let cost: Int64
    }

    enum Expiry {
        case never
        case at(Int64)
        case after(months: Int64, seconds: Int64)
    }

    enum Result: Equatable {
        case granted(block: Int)
        case used(cost: Int64)
        case endUser(created: Bool)
        case advanced
        case refused(String, figures: [Int64] = [])
    }

    struct Answer: Equatable {
        let reason: String?
        let cost: Int64?
        let spendable: Int64
        let affordable: Int64
    }

    static let limit: Int64 = 9_007_199_254_740_991

    /// Every block there ever was.
    var blocks: [Block] = []
    var lines: [Line] = []
    var lifetimeGranted: Int64 = 0
    var now: Int64 = .min
    var exists = false
    /// The features that exist, and their prices; what is archived takes no use.
    var prices: [String: [Price]] = [:]
    var archived: Set<String> = []

    // MARK: What is there

    var balance: Int64 { blocks.reduce(0) { $0 + $1.remaining } }

    func eligible(_ feature: String) -> [Block] {
        blocks.filter { block in
            block.remaining > 0 && !isExpired(block) && (block.features.isEmpty || block.features.contains(feature))
        }
    }

    func spendable(_ feature: String) -> Int64 { eligible(feature).reduce(0) { $0 + $1.remaining } }

    func isExpired(_ block: Block) -> Bool {
        if let expiresAt = block.expiresAt { now >= expiresAt } else { false }
    }

    /// Whether `left` is spent before `right`.
    func precedes(_ left: Block, _ right: Block) -> Bool {
        let never = Int64.max
        let leftKey = [Int64(left.priority), left.expiresAt ?? never, left.isPaid ? 1 : 0, Int64(left.number)]
        let rightKey = [Int64(right.priority), right.expiresAt ?? never, right.isPaid ? 1 : 0, Int64(right.number)]
        return leftKey.lexicographicallyPrecedes(rightKey)
    }

    // MARK: What happens

    /// The earliest due block expires, then the next, until none is due.
    mutating func advance(to time: Int64) {
        guard time > now else { return }
        now = time
        while true {
            let due = blocks.indices.filter { blocks[$0].remaining > 0 && isExpired(blocks[$0]) }
            let earliest = due.min { left, right in
                let (left, right) = (blocks[left], blocks[right])
                return (left.expiresAt ?? 0, left.number) < (right.expiresAt ?? 0, right.number)
            }
            guard let index = earliest else { return }
            let lost = blocks[index].remaining
            blocks[index].remaining = 0
            write(
                "expire", amount: -lost, allocations: [[Int64(blocks[index].number), -lost]],
                effectiveAt: blocks[index].expiresAt ?? 0)
        }
    }

    mutating func grant(
        _ credits: Int64, priority: Int?, isPlan: Bool, expiry: Expiry, features: [String], clock: Int64
    ) -> Result {
        advance(to: clock)
        let expiresAt: Int64? =
            switch expiry {
            case .never: nil
            case .at(let time): time
            case .after(let months, let seconds): Self.later(now, months: months) + seconds * 1_000_000
            }
        if let expiresAt, now >= expiresAt { return .refused("expires_in_the_past", figures: [expiresAt, now]) }
        for feature in features where prices[feature] == nil || archived.contains(feature) {
            return .refused("unknown_feature")
        }
        if balance > Self.limit - credits || lifetimeGranted > Self.limit - credits {
            return .refused("amount_out_of_range")
        }
        let block = Block(
            number: blocks.count + 1, original: credits, remaining: credits, priority: priority ?? (isPlan ? 10 : 50),
            expiresAt: expiresAt, isPaid: false, features: features)
        blocks.append(block)
        lifetimeGranted += credits
        exists = true
        write("grant", amount: credits, allocations: [[Int64(block.number), credits]], effectiveAt: now)
        return .granted(block: block.number)
    }

    mutating func use(_ feature: String, units: Int64, occurredAt: Int64?, clock: Int64) -> Result {
        advance(to: clock)
        let time = occurredAt ?? now
        if time < now - 35 * 24 * 3_600 * 1_000_000 { return .refused("occurred_too_long_ago", figures: [time, now]) }
        if time > now + 5 * 60 * 1_000_000 { return .refused("occurs_in_the_future", figures: [time, now]) }
        guard let answer = check(feature, units: units, at: time) else { return .refused("amount_out_of_range") }
        if let reason = answer.reason {
            let figures = reason == "insufficient_credits" ? [balance, answer.spendable, answer.cost ?? 0] : []
            return .refused(reason, figures: figures)
        }
        let cost = answer.cost ?? 0
        var allocations: [[Int64]] = []
        var owed = cost
        for block in eligible(feature).sorted(by: precedes) {
            let share = min(owed, block.remaining)
            if share == 0 { break }
            owed -= share
            blocks[block.number - 1].remaining -= share
            allocations.append([Int64(block.number), -share])
        }
        exists = true
        write(
            "use", amount: -cost, allocations: allocations, effectiveAt: time, feature: feature, units: units,
            ruleVersion: price(feature, at: time)?.version)
        return .used(cost: cost)
    }

    /// Nil when the cost is beyond every amount.
    func check(_ feature: String, units: Int64, at time: Int64) -> Answer? {
        let spendable = spendable(feature)
        func denied(_ reason: String) -> Answer {
            Answer(reason: reason, cost: nil, spendable: spendable, affordable: 0)
        }
        guard prices[feature] != nil, !archived.contains(feature) else { return denied("unknown_feature") }
        guard let price = price(feature, at: time) else { return denied("feature_not_priced") }
        guard let cost = Self.cost(price, units: units) else { return nil }
        // The most units whose cost is covered, by halving the range in which that number must be.
        var (affordable, tooMany) = (Int64(0), Self.limit + 1)
        while tooMany - affordable > 1 {
            let middle = affordable + (tooMany - affordable) / 2
            let isCovered = Self.cost(price, units: middle).map { $0 <= spendable } ?? false
            if isCovered { affordable = middle } else { tooMany = middle }
        }
        return Answer(
            reason: cost > spendable ? "insufficient_credits" : nil, cost: cost, spendable: spendable,
            affordable: affordable)
    }

    /// The newest of the versions that have taken over by then.
    func price(_ feature: String, at time: Int64) -> Price? {
        (prices[feature] ?? []).filter { $0.effectiveFrom <= time }.max { $0.version < $1.version }
    }

    static func cost(_ price: Price, units: Int64) -> Int64? {
        if units == 0 { return 0 }
        guard let perUnits = price.perUnits else { return price.cost }
        let product = units.magnitude.multipliedFullWidth(by: price.cost.magnitude)
        guard product.high < perUnits.magnitude else { return nil }
        let (quotient, remainder) = perUnits.magnitude.dividingFullWidth(product)
        let rounded = quotient + (remainder > 0 && quotient < UInt64.max ? 1 : 0)
        return rounded > limit ? nil : Int64(rounded)
    }

    mutating func changeEndUser(mustExist: Bool, clock: Int64) -> Result {
        advance(to: clock)
        if mustExist && !exists { return .refused("unknown_end_user") }
        let created = !exists
        exists = true
        return .endUser(created: created)
    }

    private mutating func write(
        _ type: String, amount: Int64, allocations: [[Int64]], effectiveAt: Int64, feature: String? = nil,
        units: Int64? = nil, ruleVersion: Int? = nil
    ) {
        lines.append(
            Line(
                type: type, amount: amount, balanceAfter: balance, allocations: allocations, effectiveAt: effectiveAt,
                recordedAt: now, feature: feature, units: units, ruleVersion: ruleVersion))
    }

    /// Calendar months later by the C library: same day and time, or the month's last day.
    private static func later(_ time: Int64, months: Int64) -> Int64 {
        if months == 0 { return time }
        var seconds = Int(time / 1_000_000)
        var start = tm()
        gmtime_r(&seconds, &start)
        let day = start.tm_mday
        start.tm_mday = 1
        start.tm_mon += Int32(months)
        seconds = timegm(&start)
        var end = start
        end.tm_mon += 1
        var next = timegm(&end)
        // The month's last day is the day before the first of the next month.
        next -= 86_400
        gmtime_r(&next, &end)
        return Int64(seconds + Int(min(day, end.tm_mday) - 1) * 86_400) * 1_000_000 + time % 1_000_000
    }
}
