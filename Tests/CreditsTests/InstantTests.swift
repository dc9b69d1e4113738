import Credits
import Testing

@Suite("Instants are RFC 3339 in UTC at microsecond precision")
struct InstantTests {
    @Test(
        "A text is the instant that it names",
        arguments: [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000001Z", 1),
            ("1970-01-01T00:00:01Z", 1_000_000),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("1969-12-31T23:59:59Z", -1_000_000),
            ("2000-02-29T12:00:00Z", 951_825_600_000_000),
            ("2026-04-12T08:30:15.250Z", 1_775_982_615_250_000),
            ("2038-01-19T03:14:08Z", 2_147_483_648_000_000),
            ("1900-03-01T00:00:00Z", -2_203_891_200_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ])
    func parsing(text: String, microseconds: Int64) throws {
        let instant = try #require(Instant(rfc3339: text))
        #expect(instant.microseconds == microseconds)
        #expect(Instant(rfc3339: instant.description) == instant)
    }

    @Test(
        "Milliseconds are always written, microseconds only where there are any",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (1_000, "1970-01-01T00:00:00.001Z"),
            (120_000, "1970-01-01T00:00:00.120Z"),
            (120_010, "1970-01-01T00:00:00.120010Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (-86_400_000_000, "1969-12-31T00:00:00.000Z"),
            (-62_135_596_800_000_000, "0001-01-01T00:00:00.000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ])
    func formatting(microseconds: Int64, text: String) {
        #expect(Instant(microseconds: microseconds).description == text)
        #expect(Instant(microseconds: microseconds).rfc3339 == Array(text.utf8))
    }

    @Test(
        "An offset is subtracted",
        arguments: [
            ("2026-04-12T10:30:00+02:00", "2026-04-12T08:30:00.000Z"),
            ("2026-04-12T03:00:00-05:30", "2026-04-12T08:30:00.000Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z"),
            ("2024-02-28T23:30:00-01:00", "2024-02-29T00:30:00.000Z"),
            ("2026-04-12T08:30:00-00:00", "2026-04-12T08:30:00.000Z"),
            ("2026-04-12T08:30:00+00:00", "2026-04-12T08:30:00.000Z"),
            ("1970-01-01T00:00:00+23:59", "1969-12-31T00:01:00.000Z"),
            ("1969-12-31T00:01:00.5-23:59", "1970-01-01T00:00:00.500Z"),
        ])
    func offsets(text: String, inUTC: String) {
        #expect(Instant(rfc3339: text)?.description == inUTC)
    }

    @Test(
        "Digits beyond microseconds are cut off",
        arguments: [
            ("0.1", 100_000), ("0.12", 120_000), ("0.123456", 123_456), ("0.1234569", 123_456),
            ("0.9999999", 999_999), ("0.000000999", 0), ("0.000000000000000000", 0), ("0.100000000000000001", 100_000),
        ])
    func fractions(second: String, microseconds: Int64) {
        #expect(Instant(rfc3339: "1970-01-01T00:00:0\(second)Z")?.microseconds == microseconds)
    }

    @Test(
        "Lower case and a space between date and time are read as well",
        arguments: ["2026-04-12t08:30:00z", "2026-04-12 08:30:00Z", "2026-04-12T08:30:00Z"])
    func spellings(text: String) {
        #expect(Instant(rfc3339: text)?.description == "2026-04-12T08:30:00.000Z")
    }

    @Test(
        "A date that the calendar does not have is refused",
        arguments: [
            "2026-02-29", "2024-02-30", "1900-02-29", "2100-02-29", "2026-04-31", "2026-06-31", "2026-09-31",
            "2026-11-31", "2026-01-32", "2026-00-10", "2026-13-01", "2026-01-00", "0000-12-31",
        ])
    func impossibleDates(date: String) {
        #expect(Instant(rfc3339: "\(date)T00:00:00Z") == nil)
    }

    @Test(
        "Leap days are accepted in leap years",
        arguments: ["2024-02-29", "2000-02-29", "1600-02-29", "0004-02-29", "9996-02-29"])
    func leapDays(date: String) {
        #expect(Instant(rfc3339: "\(date)T00:00:00Z")?.description == "\(date)T00:00:00.000Z")
    }

    @Test(
        "A text that is not an RFC 3339 date-time is refused",
        arguments: [
            "", "2026-04-12", "2026-04-12T08:30:00", "2026-04-12T08:30Z", "2026-04-12T24:00:00Z",
            "2026-04-12T08:60:00Z", "2026-04-12T08:30:60Z", "2016-12-31T23:59:60Z", "2026-04-12T08:30:00.Z",
            "2026-04-12T08:30:00,5Z", "2026-04-12T08:30:00+2:00", "2026-04-12T08:30:00+02", "2026-04-12T08:30:00+0200",
            "2026-04-12T08:30:00+24:00", "2026-04-12T08:30:00+02:60", "2026-04-12T08:30:00ZZ", " 2026-04-12T08:30:00Z",
            "2026-04-12T08:30:00Z ", "26-04-12T08:30:00Z", "02026-04-12T08:30:00Z", "-2026-04-12T08:30:00Z",
            "+2026-04-12T08:30:00Z", "2026-4-12T08:30:00Z", "2026/04/12T08:30:00Z", "2026-04-12T08:30:00−05:00",
            "2026-04-12T٠٨:30:00Z", "2026-04-12T08:30:00.1234567890123456789Z", "2026-04-12T-8:30:00Z",
            "2026-04-12T08:30:00.5", "2026-04-12T08:30:00.-5Z",
        ])
    func notInstants(text: String) {
        #expect(Instant(rfc3339: text) == nil)
    }

    @Test(
        "An instant whose UTC year four digits cannot show is refused, so that every text read can be written",
        arguments: [
            "9999-12-31T23:59:59-00:01", "9999-12-31T00:01:00-23:59", "0001-01-01T00:00:00+00:01",
            "0001-01-01T23:58:59+23:59",
        ])
    func yearsBeyondTheirDigits(text: String) {
        #expect(Instant(rfc3339: text) == nil)
    }

    @Test("The last and first instants are read with an offset too, where their UTC year is in range")
    func edgesWithOffset() {
        #expect(Instant(rfc3339: "9999-12-31T23:59:59+00:01")?.description == "9999-12-31T23:58:59.000Z")
        #expect(Instant(rfc3339: "0001-01-01T00:00:00-00:01")?.description == "0001-01-01T00:01:00.000Z")
    }

    @Test("Writing and reading are inverse, and texts sort as instants do")
    func roundTrip() throws {
        let first: Int64 = -62_135_596_800_000_000
        let last: Int64 = 253_402_300_799_999_999
        var previous = ""
        var value = first
        // A prime step visits every hour, minute and fraction width without a pattern.
        while value <= last {
            let instant = Instant(microseconds: value / 1_000 * 1_000)
            let text = instant.description
            try #require(Instant(rfc3339: text) == instant)
            try #require(previous < text)
            previous = text
            try #require(Instant(rfc3339: Instant(microseconds: value).description)?.microseconds == value)
            value += 15_485_863_982_451_653
            value -= 15_400_000_000_000_000
        }
    }

    @Test("Adding seconds stops at the ends of the range instead of wrapping")
    func saturation() {
        #expect(Instant(microseconds: 5).adding(seconds: -1) == Instant(microseconds: -999_995))
        #expect(Instant(microseconds: .max).adding(seconds: 1) == Instant(microseconds: .max))
        #expect(Instant(microseconds: .min).adding(seconds: -1) == Instant(microseconds: .min))
        #expect(Instant(microseconds: 0).adding(seconds: .max) == Instant(microseconds: .max))
        #expect(Instant(microseconds: 0).adding(seconds: .min) == Instant(microseconds: .min))
        #expect(Instant(microseconds: .max).adding(seconds: -1) == Instant(microseconds: .max - 1_000_000))
    }

    @Test("Every instant is written with a year of four digits, as a text that is read back")
    func writtenYears() throws {
        var random = SystemRandomNumberGenerator()
        var all = [
            Int64.min, .min + 1, .max, -62_135_596_800_000_001, -62_167_219_200_000_001, 253_402_300_800_000_000,
        ]
        all += (0..<10_000).map { _ in Int64.random(in: .min ... .max, using: &random) }
        all += (0..<10_000).map { _ in
            Int64.random(in: 253_402_200_000_000_000...253_402_400_000_000_000, using: &random)
        }
        for microseconds in all {
            let instant = Instant(microseconds: microseconds)
            let text = instant.description
            let shown = min(max(instant, .earliest), .latest)
            try #require(Instant(rfc3339: text) == shown, "\(microseconds) is written as \(text)")
            try #require(text.firstIndex(of: "-") == text.index(text.startIndex, offsetBy: 4))
        }
        #expect("\(Instant.earliest) \(Instant.latest)" == "0001-01-01T00:00:00.000Z 9999-12-31T23:59:59.999999Z")
    }
}
