package import Credits
package import JSON
package import Webhooks

extension JSONWriter {
    /// - Parameter replay: The replay that is under way.
    package mutating func webhookEndpoint(_ endpoint: WebhookEndpoint, replay: WebhookReplay?) {
        beginObject()
        member("id", endpoint.publicID)
        member("url", endpoint.url.text)
        if let eventTypes = endpoint.eventTypes {
            array("event_types", eventTypes) { $0.value($1) }
        } else {
            key("event_types")
            null()
        }
        member("description", endpoint.description)
        member("enabled", endpoint.disabled == nil)
        member("disabled_at", endpoint.disabled?.at)
        member("disabled_reason", endpoint.disabled?.reason.rawValue)
        member("previous_secret_until", endpoint.previousSecretUntil)
        if let replay {
            object("replay") { json in
                json.member("from", replay.from as Instant?)
                json.member("to", replay.to as Instant?)
                json.member("created_at", replay.createdAt as Instant?)
            }
        } else {
            key("replay")
            null()
        }
        member("created_at", endpoint.createdAt as Instant?)
        member("updated_at", endpoint.updatedAt as Instant?)
        endObject()
    }

    package mutating func webhookDelivery(_ delivery: WebhookDelivery) {
        beginObject()
        member("id", delivery.publicID)
        member("event_id", delivery.eventID)
        member("event_type", delivery.eventType)
        member("endpoint_id", PublicID(.webhookEndpoint, delivery.endpointID))
        member("status", delivery.status.rawValue)
        member("next_attempt_at", delivery.nextAttemptAt)
        member("attempts", raw: Array(delivery.attempts.utf8))
        member("created_at", delivery.createdAt as Instant?)
        endObject()
    }

    /// Writes a test event in the envelope of events. It has no number, because it is in no feed.
    ///
    /// - Parameter id: The id of the event, which follows from its delivery.
    package mutating func testEvent(
        id: PublicID, at: Instant, environment: String, endpointID: Bits128
    ) {
        beginObject()
        member("id", id)
        member("type", testEventType)
        member("timestamp", at as Instant?)
        member("created_at", at as Instant?)
        member("environment", environment)
        member("end_user_id", nil as String?)
        member("sequence", nil as Int64?)
        member("previous_sequence", nil as Int64?)
        object("data") { json in
            json.member("webhook_endpoint_id", PublicID(.webhookEndpoint, endpointID))
        }
        endObject()
    }
}

extension Problem {
    package static let unknownWebhookEndpoint = Problem(
        .notFound, "No webhook endpoint has that id in this environment. Check the id.")
    package static let unknownWebhookDelivery = Problem(
        .notFound,
        "No webhook delivery has that id in this environment, or it has been removed after its time. Check the id.")
    package static let tooManyWebhookEndpoints = Problem(
        .conflict,
        "An environment can have at most \(WebhookLimits.endpoints) webhook endpoints. Delete one that is not used.")
    package static let disabledWebhookEndpoint = Problem(
        .conflict, "The webhook endpoint is disabled and gets no deliveries. Enable it first.")
    package static let replayUnderWay = Problem(
        .conflict, "A replay of this endpoint is under way. Wait until `replay` of the endpoint is null.")
    package static let emptyReplay = Problem(
        .invalidRequest, "The span has no events: from must be before now and before to.",
        errors: [FieldError(pointer: "/from", detail: "must be before now and before to")])
}
