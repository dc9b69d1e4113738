/// An ISO 8601 duration: whole months and a number of seconds, both non-negative and not both zero.
///
/// Years and months are calendar months, and weeks and days are days of the calendar: `ZoneRules.adding` adds both in
/// local time, clamped to the last day of the month (31 January + 1 month is the last day of February). Hours, minutes
/// and seconds are exact lengths of time.
package struct CalendarDuration: Hashable, Sendable {
    package let months: Int64
    /// The days, which are part of `seconds` too.
    package let days: Int64
    /// The length without the months, if every day has 24 hours.
    package let seconds: Int64

    /// The hours, minutes and seconds.
    package var time: Int64 { seconds - days * 86_400 }

    /// Reads `P[nY][nM][nW][nD][T[nH][nM][nS]]` with whole numbers of at most nine digits; at most 1,000 years in
    /// total.
    package init?(iso8601 text: some StringProtocol) {
        var reader = DigitReader(Array(text.utf8))
        guard reader.take("P") else { return nil }
        var months: Int64 = 0
        var days: Int64 = 0
        var seconds: Int64 = 0
        var inTime = false
        var lastUnit = -1
        while !reader.atEnd {
            if !inTime, reader.take("T") {
                inTime = true
                guard !reader.atEnd else { return nil }
            }
            guard let number = reader.number(maximumDigits: 9) else { return nil }
            let units: [(Unicode.Scalar, months: Int64, seconds: Int64)] =
                inTime
                ? [("H", 0, 3_600), ("M", 0, 60), ("S", 0, 1)]
                : [("Y", 12, 0), ("M", 1, 0), ("W", 0, 604_800), ("D", 0, 86_400)]
            var position: Int?
            for (index, unit) in units.enumerated() where reader.take(unit.0) {
                position = index
                months += number * unit.months
                seconds += number * unit.seconds
                if !inTime { days += number * unit.seconds / 86_400 }
                break
            }
            guard let position else { return nil }
            let order = position + (inTime ? 4 : 0)
            guard order > lastUnit else { return nil }
            lastUnit = order
        }
        self.init(months: months, days: days, seconds: seconds)
    }

    /// The canonical text: years, months, days, hours, minutes and seconds, each left out if zero. Months and minutes
    /// are below 12 and 60.
    package var iso8601: String {
        var text = "P"
        for (value, unit) in [(months / 12, "Y"), (months % 12, "M"), (days, "D")] where value > 0 {
            text += "\(value)\(unit)"
        }
        guard time > 0 else { return text }
        text += "T"
        for (value, unit) in [(time / 3_600, "H"), (time / 60 % 60, "M"), (time % 60, "S")] where value > 0 {
            text += "\(value)\(unit)"
        }
        return text
    }
}

extension Instant {
    /// The instant that is a duration later. Months are added first, then seconds. Saturates at the end of the 64-bit
    /// range.
    package func adding(_ duration: CalendarDuration) -> Instant {
        guard duration.months > 0 else { return adding(seconds: duration.seconds) }
        let (days, time) = microseconds.flooredDivision(by: 86_400_000_000)
        let date = CivilDate(daysSinceEpoch: days)
        let (year, month) = (date.year * 12 + Int64(date.month) - 1 + duration.months).flooredDivision(by: 12)
        let lastDay = CivilDate.length(ofMonth: Int(month) + 1, year: year)
        guard let moved = CivilDate(year: year, month: Int(month) + 1, day: min(date.day, lastDay)) else { return self }
        let (day, overflow) = moved.daysSinceEpoch.multipliedReportingOverflow(by: 86_400_000_000)
        let (start, overflowed) = day.addingReportingOverflow(time)
        guard !overflow, !overflowed else { return Instant(microseconds: .max) }
        return Instant(microseconds: start).adding(seconds: duration.seconds)
    }
}

extension CalendarDuration {
    package static let day = CalendarDuration(inBounds: 0, days: 1)
    package static let week = CalendarDuration(inBounds: 0, days: 7)
    package static let month = CalendarDuration(inBounds: 1, days: 0)

    private init(inBounds months: Int64, days: Int64) {
        self.months = months
        self.days = days
        seconds = days * 86_400
    }

    /// A duration from its parts; nil outside the bounds that reading enforces.
    ///
    /// - Parameter seconds: Includes the days.
    package init?(months: Int64, days: Int64 = 0, seconds: Int64) {
        let longestMonth: Int64 = 366 * 86_400 / 12
        guard months >= 0, (0...1_000_000).contains(days), seconds >= days * 86_400, months <= 12_000,
            seconds <= 12_000 * longestMonth, months + seconds > 0,
            months * longestMonth + seconds <= 12_000 * longestMonth
        else { return nil }
        self.months = months
        self.days = days
        self.seconds = seconds
    }
}

extension ZoneRules {
    /// The instant that is a duration later: months and days are added first, in local time, then the exact rest.
    /// Saturates at the end of the 64-bit range.
    package func adding(_ duration: CalendarDuration, to instant: Instant) -> Instant {
        adding(months: duration.months, days: duration.days, to: instant).adding(seconds: duration.time)
    }
}
