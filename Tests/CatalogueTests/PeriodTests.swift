import Catalogue
import Credits
import LedgerModel
import Testing

@Suite("Periods are counted from their anchor in local time")
struct PeriodTests {
    @Test("The known traps", arguments: traps)
    func expected(row: PeriodRow) throws {
        let anchor = try #require(Instant(rfc3339: row.anchor))
        let ends = row.numbers.map { "\(row.interval.end(of: $0, from: anchor, in: row.zone.rules))" }
        #expect(ends == row.ends)
        for number in row.numbers {
            #expect(
                row.interval.end(of: number, from: anchor, in: row.zone.rules)
                    == row.interval.model.end(of: number, from: anchor, in: row.zone.model))
        }
    }

    @Test("Every day of a month keeps its day for 48 months, or has the month's last day")
    func anchors() throws {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var anchors: [(year: Int, month: Int, day: Int)] = (1...31).map { (2026, 1, $0) }
        anchors += [(2023, 11, 30), (2024, 2, 29), (2027, 8, 31)]
        for anchor in anchors {
            let time = "T23:59:59.999999Z"
            let first = try #require(Instant(rfc3339: date(anchor.year, anchor.month, anchor.day) + time))
            for number in 0...48 {
                let months = anchor.month - 1 + number
                let (year, month) = (anchor.year + months / 12, months % 12)
                // 2024 and 2028 are the only leap years of the test.
                let last = lengths[month] + (month == 1 && year % 4 == 0 ? 1 : 0)
                let expected = date(year, month + 1, min(anchor.day, last)) + time
                let end = BillingInterval(.month).end(of: Int64(number), from: first, in: .utc)
                #expect("\(end)" == expected, "\(anchor) and \(number) months")
            }
        }
    }

    @Test("All units agree with the model's calendar from every anchor of a leap year and a common year")
    func utc() throws {
        var intervals = [BillingInterval(.hour), BillingInterval(.day), BillingInterval(.week), BillingInterval(.year)]
        for count: Int32 in [1, 2, 3, 5, 6, 11, 13, 1_000] { intervals.append(BillingInterval(.month, count: count)) }
        intervals += [
            BillingInterval(.hour, count: 7), BillingInterval(.week, count: 52), BillingInterval(.year, count: 25),
        ]
        for year in [1996, 2000, 2023, 2024, 2095, 2096, 2099, 2100, 2104] {
            let first = try #require(Instant(rfc3339: "\(year)-01-01T09:15:00.25Z"))
            for day in 0..<366 {
                let anchor = first.adding(seconds: Int64(day) * 86_400)
                for interval in intervals {
                    for number: Int64 in [0, 1, 2, 4, 48] { compare(interval, number, anchor, .utc) }
                }
            }
        }
    }

    @Test("Local periods agree with the model's calendar around every change of clocks", arguments: TestZone.all)
    func changesOfClocks(zone: TestZone) {
        let intervals = [
            BillingInterval(.hour, count: 5), BillingInterval(.day), BillingInterval(.week), BillingInterval(.month),
            BillingInterval(.year),
        ]
        for change in zone.changes {
            // From forty days before the change in steps of seven and a half hours, to meet each time of day.
            for step in 0..<128 {
                let anchor = Instant(microseconds: (change.at - 40 * 86_400 + Int64(step) * 27_000) * 1_000_000 + 7)
                for interval in intervals {
                    for number in Int64(0)...45 { compare(interval, number, anchor, zone) }
                }
            }
            // Each quarter of an hour of the two days around the change, a day, a week, a month and a year before it.
            for quarter in -96...96 {
                for days: Int64 in [1, 7, 28, 30, 31, 365] {
                    let anchor = Instant(
                        microseconds: (change.at - days * 86_400 + Int64(quarter) * 900) * 1_000_000)
                    for interval in intervals {
                        for number in Int64(0)...3 { compare(interval, number, anchor, zone) }
                    }
                }
            }
        }
    }

    @Test("Boundaries never go back, and only a skipped day makes two of them one", arguments: TestZone.all)
    func order(zone: TestZone) throws {
        for change in zone.changes {
            for hour in 0..<48 {
                let anchor = Instant(microseconds: (change.at - 3 * 86_400 + Int64(hour) * 3_600) * 1_000_000)
                for interval in [BillingInterval(.day), BillingInterval(.week), BillingInterval(.month)] {
                    let ends = (0...40).map { interval.end(of: $0, from: anchor, in: zone.rules) }
                    for (end, next) in zip(ends, ends.dropFirst()) {
                        #expect(end < next || (zone.name == "Apia" && interval.unit == .day && end == next))
                    }
                }
            }
        }
    }

    @Test("The local time of day stays as it is, unless the clocks skip it", arguments: TestZone.all)
    func timeOfDay(zone: TestZone) throws {
        func time(_ instant: Instant) -> Int64 {
            let local = instant.microseconds / 1_000_000 + Int64(zone.rules.offset(at: instant))
            return (local % 86_400 + 86_400) % 86_400
        }
        for change in zone.changes {
            for half in 0..<48 {
                let anchor = Instant(microseconds: (change.at - 5 * 86_400 + Int64(half) * 1_800) * 1_000_000)
                for number in Int64(0)...10 {
                    let end = BillingInterval(.day).end(of: number, from: anchor, in: zone.rules)
                    let moved = (time(end) - time(anchor) + 86_400) % 86_400
                    let isNearChange = abs(end.microseconds / 1_000_000 - change.at) < 86_400
                    #expect(moved == 0 || (isNearChange && moved <= 3_600), "\(anchor) and \(number) days")
                }
            }
        }
    }

    private func compare(_ interval: BillingInterval, _ number: Int64, _ anchor: Instant, _ zone: TestZone) {
        let end = interval.end(of: number, from: anchor, in: zone.rules)
        let expected = interval.model.end(of: number, from: anchor, in: zone.model)
        if end != expected {
            Issue.record("\(number) × \(interval) from \(anchor) in \(zone.name): \(end) is not \(expected)")
        }
    }

    private func date(_ year: Int, _ month: Int, _ day: Int) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)-\(two(month))-\(two(day))"
    }
}

