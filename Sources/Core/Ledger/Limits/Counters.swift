internal import Crypto
package import Catalogue
package import Credits
package import Metering

/// The usage counted in one window of time, or the remainder that a price carries.
package struct WindowCounter: Hashable, Sendable {
    package let window: TimeWindow
    /// Not negative, except for a remainder.
    package var used: Int64
    /// The definition of the end user's limit that counts; 0 for every other counter. The counters of a definition are
    /// deleted with it.
    package let generation: Int32
    /// The highest percentage of the limit that the tenant was told of in the window; above 100 after its exhaustion.
    package internal(set) var told: Int16

    package init(window: TimeWindow, used: Int64, generation: Int32 = 0, told: Int16 = 0) {
        self.window = window
        self.used = used
        self.generation = generation
        self.told = told
    }

    /// Whether this is the remainder of a price. An account keeps remainders for ever, and they do not count among its
    /// open counters: there are at most as many as the rule versions of its environment have rows and dimensions.
    package var isRemainder: Bool { window == .remainder }
}

/// The key of a counter inside its account: a digest of all that a counter belongs to. A counter of another window,
/// anchor or value of `per` is another counter.
package struct CounterID: Hashable, Comparable, Sendable {
    package let bits: Bits128

    package init(bits: Bits128) {
        self.bits = bits
    }

    /// The first 128 bits of the SHA-256 of the parts, each behind its length.
    init(_ parts: [String]) {
        var hasher = SHA256()
        for part in parts {
            hasher.update(data: "\(part.utf8.count):".utf8.map { $0 })
            hasher.update(data: part.utf8.map { $0 })
        }
        bits = hasher.finalize().withUnsafeBytes { digest in
            Bits128(
                high: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    /// 32 hexadecimal digits.
    var text: String { hexadecimal(bits.high) + hexadecimal(bits.low) }

    init?(text: String) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        bits = Bits128(high: high, low: low)
    }

    package static func < (left: CounterID, right: CounterID) -> Bool { left.bits < right.bits }
}

/// The counters of an account, or those of them that a decision needs: the usage under its limits and in its period
/// tiers, and the remainders of its prices. A window that has ended counts as unused. A reset therefore needs no job, and
/// none can be missed.
///
/// A batch of commands loads the counters that its commands name (`Account.counterIDs`). A replica has all of them.
package struct UsageCounters: Hashable, Sendable {
    /// The largest number of counters that may be open in an account.
    package static let maximumOpen = 10_000

    package private(set) var counters: [CounterID: WindowCounter]
    /// The number of the account's stored counters, also of those that are not here.
    package var storedCount: Int
    /// No window of them ends before this instant; nil when none ends.
    package var endsAt: Instant?

    package init(storedCount: Int = 0, endsAt: Instant? = nil) {
        counters = [:]
        self.storedCount = storedCount
        self.endsAt = endsAt
    }

    package static let none = UsageCounters()

    package subscript(id: CounterID) -> WindowCounter? { counters[id] }

    /// Puts a counter in the place of the one with the same id.
    package mutating func set(_ id: CounterID, _ counter: WindowCounter) {
        if counters.updateValue(counter, forKey: id) == nil, !counter.isRemainder { storedCount += 1 }
        if counter.window.end < endsAt ?? .never { endsAt = counter.window.end }
    }

    /// Adds a counter that is stored already.
    package mutating func load(_ id: CounterID, _ counter: WindowCounter) { counters[id] = counter }

    package mutating func remove(_ id: CounterID) {
        if let removed = counters.removeValue(forKey: id), !removed.isRemainder { storedCount -= 1 }
    }

    /// Removes all counters of a definition of a limit.
    ///
    /// - Parameter others: The number of them that are stored and not here.
    mutating func remove(generation: Int32, others: Int) {
        for (id, counter) in counters where counter.generation == generation { remove(id) }
        storedCount -= others
    }
}

extension UsageCounters {
    /// Adds to a counter in the window that a decision has read. Does nothing for an amount of 0.
    mutating func count(
        _ amount: Int64, _ id: CounterID, used: Int64, in window: TimeWindow, generation: Int32 = 0
    ) {
        guard amount > 0 else { return }
        let told = counters[id].map { $0.window == window ? $0.told : 0 } ?? 0
        set(id, WindowCounter(window: window, used: used.addingSaturated(amount), generation: generation, told: told))
    }

    /// Adds to the counter of a limit in the window that a decision has read. Does nothing for an amount of 0.
    mutating func count(_ amount: Int64, in state: LimitState) {
        count(amount, state.counter, used: state.used, in: state.window, generation: state.applied.generation)
    }

    /// Takes note of what the tenant was told of a limit in the open window.
    mutating func note(told: Int16, _ id: CounterID) { counters[id]?.told = told }

    /// Corrects the count of a window in which a reservation was counted before. A later window is not changed, and the
    /// counter of a window that is over is not made again.
    mutating func correct(_ count: ReservationCount, by amount: Int64, now: Instant) {
        let (id, window) = (count.counter, count.window)
        guard amount != 0 else { return }
        if let counter = counter(id, countedIn: window, isGrowth: amount > 0) {
            // A counter may exceed every limit, because a job that gives units back must bring it down again.
            let used = max(0, counter.used.addingSaturated(amount))
            counters[id]?.used = used
            // A counter without an end would stay for ever.
            if used == 0, counter.window == .always { remove(id) }
        } else if amount > 0, now < window.end, counters[id].map({ $0.window.end <= window.start }) ?? true {
            set(id, WindowCounter(window: window, used: amount, generation: count.generation))
        }
    }
}

extension UsageCounters {
    /// The counter in which a job has counted. For growth, others may have opened the window since, from an instant before
    /// the one from which the job would have opened it.
    private func counter(_ id: CounterID, countedIn window: TimeWindow, isGrowth: Bool) -> WindowCounter? {
        counters[id].flatMap { counter in
            counter.window.start == window.start || isGrowth && counter.window.contains(window.start) ? counter : nil
        }
    }

    /// Whether growth of a job is counted: not in a window that is over.
    func takesGrowth(of count: ReservationCount, now: Instant) -> Bool {
        if let counter = counter(count.counter, countedIn: count.window, isGrowth: true) {
            return now < counter.window.end
        }
        return now < count.window.end && counters[count.counter].map { $0.window.end <= count.window.start } ?? true
    }
}

// MARK: - Prior usage of prices

extension Account {
    /// The period's units and the remainders with which an event is priced by a rule.
    package func priorUsage(
        of feature: FeatureKey, _ rule: MeteringRule?, _ attributes: Attributes, _ catalogue: Catalogue, now: Instant
    ) -> PriorUsage {
        guard let price = rule?.price, let ruleID = rule?.id, let row = price.row(for: attributes) else {
            return PriorUsage()
        }
        let periods = price.periodDimensions(for: attributes)
        let carried = price.carriedDimensions(for: attributes)
        guard !periods.isEmpty || !carried.isEmpty else { return PriorUsage() }
        let period = tierPeriod(at: now, catalogue)
        var prior = PriorUsage(used: counters.periodUsage(of: feature, dimensions: periods, in: period))
        for dimension in carried {
            prior.remainders[dimension] = counters[UsageCounters.remainder(ruleID, row: row, dimension)]?.used
        }
        return prior
    }
}

extension UsageCounters {
    /// The counters that the price of an event by a rule depends on.
    static func priced(by rule: MeteringRule, _ feature: FeatureKey, _ attributes: Attributes) -> [CounterID] {
        guard let row = rule.price.row(for: attributes) else { return [] }
        return rule.price.periodDimensions(for: attributes).map { period(feature, $0) }
            + rule.price.carriedDimensions(for: attributes).map { remainder(rule.id, row: row, $0) }
    }

    /// The counter of the remainder that a rule version carries in a row and a dimension; "" for a rule without
    /// dimensions.
    static func remainder(_ rule: PublicID, row: Int, _ dimension: String) -> CounterID {
        CounterID(["remainder", rule.description, "\(row)", dimension])
    }

    /// Keeps the remainder of a price. One of 0 needs no counter.
    mutating func carry(_ remainder: Int64, _ id: CounterID) {
        if remainder == 0 { remove(id) } else { set(id, WindowCounter(window: .remainder, used: remainder)) }
    }

    /// The counter of a dimension of a feature in the period of the subscription or in the calendar month, UTC.
    ///
    /// - Parameter dimension: "" for a rule without dimensions.
    static func period(_ feature: FeatureKey, _ dimension: String) -> CounterID {
        CounterID(["period", feature.rawValue, dimension])
    }

    /// The usage of a feature in a period. Periods are told apart by their start, because a pause moves an end.
    package func periodUsage(
        of feature: FeatureKey, dimensions: [String], in period: TimeWindow
    ) -> [String: Int64] {
        var used: [String: Int64] = [:]
        for dimension in dimensions {
            guard let counter = counters[Self.period(feature, dimension)], counter.window.start == period.start else {
                continue
            }
            used[dimension] = counter.used
        }
        return used
    }

    /// Counts units of period-scoped dimensions in a period. A negative number takes units out that were counted in it.
    mutating func count(_ units: [String: Int64], feature: FeatureKey, in period: TimeWindow) {
        for (dimension, count) in units {
            let id = Self.period(feature, dimension)
            let counter = counters[id]
            let isOpen = counter?.window.start == period.start
            if count < 0, isOpen { counters[id]?.used = max(0, (counter?.used ?? 0) + count) }
            self.count(count, id, used: isOpen ? counter?.used ?? 0 : 0, in: period)
        }
    }
}

extension TimeWindow {
    /// The window of a counter that is never reset.
    static let always = TimeWindow(start: Instant(microseconds: .min), end: .never)

    /// The window of a counter that is the remainder of a price. It begins at the epoch, like no other without an end.
    static let remainder = TimeWindow(start: .epoch, end: .never)
}

extension Instant {
    /// The instant after every other.
    static let never = Instant(microseconds: .max)
}

private func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
