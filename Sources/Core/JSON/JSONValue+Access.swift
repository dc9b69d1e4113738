extension JSONValue {
    /// The string; nil for other values.
    package var text: String? { if case .string(let text) = self { text } else { nil } }

    /// The integer; nil for other values. `-0` is the integer 0.
    package var integer: Int64? {
        switch self {
        case .integer(let integer): integer
        case .number("-0"): 0
        default: nil
        }
    }

    /// The elements of the array; nil for other values.
    package var items: [JSONValue]? { if case .array(let items) = self { items } else { nil } }

    /// The kind of the value, for a sentence about a value of the wrong kind.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// A member of the object; nil if it is absent and for other values.
    package subscript(name: String) -> JSONValue? {
        if case .object(let object) = self { object[name] } else { nil }
    }

    /// The JSON text without white space.
    package var bytes: [UInt8] {
        var json = JSONWriter()
        write(into: &json)
        return json.bytes
    }

    package static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
    package static func optional(_ integer: Int64?) -> JSONValue { integer.map { .integer($0) } ?? .null }

    /// An object of the members that are not nil, in the given order.
    package static func members(_ members: [(String, JSONValue?)]) -> JSONValue {
        .object(JSONObject(members: members.compactMap { name, value in value.map { (key: name, value: $0) } }))
    }
}