/// One line of a table: zone, interval and anchor, and the ends of some numbers of intervals.
struct PeriodRow: Sendable, CustomTestStringConvertible {
    let zone: TestZone
    let interval: BillingInterval
    let anchor: String
    let numbers: [Int64]
    let ends: [String]

    init(_ zone: TestZone, _ interval: BillingInterval, _ anchor: String, _ ends: KeyValuePairs<Int64, String>) {
        self.zone = zone
        self.interval = interval
        self.anchor = anchor
        numbers = ends.map(\.key)
        self.ends = ends.map(\.value)
    }

    var testDescription: String { "\(interval.count) \(interval.unit) from \(anchor) in \(zone.name)" }
}

private let traps: [PeriodRow] = [
    // Counted from the anchor: February does not shorten March.
    PeriodRow(
        .utc, BillingInterval(.month), "2026-01-31T10:00:00Z",
        [
            0: "2026-01-31T10:00:00.000Z", 1: "2026-02-28T10:00:00.000Z", 2: "2026-03-31T10:00:00.000Z",
            3: "2026-04-30T10:00:00.000Z", 12: "2027-01-31T10:00:00.000Z", 25: "2028-02-29T10:00:00.000Z",
        ]),
    PeriodRow(
        .utc, BillingInterval(.month, count: 3), "2025-11-30T00:00:00Z",
        [1: "2026-02-28T00:00:00.000Z", 2: "2026-05-30T00:00:00.000Z"]),
    PeriodRow(
        .utc, BillingInterval(.year), "2024-02-29T12:00:00Z",
        [1: "2025-02-28T12:00:00.000Z", 3: "2027-02-28T12:00:00.000Z", 4: "2028-02-29T12:00:00.000Z"]),
    // 2000 is a leap year and 2100 is not.
    PeriodRow(.utc, BillingInterval(.year), "1996-02-29T00:00:00Z", [4: "2000-02-29T00:00:00.000Z"]),
    PeriodRow(
        .utc, BillingInterval(.year), "2096-02-29T00:00:00Z",
        [4: "2100-02-28T00:00:00.000Z", 8: "2104-02-29T00:00:00.000Z"]),
    PeriodRow(.utc, BillingInterval(.week, count: 2), "2026-12-21T00:00:00Z", [1: "2027-01-04T00:00:00.000Z"]),
    // 00:30 in Auckland stays 00:30, also after the end of summer time.
    PeriodRow(
        .auckland, BillingInterval(.month), "2026-01-30T11:30:00Z",
        [1: "2026-02-27T11:30:00.000Z", 2: "2026-03-30T11:30:00.000Z", 3: "2026-04-29T12:30:00.000Z"]),
    // The 31st of March begins in UTC's 30th. In local time it is the last day of a month.
    PeriodRow(.berlin, BillingInterval(.month), "2026-03-30T22:30:00Z", [1: "2026-04-29T22:30:00.000Z"]),
    // 02:30 is skipped: 03:30, and 02:30 again on the next day.
    PeriodRow(
        .berlin, BillingInterval(.day), "2026-03-28T01:30:00Z",
        [1: "2026-03-29T01:30:00.000Z", 2: "2026-03-30T00:30:00.000Z"]),
    PeriodRow(.berlin, BillingInterval(.month), "2026-01-29T01:30:00Z", [2: "2026-03-29T01:30:00.000Z"]),
    // 02:30 occurs twice: the first.
    PeriodRow(
        .berlin, BillingInterval(.day), "2026-10-24T00:30:00Z",
        [1: "2026-10-25T00:30:00.000Z", 2: "2026-10-26T01:30:00.000Z"]),
    PeriodRow(.berlin, BillingInterval(.week), "2026-03-22T23:00:00Z", [1: "2026-03-29T22:00:00.000Z"]),
    // Hours are exact.
    PeriodRow(
        .berlin, BillingInterval(.hour), "2026-03-29T00:30:00Z",
        [1: "2026-03-29T01:30:00.000Z", 24: "2026-03-30T00:30:00.000Z"]),
    PeriodRow(
        .newYork, BillingInterval(.day), "2026-03-07T07:30:00Z",
        [1: "2026-03-08T07:30:00.000Z", 2: "2026-03-09T06:30:00.000Z"]),
    // The clocks change by half an hour: 02:15 becomes 02:45.
    PeriodRow(
        .lordHowe, BillingInterval(.day), "2026-10-02T15:45:00Z",
        [1: "2026-10-03T15:45:00.000Z", 2: "2026-10-04T15:15:00.000Z"]),
    PeriodRow(.lordHowe, BillingInterval(.day), "2026-04-04T12:00:00Z", [1: "2026-04-05T12:30:00.000Z"]),
    // Midnight is skipped: the period begins at 01:00.
    PeriodRow(
        .saoPaulo, BillingInterval(.day), "2018-11-03T03:00:00Z",
        [1: "2018-11-04T03:00:00.000Z", 2: "2018-11-05T02:00:00.000Z"]),
    // The 30th of December is skipped: it becomes the 31st, as does the day after it.
    PeriodRow(
        .apia, BillingInterval(.day), "2011-12-29T22:00:00Z",
        [
            0: "2011-12-29T22:00:00.000Z", 1: "2011-12-30T22:00:00.000Z", 2: "2011-12-30T22:00:00.000Z",
            3: "2011-12-31T22:00:00.000Z",
        ]),
    PeriodRow(
        .apia, BillingInterval(.month), "2011-11-30T22:00:00Z",
        [1: "2011-12-30T22:00:00.000Z", 2: "2012-01-29T22:00:00.000Z"]),
]

