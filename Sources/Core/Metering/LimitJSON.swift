import Credits
package import JSON

extension Limit {
    /// Reads a limit from the canonical text of `json`.
    ///
    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` that name each wrong member otherwise.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { $0.limit() }
    }

    /// The text of `json`, from which `init(json:)` reads the limit again.
    package var canonicalJSON: String { String(decoding: json.canonicalBytes, as: UTF8.self) }

    /// The definition as an object, from which `JSONReader.limit` reads it again. Equal limits have equal objects.
    package var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        if window != nil { members.append(("anchor", .string(anchor.rawValue))) }
        if let dimension { members.append(("dimension", .string(dimension))) }
        if !features.isEmpty {
            members.append(("feature_keys", .array(features.sorted().map { .string($0.rawValue) })))
        }
        members.append(("limit", .integer(amount)))
        if !match.isEmpty {
            let values = match.sorted { $0.key < $1.key }.map { name, values in
                (key: name, value: JSONValue.array(values.map(\.json).sorted { $0.canonicalText < $1.canonicalText }))
            }
            members.append(("match", .object(JSONObject(members: values))))
        }
        if let per { members.append(("per", .string(per))) }
        members.append(("unit", .string(unit.rawValue)))
        if !warnAt.isEmpty { members.append(("warn_at", .array(warnAt.map { .integer(Int64($0)) }))) }
        if let window { members.append(("window", .string(window.text))) }
        return .object(JSONObject(members: members))
    }
}

extension JSONValue {
    fileprivate var canonicalText: String { String(decoding: canonicalBytes, as: UTF8.self) }
}

extension JSONReader {
    /// Reads the definition of a limit: `unit`, `limit`, `window`, `anchor`, `feature_keys`, `match`, `per`,
    /// `dimension` and `warn_at`.
    package mutating func limit() -> Limit? {
        let unit = choice("unit", of: Limit.Unit.self)
        let amount = featureLimit()
        let features = optionalStrings(
            "feature_keys", count: 1...Limit.maximumFeatures, expected: FeatureKey.expectation
        ) { FeatureKey($0) }
        let match = optionalAttributeMatch("match", atMost: Limit.maximumMatches)
        let names = FeatureKey.expectation
        let per = optionalString("per", expected: names) { $0.isCatalogueName ? $0 : nil }
        let dimension = optionalString("dimension", expected: names) { $0.isCatalogueName ? $0 : nil }
        let anchor = optionalChoice("anchor", of: WindowAnchor.self)
        let warnAt = optionalInt64s("warn_at", count: 0...Limit.maximumWarnings, in: Limit.warnings) ?? []
        if Set(warnAt).count < warnAt.count { report("warn_at", "has a percentage twice") }
        var window: WindowLength?
        if unit == .concurrent {
            for key in ["window", "anchor"] where presence(of: key) == .present {
                report(key, "must be absent for \"concurrent\", which has no windows")
            }
            _ = value("window")
        } else {
            window = windowLength()
        }
        if dimension != nil, unit != .units { report("dimension", "is only for the unit \"units\"") }
        guard problems.isEmpty, let unit, let amount else { return nil }
        let limit = Limit(
            unit: unit, amount: amount, window: window, anchor: anchor ?? .calendar, features: Set(features ?? []),
            match: match ?? [:], per: per, dimension: dimension, warnAt: warnAt.map { Int($0) })
        guard limit.json.canonicalBytes.count <= Limit.maximumBytes else {
            reportObject("must be at most \(Limit.maximumBytes) bytes of compact JSON")
            return nil
        }
        return limit
    }
}
