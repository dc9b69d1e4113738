package import Credits
package import JSON
package import Metering

/// The grant of one feature by a plan's variant or by an end user's override. An override takes precedence over the
/// variant and the catalogue.
package enum FeatureGrant: Hashable, Sendable {
    /// Allows or denies the feature.
    case enabled(Bool)
    /// The number of a feature of type limit, 0 to 2^53 − 1.
    case limit(Int64)
    /// The quota of a metered feature, in place of the catalogue's.
    case quota(Quota)
}

extension FeatureGrant {
    /// An object with one member: `enabled`, `limit` or `quota`.
    package var json: JSONValue { .object(JSONObject(members: [member])) }

    /// The one member of `json`.
    package var member: (key: String, value: JSONValue) {
        switch self {
        case .enabled(let isEnabled): ("enabled", .bool(isEnabled))
        case .limit(let limit): ("limit", .integer(limit))
        case .quota(let quota): ("quota", quota.json)
        }
    }

    /// The canonical JSON: equal grants have equal texts.
    package var canonicalJSON: String {
        String(decoding: json.canonicalBytes, as: UTF8.self)
    }

    /// Reads a grant from `canonicalJSON` or from a request.
    ///
    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` that name each wrong member otherwise.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { $0.featureGrant() }
    }
}

extension FeatureGrant {
    /// Whether a feature of a type can be granted in this way.
    package func fits(_ type: FeatureType) -> Bool {
        switch (self, type) {
        case (.enabled, _), (.limit, .limit), (.quota, .metered): true
        case (.limit, _), (.quota, _): false
        }
    }
}

extension JSONReader {
    /// Reads an array of grants, each with its `feature_key`, and reports a feature that comes twice. Nil if the member is
    /// absent or has a problem.
    package mutating func featureGrants(_ key: String, atMost count: Int) -> [FeatureKey: FeatureGrant]? {
        let read = optionalObjects(key, count: 0...count) { item -> (feature: FeatureKey, grant: FeatureGrant)? in
            let feature = item.string("feature_key", expected: FeatureKey.expectation) { FeatureKey($0) }
            let grant = item.featureGrant()
            guard let feature, let grant else { return nil }
            return (feature, grant)
        }
        guard let read else { return nil }
        var grants: [FeatureKey: FeatureGrant] = [:]
        for (index, item) in read.enumerated() where grants.updateValue(item.grant, forKey: item.feature) != nil {
            report(key, element: index, "feature_key", "comes twice")
        }
        return grants
    }

    /// Reads a grant from one of `enabled`, `limit` and `quota`.
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
