import Foundation
package import JSON
import Synchronization

/// Validates JSON against the part of JSON Schema that the API's document uses. A keyword that it does not know is an
/// error, so that nothing is left unchecked.
package final class SchemaValidator: Sendable {
    private let document: JSONValue
    private let patterns = Mutex<[String: NSRegularExpression]>([:])

    /// - Parameter document: The document into which references lead.
    package init(document: JSONValue) {
        self.document = document
    }

    /// The keywords that only inform.
    private static let annotations: Set = ["description", "default", "examples"]

    /// The violations, each with its place.
    package func violations(of schema: JSONValue, by value: JSONValue, at place: String = "") -> [String] {
        guard case .object(let keywords) = schema else { return ["\(place): the schema is no object"] }
        var found: [String] = []
        for (keyword, argument) in keywords.members where !Self.annotations.contains(keyword) {
            found += violations(of: keyword, argument, schema, by: value, at: place)
        }
        return found
    }

    /// The part of the document that a reference names.
    package func resolved(_ schema: JSONValue) -> JSONValue? {
        guard let reference = schema["$ref"]?.text else { return schema }
        var found: JSONValue? = document
        for token in reference.split(separator: "/").dropFirst() { found = found?[String(token)] }
        return found
    }

    private func violations(
        of keyword: String, _ argument: JSONValue, _ schema: JSONValue, by value: JSONValue, at place: String
    ) -> [String] {
        func violated(_ rule: String) -> [String] {
            ["\(place): \(rule), is \(String(decoding: value.bytes.prefix(200), as: UTF8.self))"]
        }
        switch (keyword, value) {
        case ("$ref", _):
            guard let target = resolved(schema) else { return violated("the reference \(argument) leads nowhere") }
            return violations(of: target, by: value, at: place)
        case ("type", _):
            let names = argument.text.map { [$0] } ?? argument.items?.compactMap(\.text) ?? []
            return names.contains(where: value.isOf) ? [] : violated("must be of the type \(names)")
        case ("enum", _): return argument.items?.contains(value) == true ? [] : violated("must be one of \(argument)")
        case ("anyOf", _):
            let all = (argument.items ?? []).map { violations(of: $0, by: value, at: place) }
            return all.contains { $0.isEmpty } ? [] : violated("fits none of several schemas") + (all.first ?? [])
        case ("minimum", .integer(let integer)):
            return argument.integer.map { integer >= $0 } == true ? [] : violated("must be at least \(argument)")
        case ("maximum", .integer(let integer)):
            return argument.integer.map { integer <= $0 } == true ? [] : violated("must be at most \(argument)")
        case ("minLength", .string(let text)):
            return text.unicodeScalars.count >= argument.integer ?? 0 ? [] : violated("is too short")
        case ("maxLength", .string(let text)):
            return text.unicodeScalars.count <= argument.integer ?? 0 ? [] : violated("is too long")
        case ("pattern", .string(let text)):
            return matches(text, argument.text ?? "") ? [] : violated("must match \(argument)")
        case ("format", .string(let text)) where argument == .string("date-time"):
            return matches(
                text,
                #"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"#)
                ? [] : violated("must be an instant")
        case ("items", .array(let items)):
            return items.enumerated().flatMap { violations(of: argument, by: $1, at: "\(place)/\($0)") }
        case ("minItems", .array(let items)):
            return items.count >= argument.integer ?? 0 ? [] : violated("has too few items")
        case ("maxItems", .array(let items)):
            return items.count <= argument.integer ?? 0 ? [] : violated("has too many items")
        case ("required", .object(let object)):
            return (argument.items ?? []).compactMap(\.text).filter { object[$0] == nil }.flatMap {
                violated("lacks the member \($0)")
            }
        case ("properties", .object(let object)):
            return object.members.flatMap { name, member in
                argument[name].map { violations(of: $0, by: member, at: "\(place)/\(name)") } ?? []
            }
        case ("additionalProperties", .object(let object)):
            let others = object.members.filter { schema["properties"]?[$0.key] == nil }
            if argument == .bool(false) { return others.flatMap { violated("has the unknown member \($0.key)") } }
            return others.flatMap { violations(of: argument, by: $0.value, at: "\(place)/\($0.key)") }
        case ("minProperties", .object(let object)):
            return object.members.count >= argument.integer ?? 0 ? [] : violated("has too few members")
        case ("maxProperties", .object(let object)):
            return object.members.count <= argument.integer ?? 0 ? [] : violated("has too many members")
        case ("minimum", _), ("maximum", _), ("minLength", _), ("maxLength", _), ("pattern", _), ("format", _),
            ("items", _), ("minItems", _), ("maxItems", _), ("required", _), ("properties", _),
            ("additionalProperties", _), ("minProperties", _), ("maxProperties", _):
            return []
        default: return violated("has a keyword that is not validated, \(keyword)")
        }
    }

    private func matches(_ text: String, _ pattern: String) -> Bool {
        let compiled = patterns.withLock { patterns in
            if let known = patterns[pattern] { return known as NSRegularExpression? }
            let made = try? NSRegularExpression(pattern: pattern)
            patterns[pattern] = made
            return made
        }
        return compiled?.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) != nil
    }
}

extension JSONValue {
    /// Whether the value is of a type of JSON Schema.
    fileprivate func isOf(_ type: String) -> Bool {
        switch (type, self) {
        case ("null", .null), ("boolean", .bool), ("integer", .integer), ("number", .integer), ("number", .number),
            ("string", .string), ("array", .array), ("object", .object):
            true
        default: false
        }
    }
}
