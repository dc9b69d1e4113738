package import Credits

/// At most so many units in each window.
package struct Quota: Hashable, Sendable {
    /// 0 to 2^53 − 1.
    package let limit: Int64
    package let window: WindowLength
    package let anchor: WindowAnchor

    package init(limit: Int64, window: WindowLength, anchor: WindowAnchor = .calendar) {
        self.limit = limit
        self.window = window
        self.anchor = anchor
    }
}

/// When windows open.
package enum WindowAnchor: String, CaseIterable, Hashable, Sendable {
    /// By the calendar, one after another.
    case calendar
    /// With the first use after the last one closed.
    case firstUse = "first_use"
}

/// How long a window is.
package enum WindowLength: Hashable, Sendable {
    /// A local day, which daylight saving makes 23 or 25 hours long.
    case day
    /// Seven local days from Monday on.
    case week
    /// A calendar month, local.
    case month
    case duration(CalendarDuration)

    /// The window of the calendar that holds an instant.
    ///
    /// Windows of a duration without months are counted from 1970-01-01T00:00Z in steps of it, wherever the zone. Those of
    /// one with months are counted from January 1970, local: the n-th begins n times its months after, then n times its
    /// seconds.
    package func calendarWindow(containing instant: Instant, in zone: ZoneRules) -> TimeWindow {
        let second = instant.microseconds.flooredDivision(by: 1_000_000).quotient
        switch self {
        case .day:
            return Self.window(at: second, near: zone.localDay(atSecond: second)) { zone.start(ofLocalDay: $0) }
        case .week:
            // 1970-01-01 was a Thursday.
            let week = (zone.localDay(atSecond: second) + 3).flooredDivision(by: 7).quotient
            return Self.window(at: second, near: week) { zone.start(ofLocalDay: $0 * 7 - 3) }
        case .month:
            let date = CivilDate(daysSinceEpoch: zone.localDay(atSecond: second))
            return Self.window(at: second, near: (date.year - 1970) * 12 + Int64(date.month) - 1) {
                zone.start(ofLocalDay: CivilDate.day(0, addingMonths: $0))
            }
        case .duration(let duration):
            guard duration.months > 0 else {
                let step = second.flooredDivision(by: duration.seconds).quotient
                return Self.window(at: second, near: step) { $0 * duration.seconds }
            }
            // The mean length of a month is 30.436875 days.
            let meanLength = duration.months * 2_629_746 + duration.seconds
            return Self.window(at: second, near: second.flooredDivision(by: meanLength).quotient) {
                zone.start(ofLocalDay: CivilDate.day(0, addingMonths: $0 * duration.months)) + $0 * duration.seconds
            }
        }
    }

    /// The window that opens at an instant: until the same local time a day, seven days or a month later, or for the
    /// duration (its months local and first).
    package func window(openedAt instant: Instant, in zone: ZoneRules) -> TimeWindow {
        let end =
            switch self {
            case .day: zone.adding(months: 0, days: 1, to: instant)
            case .week: zone.adding(months: 0, days: 7, to: instant)
            case .month: zone.adding(months: 1, days: 0, to: instant)
            case .duration(let duration):
                zone.adding(months: duration.months, days: 0, to: instant).adding(seconds: duration.seconds)
            }
        return TimeWindow(start: instant, end: end)
    }

    /// Finds the window that holds a second, from a number near that of the window.
    ///
    /// - Parameter start: the second with which a window begins; never falls as the number rises.
    private static func window(at second: Int64, near number: Int64, start: (Int64) -> Int64) -> TimeWindow {
        var number = number
        while start(number) > second { number -= 1 }
        while start(number + 1) <= second { number += 1 }
        let epoch = Instant(microseconds: 0)
        return TimeWindow(
            start: epoch.adding(seconds: start(number)), end: epoch.adding(seconds: start(number + 1)))
    }
}
