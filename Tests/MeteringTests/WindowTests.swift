import Credits
import Metering
import SeededRandom
import Testing

@Suite("Windows are local days, weeks and months, or steps of a duration")
struct WindowTests {
    @Test("The window of the calendar that holds an instant", arguments: calendarWindows)
    func calendar(row: WindowRow) throws {
        let window = try row.window.calendarWindow(containing: row.at, in: row.zone)
        #expect("\(window.start) \(window.end)" == row.expected)
        #expect(try row.window.calendarWindow(containing: window.start, in: row.zone) == window)
        let last = Instant(microseconds: window.end.microseconds - 1)
        #expect(try row.window.calendarWindow(containing: last, in: row.zone) == window)
    }

    @Test("A window that opens with the first use", arguments: openedWindows)
    func opened(row: WindowRow) throws {
        let window = try row.window.window(openedAt: row.at, in: row.zone)
        #expect("\(window.start) \(window.end)" == row.expected)
    }

    @Test("The lengths of the days around daylight saving, in hours and halves")
    func lengths() throws {
        let days: [(ZoneRules, String, Int64)] = [
            (Zones.berlin, "2026-03-29T10:00:00Z", 46), (Zones.berlin, "2026-10-25T10:00:00Z", 50),
            (Zones.newYork, "2026-03-08T17:00:00Z", 46), (Zones.newYork, "2026-11-01T17:00:00Z", 50),
            (Zones.lordHowe, "2026-04-05T02:00:00Z", 49), (Zones.lordHowe, "2026-10-04T02:00:00Z", 47),
            (Zones.saoPaulo, "2018-11-04T12:00:00Z", 46), (Zones.saoPaulo, "2019-02-16T12:00:00Z", 50),
            (Zones.apia, "2011-12-30T09:00:00Z", 48), (Zones.apia, "2011-12-30T10:00:00Z", 48),
        ]
        for (zone, text, halves) in days {
            let instant = try #require(Instant(rfc3339: text))
            let window = WindowLength.day.calendarWindow(containing: instant, in: zone)
            #expect(window.end.microseconds - window.start.microseconds == halves * 1_800_000_000, "\(text)")
        }
    }

    @Test("In any zone and at any instant: a window holds its instant, and the next begins where it ends")
    func anyInstant() throws {
        var random = SeededGenerator(seed: 20)
        var lengths: [WindowLength] = [.day, .week, .month]
        for text in ["PT1M", "PT5H", "P1M", "P1D", "P1M1D", "P10Y", "P3MT7H", "P7D"] {
            lengths.append(try #require(WindowLength(text: text)))
        }
        for _ in 0..<2_000 {
            let zone = random.zone()
            let sign: Int64 = random.chance(50) ? 1 : -1
            let instant = Instant(microseconds: sign * random.magnitude(upTo: .max - 1_000_000_000_000_000))
            for length in lengths {
                let window = length.calendarWindow(containing: instant, in: zone)
                #expect(window.contains(instant) && window.start < window.end, "\(length) at \(instant)")
                let next = length.calendarWindow(containing: window.end, in: zone)
                #expect(next.start == window.end, "\(length) at \(instant)")
                let opened = length.window(openedAt: instant, in: zone)
                #expect(opened.start == instant && opened.end > instant, "\(length) at \(instant)")
            }
        }
    }

    @Test("The first and last instants are handled without a trap")
    func extremes() throws {
        let durations = ["PT1M", "P1M", "P10Y", "P1MT1S"].compactMap { WindowLength(text: $0) }
        try #require(durations.count == 4)
        for length in [.day, .week, .month] + durations {
            for microseconds in [Int64.min, .min + 1, .max - 1, .max] {
                for zone in [ZoneRules.utc, Zones.berlin] {
                    let instant = Instant(microseconds: microseconds)
                    let window = length.calendarWindow(containing: instant, in: zone)
                    #expect(window.start <= instant && instant <= window.end)
                    #expect(length.window(openedAt: instant, in: zone).end >= instant)
                }
            }
        }
    }
}

/// One line of a table: `zone length instant`, and the start and end of the window.
struct WindowRow: Sendable, CustomTestStringConvertible {
    let zone: ZoneRules
    let length: String
    let instant: String
    let expected: String

    init(_ zone: ZoneRules, _ length: String, _ instant: String, _ expected: String) {
        self.zone = zone
        self.length = length
        self.instant = instant
        self.expected = expected
    }

