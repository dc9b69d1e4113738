package import JSON

/// The error codes of the API. Each code has one status and one title, whatever the request.
package enum ProblemCode: String, Sendable, CaseIterable {
    case invalidRequest = "invalid_request"
    case unknownField = "unknown_field"
    case amountOutOfRange = "amount_out_of_range"
    case invalidCursor = "invalid_cursor"
    case unauthenticated
    case forbiddenScope = "forbidden_scope"
    case testModeOnly = "test_mode_only"
    case insufficientCredits = "insufficient_credits"
    case spendCapReached = "spend_cap_reached"
    case quotaExceeded = "quota_exceeded"
    case featureNotInPlan = "feature_not_in_plan"
    case subscriptionPaused = "subscription_paused"
    case subscriptionPastDue = "subscription_past_due"
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case requestTimeout = "request_timeout"
    case unknownFeature = "unknown_feature"
    case unknownEndUser = "unknown_end_user"
    case conflict
    case featureNotPriced = "feature_not_priced"
    case reservationNotActive = "reservation_not_active"
    case paymentAlreadyApplied = "payment_already_applied"
    case alreadyRefunded = "already_refunded"
    case invalidTransition = "invalid_transition"
    case alreadySubscribed = "already_subscribed"
    case bodyTooLarge = "body_too_large"
    case uriTooLong = "uri_too_long"
    case unsupportedMediaType = "unsupported_media_type"
    case expectationFailed = "expectation_failed"
    case idempotencyKeyReuse = "idempotency_key_reuse"
    case rateLimited = "rate_limited"
    case headersTooLarge = "headers_too_large"
    case unavailable
    case replicaBehind = "replica_behind"
    case internalError = "internal_error"
    case notImplemented = "not_implemented"

    package var status: UInt16 {
        switch self {
        case .invalidRequest, .unknownField, .amountOutOfRange, .invalidCursor: 400
        case .unauthenticated: 401
        case .insufficientCredits, .spendCapReached, .quotaExceeded: 402
        case .forbiddenScope, .testModeOnly, .featureNotInPlan, .subscriptionPaused, .subscriptionPastDue: 403
        case .notFound, .unknownFeature, .unknownEndUser: 404
        case .methodNotAllowed: 405
        case .requestTimeout: 408
        case .conflict, .featureNotPriced, .reservationNotActive, .paymentAlreadyApplied, .alreadyRefunded,
            .invalidTransition, .alreadySubscribed:
            409
        case .bodyTooLarge: 413
        case .uriTooLong: 414
        case .unsupportedMediaType: 415
        case .expectationFailed: 417
        case .idempotencyKeyReuse: 422
        case .rateLimited: 429
        case .headersTooLarge: 431
        case .internalError: 500
        case .notImplemented: 501
        case .unavailable, .replicaBehind: 503
        }
    }

    package var title: String {
        switch self {
        case .invalidRequest: "The request is not valid"
        case .unknownField: "The request has an unknown field"
        case .amountOutOfRange: "An amount is out of range"
        case .invalidCursor: "The cursor is not valid"
        case .unauthenticated: "The request has no valid API key"
        case .forbiddenScope: "The API key does not allow this"
        case .testModeOnly: "Only test environments allow this"
        case .insufficientCredits: "Not enough credits"
        case .spendCapReached: "A spend cap is reached"
        case .quotaExceeded: "The quota is used up"
        case .featureNotInPlan: "The end user does not have the feature"
        case .subscriptionPaused: "The subscription is paused"
        case .subscriptionPastDue: "The subscription is past due"
        case .notFound: "The resource does not exist"
        case .methodNotAllowed: "The endpoint does not have this method"
        case .requestTimeout: "The request took too long to arrive"
        case .unknownFeature: "There is no such feature"
        case .unknownEndUser: "There is no such end user"
        case .conflict: "The request conflicts with the current state"
        case .featureNotPriced: "The feature has no price"
        case .reservationNotActive: "The reservation has ended"
        case .paymentAlreadyApplied: "The payment was already applied"
        case .alreadyRefunded: "The refund exceeds what is left of the charge"
        case .invalidTransition: "The subscription's state does not allow this"
        case .alreadySubscribed: "The end user has a subscription already"
        case .bodyTooLarge: "The body is too large"
        case .uriTooLong: "The request line is too long"
        case .unsupportedMediaType: "The body must be JSON"
        case .expectationFailed: "The server cannot meet the expectation"
        case .idempotencyKeyReuse: "The idempotency key was used for another request"
        case .rateLimited: "Too many requests"
        case .headersTooLarge: "The headers are too large"
        case .unavailable: "The service is not available at the moment"
        case .replicaBehind: "The data of this node is not recent enough"
        case .internalError: "Internal server error"
        case .notImplemented: "The server does not have this function of HTTP"
        }
    }
}

