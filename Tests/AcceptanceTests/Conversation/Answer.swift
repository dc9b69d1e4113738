package import JSON
import Testing

/// The answer of the server.
struct Answer: Sendable, CustomTestStringConvertible {
    let status: Int
    /// The headers by lower-case name.
    let headers: [String: String]
    let bytes: [UInt8]

    var json: JSONValue { (try? JSONParser.parse(bytes)) ?? .null }
    var code: String? { self["code"]?.text }
    var position: String? { headers["quotastack-position"] }
    var isReplay: Bool { headers["x-idempotent-replayed"] == "true" }
    var testDescription: String { "\(status) \(String(decoding: bytes.prefix(2_000), as: UTF8.self))" }

    /// A part of the body by its path, such as `data.0.id`.
    subscript(path: String) -> JSONValue? { json[path: path] }

    /// Expects a status and, for a refusal, its code.
    @discardableResult
    func expect(
        _ status: Int, _ code: String? = nil, _ comment: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> Answer {
        #expect(
            self.status == status && (code == nil || self.code == code),
            "\(comment) expected \(status) \(code ?? ""), was answered \(testDescription)",
            sourceLocation: sourceLocation)
        return self
    }

    func text(_ path: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        try #require(self[path]?.text, "\(path) in \(testDescription)", sourceLocation: sourceLocation)
    }

    func integer(_ path: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Int64 {
        try #require(self[path]?.integer, "\(path) in \(testDescription)", sourceLocation: sourceLocation)
    }

    func items(_ path: String = "data", sourceLocation: SourceLocation = #_sourceLocation) throws -> [JSONValue] {
        try #require(self[path]?.items, "\(path) in \(testDescription)", sourceLocation: sourceLocation)
    }
}

extension JSONValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(members: elements.map { (key: $0.0, value: $0.1) }))
    }
}

extension JSONValue {
    /// The names of an object's members, in the order of the document.
    var names: [String] { if case .object(let object) = self { object.members.map(\.key) } else { [] } }

    subscript(path path: String) -> JSONValue? {
        var value = self
        for part in path.split(separator: ".") {
            switch value {
            case .object(let object):
                guard let member = object[String(part)] else { return nil }
                value = member
            case .array(let items):
                guard let index = Int(part), items.indices.contains(index) else { return nil }
                value = items[index]
            default: return nil
            }
        }
        return value
    }

    /// The object with a member set or added.
    func with(_ name: String, _ value: JSONValue) -> JSONValue {
        guard case .object(var object) = self else { return self }
        if let index = object.index(of: name) {
            object.members[index].value = value
        } else {
            object.members.append((key: name, value: value))
        }
        return .object(object)
    }
}
