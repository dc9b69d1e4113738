import Answers
import Credits
import Hummingbird
import JSON

/// The query of a request, read strictly: a parameter that is unknown, repeated or unreadable is refused.
struct RequestQuery {
    private var values: [String: String] = [:]
    private var unread: Set<String> = []
    /// The parameters asked for, in a query that describes itself; nil while a query is read.
    private var recording: [JSONSchema.Member]?

    /// Reads `application/x-www-form-urlencoded` pairs: `+` is a space.
    init(_ request: Request) throws(Problem) {
        for pair in (request.uri.query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(parts[0], plusIsSpace: true),
                let value = percentDecoded(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw Problem(.invalidRequest, "The query is not percent-encoded UTF-8.") }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Problem(.invalidRequest, "The query parameter \(name) comes twice.")
            }
            unread.insert(name)
        }
    }

    /// The parameters that a reader reads.
    ///
    /// - Throws: The problem that the reader has with the examples.
    static func parameters<Output>(
        of read: (inout RequestQuery) throws(Problem) -> Output
    ) throws(Problem) -> [JSONSchema.Member] {
        var query = RequestQuery()
        _ = try read(&query)
        return query.recording ?? []
    }

    private init() { recording = [] }

    /// Notes a parameter. Its sentence and its example are those of its name.
    private mutating func note(_ name: String, _ schema: JSONSchema?, isRequired: Bool = false) {
        guard recording != nil, recording?.contains(where: { $0.name == name }) == false else { return }
        let field = Fields.notes.fields[name]
        var schema = schema ?? JSONSchema(.string(JSONSchema.Text()))
        schema.description = [field?.sentence ?? "", schema.description].filter { !$0.isEmpty }.joined(separator: " ")
        schema.example = schema.example ?? field?.examples.first
        recording?.append(JSONSchema.Member(name, schema, isRequired: isRequired))
    }

    mutating func optional(_ name: String) -> String? {
        note(name, nil)
        unread.remove(name)
        return values[name]
    }

    mutating func required(_ name: String) throws(Problem) -> String {
        note(name, nil, isRequired: true)
        if recording != nil { return Fields.notes.fields[name]?.examples.first?.text ?? "" }
        guard let value = optional(name), !value.isEmpty else {
            throw Problem(.invalidRequest, "The query parameter \(name) is required.")
        }
        return value
    }

    /// A parameter as a value; nil when it is absent.
    ///
    /// - Parameter schema: Describes the parameter; nil for the text that `expected` names.
    mutating func optional<Value>(
        _ name: String, expected: String, as schema: JSONSchema? = nil, _ parse: (String) -> Value?
    ) throws(Problem) -> Value? {
        if recording != nil { note(name, schema ?? Self.schema(of: name, expected, parse)) }
        guard let text = optional(name) else { return nil }
        guard let value = parse(text) else {
            throw Problem(.invalidRequest, "The query parameter \(name) must be \(expected).")
        }
        return value
    }

    /// Reads the name of a case, such as a status.
    mutating func optional<Value: CaseIterable & RawRepresentable<String>>(
        _ name: String, oneOf type: Value.Type
    ) throws(Problem) -> Value? {
        try optional(name, among: type.allCases.map(\.rawValue)) { Value(rawValue: $0) }
    }

    /// Reads one of some names.
    mutating func optional<Value>(
        _ name: String, among names: [String], _ parse: (String) -> Value?
    ) throws(Problem) -> Value? {
        let schema = recording == nil ? nil : JSONSchema(.choice(names), example: names.first.map { .string($0) })
        return try optional(name, expected: "one of \(names.joined(separator: ", "))", as: schema, parse)
    }

    /// A whole number; nil when it is absent.
    mutating func optional(_ name: String, in range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        let schema = recording == nil ? nil : JSONSchema(.integer(range))
        return try optional(
            name, expected: "a whole number from \(range.lowerBound) to \(range.upperBound)", as: schema
        ) { text in
            Int64(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    mutating func flag(_ name: String) throws(Problem) -> Bool {
        try optional(name, expected: "true or false", as: JSONSchema(.boolean)) { Bool($0) } ?? false
    }

    mutating func featureKey() throws(Problem) -> FeatureKey {
        note("feature_key", Fields.textForms[FeatureKey.expectation], isRequired: true)
        guard let feature = FeatureKey(try required("feature_key")) else {
            throw Problem(.invalidRequest, "The query parameter feature_key must be \(FeatureKey.expectation).")
        }
        return feature
    }

    mutating func optionalFeatureKey() throws(Problem) -> FeatureKey? {
        try optional("feature_key", expected: FeatureKey.expectation) { FeatureKey($0) }
    }

    /// The schema of a text with a form of its own. Its example is one that can be read.
    private static func schema<Value>(of name: String, _ expected: String, _ parse: (String) -> Value?) -> JSONSchema {
        var schema = Fields.textForms[expected] ?? JSONSchema(.string(JSONSchema.Text()), "Must be \(expected).")
        let examples = (Fields.notes.fields[name]?.examples ?? []) + [schema.example].compactMap { $0 }
        schema.example = examples.first { $0.text.flatMap(parse) != nil }
        return schema
    }

    mutating func endUserID() throws(Problem) -> EndUserID {
        note("end_user_id", Fields.textForms[EndUserID.expectation], isRequired: true)
        guard let id = EndUserID(try required("end_user_id")) else {
            throw Problem(.invalidRequest, "The query parameter end_user_id must be \(EndUserID.expectation).")
        }
        return id
    }

    mutating func optionalEndUserID() throws(Problem) -> EndUserID? {
        note("end_user_id", Fields.textForms[EndUserID.expectation])
        return values["end_user_id"] == nil ? nil : try endUserID()
    }

    /// `units`; 1 by default.
    mutating func units() throws(Problem) -> Int64 {
        try optional("units", in: 0...Int64.max) ?? 1
    }

    mutating func instant(_ name: String) throws(Problem) -> Instant? {
        try optional(name, expected: "an RFC 3339 instant") { Instant(rfc3339: $0) }
    }

    /// `limit` and `cursor`.
    mutating func page() throws(Problem) -> PageRequest {
        let limit = try optional("limit", in: PageRequest.limits)
        return PageRequest(limit: Int(limit ?? PageRequest.usualLimit), cursor: optional("cursor"))
    }

    /// Throws when the query has a parameter that was not read. Otherwise a mistyped `units` would decide on 1 unit.
    func finish() throws(Problem) {
        guard let name = unread.sorted().first else { return }
        throw Problem(.unknownField, "This endpoint has no query parameter \(name).")
    }
}

extension Request {
    /// Reads the query with a reader, which must read all of its parameters.
    func query<Output>(_ read: (inout RequestQuery) throws(Problem) -> Output) throws(Problem) -> Output {
        var query = try RequestQuery(self)
        let output = try read(&query)
        try query.finish()
        return output
    }
}

/// Decodes percent-encoding. The result is nil when the encoding is broken or the text is not UTF-8.
func percentDecoded(_ text: some StringProtocol, plusIsSpace: Bool) -> String? {
    var bytes: [UInt8] = []
    var iterator = text.utf8.makeIterator()
    while let byte = iterator.next() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = iterator.next().flatMap(hexadecimalValue),
                let low = iterator.next().flatMap(hexadecimalValue)
            else { return nil }
            bytes.append(high << 4 | low)
        case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
        default: bytes.append(byte)
        }
    }
    return String(validating: bytes, as: UTF8.self)
}

private func hexadecimalValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
