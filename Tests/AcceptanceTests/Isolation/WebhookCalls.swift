import API
import Catalogue
import JSON

extension EndpointCall {
    /// Calls about webhooks of another environment.
    static let ofWebhooks: [EndpointCall] = [
        .call(
            "POST", "/v1/webhook-endpoints", .write(.webhooks),
            ["url": "http://127.0.0.1:9/", "event_types": ["topup.failed"]],
            201),
        .call("GET", "/v1/webhook-endpoints", .read(.webhooks), 200),
        .call("GET", "/v1/webhook-endpoints/{id}", .read(.webhooks), 404, target: endpoint),
        .call("PATCH", "/v1/webhook-endpoints/{id}", .write(.webhooks), ["enabled": true], 404, target: endpoint),
        .call("POST", "/v1/webhook-endpoints/{id}/rotate-secret", .write(.webhooks), [:], 404) {
            endpoint($0) + "/rotate-secret"
        },
        .call("POST", "/v1/webhook-endpoints/{id}/test", .write(.webhooks), [:], 404) { endpoint($0) + "/test" },
        .call(
            "POST", "/v1/webhook-endpoints/{id}/replay", .write(.webhooks), ["from": "2026-01-01T00:00:00Z"], 404
        ) { endpoint($0) + "/replay" },
        .call("DELETE", "/v1/webhook-endpoints/{id}", .write(.webhooks), 404, target: endpoint),
        .call("GET", "/v1/webhook-deliveries", .read(.webhooks), 200) {
            "/v1/webhook-deliveries?endpoint_id=\($0.webhookID)"
        },
        .call("POST", "/v1/webhook-deliveries/{id}/retry", .write(.webhooks), [:], 404) {
            "/v1/webhook-deliveries/\($0.deliveryID)/retry"
        },
    ]

    @Sendable private static func endpoint(_ property: Property) -> String {
        "/v1/webhook-endpoints/\(property.webhookID)"
    }
}
