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
        case .endsInThePast(let instant, let now):
            self.init(
                at: "/expires_after", "must end in the future",
                "expires_after counted from starts_at ends at \(instant), which is not after now (\(now)). Send a longer duration or a later start."
            )
        case .expiresBeforeStart(let instant, let start):
            self.init(
                at: "/expires_at", "must be after starts_at",
                "expires_at is \(instant), which is not after starts_at (\(start)). Send a later instant.")
        case .expiresTooLate(let now):
            self.init(
                at: "/expires_after", "must end by \(Instant.latest)",
                "expires_after counted from starts_at, or from now (\(now)), ends after \(Instant.latest), the last instant that can be written. Send a shorter duration."
            )
        case .startsTooLate(let now):
            self.init(
                at: "/starts_at", "must not be after \(Instant.latest)",
                "starts_at is after \(Instant.latest), the last instant that can be written (now is \(now)). Send an earlier instant."
            )
        case .catchingUp: self = .catchingUp
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
        case .unknownLimit(let key):
            self.init(
                .notFound,
                "The end user has no limit of its own with the key \(key.rawValue). GET the limits for those that apply."
            )
        case .unknownAutoTopUp: self = .unknownAutoTopUp
        case .unknownTopUpRequest: self = .unknownTopUpRequest
        case .topUpRequestAnswered(let number, let status):
            let id = PublicID(.topUpRequest, account: account, number: Int64(number))
            let state =
                switch status {
                case .open: "is open"
                case .paid: "was answered by a top-up"
                case .failed: "was answered by a failure"
                case .lapsed: "has lapsed after 24 hours"
                }
            self.init(
                .conflict, "The request \(id) \(state). Nothing was changed.")
        case .wrongQuota(let key):
            self.init(
                at: "/unit", "must be \"units\" for a quota",
                "A limit with the key \(key.rawValue) replaces a quota: it is in units and of that feature.")
        case .tooMany(.limits):
            self.init(
                .conflict,
                "At most \(Limit.maximumCount) limits can apply to an end user, quotas and spend caps included. Delete one first."
            )
        case .tooMany(.counters):
            self.init(
                .conflict,
                "The end user has \(UsageCounters.maximumOpen) open counters. Another value of a limit's attribute can be used when a window has ended."
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
        case .tooMany(.subscriptions):
            self.init(
                .conflict,
                "An end user can have at most \(Subscription.maximumLive) live subscriptions. Cancel one first.")
        case .tooMany(.overrides):
            self.init(
                .conflict, "An end user can have at most \(AccountSettings.maximumOverrides) feature overrides.",
                errors: [FieldError(pointer: "/feature_overrides", detail: "has too many items")])
        case .wrongOverride(let key):
            self = .wrongGrant(of: key, at: "/feature_overrides")
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
                "Neither a live subscription nor a feature override gives \(key.rawValue) to the end user.")
        case .subscriptionPaused(let key):
            self.init(
                .subscriptionPaused,
                "The subscription that includes \(key.rawValue) is paused. Resume it to use the feature.")
        case .subscriptionPastDue(let key):
            self.init(
                .subscriptionPastDue,
                "The subscription that includes \(key.rawValue) is past due and permits no use until it is renewed.")
        case .unknownVariant(let name): self = .unknownVariant(name, at: "/plan_variant_id")
        case .unknownSubscription: self = .unknownSubscription
        case .alreadySubscribed(let slot, let number):
            self.init(alreadySubscribed: number, in: slot, account: account)
        case .invalidTransition(let transition): self.init(transition, account: account)
        case .notInTheFuture(let field, let instant, let now):
            self.init(
                at: "/\(field)", "must be in the future",
                "\(field) is \(instant), which is not after now (\(now)). Send a later instant.")
        case .featureNotPriced(let key):
            self.init(
                .featureNotPriced,
                "\(key.rawValue) has no price for this request: it is not metered, no metering rule was in force at that time, or no price row matches the attributes. Create a rule with POST /v1/metering-rules."
            )
        case .wrongMeasure(let wrong): self.init(wrong)
        case .wrongJobFeature(let features):
            let names = features.map(\.rawValue).joined(separator: ", ")
            self.init(
                at: "/feature_key", "must be a feature of the reservation",
                "The reservation is for: \(names). Name one of them.")
        case .amountOutOfRange(let field): self.init(amountOutOfRange: "/\(field)")
        case .limitReached(let feature, let state, let required): self.init(feature, state, required: required)
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

    /// The problem of a use that does not fit a limit.
    private init(_ feature: FeatureKey, _ state: LimitState, required: Int64) {
        let key = state.applied.key
        var numbers = ["limit": state.limit.amount, "remaining": state.remaining, "used": state.used]
        var texts: [String: String?] = ["limit_key": key.rawValue]
        if let resetsAt = state.resetsAt { texts["resets_at"] = resetsAt.description }
        if state.limit.per != nil { texts["per_value"] = .some(state.value) }
        let until = state.resetsAt.map { " until \($0)" } ?? ""
        let (code, sentence): (ProblemCode, String) =
            switch (state.applied.face, state.limit.unit) {
            case (.quota, _):
                (
                    .quotaExceeded,
                    "\(state.used) of \(state.limit.amount) units of \(feature.rawValue) are used\(until)."
                )
            case (_, .credits):
                (
                    .spendCapReached,
                    "The request costs \(required) mc, but the limit \(key.rawValue) leaves \(state.remaining) mc\(until)."
                )
            case (_, .units):
                (.quotaExceeded, "The limit \(key.rawValue) leaves \(state.remaining) units\(until).")
            case (_, .concurrent):
                (
                    .quotaExceeded,
                    "\(state.used) of \(state.limit.amount) jobs that the limit \(key.rawValue) allows at once are running."
                )
            }
        if code == .spendCapReached { numbers["required"] = required }
        if case .cap = state.applied.face { texts["spend_cap_id"] = key.rawValue }
        self.init(code, sentence, numbers: numbers, texts: texts)
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
    package init(at pointer: String, _ detail: String, _ sentence: String? = nil) {
        self.init(
            .invalidRequest, sentence ?? "\(pointer) \(detail).", errors: [FieldError(pointer: pointer, detail: detail)]
        )
    }
}