/// A zone for the core and for the model.
struct TestZone: Sendable, CustomTestStringConvertible {
    let name: String
    let initial: Int64
    let changes: [ModelZone.Change]

    private init(_ name: String, _ initial: Int64, _ changes: [(String, Int64)]) {
        self.name = name
        self.initial = initial
        self.changes = changes.compactMap { text, offset in
            Instant(rfc3339: text).map { ModelZone.Change(at: $0.microseconds / 1_000_000, offset: offset) }
        }
    }

    var model: ModelZone { ModelZone(first: initial, changes: changes) }
    var rules: ZoneRules {
        ZoneRules(
            transitions: changes.map { (Instant(microseconds: $0.at * 1_000_000), Int32($0.offset)) },
            initialOffsetSeconds: Int32(initial))
    }
    var testDescription: String { name }

    static let utc = TestZone("UTC", 0, [])
    static let berlin = TestZone(
        "Berlin", 3_600, [("2026-03-29T01:00:00Z", 7_200), ("2026-10-25T01:00:00Z", 3_600)])
    static let newYork = TestZone(
        "New York", -18_000, [("2026-03-08T07:00:00Z", -14_400), ("2026-11-01T06:00:00Z", -18_000)])
    static let auckland = TestZone(
        "Auckland", 46_800, [("2026-04-04T14:00:00Z", 43_200), ("2026-09-26T14:00:00Z", 46_800)])
    static let lordHowe = TestZone(
        "Lord Howe", 39_600, [("2026-04-04T15:00:00Z", 37_800), ("2026-10-03T15:30:00Z", 39_600)])
    static let saoPaulo = TestZone(
        "São Paulo", -10_800, [("2018-11-04T03:00:00Z", -7_200), ("2019-02-17T02:00:00Z", -10_800)])
    static let havana = TestZone(
        "Havana", -18_000, [("2018-03-11T05:00:00Z", -14_400), ("2018-11-04T05:00:00Z", -18_000)])
    static let apia = TestZone(
        "Apia", -39_600,
        [("2011-09-24T14:00:00Z", -36_000), ("2011-12-30T10:00:00Z", 50_400), ("2012-03-31T14:00:00Z", 46_800)])
    static let all = [berlin, newYork, auckland, lordHowe, saoPaulo, havana, apia]
}

extension BillingInterval {
    /// The model's length of the same interval.
    fileprivate var model: ModelDuration {
        ModelVariant(ModelVariant.Unit(rawValue: unit.rawValue) ?? .month, count: Int64(count)).interval
    }
}