/// An error answer: RFC 9457 problem details.
package struct Problem: Error, Hashable, Sendable {
    /// One problem with the request's body or with a parameter of its query.
    package struct FieldError: Hashable, Sendable {
        /// The place in the body (RFC 6901), or `/query/<name>`.
        package let pointer: String
        package let detail: String

        package init(pointer: String, detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    package var code: ProblemCode
    /// A text that says what was wrong, where, and what to do. It never contains a secret or a value of another tenant.
    package var detail: String
    package var errors: [FieldError]
    /// Further integer members, such as `required`.
    package var numbers: [String: Int64]
    /// Further text members, such as `outcome`; nil is written as null.
    package var texts: [String: String?]

    package init(
        _ code: ProblemCode, _ detail: String, errors: [FieldError] = [], numbers: [String: Int64] = [:],
        texts: [String: String?] = [:]
    ) {
        self.code = code
        self.detail = detail
        self.errors = errors
        self.numbers = numbers
        self.texts = texts
    }

    /// The problem that a JSON reader's findings make: the first in a sentence, the first twenty in `errors`.
    package init(_ problems: JSONProblems) {
        let code: ProblemCode =
            switch problems.code {
            case .invalidRequest: .invalidRequest
            case .unknownField: .unknownField
            case .amountOutOfRange: .amountOutOfRange
            }
        let errors = problems.problems.map { FieldError(pointer: $0.pointer, detail: $0.detail) }
        let first = errors.first.map { "\($0.pointer.isEmpty ? "The body" : $0.pointer) \($0.detail)." } ?? code.title
        self.init(code, first + Self.sentence(more: problems.count - 1, listed: errors.count), errors: errors)
    }

    /// The sentence about the problems after the first one; empty when there are none.
    private static func sentence(more: Int, listed: Int) -> String {
        switch more {
        case ..<1: ""
        case 1: " There is 1 more problem; see errors."
        case ..<listed: " There are \(more) more problems; see errors."
        default: " There are \(more) more problems; errors lists the first \(listed)."
        }
    }

    /// The refusal of an idempotency key that was used for another request.
    package static let keyReuse = Problem(
        .idempotencyKeyReuse,
        "This idempotency key was used before for a request with other contents. Use a new key for a new request.")

    /// The refusal of an idempotency key that a request of an end user has used who was erased since.
    package static let answerErased = Problem(
        .conflict,
        "This idempotency key was used before, and the answer was removed when its end user was erased. Nothing was changed. Use a new key for a new request."
    )

    /// The answer to a command that the ledger could not apply.
    package static let parked = Problem(
        .internalError,
        "The ledger could not apply the command and parked it for the operators of this installation. Nothing was changed."
    )

    /// The body as JSON. Members are in a fixed order; further members are sorted by name.
    package func json(requestID: String) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        write(into: &json)
        json.member("request_id", requestID)
        json.endObject()
        return json.bytes
    }

    /// Writes the members of the body without the request id, for an item of a batch.
    package func write(into json: inout JSONWriter) {
        json.member("type", "/docs/errors/\(code.rawValue)")
        json.member("title", code.title)
        json.member("status", Int64(code.status))
        json.member("code", code.rawValue)
        json.member("detail", detail)
        for (name, value) in numbers.sorted(by: { $0.key < $1.key }) {
            json.key(name)
            json.value(value)
        }
        for (name, value) in texts.sorted(by: { $0.key < $1.key }) {
            json.key(name)
            if let value { json.value(value) } else { json.null() }
        }
        json.key("errors")
        json.beginArray()
        for error in errors {
            json.beginObject()
            json.member("pointer", error.pointer)
            json.member("detail", error.detail)
            json.endObject()
        }
        json.endArray()
    }
}
