import Credits
import JSON

/// One usage event, as it is sent.
struct UsageEvent: Sendable, Equatable {
    var endUserID: EndUserID
    var featureKey: FeatureKey
    var units: Int64
    var occurredAt: Instant?
    var idempotencyKey: String
    /// Nil, or an object with at least one member.
    var metadata: JSONObject?

    func write(into json: inout JSONWriter) {
        json.beginObject()
        json.member("end_user_id", endUserID.rawValue)
        json.member("feature_key", featureKey.rawValue)
        json.member("units", units)
        if let occurredAt { json.member("occurred_at", occurredAt.description) }
        json.member("idempotency_key", idempotencyKey)
        if let metadata { json.member("metadata", .object(metadata)) }
        json.endObject()
    }
}
