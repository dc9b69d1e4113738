import Credits
import Glibc

/// A time zone: the offset from UTC in seconds, and the instants at which it changes.
package struct ModelZone: Hashable, Sendable {
    package struct Change: Hashable, Sendable {
        /// A second since 1970.
        package let at: Int64
        package let offset: Int64

        package init(at: Int64, offset: Int64) {
            self.at = at
            self.offset = offset
        }
    }

    package let first: Int64
    package let changes: [Change]

    package static let utc = ModelZone(first: 0, changes: [])

    package init(first: Int64, changes: [Change]) {
        self.first = first
        self.changes = changes
    }

    func offset(_ second: Int64) -> Int64 {
        changes.last { $0.at <= second }?.offset ?? first
    }

    /// The first second at which the clocks show a local time. For a skipped local time, the end of the gap.
    func second(showing local: Int64) -> Int64 {
        var earliest: Int64?
        for offset in [first] + changes.map(\.offset) where self.offset(local - offset) == offset {
            earliest = min(earliest ?? .max, local - offset)
        }
        if let earliest { return earliest }
        return changes.first { $0.at + offset($0.at - 1) <= local && local < $0.at + $0.offset }?.at ?? local
    }

    /// The length of the gap by which a skipped local time is moved forward; 0 for a local time that is shown.
    private func gap(over local: Int64) -> Int64 {
        let end = second(showing: local)
        if end + offset(end) == local { return 0 }
        return local - (end + offset(end - 1))
    }

    /// The same local time a number of months and then days later; the month's last day if it lacks that day.
    func later(_ instant: Instant, months: Int64, days: Int64) -> Instant {
        if months == 0 && days == 0 { return instant }
        let seconds = Self.floor(instant.microseconds, 1_000_000)
        let fraction = instant.microseconds - seconds * 1_000_000
        let local = Self.addingMonths(months, to: seconds + offset(seconds)) + days * 86_400
        return Instant(microseconds: (second(showing: local) + gap(over: local)) * 1_000_000 + fraction)
    }

    /// Adds months with the C library's calendar functions.
    static func addingMonths(_ months: Int64, to local: Int64) -> Int64 {
        if months == 0 { return local }
        var seconds = Int(local)
        var start = tm()
        gmtime_r(&seconds, &start)
        let day = start.tm_mday
        start.tm_mday = 1
        start.tm_mon += Int32(months)
        seconds = timegm(&start)
        var end = start
        end.tm_mon += 1
        // The last day of a month is the day before the first of the next month.
        var next = timegm(&end) - 86_400
        gmtime_r(&next, &end)
        return Int64(seconds + Int(min(day, end.tm_mday) - 1) * 86_400)
    }

    static func floor(_ number: Int64, _ divisor: Int64) -> Int64 {
        number >= 0 ? number / divisor : -((-number + divisor - 1) / divisor)
    }
}

/// The length of a window.
package enum ModelWindow: Hashable, Sendable {
    case day, week, month
    case duration(months: Int64, seconds: Int64)

    /// The start and the end of the calendar window that contains an instant.
    func around(_ instant: Instant, in zone: ModelZone) -> (start: Instant, end: Instant) {
        let second = ModelZone.floor(instant.microseconds, 1_000_000)
        let local = second + zone.offset(second)
        let midnight = ModelZone.floor(local, 86_400) * 86_400
        func from(_ start: Int64, _ end: Int64) -> (Instant, Instant) {
            (
                Instant(microseconds: zone.second(showing: start) * 1_000_000),
                Instant(microseconds: zone.second(showing: end) * 1_000_000)
            )
        }
        switch self {
        case .day: return from(midnight, midnight + 86_400)
        case .week:
            // 1970-01-01 was a Thursday.
            let weekday = (midnight / 86_400 + 3) % 7
            return from(midnight - weekday * 86_400, midnight + (7 - weekday) * 86_400)
        case .month:
            var (day, parts) = (Int(midnight), tm())
            gmtime_r(&day, &parts)
            let start = midnight - Int64(parts.tm_mday - 1) * 86_400
            return from(start, ModelZone.addingMonths(1, to: start))
        case .duration(0, let seconds):
            let start = ModelZone.floor(second, seconds) * seconds
            return (
                Instant(microseconds: start * 1_000_000), Instant(microseconds: (start + seconds) * 1_000_000)
            )
        case .duration(let months, let seconds):
            func start(_ number: Int64) -> Int64 {
                zone.second(showing: ModelZone.addingMonths(months * number, to: 0)) + seconds * number
            }
            // No month is longer than 31 days, so this number is not too large.
            var number = second / (months * 31 * 86_400 + seconds + 86_400)
            while start(number + 1) <= second { number += 1 }
            return (
                Instant(microseconds: start(number) * 1_000_000),
                Instant(microseconds: start(number + 1) * 1_000_000)
            )
        }
    }

    /// The window that contains an instant, of windows that follow each other from a start on.
    func around(_ instant: Instant, from start: Instant, in zone: ModelZone) -> (start: Instant, end: Instant) {
        let length: ModelDuration =
            switch self {
            case .day: ModelDuration(days: 1)
            case .week: ModelDuration(days: 7)
            case .month: ModelDuration(months: 1)
            case .duration(let months, let seconds): ModelDuration(months: months, seconds: seconds)
            }
        // No month is longer than 31 days and no day longer than two, so this number is not too large.
        let longest = length.months * 31 * 86_400 + length.days * 2 * 86_400 + length.seconds
        var number = max(0, (instant.microseconds - start.microseconds) / 1_000_000 / longest - 1)
        while length.end(of: number + 1, from: start, in: zone) <= instant { number += 1 }
        return (length.end(of: number, from: start, in: zone), length.end(of: number + 1, from: start, in: zone))
    }

    /// The end of a window that opens at an instant.
    func end(openedAt instant: Instant, in zone: ModelZone) -> Instant {
        switch self {
        case .day: return zone.later(instant, months: 0, days: 1)
        case .week: return zone.later(instant, months: 0, days: 7)
        case .month: return zone.later(instant, months: 1, days: 0)
        case .duration(let months, let seconds):
            return zone.later(instant, months: months, days: 0).adding(seconds: seconds)
        }
    }
}
