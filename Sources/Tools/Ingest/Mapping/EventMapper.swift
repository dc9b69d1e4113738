import Credits
import JSON

/// Turns rows into events. An event depends only on the mapping and the row.
struct EventMapper: Sendable {
    private let mapping: EventMapping
    /// The index of each column's cell in a row.
    private let positions: [String: Int]

    init(mapping: EventMapping) {
        self.mapping = mapping
        positions = Dictionary(uniqueKeysWithValues: zip(mapping.columns, 0...))
    }

    /// Returns the event of a row.
    ///
    /// - Throws: The first problem that keeps the row from being an event.
    func event(for row: Row) throws(RowProblem) -> UsageEvent {
        UsageEvent(
            endUserID: try endUser(row), featureKey: try feature(row), measure: try measure(row),
            attributes: try attributes(row), occurredAt: try occurredAt(row), idempotencyKey: try idempotencyKey(row),
            metadata: try metadata(row))
    }

    private func endUser(_ row: Row) throws(RowProblem) -> EndUserID {
        switch mapping.endUser {
        case .pattern(let prefix, let modulo):
            guard let id = EndUserID("\(prefix)\(row.number % modulo)") else {
                throw RowProblem(row, nil, "the pattern does not make an end user id of 1 to 256 bytes")
            }
            return id
        case .column(let column):
            guard let id = EndUserID(try text(row, column)) else {
                throw RowProblem(row, column, "must be an end user id of 1 to 256 bytes")
            }
            return id
        }
    }

    private func feature(_ row: Row) throws(RowProblem) -> FeatureKey {
        let (key, column): (String, String?) =
            switch mapping.feature {
            case .fixed(let key): (key, nil)
            case .column(let column): (try text(row, column), column)
            }
        guard let feature = FeatureKey(key) else {
            throw RowProblem(row, column, "must be a feature key: 1 to 64 letters, digits, _, -, . or :")
        }
        return feature
    }

    private func measure(_ row: Row) throws(RowProblem) -> UsageEvent.Measure {
        switch mapping.units {
        case .fixed(let units): return .units(units)
        case .sum(let columns):
            var sum: Int64 = 0
            for column in columns {
                let (next, overflow) = sum.addingReportingOverflow(try count(row, column))
                guard !overflow else {
                    throw RowProblem(row, column, "makes the sum of units larger than \(Int64.max)")
                }
                sum = next
            }
            return .units(sum)
        case .quantities(let dimensions):
            var quantities = JSONObject()
            for dimension in dimensions {
                quantities.members.append((dimension.name, .integer(try count(row, dimension.column))))
            }
            return .quantities(quantities)
        }
    }

    private func attributes(_ row: Row) throws(RowProblem) -> JSONObject? {
        var attributes = JSONObject()
        for attribute in mapping.attributes {
            guard let value = content(row, attribute.column) else { continue }
            switch value {
            case .string, .integer, .bool: attributes.members.append((attribute.name, value))
            default: throw RowProblem(row, attribute.column, "must be text, an integer or a boolean to be an attribute")
            }
        }
        return attributes.members.isEmpty ? nil : attributes
    }

    /// A non-negative integer in plain digits. Signs, fractions and spaces are refused: they indicate that the mapping
    /// names the wrong column.
    private func count(_ row: Row, _ column: String) throws(RowProblem) -> Int64 {
        switch try value(row, column) {
        case .integer(let integer) where integer >= 0: return integer
        case .string(let text) where !text.isEmpty && text.utf8.allSatisfy(\.isDigit):
            guard let integer = Int64(text) else { throw RowProblem(row, column, "is larger than \(Int64.max)") }
            return integer
        default: throw RowProblem(row, column, "must be a non-negative integer")
        }
    }

    private func occurredAt(_ row: Row) throws(RowProblem) -> Instant? {
        guard let occurredAt = mapping.occurredAt else { return nil }
        let text =
            switch try value(row, occurredAt.column) {
            case .string(let text): text
            case .integer(let integer): String(integer)
            case .number(let literal): literal
            default: ""
            }
        guard let instant = Instant(text, as: occurredAt.format) else {
            throw RowProblem(row, occurredAt.column, "must be an instant of the form \(occurredAt.format.example)")
        }
        return instant
    }

