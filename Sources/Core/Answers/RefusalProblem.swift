package import Credits
package import Ledger
import Metering

extension Problem {
    /// The problem that a refusal of the ledger becomes.
    ///
    /// - Parameter account: The account that refused; it is part of the public ids of its reservations and spend caps.
    package init(_ refusal: Refusal, account: AccountID) {
        switch refusal {
        case .occurredTooLongAgo(let instant, let now):
            self.init(
                at: "/occurred_at", "must not be more than 35 days back",
                "occurred_at is \(instant), more than 35 days before now (\(now)). Events that old are not accepted.")
        case .occursInTheFuture(let instant, let now):
            self.init(
                at: "/occurred_at", "must not be more than 5 minutes ahead",
                "occurred_at is \(instant), more than 5 minutes after now (\(now)). Check the sender's clock.")
        case .expiresInThePast(let instant, let now):
            self.init(
                at: "/expires_at", "must be in the future",
                "expires_at is \(instant), which is not after now (\(now)). Send a later instant.")
        case .expiresTooLate(let now):
            self.init(
                at: "/expires_after", "must end by \(Instant.latest)",
                "expires_after counted from now (\(now)) ends after \(Instant.latest), the last instant that can be written. Send a shorter duration."
            )
        case .unknownEndUser: self = .unknownEndUser
        case .unknownPackage(let key):
            self = .unknownPackage(key)
            errors = [FieldError(pointer: "/package_key", detail: "is not a top-up package of this environment")]
        case .unknownReservation: self = .unknownReservation
        case .unknownSpendCap: self = .unknownSpendCap
        case .unknownBlock: self = .unknownBlock
        case .unknownCharge:
            self.init(
                .notFound, "The end user has no use or commit with that id. Send the id of a usage or of its entry.")
        case .unknownTestClock(let id):
            self.init(
                .notFound,
                "There is no test clock \(id) in this environment. Create one with POST /v1/test-clocks, or check the id.",
                errors: [FieldError(pointer: "/test_clock_id", detail: "is not a test clock of this environment")])
        case .testClockConflict:
            self.init(
                .conflict,
                "The test clock cannot be attached: the end user has another one, or its account is already past the instant that the clock shows.",
                errors: [FieldError(pointer: "/test_clock_id", detail: "cannot be attached")])
        case .differentClocks:
            self.init(
                .conflict,
                "The sender and the receiver are on different clocks. Both must be on the same clock for a transfer.")
        case .tooMany(.spendCaps):
            self.init(
                .conflict,
                "An end user can have at most \(SpendCap.maximumCount) spend caps. Delete one first."
            )
        case .tooMany(.reservations):
            self.init(
                .conflict,
                "An end user can have at most \(Reservation.maximumActive) active reservations, which together can hold parts of \(Reservation.maximumHeldParts) blocks. Commit or release some."
            )
        case .tooMany(.blocks):
            self.init(
                .conflict,
                "An end user can have at most \(Block.maximumOpen) open blocks of credits. Revoke some of them first.")
        case .tooMany(.overrides):
            self.init(
                .conflict, "An end user can have at most \(AccountSettings.maximumOverrides) feature overrides.",
                errors: [FieldError(pointer: "/feature_overrides", detail: "has too many items")])
        case .wrongOverride(let key):
            self.init(
                at: "/feature_overrides", "must fit the feature's type",
                "limit is only for features of type limit, quota only for metered features; \(key.rawValue) has another type."
            )
        case .reservationNotActive(let number):
            self.init(
                .reservationNotActive,
                "The reservation \(PublicID(.reservation, account: account, number: Int64(number))) is no longer active: it was committed or released, or its deadline has passed. Nothing was changed."
            )
        case .paymentAlreadyApplied:
            self.init(
                .paymentAlreadyApplied,
                "This external_payment_id was used before for a top-up with other contents. Nothing was changed.",
                errors: [FieldError(pointer: "/external_payment_id", detail: "was used for another top-up")])
        case .alreadyRefunded(let refundable):
            self.init(
                .alreadyRefunded,
                "The refund exceeds what is left of the charge: at most \(refundable) mc can be refunded.",
                numbers: ["refundable": refundable])
        case .unknownFeature(let key): self = .unknownFeature(key)
        case .featureNotInPlan(let key):
            self.init(
                .featureNotInPlan,
                "A feature override denies \(key.rawValue) to the end user. Change the override to allow the feature.")
        case .featureNotPriced(let key):
            self.init(
                .featureNotPriced,
                "\(key.rawValue) has no price for this request: it is not metered, no metering rule was in force at that time, or no price row matches the attributes. Create a rule with POST /v1/metering-rules."
            )
        case .wrongMeasure(let wrong): self.init(wrong)
        case .amountOutOfRange(let field): self.init(amountOutOfRange: "/\(field)")
        case .quotaExceeded(let key, let state):
            self.init(
                .quotaExceeded,
                "\(state.used) of \(state.quota.limit) units of \(key.rawValue) are used. The quota resets at \(state.window.end).",
                numbers: ["limit": state.quota.limit, "remaining": state.remaining, "used": state.used],
                texts: ["resets_at": state.window.end.description])
        case .spendCapReached(let state, let required):
            self.init(
                .spendCapReached,
                "The request costs \(required) mc, but the spend cap leaves \(state.remaining) mc until \(state.window.end).",
                numbers: ["remaining": state.remaining, "required": required],
                texts: [
                    "resets_at": state.window.end.description,
                    "spend_cap_id": PublicID(.spendCap, account: account, number: Int64(state.cap.number)).description,
                ])
        case .insufficientCredits(let effectiveBalance, let spendable, let required):
            self.init(
                .insufficientCredits, "It takes \(required) mc, and \(spendable) mc can be spent on it.",
                numbers: [
                    "effective_balance": effectiveBalance, "required": required, "spendable_balance": spendable,
                ])
        }
    }

    /// The problem of an entitlement check or a use whose demand its rule cannot price.
    package init(_ failure: EntitlementFailure) {
        switch failure {
        case .outOfRange: self.init(amountOutOfRange: "/units")
        case .wrongMeasure(let wrong): self.init(wrong)
        }
    }

    private init(amountOutOfRange pointer: String) {
        self.init(
            .amountOutOfRange,
            "The resulting amount would be outside ±9007199254740991 millicredits. Send a smaller amount.",
            errors: [FieldError(pointer: pointer, detail: "leads to an amount beyond ±9007199254740991")])
    }

    /// The problem of one wrong field.
    ///
    /// - Parameter sentence: The detail of the problem; nil means the pointer followed by `detail`.
    init(at pointer: String, _ detail: String, _ sentence: String? = nil) {
        self.init(
            .invalidRequest, sentence ?? "\(pointer) \(detail).", errors: [FieldError(pointer: pointer, detail: detail)]
        )
    }
}
