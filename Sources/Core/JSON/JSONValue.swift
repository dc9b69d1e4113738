/// A JSON document or a part of one.
///
/// Only integers within 64 bits are converted to numbers. Every other number keeps its literal text, so that no number
/// is converted to a binary fraction on its way to storage. Code that expects an integer refuses such a literal.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// An integer literal without fraction and exponent, within `Int64`. Its text is the digits of the integer.
    case integer(Int64)
    /// Any other number as its literal text, for example `1.0`, `1e3`, `-0` or `99999999999999999999`.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Compares bytes. Canonically equivalent Unicode strings with different encodings are different, and so are `1.0`
    /// and `1.00`. The order of an object's members does not matter.
    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.number(let left), .number(let right)): left.hasSameBytes(as: right)
        case (.string(let left), .string(let right)): left.hasSameBytes(as: right)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        default: false
        }
    }
}

extension JSONValue {
    /// The number of arrays and objects inside each other; 1 for an empty array or object, 0 for every other value.
    package var levels: Int {
        switch self {
        case .array(let elements): 1 + (elements.map(\.levels).max() ?? 0)
        case .object(let object): 1 + (object.members.map(\.value.levels).max() ?? 0)
        default: 0
        }
    }
}

/// The members of a JSON object in document order.
///
/// The parser never produces two members of the same name. Code that builds an object must not either.
package struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    package var members: [(key: String, value: JSONValue)]

    package init(members: [(key: String, value: JSONValue)] = []) {
        self.members = members
    }

    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self.members = elements.map { (key: $0.0, value: $0.1) }
    }

    /// The value of a member; nil if the object has no member of that name. Names are compared as bytes, in linear
    /// time, because the objects of the API are short.
    package subscript(key: String) -> JSONValue? {
        guard let index = index(of: key) else { return nil }
        return members[index].value
    }

    /// The index of a name in `members`.
    package func index(of key: String) -> Int? {
        for index in members.indices where members[index].key.hasSameBytes(as: key) {
            return index
        }
        return nil
    }

    /// Two objects are equal if they have the same members, in any order.
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.members.count == right.members.count else { return false }
        let leftMembers = left.membersSortedByKey
        let rightMembers = right.membersSortedByKey
        return zip(leftMembers, rightMembers).allSatisfy { $0.key.hasSameBytes(as: $1.key) && $0.value == $1.value }
    }

    /// The members ordered by the UTF-8 bytes of their names.
    var membersSortedByKey: [(key: String, value: JSONValue)] {
        members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }
}

extension String {
    /// Whether both strings have the same bytes. `==` also accepts canonically equivalent strings with different bytes,
    /// but the database and every signature compare bytes.
    func hasSameBytes(as other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        let isEqual = utf8.withContiguousStorageIfAvailable { left in
            other.utf8.withContiguousStorageIfAvailable { right in left.elementsEqual(right) }
        }
        return (isEqual ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}
