package import JSON
package import Metering

/// A grant of one feature to one end user, which wins over what the catalogue says of the feature.
package enum FeatureGrant: Hashable, Sendable {
    /// The feature is there, or is denied.
    case enabled(Bool)
    /// The number of a limit feature, 0 to 2^53 − 1.
    case limit(Int64)
    /// The quota of a metered feature, in the place of the feature's own.
    case quota(Quota)
}

extension FeatureGrant {
    /// One of `{"enabled"}`, `{"limit"}` and `{"quota"}`.
    package var json: JSONValue { .object(JSONObject(members: [member])) }

    /// The one member that says it.
    package var member: (key: String, value: JSONValue) {
        switch self {
        case .enabled(let isEnabled): ("enabled", .bool(isEnabled))
        case .limit(let limit): ("limit", .integer(limit))
        case .quota(let quota): ("quota", quota.json)
        }
    }

    /// The one spelling of the grant.
    package var canonicalJSON: String {
        String(decoding: json.canonicalBytes, as: UTF8.self)
    }

    /// Reads what `canonicalJSON` or a request says.
    ///
    /// - Throws: `JSONError` for what is no JSON, `JSONProblems` that name each member that is wrong.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { $0.featureGrant() }
    }
}

extension JSONReader {
    /// The members of a grant: one of `enabled`, `limit` and `quota`.
    package mutating func featureGrant() -> FeatureGrant? {
        let stated = ["enabled", "limit", "quota"].filter { value($0) != nil }
        guard stated.count == 1 else {
            reportObject("must have exactly one of enabled, limit and quota")
            return nil
        }
        switch stated[0] {
        case "enabled": return bool("enabled").map { .enabled($0) }
        case "limit": return featureLimit().map { .limit($0) }
        default: return object("quota") { $0.quota() }.map { .quota($0) }
        }
    }
}
