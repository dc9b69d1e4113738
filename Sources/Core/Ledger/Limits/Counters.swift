internal import Crypto
package import Credits
import Metering

/// The usage counted in one window of time.
package struct WindowCounter: Hashable, Sendable {
    package let window: TimeWindow
    package var used: Int64

    package init(window: TimeWindow, used: Int64) {
        self.window = window
        self.used = used
    }
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
/// tiers. A window that has ended counts as unused. A reset therefore needs no job, and none can be missed.
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
        if counters.updateValue(counter, forKey: id) == nil { storedCount += 1 }
        if counter.window.end < endsAt ?? .never { endsAt = counter.window.end }
    }

    /// Adds a counter that is stored already.
    package mutating func load(_ id: CounterID, _ counter: WindowCounter) { counters[id] = counter }

    package mutating func remove(_ id: CounterID) {
        if counters.removeValue(forKey: id) != nil { storedCount -= 1 }
    }
}

extension UsageCounters {
    /// Adds to a counter in the window that a decision has read. Does nothing for an amount of 0.
    mutating func count(_ amount: Int64, _ id: CounterID, used: Int64, in window: TimeWindow) {
        guard amount > 0 else { return }
        set(id, WindowCounter(window: window, used: used.addingSaturated(amount)))
    }

    /// Corrects the count of a window in which an amount was counted before. A later window is not changed, and the
    /// counter of a window that is over is not made again.
    mutating func correct(_ id: CounterID, in window: TimeWindow, by amount: Int64, now: Instant) {
        guard amount != 0 else { return }
        // A window that nothing had opened yet may have been opened since, from another instant on.
        let counter = counters[id].flatMap { counter in
            counter.window.start == window.start || amount > 0 && counter.window.contains(window.start) ? counter : nil
        }
        if let counter {
            // A counter may exceed every limit, because a job that gives units back must bring it down again.
            let used = max(0, counter.used.addingSaturated(amount))
            counters[id]?.used = used
            // A counter without an end would stay for ever.
            if used == 0, counter.window == .always { remove(id) }
        } else if amount > 0, now < window.end, counters[id].map({ $0.window.end <= window.start }) ?? true {
            set(id, WindowCounter(window: window, used: amount))
        }
    }
}

// MARK: - Tiers that fill over a period

extension UsageCounters {
    /// The counter of a dimension of a feature in the calendar month, UTC.
    ///
    /// - Parameter dimension: "" for a rule without dimensions.
    static func period(_ feature: FeatureKey, _ dimension: String) -> CounterID {
        CounterID(["period", feature.rawValue, dimension])
    }

    /// The usage of a feature in the period that contains an instant: the calendar month in UTC.
    func periodUsage(of feature: FeatureKey, dimensions: [String], now: Instant) -> PeriodUsage {
        var used: [String: Int64] = [:]
        for dimension in dimensions {
            guard let counter = counters[Self.period(feature, dimension)], counter.window.contains(now) else {
                continue
            }
            used[dimension] = counter.used
        }
        return PeriodUsage(used: used)
    }

    /// Counts units of period-scoped dimensions, in the month that contains an instant.
    mutating func count(_ units: [String: Int64], feature: FeatureKey, now: Instant) {
        let month = WindowLength.month.calendarWindow(containing: now, in: .utc)
        for (dimension, count) in units {
            let id = Self.period(feature, dimension)
            let counter = counters[id]
            let isOpen = counter?.window.contains(now) ?? false
            self.count(count, id, used: isOpen ? counter?.used ?? 0 : 0, in: month)
        }
    }
}

extension TimeWindow {
    /// The window of a counter that is never reset.
    static let always = TimeWindow(start: Instant(microseconds: .min), end: .never)
}

extension Instant {
    /// The instant after every other.
    static let never = Instant(microseconds: .max)
}

private func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
