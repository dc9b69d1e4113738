import Commands
import Credits
import JSON
import Ledger

/// A usage event as a client sent it.
struct UsageRequest {
    let endUserID: EndUserID
    let event: UsageEvent
    let idempotencyKey: String?

    /// Reads an event, and reports its errors to the reader.
    init?(_ reader: inout JSONReader) {
        let endUserID = reader.endUserID()
        let featureKey = reader.featureKey()
        let measure = reader.measure()
        let attributes = reader.attributes()
        let occurredAt = reader.optionalInstant("occurred_at")
        let idempotencyKey = reader.optionalString("idempotency_key", length: 1...IdempotencyKey.maximumBytes)
        let metadata = reader.metadata()
        guard let endUserID, let featureKey, let measure, let attributes else { return nil }
        self.endUserID = endUserID
        self.idempotencyKey = idempotencyKey
        event = UsageEvent(
            featureKey: featureKey, measure: measure, attributes: attributes, occurredAt: occurredAt,
            metadata: metadata)
    }
}

/// An entitlement check as a client sent it.
struct CheckRequest {
    let endUserID: EndUserID
    let request: EntitlementRequest

    init(endUserID: EndUserID, request: EntitlementRequest) {
        self.endUserID = endUserID
        self.request = request
    }

    /// Reads a check, and reports its errors to the reader.
    init?(_ reader: inout JSONReader) {
        let endUserID = reader.endUserID()
        let feature = reader.featureKey()
        let measure = reader.measure()
        let attributes = reader.attributes()
        let isReservation = reader.bool("reservation", default: false)
        guard let endUserID, let feature, let measure, let attributes, let isReservation else { return nil }
        self.init(
            endUserID: endUserID,
            request: EntitlementRequest(
                feature: feature, demand: .measured(measure, attributes), isReservation: isReservation))
    }
}