    var window: WindowLength { get throws { try #require(WindowLength(text: length)) } }
    var at: Instant { get throws { try #require(Instant(rfc3339: instant)) } }
    var testDescription: String { "\(length) at \(instant)" }
}

private let calendarWindows: [WindowRow] = [
    WindowRow(.utc, "day", "2026-02-28T23:59:59.999999Z", "2026-02-28T00:00:00.000Z 2026-03-01T00:00:00.000Z"),
    WindowRow(.utc, "day", "1969-12-31T12:00:00Z", "1969-12-31T00:00:00.000Z 1970-01-01T00:00:00.000Z"),
    WindowRow(Zones.berlin, "day", "2026-03-28T23:00:00Z", "2026-03-28T23:00:00.000Z 2026-03-29T22:00:00.000Z"),
    WindowRow(Zones.berlin, "day", "2026-10-25T22:59:59Z", "2026-10-24T22:00:00.000Z 2026-10-25T23:00:00.000Z"),
    WindowRow(Zones.newYork, "day", "2026-03-09T03:59:59Z", "2026-03-08T05:00:00.000Z 2026-03-09T04:00:00.000Z"),
    WindowRow(Zones.lordHowe, "day", "2026-10-03T13:30:00Z", "2026-10-03T13:30:00.000Z 2026-10-04T13:00:00.000Z"),
    // Midnight is skipped: the day starts at 01:00.
    WindowRow(Zones.saoPaulo, "day", "2018-11-04T03:00:00Z", "2018-11-04T03:00:00.000Z 2018-11-05T02:00:00.000Z"),
    WindowRow(Zones.saoPaulo, "day", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00.000Z 2018-11-04T03:00:00.000Z"),
    // At midnight the clocks go back an hour: the day lasts until the second midnight.
    WindowRow(Zones.saoPaulo, "day", "2019-02-17T02:30:00Z", "2019-02-16T02:00:00.000Z 2019-02-17T03:00:00.000Z"),
    // Midnight occurs twice: the day begins with the first.
    WindowRow(Zones.havana, "day", "2018-11-04T04:30:00Z", "2018-11-04T04:00:00.000Z 2018-11-05T05:00:00.000Z"),
    // The 30th of December is skipped.
    WindowRow(Zones.apia, "day", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00.000Z 2011-12-30T10:00:00.000Z"),
    WindowRow(Zones.apia, "day", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00.000Z 2011-12-31T10:00:00.000Z"),

    WindowRow(.utc, "week", "2027-01-01T00:00:00Z", "2026-12-28T00:00:00.000Z 2027-01-04T00:00:00.000Z"),
    WindowRow(.utc, "week", "1970-01-01T00:00:00Z", "1969-12-29T00:00:00.000Z 1970-01-05T00:00:00.000Z"),
    WindowRow(.utc, "week", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00.000Z 2026-11-23T00:00:00.000Z"),
    WindowRow(.utc, "week", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00.000Z 2026-11-30T00:00:00.000Z"),
    WindowRow(Zones.berlin, "week", "2026-03-29T12:00:00Z", "2026-03-22T23:00:00.000Z 2026-03-29T22:00:00.000Z"),

    WindowRow(.utc, "month", "2026-01-31T23:59:59Z", "2026-01-01T00:00:00.000Z 2026-02-01T00:00:00.000Z"),
    WindowRow(.utc, "month", "2026-02-14T00:00:00Z", "2026-02-01T00:00:00.000Z 2026-03-01T00:00:00.000Z"),
    WindowRow(.utc, "month", "2024-02-29T00:00:00Z", "2024-02-01T00:00:00.000Z 2024-03-01T00:00:00.000Z"),
    WindowRow(.utc, "month", "2026-04-30T00:00:00Z", "2026-04-01T00:00:00.000Z 2026-05-01T00:00:00.000Z"),
    WindowRow(.utc, "month", "2026-12-31T00:00:00Z", "2026-12-01T00:00:00.000Z 2027-01-01T00:00:00.000Z"),
    WindowRow(.utc, "month", "1969-02-01T00:00:00Z", "1969-02-01T00:00:00.000Z 1969-03-01T00:00:00.000Z"),
    WindowRow(Zones.berlin, "month", "2026-03-31T21:59:59Z", "2026-02-28T23:00:00.000Z 2026-03-31T22:00:00.000Z"),
    WindowRow(Zones.newYork, "month", "2026-11-01T03:59:59Z", "2026-10-01T04:00:00.000Z 2026-11-01T04:00:00.000Z"),

    WindowRow(.utc, "PT1M", "2026-05-05T05:05:05.5Z", "2026-05-05T05:05:00.000Z 2026-05-05T05:06:00.000Z"),
    WindowRow(Zones.berlin, "PT5H", "1970-01-01T04:59:59Z", "1970-01-01T00:00:00.000Z 1970-01-01T05:00:00.000Z"),
    WindowRow(.utc, "PT5H", "2026-11-22T22:00:00Z", "2026-11-22T19:00:00.000Z 2026-11-23T00:00:00.000Z"),
    WindowRow(.utc, "PT5H", "1969-12-31T23:00:00Z", "1969-12-31T19:00:00.000Z 1970-01-01T00:00:00.000Z"),
    WindowRow(Zones.berlin, "P1D", "2026-03-29T12:00:00Z", "2026-03-29T00:00:00.000Z 2026-03-30T00:00:00.000Z"),
    WindowRow(Zones.berlin, "P1M", "2026-03-31T21:59:59Z", "2026-02-28T23:00:00.000Z 2026-03-31T22:00:00.000Z"),
    WindowRow(.utc, "P3M", "2026-11-22T00:00:00Z", "2026-10-01T00:00:00.000Z 2027-01-01T00:00:00.000Z"),
    WindowRow(.utc, "P1M1D", "1970-03-04T12:00:00Z", "1970-03-03T00:00:00.000Z 1970-04-04T00:00:00.000Z"),
    WindowRow(.utc, "P1Y", "1969-06-01T00:00:00Z", "1969-01-01T00:00:00.000Z 1970-01-01T00:00:00.000Z"),
    WindowRow(.utc, "P10Y", "2026-06-01T00:00:00Z", "2020-01-01T00:00:00.000Z 2030-01-01T00:00:00.000Z"),
]

private let openedWindows: [WindowRow] = [
    WindowRow(.utc, "day", "2026-05-05T05:05:05.000005Z", "2026-05-05T05:05:05.000005Z 2026-05-06T05:05:05.000005Z"),
    WindowRow(Zones.berlin, "day", "2026-03-28T12:00:00Z", "2026-03-28T12:00:00.000Z 2026-03-29T11:00:00.000Z"),
    WindowRow(Zones.lordHowe, "day", "2026-04-04T12:00:00Z", "2026-04-04T12:00:00.000Z 2026-04-05T12:30:00.000Z"),
    WindowRow(Zones.berlin, "week", "2026-10-20T12:00:00Z", "2026-10-20T12:00:00.000Z 2026-10-27T13:00:00.000Z"),
    WindowRow(.utc, "month", "2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000Z 2026-02-28T10:00:00.000Z"),
    WindowRow(.utc, "PT5H", "2026-01-31T22:00:00.1Z", "2026-01-31T22:00:00.100Z 2026-02-01T03:00:00.100Z"),
    WindowRow(Zones.berlin, "PT5H", "2026-03-28T23:00:00Z", "2026-03-28T23:00:00.000Z 2026-03-29T04:00:00.000Z"),
    WindowRow(Zones.berlin, "P1M", "2026-03-10T12:00:00Z", "2026-03-10T12:00:00.000Z 2026-04-10T11:00:00.000Z"),
    WindowRow(.utc, "P1MT1H", "2026-01-31T23:30:00Z", "2026-01-31T23:30:00.000Z 2026-03-01T00:30:00.000Z"),
]

/// The zones of the tables, with the transitions that the tables need.
private enum Zones {
    static let berlin = zone(3_600, [("2026-03-29T01:00:00Z", 7_200), ("2026-10-25T01:00:00Z", 3_600)])
    static let newYork = zone(-18_000, [("2026-03-08T07:00:00Z", -14_400), ("2026-11-01T06:00:00Z", -18_000)])
    static let lordHowe = zone(39_600, [("2026-04-04T15:00:00Z", 37_800), ("2026-10-03T15:30:00Z", 39_600)])
    static let saoPaulo = zone(-10_800, [("2018-11-04T03:00:00Z", -7_200), ("2019-02-17T02:00:00Z", -10_800)])
    static let havana = zone(-14_400, [("2018-11-04T05:00:00Z", -18_000)])
    static let apia = zone(-36_000, [("2011-12-30T10:00:00Z", 50_400)])

    private static func zone(_ initial: Int32, _ transitions: [(String, Int32)]) -> ZoneRules {
        ZoneRules(
            transitions: transitions.compactMap { text, offset in
                Instant(rfc3339: text).map { (at: $0, offsetSeconds: offset) }
            }, initialOffsetSeconds: initial)
    }
}

extension SeededGenerator {
    /// A zone with transitions near 1970, some of them unrealistic.
    fileprivate mutating func zone() -> ZoneRules {
        var transitions: [(at: Instant, offsetSeconds: Int32)] = []
        for _ in 0..<Int.random(in: 0...6, using: &self) {
            let at = Int64.random(in: -40_000_000...40_000_000, using: &self)
            transitions.append(
                (Instant(microseconds: at * 1_000_000), Int32.random(in: -90_000...90_000, using: &self)))
        }
        return ZoneRules(
            transitions: transitions, initialOffsetSeconds: Int32.random(in: -50_400...50_400, using: &self))
    }
}
