import Answers
import Credits
import Storage
import Webhooks

// The commands for webhook endpoints and their deliveries. They only prepare what the webhook workers then do.

extension CatalogueChange {
    func createWebhookEndpoint(_ new: NewWebhookEndpoint, now: Instant) async throws -> Answer {
        let count = try await WebhookEndpointStore.count(environmentID: environmentID, on: connection)
        guard count < WebhookLimits.endpoints else { return refused(.tooManyWebhookEndpoints) }
        let endpoint = WebhookEndpoint(
            id: newID(at: now, 0), url: new.url, eventTypes: new.eventTypes, description: new.description,
            createdAt: now, updatedAt: now)
        try await WebhookEndpointStore.insert(
            endpoint, sealedSecret: new.sealedSecret, environmentID: environmentID, on: connection)
        return Answer(201) { $0.webhookEndpoint(endpoint, replay: nil) }
    }

    func updateWebhookEndpoint(_ id: Bits128, _ change: WebhookEndpointChange, now: Instant) async throws -> Answer {
        guard let endpoint = try await webhookEndpoint(id) else { return refused(.unknownWebhookEndpoint) }
        let changed = endpoint.applying(change, at: now)
        try await WebhookEndpointStore.update(changed, environmentID: environmentID, on: connection)
        let replay = try await WebhookEndpointStore.replay(of: id, environmentID: environmentID, on: connection)
        return Answer(200) { $0.webhookEndpoint(changed, replay: replay) }
    }

    func deleteWebhookEndpoint(_ id: Bits128, now: Instant) async throws -> Answer {
        guard try await webhookEndpoint(id) != nil else { return refused(.unknownWebhookEndpoint) }
        try await WebhookEndpointStore.delete(id, at: now, environmentID: environmentID, on: connection)
        return Answer(204) { _ in }
    }

    func rotateWebhookSecret(
        _ id: Bits128, _ sealedSecret: [UInt8], overlapSeconds: Int64, now: Instant
    ) async throws -> Answer {
        guard var endpoint = try await webhookEndpoint(id) else { return refused(.unknownWebhookEndpoint) }
        endpoint.previousSecretUntil = overlapSeconds == 0 ? nil : now.adding(seconds: overlapSeconds)
        endpoint.updatedAt = now
        try await WebhookEndpointStore.rotate(
            id, sealedSecret: sealedSecret, previousUntil: endpoint.previousSecretUntil, at: now,
            environmentID: environmentID, on: connection)
        let replay = try await WebhookEndpointStore.replay(of: id, environmentID: environmentID, on: connection)
        return Answer(200) { $0.webhookEndpoint(endpoint, replay: replay) }
    }

    func testWebhookEndpoint(_ id: Bits128) async throws -> Answer {
        guard let endpoint = try await webhookEndpoint(id) else { return refused(.unknownWebhookEndpoint) }
        guard endpoint.disabled == nil else { return refused(.disabledWebhookEndpoint) }
        try await WebhookDeliveryStore.lockLines(of: id, environmentID: environmentID, on: connection)
        let delivery = try await WebhookDeliveryStore.insertTest(
            of: id, environmentID: environmentID, on: connection)
        return Answer(200) { $0.webhookDelivery(delivery) }
    }

    func replayWebhookEvents(_ id: Bits128, from: Instant, to: Instant, now: Instant) async throws -> Answer {
        guard let endpoint = try await webhookEndpoint(id) else { return refused(.unknownWebhookEndpoint) }
        guard from < to, from < now else { return refused(.emptyReplay) }
        let replay = WebhookReplay(from: from, to: min(to, now), createdAt: now)
        let current = try await WebhookEndpointStore.replay(of: id, environmentID: environmentID, on: connection)
        guard current == nil else { return refused(.replayUnderWay) }
        try await WebhookEndpointStore.insert(replay, of: id, environmentID: environmentID, on: connection)
        return Answer(200) { $0.webhookEndpoint(endpoint, replay: replay) }
    }

    func retryWebhookDelivery(_ number: Int64, of account: AccountID) async throws -> Answer {
        let find = { [environmentID, connection] in
            try await WebhookDeliveryStore.find(number, account: account, environmentID: environmentID, on: connection)
        }
        guard let found = try await find(), try await webhookEndpoint(found.endpointID) != nil else {
            return refused(.unknownWebhookDelivery)
        }
        try await WebhookDeliveryStore.lockLines(
            of: found.endpointID, environmentID: environmentID, on: connection)
        // A worker may have recorded an attempt, or removed the delivery, before the lock was free.
        guard let delivery = try await find() else { return refused(.unknownWebhookDelivery) }
        let reopened = try await WebhookDeliveryStore.reopen(delivery, environmentID: environmentID, on: connection)
        return Answer(200) { $0.webhookDelivery(reopened) }
    }

    private func webhookEndpoint(_ id: Bits128) async throws -> WebhookEndpoint? {
        try await WebhookEndpointStore.find(id, environmentID: environmentID, on: connection)
    }
}
