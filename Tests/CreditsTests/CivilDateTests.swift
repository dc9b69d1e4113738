import Credits
import Testing

@Suite("Days are counted in the proleptic Gregorian calendar")
struct CivilDateTests {
    /// A calendar that counts one day after another, as on paper, without any formula.
    private struct PaperCalendar {
        var year: Int64
        var month = 1
        var day = 1

        var monthLength: Int {
            if month == 2 {
                let isLeap = year.isMultiple(of: 400) || (year.isMultiple(of: 4) && !year.isMultiple(of: 100))
                return isLeap ? 29 : 28
            }
            return [4, 6, 9, 11].contains(month) ? 30 : 31
        }

        mutating func turnPage() {
            day += 1
            guard day > monthLength else { return }
            day = 1
            month += 1
            guard month > 12 else { return }
            month = 1
            year += 1
        }
    }

    @Test("Both conversions agree with counting day by day, over more than two eras on both sides of 1970")
    func dayByDay() throws {
        var paper = PaperCalendar(year: 1570)
        let first = try #require(CivilDate(year: 1570, month: 1, day: 1)).daysSinceEpoch
        var reached1970 = false
        for days in first..<first + 365_242 {
            let date = CivilDate(daysSinceEpoch: days)
            try #require(
                date.year == paper.year && date.month == paper.month && date.day == paper.day,
                "day \(days) is \(date), counting says \(paper)")
            try #require(date.daysSinceEpoch == days)
            try #require(CivilDate.length(ofMonth: date.month, year: date.year) == paper.monthLength)
            if date.year == 1970, date.month == 1, date.day == 1 {
                reached1970 = true
                #expect(days == 0)
            }
            paper.turnPage()
        }
        #expect(reached1970)
        #expect(paper.year >= 2569)
    }

    @Test(
        "Known days have their known numbers",
        arguments: [
            (1970, 1, 1, 0), (1969, 12, 31, -1), (2000, 3, 1, 11_017), (2026, 11, 22, 20_779),
            (1, 1, 1, -719_162), (9999, 12, 31, 2_932_896), (0, 3, 1, -719_468), (-400, 3, 1, -865_565),
        ] as [(Int64, Int, Int, Int64)])
    func knownDays(year: Int64, month: Int, day: Int, number: Int64) throws {
        let date = try #require(CivilDate(year: year, month: month, day: day))
        #expect(date.daysSinceEpoch == number)
        #expect(CivilDate(daysSinceEpoch: number) == date)
    }

    @Test(
        "A date that does not exist is refused",
        arguments: [
            (2026, 2, 29), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0), (2026, 1, 32), (2026, 4, 31), (2100, 2, 29),
        ] as [(Int64, Int, Int)])
    func noSuchDay(year: Int64, month: Int, day: Int) {
        #expect(CivilDate(year: year, month: month, day: day) == nil)
    }

    @Test(
        "Division rounds down, with a remainder that is never negative",
        arguments: [(7, 3, 2, 1), (-7, 3, -3, 2), (-6, 3, -2, 0), (0, 3, 0, 0), (-1, 86_400, -1, 86_399)]
            as [(Int64, Int64, Int64, Int64)])
    func flooredDivision(dividend: Int64, divisor: Int64, quotient: Int64, remainder: Int64) {
        let result = dividend.flooredDivision(by: divisor)
        #expect(result.quotient == quotient)
        #expect(result.remainder == remainder)
    }
}
