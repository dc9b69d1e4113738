package import Credits
package import Ledger
import Metering

extension Problem {
    /// What the ledger's refusal tells the client.
    ///
    /// - Parameter account: The account that refused; names what it has numbered.
    package init(_ refusal: Refusal, account: AccountID) {
        switch refusal {
        case .occurredTooLongAgo(let instant, let now):
            self.init(
                at: "/occurred_at", "must not be more than 35 days back",
                "occurred_at is \(instant), more than 35 days before now (\(now)). Older events are not taken.")
        case .occursInTheFuture(let instant, let now):
            self.init(
                at: "/occurred_at", "must not be more than 5 minutes ahead",
                "occurred_at is \(instant), more than 5 minutes ahead of now (\(now)). Check the sender's clock.")
        case .expiresInThePast(let instant, let now):
            self.init(
                at: "/expires_at", "must be in the future",
                "expires_at is \(instant), which is not after now (\(now)).")
        case .unknownEndUser: self = .unknownEndUser
        case .unknownPackage(let key):
            self = .unknownPackage(key)
            errors = [FieldError(pointer: "/package_key", detail: "is not a package of this environment")]
        case .unknownReservation: self = .unknownReservation
        case .unknownSpendCap: self = .unknownSpendCap
        case .unknownBlock: self = .unknownBlock
        case .unknownCharge:
            self.init(
                .notFound, "The end user has no use or commit with that id. Give the id of a usage or of its entry.")
        case .unknownTestClock(let id):
            self.init(
                .notFound, "There is no test clock \(id) in this environment.",
                errors: [FieldError(pointer: "/test_clock_id", detail: "is not a test clock of this environment")])
        case .testClockConflict:
            self.init(
                .conflict,
                "The end user cannot be put on that test clock: another one is attached, or it is behind what has happened to the end user.",
                errors: [FieldError(pointer: "/test_clock_id", detail: "cannot be attached")])
        case .differentClocks:
            self.init(
                .conflict,
                "The two end users live by different clocks. Credits move only between end users of the same clock.")
        case .tooMany(.spendCaps):
            self.init(
                .conflict,
                "The end user has \(SpendCap.maximumCount) spend caps, which is the most there may be. Delete one first."
            )
        case .tooMany(.reservations):
            self.init(.conflict, "The end user has too many active reservations. Commit or release some first.")
        case .tooMany(.blocks):
            self.init(
                .conflict, "The end user has \(Block.maximumOpen) blocks of credits, which is the most there may be.")
        case .tooMany(.overrides):
            self.init(
                .conflict, "That are too many feature overrides for one end user.",
                errors: [FieldError(pointer: "/feature_overrides", detail: "has too many items")])
        case .wrongOverride(let key):
            self.init(
                at: "/feature_overrides", "must fit the feature's type",
                "A number is for features of type limit, a quota for metered ones; \(key.rawValue) is of another type.")
        case .reservationNotActive(let number):
            self.init(
                .reservationNotActive,
                "The reservation \(PublicID(.reservation, account: account, number: Int64(number))) was committed or released, or its deadline has passed. Nothing was changed."
            )
        case .paymentAlreadyApplied:
            self.init(
                .paymentAlreadyApplied,
                "A top-up with this external_payment_id and other contents was applied before. Nothing was changed.",
                errors: [FieldError(pointer: "/external_payment_id", detail: "was used for another top-up")])
        case .alreadyRefunded(let refundable):
            self.init(
                .alreadyRefunded, "\(refundable) mc of the charge are left to refund.",
                numbers: ["refundable": refundable])
        case .unknownFeature(let key): self = .unknownFeature(key)
        case .featureNotInPlan(let key):
            self.init(
                .featureNotInPlan, "The end user does not have \(key.rawValue): a feature override switches it off.")
        case .featureNotPriced(let key):
            self.init(
                .featureNotPriced,
                "No metering rule for \(key.rawValue) prices that at that instant. Create one with POST /v1/metering-rules."
            )
        case .wrongMeasure(let wrong): self.init(wrong)
        case .amountOutOfRange(let field): self.init(amountOutOfRange: "/\(field)")
        case .quotaExceeded(let key, let state):
            self.init(
                .quotaExceeded,
                "\(state.used) of \(state.quota.limit) units of \(key.rawValue) are used until \(state.window.end).",
                numbers: ["limit": state.quota.limit, "remaining": state.remaining, "used": state.used],
                texts: ["resets_at": state.window.end.description])
        case .spendCapReached(let state, let required):
            self.init(
                .spendCapReached,
                "It costs \(required) mc, and the spend cap leaves \(state.remaining) mc until \(state.window.end).",
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

    /// What the rule that prices a demand says to it.
    package init(_ failure: EntitlementFailure) {
        switch failure {
        case .outOfRange: self.init(amountOutOfRange: "/units")
        case .wrongMeasure(let wrong): self.init(wrong)
        }
    }

    private init(amountOutOfRange pointer: String) {
        self.init(
            .amountOutOfRange, "The result would leave the range of amounts, ±9007199254740991 millicredits.",
            errors: [FieldError(pointer: pointer, detail: "leads to an amount beyond ±9007199254740991")])
    }

    /// One field that is wrong.
    ///
    /// - Parameter sentence: Pointer and detail when nil.
    init(at pointer: String, _ detail: String, _ sentence: String? = nil) {
        self.init(
            .invalidRequest, sentence ?? "\(pointer) \(detail).", errors: [FieldError(pointer: pointer, detail: detail)]
        )
    }
}
