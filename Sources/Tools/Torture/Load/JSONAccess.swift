import JSON

extension JSONValue {
    var text: String? { if case .string(let text) = self { text } else { nil } }
    var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }
    var items: [JSONValue]? { if case .array(let items) = self { items } else { nil } }

    var bytes: [UInt8] {
        var json = JSONWriter()
        write(into: &json)
        return json.bytes
    }

    /// A member of an object; nil for anything else.
    subscript(name: String) -> JSONValue? {
        if case .object(let object) = self { object[name] } else { nil }
    }

    /// An object of the members that are there.
    static func members(_ members: [(String, JSONValue?)]) -> JSONValue {
        .object(JSONObject(members: members.compactMap { name, value in value.map { (key: name, value: $0) } }))
    }
}
