import Credits
import Hummingbird
import Answers

/// The query of a request, read strictly: a parameter that is unknown, repeated or unreadable is refused.
struct RequestQuery {
    private var values: [String: String] = [:]
    private var unread: Set<String> = []

    /// Reads `application/x-www-form-urlencoded` pairs: `+` is a space.
    init(_ request: Request) throws(Problem) {
        for pair in (request.uri.query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(parts[0], plusIsSpace: true),
                let value = percentDecoded(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw Problem(.invalidRequest, "The query is not percent-encoded UTF-8.") }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Problem(.invalidRequest, "The query parameter \(name) comes twice.")
            }
            unread.insert(name)
        }
    }

    mutating func optional(_ name: String) -> String? {
        unread.remove(name)
        return values[name]
    }

    mutating func required(_ name: String) throws(Problem) -> String {
        guard let value = optional(name), !value.isEmpty else {
            throw Problem(.invalidRequest, "The query parameter \(name) is required.")
        }
        return value
    }

    /// A parameter as a value; nil when it is absent.
    mutating func optional<Value>(
        _ name: String, expected: String, _ parse: (String) -> Value?
    ) throws(Problem) -> Value? {
        guard let text = optional(name) else { return nil }
        guard let value = parse(text) else {
            throw Problem(.invalidRequest, "The query parameter \(name) must be \(expected).")
        }
        return value
    }

    /// Reads the name of a case, such as a status.
    mutating func optional<Value: CaseIterable & RawRepresentable<String>>(
        _ name: String, oneOf type: Value.Type
    ) throws(Problem) -> Value? {
        let names = type.allCases.map(\.rawValue).joined(separator: ", ")
        return try optional(name, expected: "one of \(names)") { Value(rawValue: $0) }
    }

    mutating func endUserID() throws(Problem) -> EndUserID {
        guard let id = EndUserID(try required("end_user_id")) else {
            throw Problem(.invalidRequest, "The query parameter end_user_id must be 1 to 256 bytes long, without NUL.")
        }
        return id
    }

    mutating func optionalEndUserID() throws(Problem) -> EndUserID? {
        values["end_user_id"] == nil ? nil : try endUserID()
    }

    /// `units`; 1 by default.
    mutating func units() throws(Problem) -> Int64 {
        try optional("units", expected: "a whole number from 0 to \(Int64.max)") { text in
            Int64(text).flatMap { $0 >= 0 ? $0 : nil }
        } ?? 1
    }

    mutating func instant(_ name: String) throws(Problem) -> Instant? {
        try optional(name, expected: "an RFC 3339 instant") { Instant(rfc3339: $0) }
    }

    /// `limit` and `cursor`.
    mutating func page() throws(Problem) -> PageRequest {
        let limit = try optional("limit", expected: "a whole number from 1 to 100") { text in
            Int(text).flatMap { (1...100).contains($0) ? $0 : nil }
        }
        return PageRequest(limit: limit ?? 25, cursor: optional("cursor"))
    }

    /// Throws when the query has a parameter that was not read. Otherwise a mistyped `units` would decide on 1 unit.
    func finish() throws(Problem) {
        guard let name = unread.sorted().first else { return }
        throw Problem(.unknownField, "This endpoint has no query parameter \(name).")
    }
}

/// Decodes percent-encoding. The result is nil when the encoding is broken or the text is not UTF-8.
func percentDecoded(_ text: some StringProtocol, plusIsSpace: Bool) -> String? {
    var bytes: [UInt8] = []
    var iterator = text.utf8.makeIterator()
    while let byte = iterator.next() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = iterator.next().flatMap(hexadecimalValue),
                let low = iterator.next().flatMap(hexadecimalValue)
            else { return nil }
            bytes.append(high << 4 | low)
        case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
        default: bytes.append(byte)
        }
    }
    return String(validating: bytes, as: UTF8.self)
}

private func hexadecimalValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
