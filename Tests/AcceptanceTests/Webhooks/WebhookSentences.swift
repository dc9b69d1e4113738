import ChildProcesses
import Crypto
import Foundation
import JSON
import Testing
import WebhookReceiver

extension Client {
    /// Registers a receiver.
    func webhook(_ receiver: WebhookReceiver, _ more: [String: JSONValue] = [:]) async throws -> Answer {
        try await post(
            "/v1/webhook-endpoints",
            .members([("url", .some(.string(receiver.url)))] + more.map { ($0.key, .some($0.value)) }))
    }

    /// Makes the environment record no events but those of top-ups.
    func recordTopUpsOnly() async throws {
        let types: JSONValue = ["topup.requested", "topup.failed", "topup.suspended"]
        try await patch("/v1/config", ["record_event_types": types]).expect(200)
    }

    /// Makes an end user ask for a top-up, which is the event `topup.requested`. The cooldown keeps it from asking again.
    /// No other events are recorded from then on.
    ///
    /// - Returns: The id of the request.
    @discardableResult
    func askForTopUps(_ endUser: String) async throws -> String {
        try await recordTopUpsOnly()
        try await grant(endUser, 1).expect(201)
        let rule = try await send(
            "PUT", "/v1/end-users/\(percentEncoded(endUser))/auto-topup",
            bytes: Array(#"{"threshold":100,"credits":5,"cooldown_seconds":3600}"#.utf8)
        ).expect(201)
        return try rule.text("open_request_id")
    }

    /// The deliveries of an endpoint, newest first.
    func deliveries(_ endpointID: String) async throws -> [JSONValue] {
        try await all("/v1/webhook-deliveries", [("endpoint_id", endpointID)])
    }

    /// Waits until the deliveries of an endpoint have the given statuses, newest first.
    func delivers(_ endpointID: String, _ statuses: [String]) async throws {
        try await waitUntil("the deliveries of \(endpointID) are \(statuses)") {
            try await deliveries(endpointID).map { $0["status"]?.text } == statuses
        }
    }
}

extension WebhookReceiver {
    /// Waits until a number of requests have arrived.
    func gets(_ count: Int) async throws {
        try await waitUntil("\(count) requests arrive at the receiver") { requests.count >= count }
    }

    /// The events of the requests, in the order of arrival.
    func events() throws -> [JSONValue] {
        try requests.map { try JSONParser.parse($0.body) }
    }

    func types() throws -> [String] { try events().compactMap { $0["type"]?.text } }

    /// The numbers of an end user's events, in the order of arrival.
    func sequences(of endUser: String) throws -> [Int64] {
        try events().filter { $0["end_user_id"] == .string(endUser) }.compactMap { event in
            if case .integer(let number)? = event["sequence"] { number } else { nil }
        }
    }
}

extension WebhookReceiver.Request {
    /// Whether one of the signatures was made with the secret. It is computed from the bytes as they arrived, by the text of
    /// Standard Webhooks and not by the code of the worker.
    func isSigned(with secret: String) -> Bool {
        guard let key = Data(base64Encoded: String(secret.dropFirst("whsec_".count))), let id = headers["webhook-id"],
            let timestamp = headers["webhook-timestamp"]
        else { return false }
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("\(id).\(timestamp).".utf8) + body, using: SymmetricKey(data: key))
        let expected = "v1," + Data(code).base64EncodedString()
        return headers["webhook-signature"]?.split(separator: " ").contains { $0 == expected } ?? false
    }
}

extension JSONValue {
    /// The elements of an array; none for another value.
    var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }
}
