import Credits
import Testing

@Suite("Durations are ISO 8601; months are calendar months")
struct CalendarDurationTests {
    @Test(
        "A text stands for a number of months, of days and of seconds",
        arguments: [
            ("P1M", 1, 0, 0), ("P1Y", 12, 0, 0), ("P2Y3M", 27, 0, 0), ("P1W", 0, 7, 604_800), ("P1D", 0, 1, 86_400),
            ("P1W2D", 0, 9, 777_600), ("PT5H", 0, 0, 18_000), ("PT1M", 0, 0, 60), ("PT1S", 0, 0, 1),
            ("P1DT12H", 0, 1, 129_600), ("PT36H", 0, 0, 129_600), ("P1Y2M3W4DT5H6M7S", 14, 25, 2_178_367),
            ("P0Y0M1D", 0, 1, 86_400), ("P01M", 1, 0, 0), ("PT90M", 0, 0, 5_400), ("P0DT1S", 0, 0, 1),
            ("P1MT1M", 1, 0, 60), ("P1000Y", 12_000, 0, 0),
        ] as [(String, Int64, Int64, Int64)])
    func parsing(text: String, months: Int64, days: Int64, seconds: Int64) throws {
        let duration = try #require(CalendarDuration(iso8601: text))
        #expect(duration.months == months)
        #expect(duration.days == days)
        #expect(duration.seconds == seconds)
        #expect(CalendarDuration(months: months, days: days, seconds: seconds) == duration)
    }

    @Test(
        "A text that is not a duration is refused",
        arguments: [
            "", "P", "PT", "P1", "1D", "T1H", "P1DT", "P1D ", " P1D", "p1d", "P1d", "P-1D", "-P1D", "+P1D", "P1.5D",
            "PT1,5H", "P1H", "PT1D", "PT1Y", "P1S", "P1S1M", "PTT1H", "P1DTT1H", "PT1HT1M", "P1D1W", "P1M1Y",
            "PT1M1H", "PT1S1M", "P1D1D", "PT1H1H", "P1Y1Y", "P1W1M", "PD", "PTH", "P1D2", "PT1H30", "P٣D",
            "P1000000000D", "P0D", "P0Y0M0DT0S", "PT0S", "P1000Y1M", "P1001Y", "P12001M", "P999999999Y",
        ])
    func notDurations(text: String) {
        #expect(CalendarDuration(iso8601: text) == nil)
    }

    @Test(
        "Months and seconds together stay within 1,000 years",
        arguments: ["P1000YT1S", "P1000Y366000D", "P500Y190000D"])
    func boundInAll(text: String) {
        #expect(CalendarDuration(iso8601: text) == nil)
    }

    @Test("Parts outside the bounds make no duration")
    func parts() {
        #expect(CalendarDuration(months: 0, seconds: 0) == nil)
        #expect(CalendarDuration(months: -1, seconds: 60) == nil)
        #expect(CalendarDuration(months: 1, seconds: -60) == nil)
        #expect(CalendarDuration(months: 12_001, seconds: 0) == nil)
        #expect(CalendarDuration(months: 0, days: 2, seconds: 86_400) == nil)
        #expect(CalendarDuration(months: 0, days: -1, seconds: 86_400) == nil)
        #expect(CalendarDuration(months: .max, seconds: .max) == nil)
        #expect(CalendarDuration(months: 12_000, seconds: 0) != nil)
    }

    @Test(
        "A month later is the same day, or the month's last where it has no such day",
        arguments: [
            ("2026-01-31T00:00:00Z", "P1M", "2026-02-28T00:00:00.000Z"),
            ("2024-01-31T00:00:00Z", "P1M", "2024-02-29T00:00:00.000Z"),
            ("2026-01-31T00:00:00Z", "P2M", "2026-03-31T00:00:00.000Z"),
            ("2026-01-31T00:00:00Z", "P3M", "2026-04-30T00:00:00.000Z"),
            ("2026-01-31T00:00:00Z", "P12M", "2027-01-31T00:00:00.000Z"),
            ("2024-02-29T10:20:30.000004Z", "P1Y", "2025-02-28T10:20:30.000004Z"),
            ("2024-02-29T10:20:30Z", "P4Y", "2028-02-29T10:20:30.000Z"),
            ("2096-02-29T00:00:00Z", "P4Y", "2100-02-28T00:00:00.000Z"),
            ("2026-12-15T00:00:00Z", "P1M", "2027-01-15T00:00:00.000Z"),
            ("2026-11-30T23:59:59.999999Z", "P3M", "2027-02-28T23:59:59.999999Z"),
            ("1969-12-31T23:59:59.999999Z", "P2M", "1970-02-28T23:59:59.999999Z"),
            ("1950-03-31T06:00:00Z", "P1M", "1950-04-30T06:00:00.000Z"),
            ("2026-04-12T00:00:00Z", "P1000Y", "3026-04-12T00:00:00.000Z"),
        ])
    func monthsLater(start: String, duration: String, end: String) throws {
        let start = try #require(Instant(rfc3339: start))
        let duration = try #require(CalendarDuration(iso8601: duration))
        #expect(start.adding(duration).description == end)
    }

    @Test(
        "Months are added first and seconds after",
        arguments: [
            // Seconds first would give the same instant here, but other instants in the next two cases.
            ("2026-01-31T12:00:00Z", "P1MT12H", "2026-03-01T00:00:00.000Z"),
            ("2026-01-30T00:00:00Z", "P1M1D", "2026-03-01T00:00:00.000Z"),
            ("2024-01-30T00:00:00Z", "P1M1D", "2024-03-01T00:00:00.000Z"),
            ("2026-03-28T23:00:00Z", "P1W", "2026-04-04T23:00:00.000Z"),
            ("2026-04-12T00:00:00Z", "PT0.5H", nil),
        ] as [(String, String, String?)])
    func monthsFirst(start: String, duration: String, end: String?) throws {
        let start = try #require(Instant(rfc3339: start))
        #expect(CalendarDuration(iso8601: duration).map { start.adding($0).description } == end)
    }

    @Test("Far instants do not trap")
    func farInstants() async {
        await #expect(processExitsWith: .success) {
            guard let duration = CalendarDuration(iso8601: "P1000Y") else { return }
            for microseconds in [Int64.max, Int64.min, Int64.max - 1, 0] {
                let start = Instant(microseconds: microseconds)
                #expect(start.adding(duration) >= start)
            }
        }
    }
}
