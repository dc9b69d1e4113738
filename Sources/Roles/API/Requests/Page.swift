import Credits
import JSON
import Answers

/// The page of a list that a request asks for.
struct PageRequest {
    /// The allowed numbers of items of a page, and the number without `limit`.
    static let limits: ClosedRange<Int64> = 1...100
    static let usualLimit: Int64 = 25

    let limit: Int
    let cursor: String?

    /// Reads the cursor's parts.
    ///
    /// - Returns: Nil for the first page.
    func cursorParts<Value>(_ parse: ([JSONValue]) -> Value?) throws(Problem) -> Value? {
        guard let cursor else { return nil }
        guard let bytes = hexadecimalBytes(cursor), let value = try? JSONParser.parse(bytes),
            case .array(let parts) = value, let parsed = parse(parts)
        else {
            throw Problem(.invalidCursor, "The cursor was not made by this list. Start again without one.")
        }
        return parsed
    }

    /// Reads the cursor of a list whose pages continue after one number.
    ///
    /// - Parameter parse: Makes the position of the number; nil if the list cannot have it.
    /// - Returns: Nil for the first page.
    func cursorNumber<Value>(_ parse: (Int64) -> Value?) throws(Problem) -> Value? {
        try cursorParts { parts in
            guard parts.count == 1, case .integer(let number) = parts[0] else { return nil }
            return parse(number)
        }
    }

    /// Writes a page as JSON.
    ///
    /// - Parameters:
    ///   - items: The page's items, and one more when the list continues.
    ///   - cursor: Returns the parts from which the page after an item is found.
    func json<Item>(
        _ items: [Item], cursor: (Item) -> [JSONValue], _ write: (inout JSONWriter, Item) -> Void
    ) -> [UInt8] {
        let shown = items.prefix(limit)
        let hasMore = items.count > limit
        var json = JSONWriter(capacity: 4_096)
        json.beginObject()
        json.key("data")
        json.beginArray()
        for item in shown { write(&json, item) }
        json.endArray()
        json.object("pagination") { json in
            json.member("has_more", hasMore)
            json.member("next_cursor", hasMore ? shown.last.map { Self.text(cursor($0)) } : nil)
        }
        json.endObject()
        return json.bytes
    }

    private static func text(_ parts: [JSONValue]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let text = JSONValue.array(parts).canonicalBytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }
}

private func hexadecimalBytes(_ text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0, digits.count <= 2_048 else { return nil }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
        guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
            return nil
        }
        bytes.append(byte)
    }
    return bytes
}

/// The place at which a list of features or packages continues. The list is ordered by creation and key, newest first.
struct CatalogueCursor<Key: Sendable>: Sendable {
    let createdAt: Instant
    let key: Key

    init?(_ parts: [JSONValue], _ parse: (String) -> Key?) {
        guard parts.count == 2, case .integer(let microseconds) = parts[0], case .string(let text) = parts[1],
            let key = parse(text), let instant = Instant(cursor: microseconds)
        else { return nil }
        createdAt = instant
        self.key = key
    }
}

extension CatalogueCursor<Never> {
    static func parts(_ createdAt: Instant, _ key: String) -> [JSONValue] {
        [.integer(createdAt.microseconds), .string(key)]
    }
}

extension Bits128 {
    /// Reads a cursor that consists of one public id.
    init?(cursor parts: [JSONValue], _ kind: PublicIDKind) {
        guard parts.count == 1, case .string(let text) = parts[0], let id = PublicID(kind, parsing: text) else {
            return nil
        }
        self = id.bits
    }
}

extension Instant {
    /// Reads an instant of a cursor. It is nil outside the range of the database's timestamps, which no cursor made by
    /// the API exceeds.
    init?(cursor microseconds: Int64) {
        guard (-62_135_596_800_000_000...9_000_000_000_000_000_000).contains(microseconds) else { return nil }
        self.init(microseconds: microseconds)
    }
}
