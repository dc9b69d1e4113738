extension JSONValue {
    /// A string; nil for anything else.
    package var text: String? { if case .string(let text) = self { text } else { nil } }

    /// An integer; nil for anything else.
    package var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }

    /// The items of an array; nil for anything else.
    package var items: [JSONValue]? { if case .array(let items) = self { items } else { nil } }

    /// A member of an object; nil where there is none, and for anything else.
    package subscript(name: String) -> JSONValue? {
        if case .object(let object) = self { object[name] } else { nil }
    }

    /// The value as JSON, without white space.
    package var bytes: [UInt8] {
        var json = JSONWriter()
        write(into: &json)
        return json.bytes
    }

    /// An object of the members that are not nil, in order.
    package static func members(_ members: [(String, JSONValue?)]) -> JSONValue {
        .object(JSONObject(members: members.compactMap { name, value in value.map { (key: name, value: $0) } }))
    }
}
