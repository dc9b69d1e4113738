/// An instant in UTC at microsecond precision, counted from 1970-01-01T00:00:00Z.
package struct Instant: Hashable, Comparable, Sendable {
    package let microseconds: Int64

    /// 1970-01-01T00:00:00Z.
    package static let epoch = Instant(microseconds: 0)

    /// 0001-01-01T00:00:00Z, the first instant that every RFC 3339 parser reads.
    package static let earliest = Instant(microseconds: -62_135_596_800_000_000)

    /// 9999-12-31T23:59:59.999999Z, the last instant that RFC 3339 can write. No request and no clock names a later one.
    package static let latest = Instant(microseconds: 253_402_300_799_999_999)

    package init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    package static func < (left: Instant, right: Instant) -> Bool {
        left.microseconds < right.microseconds
    }

    /// The instant that many seconds later. Saturates at the ends of the 64-bit range.
    package func adding(seconds: Int64) -> Instant {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow else { return Instant(microseconds: seconds < 0 ? .min : .max) }
        return Instant(microseconds: microseconds.addingSaturated(product))
    }
}

// MARK: - RFC 3339

extension Instant: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds, or with microseconds if they are not zero. An instant before `earliest` or after
    /// `latest` is written as that one. Only the ends of windows can be beyond them, and no clock reaches these ends.
    package var description: String {
        String(decoding: rfc3339, as: UTF8.self)
    }

    /// The bytes of `description`.
    package var rfc3339: [UInt8] {
        let shown = min(max(self, .earliest), .latest)
        let (day, time) = shown.microseconds.flooredDivision(by: 86_400_000_000)
        let date = CivilDate(daysSinceEpoch: day)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(27)
        bytes.appendDigits(date.year, width: 4)
        bytes.append(UInt8(ascii: "-"))
        bytes.appendDigits(Int64(date.month), width: 2)
        bytes.append(UInt8(ascii: "-"))
        bytes.appendDigits(Int64(date.day), width: 2)
        bytes.append(UInt8(ascii: "T"))
        bytes.appendDigits(time / 3_600_000_000, width: 2)
        bytes.append(UInt8(ascii: ":"))
        bytes.appendDigits(time / 60_000_000 % 60, width: 2)
        bytes.append(UInt8(ascii: ":"))
        bytes.appendDigits(time / 1_000_000 % 60, width: 2)
        bytes.append(UInt8(ascii: "."))
        let fraction = time % 1_000_000
        if fraction % 1_000 == 0 {
            bytes.appendDigits(fraction / 1_000, width: 3)
        } else {
            bytes.appendDigits(fraction, width: 6)
        }
        bytes.append(UInt8(ascii: "Z"))
        return bytes
    }

    /// Reads an RFC 3339 date-time with any offset, from `earliest` to `latest` in UTC. Digits beyond microseconds are
    /// cut off. Leap seconds and dates that do not exist are refused.
    package init?(rfc3339 text: some StringProtocol) {
        var reader = DigitReader(Array(text.utf8))
        guard let year = reader.digits(4), year >= 1, reader.take("-"),
            let month = reader.digits(2), reader.take("-"),
            let day = reader.digits(2), reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.digits(2), hour < 24, reader.take(":"),
            let minute = reader.digits(2), minute < 60, reader.take(":"),
            let second = reader.digits(2), second < 60,
            let date = CivilDate(year: year, month: Int(month), day: Int(day))
        else { return nil }
        var fraction: Int64 = 0
        if reader.take(".") {
            guard let read = reader.fraction() else { return nil }
            fraction = read
        }
        var offset: Int64 = 0
        if !reader.take("Z") && !reader.take("z") {
            let sign: Int64 = reader.take("+") ? 1 : reader.take("-") ? -1 : 0
            guard sign != 0, let hours = reader.digits(2), hours < 24, reader.take(":"),
                let minutes = reader.digits(2), minutes < 60
            else { return nil }
            offset = sign * (hours * 3600 + minutes * 60)
        }
        guard reader.atEnd else { return nil }
        let seconds = date.daysSinceEpoch * 86_400 + hour * 3600 + minute * 60 + second - offset
        self.init(microseconds: seconds * 1_000_000 + fraction)
        guard (Self.earliest...Self.latest).contains(self) else { return nil }
    }
}

/// A day of the proleptic Gregorian calendar.
///
/// Both conversions count days in eras of 400 years that begin in March, so that the leap day comes last.
package struct CivilDate: Hashable, Sendable {
    package let year: Int64
    package let month: Int
    package let day: Int

    /// Nil if the calendar has no such day.
    package init?(year: Int64, month: Int, day: Int) {
        guard month >= 1, month <= 12, day >= 1, day <= Self.length(ofMonth: month, year: year) else { return nil }
        self.year = year
        self.month = month
        self.day = day
    }

    package init(daysSinceEpoch days: Int64) {
        let (era, dayOfEra) = (days + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
        month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    package var daysSinceEpoch: Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shiftedYear.flooredDivision(by: 400)
        let shiftedMonth = Int64(month > 2 ? month - 3 : month + 9)
        let dayOfYear = (153 * shiftedMonth + 2) / 5 + Int64(day) - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    package static func length(ofMonth month: Int, year: Int64) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension Int64 {
    /// The quotient rounded towards minus infinity, and the remainder, which is never negative for a positive divisor.
    package func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

extension [UInt8] {
    fileprivate mutating func appendDigits(_ value: Int64, width: Int) {
        var divisor: Int64 = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}

/// Reads fixed-width decimal fields. If a digit or a character is missing, a read returns nil or false and does not
/// advance.
struct DigitReader {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var atEnd: Bool { index == bytes.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    mutating func digits(_ count: Int) -> Int64? {
        guard index + count <= bytes.count else { return nil }
        var value: Int64 = 0
        for byte in bytes[index..<index + count] {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        index += count
        return value
    }

    /// Reads a number of one to `maximum` digits.
    mutating func number(maximumDigits maximum: Int) -> Int64? {
        var count = 0
        while index + count < bytes.count, bytes[index + count] >= UInt8(ascii: "0"),
            bytes[index + count] <= UInt8(ascii: "9")
        {
            count += 1
        }
        guard count > 0, count <= maximum else { return nil }
        return digits(count)
    }

    /// Reads the digits after a decimal point, as microseconds.
    mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var count = 0
        while index < bytes.count, bytes[index] >= UInt8(ascii: "0"), bytes[index] <= UInt8(ascii: "9") {
            if count < 6 { value = value * 10 + Int64(bytes[index] - UInt8(ascii: "0")) }
            count += 1
            index += 1
        }
        guard count > 0, count <= 18 else { return nil }
        for _ in 0..<Swift.max(0, 6 - count) { value *= 10 }
        return value
    }
}
