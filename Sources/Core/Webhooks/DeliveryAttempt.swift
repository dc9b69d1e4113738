package import Credits
package import JSON

/// The states of a delivery.
package enum DeliveryStatus: String, Sendable, CaseIterable {
    /// Not attempted yet: the worker has not come to it, or an earlier delivery of the end user is in front of it.
    case pending
    case succeeded
    /// The latest attempt has failed, and another one follows.
    case failed
    /// All attempts have failed.
    case exhausted
}

/// One attempt of a delivery, as its log shows it.
package struct DeliveryAttempt: Hashable, Sendable {
    package let at: Instant
    /// The status of the response; nil without a response.
    package let status: Int?
    package let latencyMilliseconds: Int64
    /// Why the attempt has failed; nil for a success.
    package let error: String?
    /// The beginning of the response's body, as text; nil without a response.
    package let response: String?

    package init(at: Instant, status: Int?, latencyMilliseconds: Int64, error: String?, response: String?) {
        self.at = at
        self.status = status
        self.latencyMilliseconds = latencyMilliseconds
        self.error = error
        self.response = response
    }

    package var isSuccess: Bool { error == nil }

    /// The element of `attempts`.
    package var json: JSONValue {
        .object([
            "at": .string(at.description), "status": status.map { .integer(Int64($0)) } ?? .null,
            "latency_ms": .integer(latencyMilliseconds), "error": error.map { .string($0) } ?? .null,
            "response": response.map { .string($0) } ?? .null,
        ])
    }

    /// The beginning of a response's body as text that the database can store: bytes that are no UTF-8 become U+FFFD,
    /// and so does NUL.
    package static func excerpt(of bytes: some Collection<UInt8>) -> String {
        String(
            String.UnicodeScalarView(
                String(decoding: bytes.prefix(WebhookLimits.responseBytes), as: UTF8.self).unicodeScalars.map {
                    $0.value == 0 ? "\u{FFFD}" : $0
                }))
    }
}

/// A delivery as lists show it.
package struct WebhookDelivery: Sendable {
    package let number: Int64
    /// The account of the event; 0 for an event without an end user.
    package let account: AccountID
    /// The number of the event; 0 for a test event.
    package let eventSequence: Int64
    package let eventType: String
    package let endpointID: Bits128
    package let status: DeliveryStatus
    package let nextAttemptAt: Instant?
    /// A JSON array of attempts, the earliest first.
    package let attempts: String
    package let createdAt: Instant

    package init(
        number: Int64, account: AccountID, eventSequence: Int64, eventType: String, endpointID: Bits128,
        status: DeliveryStatus, nextAttemptAt: Instant?, attempts: String, createdAt: Instant
    ) {
        self.number = number
        self.account = account
        self.eventSequence = eventSequence
        self.eventType = eventType
        self.endpointID = endpointID
        self.status = status
        self.nextAttemptAt = nextAttemptAt
        self.attempts = attempts
        self.createdAt = createdAt
    }

    package var publicID: PublicID { PublicID(.webhookDelivery, account: account, number: number) }

    package var eventID: PublicID { Self.eventID(account: account, sequence: eventSequence, delivery: number) }

    /// The id of an event. A test event has none of its own and takes it from its delivery; no account has a negative
    /// number, so it is the id of no other event.
    package static func eventID(account: AccountID, sequence: Int64, delivery: Int64) -> PublicID {
        sequence > 0
            ? PublicID(.event, account: account, number: sequence)
            : PublicID(.event, account: AccountID(-1), number: delivery)
    }
}
