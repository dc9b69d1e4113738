import Answers
import Catalogue
import Credits
import JSON
import Storage
import Webhooks

extension OutgoingMessage {
    /// The message of a delivery. The body of an event is the same in every attempt; the signature covers the instant of the
    /// attempt.
    ///
    /// - Parameter environment: `live` or `test`.
    init(
        _ delivery: DueDelivery, environment: String, endpointID: Bits128, at now: Instant, secrets: [WebhookSecret]
    ) {
        let id = WebhookDelivery.eventID(
            account: delivery.account, sequence: delivery.sequence, delivery: delivery.number)
        var json = JSONWriter(capacity: 1_024)
        if let event = delivery.event {
            json.event(
                delivery.sequence, type: delivery.type, data: event.data, at: event.at, recordedAt: event.recordedAt,
                environment: EnvironmentKind(rawValue: environment), of: delivery.account, event.endUserID)
        } else {
            json.testEvent(id: id, at: delivery.createdAt, environment: environment, endpointID: endpointID)
        }
        let body = json.bytes
        self.init(
            signature: WebhookSignature(id: "\(id)", at: now, body: body, secrets: secrets), body: body)
    }
}
