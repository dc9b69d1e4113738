import Credits
import JSON

/// The error for a stored text that the ledger did not write. Only a manual change of the database can cause it.
package struct StoredJSONError: Error, Hashable, CustomStringConvertible {
    package let detail: String

    package var description: String { "a stored JSON value cannot be read: \(detail)" }
}

/// A stored JSON object, read member by member.
struct StoredObject {
    let object: JSONObject

    init(_ value: JSONValue) throws(StoredJSONError) {
        guard case .object(let object) = value else { throw StoredJSONError(detail: "the value is not a JSON object") }
        self.object = object
    }

    init(parsing text: String) throws(StoredJSONError) {
        do {
            try self.init(try JSONParser.parse(Array(text.utf8)))
        } catch let error as JSONError {
            throw StoredJSONError(detail: "\(error)")
        } catch {
            throw StoredJSONError(detail: "the value is not a JSON object")
        }
    }

    /// The members of the object in a member; empty if the member is absent.
    func members(of key: String) throws(StoredJSONError) -> [(key: String, value: JSONValue)] {
        guard let value = object[key] else { return [] }
        return try StoredObject(value).object.members
    }

    func elements(of key: String) throws(StoredJSONError) -> [JSONValue] {
        guard let value = object[key] else { return [] }
        guard case .array(let elements) = value else { throw invalid(key) }
        return elements
    }

    func string(_ key: String) throws(StoredJSONError) -> String? {
        guard let value = object[key] else { return nil }
        guard case .string(let text) = value else { throw invalid(key) }
        return text
    }

    func integer(_ key: String) throws(StoredJSONError) -> Int64? {
        guard let value = object[key] else { return nil }
        guard case .integer(let integer) = value else { throw invalid(key) }
        return integer
    }

    func number(_ key: String) throws(StoredJSONError) -> Int32? {
        guard let integer = try integer(key) else { return nil }
        guard let number = Int32(exactly: integer) else { throw invalid(key) }
        return number
    }

    func instant(_ key: String) throws(StoredJSONError) -> Instant? {
        try integer(key).map { Instant(microseconds: $0) }
    }

    func amount(_ key: String) throws(StoredJSONError) -> Millicredits? {
        guard let integer = try integer(key) else { return nil }
        guard let amount = try? Millicredits(integer) else { throw invalid(key) }
        return amount
    }

    func featureKey(_ key: String) throws(StoredJSONError) -> FeatureKey? {
        try parsed(key) { FeatureKey($0) }
    }

    func featureKeys(_ key: String) throws(StoredJSONError) -> [FeatureKey] {
        var keys: [FeatureKey] = []
        for element in try elements(of: key) {
            guard case .string(let text) = element, let feature = FeatureKey(text) else { throw invalid(key) }
            keys.append(feature)
        }
        return keys
    }

    /// A string member that `parse` turns into another type.
    func parsed<Value>(_ key: String, _ parse: (String) -> Value?) throws(StoredJSONError) -> Value? {
        guard let text = try string(key) else { return nil }
        guard let value = parse(text) else { throw invalid(key) }
        return value
    }

    func required<Value>(_ key: String, _ value: Value?) throws(StoredJSONError) -> Value {
        guard let value else { throw StoredJSONError(detail: "\(key) is missing") }
        return value
    }

    func invalid(_ key: String) -> StoredJSONError {
        StoredJSONError(detail: "\(key) has an invalid value")
    }
}
