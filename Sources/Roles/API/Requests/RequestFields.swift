import Catalogue
import Credits
import JSON

extension JSONReader {
    /// `end_user_id`, required.
    mutating func endUserID(_ key: String = "end_user_id") -> EndUserID? {
        string(key, expected: EndUserID.expectation) { EndUserID($0) }
    }

    /// Reads `end_user_id`, and what is asked for that end user.
    mutating func ofEndUser<Request>(
        _ key: String = "end_user_id", _ read: (inout JSONReader) -> Request?
    ) -> (endUserID: EndUserID, request: Request)? {
        let endUserID = endUserID(key)
        let request = read(&self)
        guard let endUserID, let request else { return nil }
        return (endUserID, request)
    }

    /// `feature_key`, required.
    mutating func featureKey(_ key: String = "feature_key") -> FeatureKey? {
        string(key, expected: FeatureKey.expectation) { FeatureKey($0) }
    }

    /// The change that a PATCH makes to a field: an absent member keeps the field, null clears it.
    mutating func fieldChange<Value: Hashable & Sendable>(
        _ key: String, _ read: (inout JSONReader) -> Value?
    ) -> FieldChange<Value> {
        let isThere = presence(of: key) != .absent
        let value = read(&self)
        return isThere ? .set(value) : .keep
    }

    /// `name`, required.
    mutating func name() -> String? {
        string("name", length: Self.nameLength)
    }

    mutating func optionalName() -> String? {
        optionalString("name", length: Self.nameLength)
    }

    private static let nameLength = 1...200

    mutating func expiresAfter() -> CalendarDuration? {
        optionalString("expires_after", expected: "an ISO 8601 duration, such as P30D or PT5H") {
            CalendarDuration(iso8601: $0)
        }
    }

    mutating func instant(_ key: String) -> Instant? {
        string(key, expected: Self.instantExpectation) { Instant(rfc3339: $0) }
    }

    mutating func optionalInstant(_ key: String) -> Instant? {
        optionalString(key, expected: Self.instantExpectation) { Instant(rfc3339: $0) }
    }

    private static let instantExpectation =
        "an RFC 3339 instant in the years 0001 to 9999 of UTC, such as 2026-01-31T00:00:00Z"

    /// `metadata`: any JSON object within the limits of `Metadata`.
    mutating func metadata(_ key: String = "metadata") -> Metadata? {
        guard let value = optionalObject(key).map({ JSONValue.object($0) }) else { return nil }
        guard value.levels <= Metadata.maximumLevels else {
            report(key, "must have at most \(Metadata.maximumLevels) levels of objects and arrays")
            return nil
        }
        let text = value.canonicalBytes
        guard text.count <= Metadata.maximumBytes else {
            report(key, "must be at most \(Metadata.maximumBytes) bytes of JSON without white space")
            return nil
        }
        return Metadata(canonicalJSON: String(decoding: text, as: UTF8.self))
    }
}
