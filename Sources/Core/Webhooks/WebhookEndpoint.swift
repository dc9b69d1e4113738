package import Catalogue
package import Credits

/// A URL to which an environment's events are sent.
package struct WebhookEndpoint: Hashable, Sendable {
    /// Why an endpoint gets no deliveries.
    package enum DisabledReason: String, Sendable {
        /// A request has disabled it.
        case requested
        /// The receiver has answered 410.
        case gone
        /// Every attempt has failed for days.
        case failing
    }

    package struct Disabled: Hashable, Sendable {
        package let at: Instant
        package let reason: DisabledReason

        package init(at: Instant, reason: DisabledReason) {
            self.at = at
            self.reason = reason
        }
    }

    package let id: Bits128
    package var url: WebhookURL
    /// The types of events that are sent; nil for all types, also those of later releases.
    package var eventTypes: [String]?
    package var description: String?
    package let createdAt: Instant
    package var updatedAt: Instant
    /// Nil for an endpoint that gets deliveries.
    package var disabled: Disabled?
    /// The instant until which deliveries carry a second signature, of the secret before the rotation; nil without one.
    package var previousSecretUntil: Instant?

    package init(
        id: Bits128, url: WebhookURL, eventTypes: [String]?, description: String?, createdAt: Instant,
        updatedAt: Instant, disabled: Disabled? = nil, previousSecretUntil: Instant? = nil
    ) {
        self.id = id
        self.url = url
        self.eventTypes = eventTypes
        self.description = description
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.disabled = disabled
        self.previousSecretUntil = previousSecretUntil
    }

    package var publicID: PublicID { PublicID(.webhookEndpoint, id) }
}

/// An endpoint to be created, with its sealed secret.
package struct NewWebhookEndpoint: Hashable, Sendable {
    package let url: WebhookURL
    package let eventTypes: [String]?
    package let description: String?
    /// The signing secret as `SecretSeal` has sealed it.
    package let sealedSecret: [UInt8]

    package init(url: WebhookURL, eventTypes: [String]?, description: String?, sealedSecret: [UInt8]) {
        self.url = url
        self.eventTypes = eventTypes
        self.description = description
        self.sealedSecret = sealedSecret
    }
}

/// A change of an endpoint. Members that are nil or `keep` stay.
package struct WebhookEndpointChange: Hashable, Sendable {
    package var url: WebhookURL?
    package var eventTypes: FieldChange<[String]>
    package var description: FieldChange<String>
    package var isEnabled: Bool?

    package init(
        url: WebhookURL? = nil, eventTypes: FieldChange<[String]> = .keep, description: FieldChange<String> = .keep,
        isEnabled: Bool? = nil
    ) {
        self.url = url
        self.eventTypes = eventTypes
        self.description = description
        self.isEnabled = isEnabled
    }
}

extension WebhookEndpoint {
    /// The endpoint after a change. An endpoint that is disabled already keeps the instant and the reason.
    package func applying(_ change: WebhookEndpointChange, at now: Instant) -> WebhookEndpoint {
        var changed = self
        if let url = change.url { changed.url = url }
        changed.eventTypes = change.eventTypes.applied(to: eventTypes)
        changed.description = change.description.applied(to: description)
        switch change.isEnabled {
        case true?: changed.disabled = nil
        case false?: changed.disabled = disabled ?? Disabled(at: now, reason: .requested)
        case nil: break
        }
        changed.updatedAt = now
        return changed
    }
}

/// The types of events of an environment that belong to no end user.
package enum EnvironmentEventType: String, Sendable, CaseIterable {
    case endpointDisabled = "webhook_endpoint.disabled"
}

/// The type of the event that `POST /v1/webhook-endpoints/{id}/test` sends. It is in no feed, and no filter names it.
package let testEventType = "webhook_endpoint.test"

/// A span of events that is delivered to an endpoint again: those that were recorded from one instant and before another.
package struct WebhookReplay: Hashable, Sendable {
    package let from: Instant
    package let to: Instant
    package let createdAt: Instant

    package init(from: Instant, to: Instant, createdAt: Instant) {
        self.from = from
        self.to = to
        self.createdAt = createdAt
    }
}
