import Credits
import JSON

/// One usage event, as it is sent.
struct UsageEvent: Sendable, Equatable {
    var endUserID: EndUserID
    var featureKey: FeatureKey
    var measure: Measure
    /// Nil, or an object with at least one member.
    var attributes: JSONObject?
    var occurredAt: Instant?
    var idempotencyKey: String
    /// Nil, or an object with at least one member.
    var metadata: JSONObject?

    enum Measure: Sendable, Equatable {
        case units(Int64)
        /// An integer for each dimension.
        case quantities(JSONObject)

        /// The units, or the sum of the quantities.
        var total: UInt128 {
            switch self {
            case .units(let units): UInt128(units)
            case .quantities(let quantities): quantities.members.reduce(0) { $0 + UInt128($1.value.integer ?? 0) }
            }
        }
    }

    func write(into json: inout JSONWriter) {
        json.beginObject()
        json.member("end_user_id", endUserID.rawValue)
        json.member("feature_key", featureKey.rawValue)
        switch measure {
        case .units(let units): json.member("units", units)
        case .quantities(let quantities): json.member("quantities", .object(quantities))
        }
        if let attributes { json.member("attributes", .object(attributes)) }
        if let occurredAt { json.member("occurred_at", occurredAt.description) }
        json.member("idempotency_key", idempotencyKey)
        if let metadata { json.member("metadata", .object(metadata)) }
        json.endObject()
    }
}
