import Catalogue
import Credits
import JSON
import Ledger
import Webhooks

/// Reads request bodies about webhooks.
extension JSONReader {
    /// - Parameter setup: Refuses a URL whose host is an address to which nothing is delivered.
    mutating func newWebhookEndpoint(
        _ setup: WebhookSetup
    ) -> (url: WebhookURL, eventTypes: [String]?, description: String?)? {
        let url = string("url", expected: WebhookURL.expectation) { WebhookURL($0) }
        let eventTypes = eventTypes()
        let description = optionalString("description", length: 1...500)
        guard let url, allowed(url, setup) else { return nil }
        return (url, eventTypes, description)
    }

    /// Null sets `event_types` to all types, and removes the description.
    mutating func webhookEndpointChange(_ setup: WebhookSetup) -> WebhookEndpointChange? {
        let url = optionalString("url", expected: WebhookURL.expectation) { WebhookURL($0) }
        if let url, !allowed(url, setup) { return nil }
        return WebhookEndpointChange(
            url: url, eventTypes: fieldChange("event_types") { $0.eventTypes() },
            description: fieldChange("description") { $0.optionalString("description", length: 1...500) },
            isEnabled: optionalBool("enabled"))
    }

    private mutating func allowed(_ url: WebhookURL, _ setup: WebhookSetup) -> Bool {
        guard case .address(let address) = url.host else { return true }
        do throws(TargetRules.Refusal) {
            try setup.rules.check(address, port: url.port)
            return true
        } catch {
            report("url", "must lead to a public address: \(error)")
            return false
        }
    }

    /// `event_types`; nil for all.
    private mutating func eventTypes() -> [String]? {
        let known = EventType.allCases.map(\.rawValue) + EnvironmentEventType.allCases.map(\.rawValue)
        let types = optionalStrings(
            "event_types", count: 1...known.count, expected: "a type of event, such as \"topup.requested\"",
            among: known
        ) {
            known.contains($0) ? $0 : nil
        }
        guard let types, Set(types).count < types.count else { return types }
        report("event_types", "must not have a type twice")
        return nil
    }

    mutating func replay() -> (from: Instant, to: Instant?)? {
        let from = instant("from")
        let to = optionalInstant("to")
        return from.map { ($0, to) }
    }
}
