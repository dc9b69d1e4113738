package import JSON

/// The value of an attribute.
package enum AttributeValue: Hashable, Sendable {
    case string(String)
    case integer(Int64)
    case boolean(Bool)

    /// Strings are compared as bytes, as in PostgreSQL.
    package static func == (left: AttributeValue, right: AttributeValue) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)):
            left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
        case (.integer(let left), .integer(let right)): left == right
        case (.boolean(let left), .boolean(let right)): left == right
        default: false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .string(var text): text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        case .integer(let integer): hasher.combine(integer)
        case .boolean(let boolean): hasher.combine(boolean)
        }
    }
}

extension AttributeValue {
    /// The value as JSON.
    package var json: JSONValue {
        switch self {
        case .string(let text): .string(text)
        case .integer(let integer): .integer(integer)
        case .boolean(let boolean): .bool(boolean)
        }
    }

    /// Nil for JSON that is neither a string nor a boolean nor an integer of 64 bits.
    package init?(_ json: JSONValue) {
        switch json {
        case .string(let text): self = .string(text)
        case .integer(let integer): self = .integer(integer)
        case .bool(let boolean): self = .boolean(boolean)
        default: return nil
        }
    }

    /// The text of the value in canonical JSON. Equal values have equal texts.
    package var canonicalJSON: String {
        String(decoding: json.canonicalBytes, as: UTF8.self)
    }

    /// Reads a value from `canonicalJSON`; nil for another text.
    package init?(canonicalJSON text: String) {
        guard let json = try? JSONParser.parse(Array(text.utf8)) else { return nil }
        self.init(json)
    }
}

/// The attributes of an event, for instance the model that was used. Prices may depend on them.
package struct Attributes: Hashable, Sendable {
    /// By name. Names use the characters of feature keys.
    package let values: [String: AttributeValue]

    package static let none = Attributes([:])

    package init(_ values: [String: AttributeValue]) {
        self.values = values
    }

    /// Whether the other attributes contain all of these, with the same values.
    package func isSubset(of others: Attributes) -> Bool {
        values.allSatisfy { name, value in others.values[name] == value }
    }

    /// A JSON object with members sorted by name: equal attributes have equal texts.
    package var canonicalJSON: String {
        String(decoding: JSONValue.object(json).canonicalBytes, as: UTF8.self)
    }

    var json: JSONObject {
        JSONObject(members: values.sorted { $0.key < $1.key }.map { name, value in (key: name, value: value.json) })
    }
}
