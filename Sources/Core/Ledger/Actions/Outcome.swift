package import Catalogue
package import Credits
package import Metering

/// The outcome of an action.
package enum Outcome: Hashable, Sendable {
    /// A grant or a top-up. The entry is nil if the grant starts later.
    case granted(GrantedBlock, Entry?, Balances)
    case used(Entry, Balances)
    case refunded(RefundResult, Balances)
    /// The credits that were taken back, in millicredits. The entry is nil if nothing was left, and for a block whose
    /// credits had not landed.
    case revoked(GrantedBlock, Int64, Entry?, Balances)
    /// The block of an upward adjustment; nil for a downward one.
    case adjusted(GrantedBlock?, Entry, Balances)
    /// The balances are the sender's.
    case transferred(TransferResult, Balances)
    case reserved(Reservation, Balances)
    case reservationChanged(Reservation, ReservationChange, Balances)
    case spendCapCreated(SpendCap)
    case spendCapDeleted
    /// The state is nil for a limit that was lifted. `created` is false if the end user had a limit with the key before.
    case limitSet(LimitKey, LimitState?, created: Bool)
    case limitDeleted
    /// `created` is false if the end user had a rule before.
    case autoTopUpSet(AutoTopUp, created: Bool)
    case autoTopUpDeleted
    /// The number of the request, and the state after its failure.
    case topUpRequestFailed(Int32, reason: String?, AutoTopUp)
    /// `created` is false if the end user existed before.
    case endUser(EndUserProfile, AccountSettings, created: Bool)
    case endUserErased(at: Instant)
    case advanced
    case subscribed(Subscription)
    case subscriptionChanged(Subscription)
    case refused(Refusal)
}

/// The distribution of a refund's credits.
package struct RefundResult: Hashable, Sendable {
    /// One entry for each reversed charge, at least one. A reservation with progress has several charges.
    package let entries: [Entry]
    /// The total of the refund in millicredits: credits returned, overage reduced, and credits forfeited.
    package let refunded: Int64
    /// The part that reduced the outstanding overage of the charge.
    package let overageReduced: Int64
    /// The part that belonged to revoked blocks.
    package let forfeited: Int64
    /// The new blocks for credits of expired blocks and of overage that was settled since.
    package let compensation: [GrantedBlock]
}

/// The two sides of a transfer.
package struct TransferResult: Hashable, Sendable {
    package let sent: Entry
    package let received: Entry
    /// The receiver's new blocks.
    package let blocks: [GrantedBlock]
    package let receiver: AccountID
}

/// The effect of an action on a reservation.
package struct ReservationChange: Hashable, Sendable {
    /// The amount that this action charged, in millicredits.
    package let charged: Int64
    /// The part of earlier charges that was given back, because a larger total costs less, in millicredits.
    package let refunded: Int64
    /// The part of the hold that was given back, in millicredits.
    package let returned: Int64
    /// The part of the charge that became overage, in millicredits.
    package let overage: Int64
    /// The entry of the charge or of the release; nil if the action wrote neither.
    package let entry: Entry?
}

/// The reason why an action was refused. The refused action has no effect. The cases are roughly in order of
/// precedence.
package enum Refusal: Error, Hashable, Sendable {
    case occurredTooLongAgo(Instant, now: Instant)
    case occursInTheFuture(Instant, now: Instant)
    case expiresInThePast(Instant, now: Instant)
    /// A duration from a start in the past ends by now.
    case endsInThePast(Instant, now: Instant)
    case expiresBeforeStart(Instant, start: Instant)
    /// A duration ends after `Instant.latest`.
    case expiresTooLate(now: Instant)
    /// The start is after `Instant.latest`.
    case startsTooLate(now: Instant)
    /// Time has more to do to the account than one step may cost. Nothing was decided, and a repetition goes on.
    case catchingUp
    case unknownEndUser
    case unknownPackage(PackageKey)
    case unknownReservation(Int32)
    case unknownSpendCap(Int32)
    case unknownLimit(LimitKey)
    /// The end user has no rule for automatic top-ups.
    case unknownAutoTopUp
    case unknownTopUpRequest
    /// The limit has a quota's key and is not a limit of units of that feature.
    case wrongQuota(LimitKey)
    case unknownBlock(Int32)
    /// The end user has no use or commit with this sequence.
    case unknownCharge(Int64)
    case unknownTestClock(PublicID)
    /// The end user has another clock, or the clock shows an instant before the account's.
    case testClockConflict
    /// Sender and receiver are on different clocks.
    case differentClocks
    case tooMany(TooMany)
    /// The override does not fit the type of the feature.
    case wrongOverride(FeatureKey)
    case reservationNotActive(Int32)
    /// The request for a top-up with this number has an answer already, or has lapsed.
    case topUpRequestAnswered(Int32, TopUpRequest.Status)
    /// A top-up with other contents was already applied for this payment.
    case paymentAlreadyApplied
    case alreadyRefunded(refundable: Int64)
    case unknownFeature(FeatureKey)
    case featureNotInPlan(FeatureKey)
    case featureNotPriced(FeatureKey)
    case subscriptionPaused(FeatureKey)
    case subscriptionPastDue(FeatureKey)
    case unknownVariant(VariantName)
    case unknownSubscription(Int32)
    /// The end user has a live subscription in the slot, with this number.
    case alreadySubscribed(PlanSlot, Int32)
    case invalidTransition(InvalidTransition)
    /// An instant of the request is not after now.
    case notInTheFuture(field: String, Instant, now: Instant)
    /// The rule asks for units where quantities were given or the reverse, or for other dimensions; or progress changed
    /// its measure.
    case wrongMeasure(WrongMeasure)
    /// A report of a job names no feature, or not one of these.
    case wrongJobFeature([FeatureKey])
    /// A cost, a balance or a total would leave ±(2^53 − 1).
    case amountOutOfRange(field: String)
    /// The use does not fit a limit. `required` is the cost in millicredits.
    case limitReached(FeatureKey, LimitState, required: Int64)
    case insufficientCredits(effectiveBalance: Int64, spendable: Int64, required: Int64)

    /// The end of the window of the limit that refused the action; nil for every other reason.
    package var resetsAt: Instant? {
        guard case .limitReached(_, let state, _) = self else { return nil }
        return state.resetsAt.map { min($0, .latest) }
    }

    /// The objects of which an account can have only a limited number.
    package enum TooMany: String, Hashable, Sendable {
        case limits, reservations, overrides, blocks, counters, subscriptions
    }
}
