/// A schema of JSON Schema 2020-12, in the part of it that the API's values need.
package struct JSONSchema: Sendable, Equatable {
    package indirect enum Kind: Sendable, Equatable {
        /// Any JSON value.
        case any
        case boolean
        case integer(ClosedRange<Int64>)
        case string(Text)
        /// One of the given strings.
        case choice([String])
        case array(JSONSchema, count: ClosedRange<Int>? = nil)
        /// An object with these members and no others.
        case object([Member])
        /// An object whose member names are chosen by the client.
        case map(JSONSchema, count: ClosedRange<Int>? = nil)
        case anyOf([JSONSchema])
        /// A schema that the document has once, under a name.
        case component(name: String, JSONSchema)
    }

    /// The bounds of a string.
    package struct Text: Sendable, Equatable {
        /// In bytes of UTF-8.
        package var bytes: ClosedRange<Int>?
        package var pattern: String?
        package var format: String?

        package init(bytes: ClosedRange<Int>? = nil, pattern: String? = nil, format: String? = nil) {
            self.bytes = bytes
            self.pattern = pattern
            self.format = format
        }
    }

    /// A member of an object.
    package struct Member: Sendable, Equatable {
        package let name: String
        package var schema: JSONSchema
        package var isRequired: Bool

        package init(_ name: String, _ schema: JSONSchema, isRequired: Bool = true) {
            self.name = name
            self.schema = schema
            self.isRequired = isRequired
        }
    }

    package var kind: Kind
    package var isNullable = false
    package var description = ""
    package var standard: JSONValue?
    package var example: JSONValue?

    package init(
        _ kind: Kind, isNullable: Bool = false, _ description: String = "", standard: JSONValue? = nil,
        example: JSONValue? = nil
    ) {
        self.kind = kind
        self.isNullable = isNullable
        self.description = description
        self.standard = standard
        self.example = example
    }

    /// The same schema, which allows null too.
    package var orNull: JSONSchema {
        var copy = self
        copy.isNullable = true
        return copy
    }

    /// The members of an object or of the object of a component; empty for every other schema.
    package var members: [Member] {
        switch kind {
        case .object(let members): members
        case .component(_, let schema): schema.members
        default: []
        }
    }

    /// The schemas inside this one that have a name, this one included, each with the schemas inside it.
    package var components: [(name: String, schema: JSONSchema)] {
        switch kind {
        case .any, .boolean, .integer, .string, .choice: []
        case .array(let element, _), .map(let element, _): element.components
        case .object(let members): members.flatMap { $0.schema.components }
        case .anyOf(let schemas): schemas.flatMap(\.components)
        case .component(let name, let schema): [(name, schema)] + schema.components
        }
    }
}

// MARK: - As JSON

extension JSONSchema {
    /// The schema as JSON. A component is a reference into `#/components/schemas`.
    package var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        switch kind {
        case .any: break
        case .boolean: members = [type("boolean")]
        case .integer(let range):
            members = [type("integer"), ("format", .string("int64"))]
            if range.lowerBound > .min { members.append(("minimum", .integer(range.lowerBound))) }
            if range.upperBound < .max { members.append(("maximum", .integer(range.upperBound))) }
        case .string(let text): members = [type("string")] + Self.members(of: text)
        case .choice(let choices):
            let values = choices.map { JSONValue.string($0) } + (isNullable ? [.null] : [])
            members = [type("string"), ("enum", .array(values))]
        case .array(let element, let count):
            members = [type("array"), ("items", element.json)]
            members += Self.bounds(count, "minItems", "maxItems")
        case .object(let inner):
            members = [type("object")]
            let required = inner.filter(\.isRequired).map { JSONValue.string($0.name) }
            if !required.isEmpty { members.append(("required", .array(required))) }
            let properties = inner.map { (key: $0.name, value: $0.schema.json) }
            members.append(("properties", .object(JSONObject(members: properties))))
            members.append(("additionalProperties", .bool(false)))
        case .map(let element, let count):
            members = [type("object"), ("additionalProperties", element.json)]
            members += Self.bounds(count, "minProperties", "maxProperties")
        case .anyOf(let schemas):
            members = [("anyOf", .array(schemas.map(\.json) + (isNullable ? [Self.null] : [])))]
        case .component(let name, _):
            let reference: JSONValue = .object(["$ref": .string("#/components/schemas/\(name)")])
            // A description beside a reference is allowed since OpenAPI 3.1, but many tools drop it.
            guard isNullable else { return reference }
            members = [("anyOf", .array([reference, Self.null]))]
        }
        if !description.isEmpty { members.append(("description", .string(description))) }
        if let standard { members.append(("default", standard)) }
        if let example { members.append(("examples", .array([example]))) }
        return .object(JSONObject(members: members))
    }

    private static let null = JSONValue.object(["type": .string("null")])

    private func type(_ name: String) -> (key: String, value: JSONValue) {
        ("type", isNullable ? .array([.string(name), .string("null")]) : .string(name))
    }

    private static func members(of text: Text) -> [(key: String, value: JSONValue)] {
        var members: [(key: String, value: JSONValue)] = []
        // A character has one byte at least, so the bound in bytes is one in characters.
        if let bytes = text.bytes {
            if bytes.lowerBound > 0 { members.append(("minLength", .integer(1))) }
            members.append(("maxLength", .integer(Int64(bytes.upperBound))))
        }
        if let pattern = text.pattern { members.append(("pattern", .string(pattern))) }
        if let format = text.format { members.append(("format", .string(format))) }
        return members
    }

    private static func bounds(
        _ count: ClosedRange<Int>?, _ minimum: String, _ maximum: String
    ) -> [(key: String, value: JSONValue)] {
        guard let count else { return [] }
        return [(minimum, .integer(Int64(count.lowerBound))), (maximum, .integer(Int64(count.upperBound)))]
    }
}
