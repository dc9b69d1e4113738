package import Credits

/// A limit on the units used in each window.
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

/// The rule by which windows open.
package enum WindowAnchor: String, CaseIterable, Hashable, Sendable {
    /// Windows follow the calendar without gaps.
    case calendar
    /// Windows are counted from the start of the end user's subscription; from the calendar without one.
    case subscription
    /// A window opens at the first use after the previous window closed.
    case firstUse = "first_use"
}

/// The length of a window.
package enum WindowLength: Hashable, Sendable {
    /// A local day, which has 23 or 25 hours at clock changes.
    case day
    /// Seven local days, beginning on Monday.
    case week
    /// A local calendar month.
    case month
    case duration(CalendarDuration)

    /// The calendar window that contains an instant.
    ///
    /// Windows of a duration without months follow each other from 1970-01-01T00:00Z, independent of the zone. Windows
    /// of a duration with months follow each other from January 1970 in local time: window n begins after n times the
    /// duration's months and then n times its seconds.
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

    /// The window that opens at an instant. It ends at the same local time a day, seven days or a month later, or after
    /// the duration, whose months and days are added first and in local time.
    package func window(openedAt instant: Instant, in zone: ZoneRules) -> TimeWindow {
        let end =
            switch self {
            case .day: zone.adding(months: 0, days: 1, to: instant)
            case .week: zone.adding(months: 0, days: 7, to: instant)
            case .month: zone.adding(months: 1, days: 0, to: instant)
            case .duration(let duration): zone.adding(duration, to: instant)
            }
        return TimeWindow(start: instant, end: end)
    }

    /// Finds the window that contains a second, starting from a window number near it.
    ///
    /// - Parameter start: The second at which the window with a number begins. It must not fall as the number rises.
    private static func window(at second: Int64, near number: Int64, start: (Int64) -> Int64) -> TimeWindow {
        var number = number
        while start(number) > second { number -= 1 }
        while start(number + 1) <= second { number += 1 }
        let epoch = Instant(microseconds: 0)
        return TimeWindow(
            start: epoch.adding(seconds: start(number)), end: epoch.adding(seconds: start(number + 1)))
    }
}