    private func idempotencyKey(_ row: Row) throws(RowProblem) -> String {
        switch mapping.idempotencyKey {
        case .runningDigest: return row.digest.hexadecimal
        case .rowNumber(let prefix): return "\(prefix)-\(row.number)"
        case .column(let column):
            let key = try text(row, column)
            guard (1...255).contains(key.utf8.count), !key.utf8.contains(0) else {
                throw RowProblem(row, column, "must be an idempotency key of 1 to 255 bytes")
            }
            return key
        }
    }

    private func metadata(_ row: Row) throws(RowProblem) -> JSONObject? {
        var metadata = JSONObject()
        for column in mapping.metadataColumns {
            guard let value = content(row, column) else { continue }
            let members = if case .object(let object) = value { object.members } else { [(key: column, value: value)] }
            for member in members {
                guard metadata.index(of: member.key) == nil else {
                    throw RowProblem(row, column, "would add a second member \(member.key) to the metadata")
                }
                if case .string(let text) = member.value, text.utf8.contains(0) {
                    throw RowProblem(row, column, "must not contain U+0000")
                }
                metadata.members.append(member)
            }
        }
        return metadata.members.isEmpty ? nil : metadata
    }

    // MARK: Cells

    private func cell(_ row: Row, _ column: String) -> JSONValue? {
        positions[column].flatMap { row.cells[$0] }
    }

    /// The value of a cell that is not empty.
    private func content(_ row: Row, _ column: String) -> JSONValue? {
        guard let value = cell(row, column), value != .null, value != .string("") else { return nil }
        return value
    }

    private func value(_ row: Row, _ column: String) throws(RowProblem) -> JSONValue {
        guard let value = cell(row, column), value != .null else { throw RowProblem(row, column, "is missing") }
        return value
    }

    /// A name or a key. Integers are accepted as well: exports often write numeric ids without quotes.
    private func text(_ row: Row, _ column: String) throws(RowProblem) -> String {
        switch try value(row, column) {
        case .string(let text): return text
        case .integer(let integer): return String(integer)
        default: throw RowProblem(row, column, "must be text or an integer")
        }
    }
}

extension RowProblem {
    fileprivate init(_ row: Row, _ column: String?, _ sentence: String) {
        self.init(line: row.line, column: column, sentence: sentence)
    }
}

extension Bits128 {
    /// 32 hexadecimal digits.
    fileprivate var hexadecimal: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
}

// MARK: - Time

extension EventMapping.TimeFormat {
    var example: String {
        switch self {
        case .rfc3339: "2026-01-31T12:00:00.000Z"
        case .utc: "2026-01-31 12:00:00"
        case .unixSeconds: "1769860800"
        case .unixMilliseconds: "1769860800000"
        }
    }
}

extension Instant {
    /// Accepts the years 1970 to 9999; digits beyond microseconds are dropped.
    init?(_ text: String, as format: EventMapping.TimeFormat) {
        let instant: Instant? =
            switch format {
            // `Instant` also accepts a space in place of the T; here each format has one form only.
            case .rfc3339: text.utf8.contains(UInt8(ascii: " ")) ? nil : Instant(rfc3339: text)
            case .utc: text.utf8.contains(UInt8(ascii: " ")) ? Instant(rfc3339: text + "Z") : nil
            case .unixSeconds: Instant(unix: text, fractionDigits: 6, isFractionAllowed: true)
            case .unixMilliseconds: Instant(unix: text, fractionDigits: 3, isFractionAllowed: false)
            }
        guard let instant, instant.microseconds >= 0 else { return nil }
        self = instant
    }

    /// Reads a number of time units, each 10 to the `fractionDigits` microseconds long.
    private init?(unix text: String, fractionDigits: Int, isFractionAllowed: Bool) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 1 || isFractionAllowed, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isDigit) }),
            parts[0].count <= 15
        else { return nil }
        var fraction = parts.count > 1 ? Array(parts[1].prefix(fractionDigits)) : []
        while fraction.count < fractionDigits { fraction.append(UInt8(ascii: "0")) }
        let digits = Array(parts[0]) + fraction
        var microseconds: Int64 = 0
        for digit in digits {
            let (tenfold, overflowed) = microseconds.multipliedReportingOverflow(by: 10)
            let (next, overflowedAgain) = tenfold.addingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
            guard !overflowed, !overflowedAgain else { return nil }
            microseconds = next
        }
        // The end of the year 9999. RFC 3339 cannot write a later instant.
        guard microseconds < 253_402_300_800_000_000 else { return nil }
        self.init(microseconds: microseconds)
    }
}
