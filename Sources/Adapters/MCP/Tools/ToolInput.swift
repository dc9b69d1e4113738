import JSON

/// One argument of a tool.
struct ToolInput: Sendable {
    enum Kind: Sendable {
        /// A text of 1 to this many bytes.
        case text(Int)
        /// A text for a header: 1 to this many visible ASCII characters.
        case headerText(Int)
        case integer(ClosedRange<Int64>)
        case instant
        case choice([String])
    }

    let name: String
    let kind: Kind
    let isRequired: Bool
    let help: String

    /// An argument that a call must have.
    static func required(_ name: String, _ kind: Kind, _ help: String) -> ToolInput {
        ToolInput(name: name, kind: kind, isRequired: true, help: help)
    }

    static func optional(_ name: String, _ kind: Kind, _ help: String) -> ToolInput {
        ToolInput(name: name, kind: kind, isRequired: false, help: help)
    }

    /// Throws when a value is of another kind or out of bounds. The API checks everything else.
    func check(_ value: JSONValue) throws(ToolFailure) {
        switch (kind, value) {
        case (.text(let most), .string(let text)):
            guard (1...most).contains(text.utf8.count) else { throw failure("1 to \(most) bytes long") }
        case (.headerText(let most), .string(let text)):
            guard (1...most).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw failure("1 to \(most) visible ASCII characters, without spaces")
            }
        case (.integer(let range), .integer(let integer)):
            guard range.contains(integer) else {
                throw failure("a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
        case (.instant, .string(let text)):
            guard (1...64).contains(text.utf8.count) else { throw failure("an RFC 3339 instant") }
        case (.choice(let names), .string(let text)):
            guard names.contains(text) else { throw failure("one of \(names.joined(separator: ", "))") }
        case (.integer, _): throw failure("a whole number, not \(value.kind)")
        case (.text, _), (.headerText, _), (.instant, _), (.choice, _): throw failure("a string, not \(value.kind)")
        }
    }

    private func failure(_ expected: String) -> ToolFailure {
        ToolFailure("The argument \(name) must be \(expected).")
    }

    /// Writes the JSON Schema of the argument.
    func writeSchema(into json: inout JSONWriter) {
        json.beginObject()
        switch kind {
        case .text(let most):
            json.member("type", "string")
            json.member("minLength", 1)
            json.member("maxLength", most)
        case .headerText(let most):
            json.member("type", "string")
            json.member("maxLength", most)
            json.member("pattern", "^[!-~]+$")
        case .integer(let range):
            json.member("type", "integer")
            json.member("minimum", range.lowerBound)
            json.member("maximum", range.upperBound)
        case .instant:
            json.member("type", "string")
            json.member("format", "date-time")
        case .choice(let names):
            json.member("type", "string")
            json.array("enum", names) { $0.value($1) }
        }
        json.member("description", help)
        json.endObject()
    }
}

/// The arguments of a call that have the names and kinds of the tool's inputs.
struct ToolArguments: Sendable {
    private let values: [String: JSONValue]

    /// - Parameter value: The member `arguments` of a call.
    init(_ value: JSONValue?, of inputs: [ToolInput]) throws(ToolFailure) {
        guard case .object(let object) = value ?? .object([:]) else {
            throw ToolFailure("The arguments must be an object.")
        }
        var values: [String: JSONValue] = [:]
        for (name, value) in object.members where value != .null {
            guard let input = inputs.first(where: { $0.name == name }) else {
                let known = inputs.map(\.name).joined(separator: ", ")
                throw ToolFailure("There is no argument \(name.prefix(64)). The arguments are \(known).")
            }
            try input.check(value)
            values[name] = value
        }
        if let missing = inputs.first(where: { $0.isRequired && values[$0.name] == nil }) {
            throw ToolFailure("The argument \(missing.name) is required.")
        }
        self.values = values
    }

    subscript(name: String) -> JSONValue? { values[name] }

    func text(_ name: String) -> String? { values[name]?.text }
    func integer(_ name: String) -> Int? { values[name]?.integer.flatMap { Int(exactly: $0) } }
}
