/// An ISO 8601 duration: whole months and a number of seconds, both non-negative and not both zero.
///
/// Years and months are calendar months. They are added in UTC and clamped to the last day of the month (31 January + 1
/// month is the last day of February). Weeks, days, hours, minutes and seconds are exact lengths of time.
package struct CalendarDuration: Hashable, Sendable {
    package let months: Int64
    package let seconds: Int64

    /// Reads `P[nY][nM][nW][nD][T[nH][nM][nS]]` with whole numbers of at most nine digits; at most 1,000 years in
    /// total.
    package init?(iso8601 text: some StringProtocol) {
        var reader = DigitReader(Array(text.utf8))
        guard reader.take("P") else { return nil }
        var months: Int64 = 0
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
                break
            }
            guard let position else { return nil }
            let order = position + (inTime ? 4 : 0)
            guard order > lastUnit else { return nil }
            lastUnit = order
        }
        self.init(months: months, seconds: seconds)
    }

    /// The canonical text: years, months, days, hours, minutes and seconds, each as large as possible and left out if
    /// zero.
    package var iso8601: String {
        var text = "P"
        for (value, unit) in [(months / 12, "Y"), (months % 12, "M"), (seconds / 86_400, "D")] where value > 0 {
            text += "\(value)\(unit)"
        }
        let time = seconds % 86_400
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
    /// A duration from its parts; nil outside the bounds that reading enforces.
    package init?(months: Int64, seconds: Int64) {
        let longestMonth: Int64 = 366 * 86_400 / 12
        guard months >= 0, seconds >= 0, months <= 12_000, seconds <= 12_000 * longestMonth, months + seconds > 0,
            months * longestMonth + seconds <= 12_000 * longestMonth
        else { return nil }
        self.months = months
        self.seconds = seconds
    }
}
