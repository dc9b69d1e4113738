import Credits
import Testing

@Suite("A zone's local days follow each other without gap and overlap")
struct ZoneRulesTests {
    @Test(
        "An offset holds from its transition on",
        arguments: [
            ("2026-03-29T00:59:59.999999Z", 3_600), ("2026-03-29T01:00:00Z", 7_200), ("2026-07-01T00:00:00Z", 7_200),
            ("2026-10-25T00:59:59Z", 7_200), ("2026-10-25T01:00:00Z", 3_600), ("2100-07-01T00:00:00Z", 3_600),
            ("1970-01-01T00:00:00Z", 3_600),
        ] as [(String, Int32)])
    func offsets(instant: String, offset: Int32) throws {
        #expect(berlin.offset(at: try #require(Instant(rfc3339: instant))) == offset)
    }

    @Test("Transitions may come in any order; of two at one instant the later named one holds")
    func order() {
        let first = Instant(microseconds: 1_000_000)
        let second = Instant(microseconds: 2_000_000)
        let ordered = ZoneRules(transitions: [(first, 60), (second, 120)], initialOffsetSeconds: 0)
        #expect(ZoneRules(transitions: [(second, 120), (first, 60)], initialOffsetSeconds: 0) == ordered)
        #expect(
            ZoneRules(transitions: [(first, 30), (first, 60), (second, 120)], initialOffsetSeconds: 0) == ordered)
        #expect(ordered.offset(at: Instant(microseconds: -1)) == 0)
        #expect(ordered.offset(at: second) == 120)
    }

    @Test(
        "The same local time, days or months later",
        arguments: [
            (berlin, "2026-03-28T12:00:00.5Z", 0, 1, "2026-03-29T11:00:00.500Z"),
            (berlin, "2026-10-24T12:00:00Z", 0, 1, "2026-10-25T13:00:00.000Z"),
            // 02:30 local is skipped: the result is 03:30.
            (berlin, "2026-03-28T01:30:00.25Z", 0, 1, "2026-03-29T01:30:00.250Z"),
            // 02:30 local occurs twice: the result is the first.
            (berlin, "2026-10-24T00:30:00.25Z", 0, 1, "2026-10-25T00:30:00.250Z"),
            // The start is the second occurrence of 02:30 local.
            (berlin, "2026-10-25T01:30:00Z", 0, 1, "2026-10-26T01:30:00.000Z"),
            (berlin, "2026-01-30T23:00:00Z", 1, 0, "2026-02-27T23:00:00.000Z"),
            (.utc, "2024-01-31T10:00:00.000001Z", 1, 0, "2024-02-29T10:00:00.000001Z"),
            (.utc, "2026-12-31T23:59:59.999999Z", 2, 0, "2027-02-28T23:59:59.999999Z"),
            (.utc, "2026-05-05T05:05:05Z", 0, 0, "2026-05-05T05:05:05.000Z"),
        ] as [(ZoneRules, String, Int64, Int64, String)])
    func adding(zone: ZoneRules, from: String, months: Int64, days: Int64, to: String) throws {
        let instant = try #require(Instant(rfc3339: from))
        #expect("\(zone.adding(months: months, days: days, to: instant))" == to)
    }

    @Test("The first and last instants are handled without a trap")
    func extremes() {
        for zone in [ZoneRules.utc, berlin, ZoneRules(transitions: [], initialOffsetSeconds: .min)] {
            for microseconds in [Int64.min, .min + 1, .max - 1, .max] {
                let instant = Instant(microseconds: microseconds)
                _ = zone.offset(at: instant)
                #expect(zone.adding(months: 12_000, days: 1_000_000, to: instant) >= instant)
            }
        }
    }

    @Test(
        "A duration has one spelling, which is read back as the same duration",
        arguments: [
            ("PT60S", "PT1M"), ("P14M", "P1Y2M"), ("P1W", "P7D"), ("PT36H", "PT36H"), ("P1M", "P1M"),
            ("P1Y2M3W4DT5H6M7S", "P1Y2M25DT5H6M7S"), ("PT5H", "PT5H"),
        ])
    func durations(text: String, spelling: String) throws {
        let duration = try #require(CalendarDuration(iso8601: text))
        #expect(duration.iso8601 == spelling)
        #expect(CalendarDuration(iso8601: spelling) == duration)
    }
}

/// Europe/Berlin, for 2026 only.
private let berlin = ZoneRules(
    transitions: [
        (Instant(microseconds: 1_774_746_000_000_000), 7_200), (Instant(microseconds: 1_792_890_000_000_000), 3_600),
    ], initialOffsetSeconds: 3_600)
