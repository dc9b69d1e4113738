/// A half-open span of time: it includes its start and excludes its end.
package struct TimeWindow: Hashable, Sendable {
    package let start: Instant
    package let end: Instant

    package init(start: Instant, end: Instant) {
        self.start = start
        self.end = end
    }

    package func contains(_ instant: Instant) -> Bool {
        start <= instant && instant < end
    }
}

/// The rules of a time zone: its offset from UTC, and the instants at which the offset changes.
///
/// Local days follow each other without gap or overlap, even at clock changes. A day begins at the first instant at
/// which the clocks have reached its midnight. If midnight is skipped, the day begins at the skip. If the clocks go
/// back over midnight, the repeated time belongs to the later day. Every function accepts every instant; results
/// outside the 64-bit range become its ends.
package struct ZoneRules: Hashable, Sendable {
    package static let utc = ZoneRules(transitions: [], initialOffsetSeconds: 0)

    /// The seconds since 1970 at which the offsets of `offsets` take effect, in rising order.
    private let starts: [Int64]
    private let offsets: [Int32]
    private let initialOffset: Int32

    /// - Parameters:
    ///   - transitions: In any order. Instants are rounded down to whole seconds. Offsets east of UTC are positive and
    ///     are limited to ±1 day.
    ///   - initialOffsetSeconds: The offset before the first transition.
    package init(transitions: [(at: Instant, offsetSeconds: Int32)], initialOffsetSeconds: Int32) {
        var starts: [Int64] = []
        var offsets: [Int32] = []
        for transition in transitions.sorted(by: { $0.at < $1.at }) {
            let start = transition.at.microseconds.flooredDivision(by: 1_000_000).quotient
            if starts.last == start {
                starts.removeLast()
                offsets.removeLast()
            }
            starts.append(start)
            offsets.append(Self.withinADay(transition.offsetSeconds))
        }
        self.starts = starts
        self.offsets = offsets
        initialOffset = Self.withinADay(initialOffsetSeconds)
    }

    /// The transitions in microseconds, as the database stores them.
    package var storedStarts: [Int64] { starts.map { $0 * 1_000_000 } }

    /// The offset before the first transition and the offset after each transition, as the database stores them.
    package var storedOffsets: [Int32] { [initialOffset] + offsets }

    private static func withinADay(_ offset: Int32) -> Int32 {
        max(-86_400, min(86_400, offset))
    }

    /// The offset of the local clocks at an instant, in seconds east of UTC.
    package func offset(at instant: Instant) -> Int32 {
        let seconds = instant.microseconds.flooredDivision(by: 1_000_000).quotient
        return offset(ofSpan: span(at: seconds))
    }

    /// The local day at a second since 1970, counted in days from 1970-01-01.
    package func localDay(atSecond second: Int64) -> Int64 {
        (second + Int64(offset(ofSpan: span(at: second)))).flooredDivision(by: 86_400).quotient
    }

    /// The second since 1970 at which a local day begins. The day is counted from 1970-01-01 and must be within ±10^9.
    package func start(ofLocalDay day: Int64) -> Int64 {
        second(reaching: day * 86_400, from: span(at: day * 86_400 - 86_400))
    }

    /// The same local time of day a number of months and then days later. If the month lacks the day, its last day is
    /// used. A skipped local time is moved forward by the gap: 02:30 becomes 03:30. For a local time that occurs twice,
    /// the first instant is used.
    ///
    /// - Parameters:
    ///   - months: 0 to 12,000.
    ///   - days: 0 to 10^6. With zero months and days the instant is returned unchanged.
    package func adding(months: Int64, days: Int64, to instant: Instant) -> Instant {
        guard months > 0 || days > 0 else { return instant }
        return moved(instant, months: months, days: days)
    }

    /// The same local time of day a number of days before, by the rules of `adding`.
    ///
    /// - Parameter days: 0 to 10^6.
    package func subtracting(days: Int64, from instant: Instant) -> Instant {
        days > 0 ? moved(instant, months: 0, days: -days) : instant
    }

    private func moved(_ instant: Instant, months: Int64, days: Int64) -> Instant {
        let (second, fraction) = instant.microseconds.flooredDivision(by: 1_000_000)
        let span = span(at: second)
        let (day, time) = (second + Int64(offset(ofSpan: span))).flooredDivision(by: 86_400)
        let wanted = (CivilDate.day(day, addingMonths: months) + days) * 86_400 + time
        // Local time and UTC differ by at most a day, so an earlier time is found from two days before it.
        var reached = self.second(reaching: wanted, from: days < 0 ? self.span(at: wanted - 2 * 86_400) : span)
        let after = self.span(at: reached)
        // The clocks before the skip would show the wanted time then.
        if reached + Int64(offset(ofSpan: after)) != wanted, after > 0 {
            reached = wanted - Int64(offset(ofSpan: after - 1))
        }
        let moved = Instant(microseconds: 0).adding(seconds: reached)
        guard moved.microseconds <= .max - fraction else { return moved }
        return Instant(microseconds: moved.microseconds + fraction)
    }

    // MARK: - Spans of one offset

    /// The span that contains a second; span 0 is before the first transition.
    private func span(at second: Int64) -> Int {
        var (low, high) = (0, starts.count)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= second { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func offset(ofSpan span: Int) -> Int32 {
        span == 0 ? initialOffset : offsets[span - 1]
    }

    /// The first second in or after the given span at which the clocks show the local time or a later one.
    private func second(reaching local: Int64, from first: Int) -> Int64 {
        var span = first
        while true {
            let candidate = local - Int64(offset(ofSpan: span))
            guard span < starts.count, candidate >= starts[span] else {
                return span == 0 ? candidate : max(candidate, starts[span - 1])
            }
            span += 1
        }
    }
}

extension CivilDate {
    /// The day, counted from 1970-01-01, that is a number of months after another; the month's last day if it lacks
    /// that day.
    package static func day(_ day: Int64, addingMonths months: Int64) -> Int64 {
        let date = CivilDate(daysSinceEpoch: day)
        let (year, month) = (date.year * 12 + Int64(date.month) - 1 + months).flooredDivision(by: 12)
        let last = length(ofMonth: Int(month) + 1, year: year)
        return CivilDate(year: year, month: Int(month) + 1, day: min(date.day, last))?.daysSinceEpoch ?? day
    }
}
