import JSON

/// The values to which the expressions of a workflow refer.
struct ArazzoScope {
    let inputs: [String: JSONValue]
    /// The outputs of each step that has succeeded, by the step's id.
    var outputs: [String: [String: JSONValue]] = [:]
    /// The last answer.
    var response: ArazzoRunner.Response?

    init(inputs: [String: JSONValue]) {
        self.inputs = inputs
    }

    /// The last answer as text, for errors.
    var responseText: String {
        guard let response else { return "no answer" }
        return "\(response.status) \(String(decoding: response.body.bytes.prefix(1_000), as: UTF8.self))"
    }

    /// A value with its expressions replaced. An expression is a whole text that begins with `$`.
    func value(of value: JSONValue) throws -> JSONValue {
        switch value {
        case .string(let text) where text.hasPrefix("$"): return try evaluated(text)
        case .array(let items): return .array(try items.map { try self.value(of: $0) })
        case .object(let object):
            return .object(
                JSONObject(members: try object.members.map { ($0.key, try self.value(of: $0.value)) }))
        default: return value
        }
    }

    /// Whether a condition such as `$statusCode == 201` holds. The value at the left must exist.
    func holds(_ condition: String) throws -> Bool {
        let (expression, literal) = try comparison(condition)
        return try evaluated(expression) == literal
    }

    /// Whether a path such as `$.data[?(@.type == 'x' && @.data.cost == 5)]` selects an item.
    func selects(_ path: String, from context: JSONValue) throws -> Bool {
        guard let parts = path.wholeMatch(of: /\$\.([a-z_]+)\[\?\((.+)\)\]/) else {
            throw ArazzoError("\(path) is not a JSONPath that the runner knows")
        }
        let comparisons = try parts.2.split(separator: " && ").map { part in
            let (place, literal) = try comparison(String(part))
            guard place.hasPrefix("@.") else { throw ArazzoError("\(part) does not begin with @.") }
            return (names: place.dropFirst(2).split(separator: "."), literal: literal)
        }
        let items = try value(of: context)[String(parts.1)]?.items ?? []
        return items.contains { item in
            comparisons.allSatisfy { comparison in
                comparison.names.reduce(Optional(item)) { $0?[String($1)] } == comparison.literal
            }
        }
    }

    // MARK: - Expressions

    private func evaluated(_ expression: String) throws -> JSONValue {
        let found: JSONValue?
        if expression == "$statusCode" {
            found = response.map { .integer(Int64($0.status)) }
        } else if expression == "$response.body" {
            found = response?.body
        } else if let pointer = expression.wholeMatch(of: /\$response\.body#(\/.*)/)?.1 {
            found = response.flatMap { Self.part(of: $0.body, at: pointer) }
        } else if let name = expression.wholeMatch(of: /\$inputs\.(\w+)/)?.1 {
            found = inputs[String(name)]
        } else if let names = expression.wholeMatch(of: /\$steps\.(\w+)\.outputs\.(\w+)/) {
            found = outputs[String(names.1)]?[String(names.2)]
        } else {
            throw ArazzoError("\(expression) is not an expression that the runner knows")
        }
        guard let found else { throw ArazzoError("\(expression) has no value in \(responseText)") }
        return found
    }

    /// The part of a value at a JSON pointer.
    private static func part(of value: JSONValue, at pointer: Substring) -> JSONValue? {
        pointer.split(separator: "/").reduce(Optional(value)) { value, token in
            let name = String(token).replacing("~1", with: "/").replacing("~0", with: "~")
            guard let items = value?.items else { return value?[name] }
            return Int(name).flatMap { items.indices.contains($0) ? items[$0] : nil }
        }
    }

    /// The sides of an equality. The right side is a literal: a text in single quotes, a number, a boolean or null.
    private func comparison(_ text: String) throws -> (String, JSONValue) {
        guard let sides = text.wholeMatch(of: /(\S+) == (.+)/) else {
            throw ArazzoError("\(text) is not an equality")
        }
        if let quoted = sides.2.wholeMatch(of: /'([^']*)'/)?.1 { return (String(sides.1), .string(String(quoted))) }
        guard let literal = try? JSONParser.parse(Array(sides.2.utf8)), literal.text == nil else {
            throw ArazzoError("\(sides.2) is not a literal")
        }
        return (String(sides.1), literal)
    }
}
