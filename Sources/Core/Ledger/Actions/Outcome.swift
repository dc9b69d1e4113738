package import Credits
package import Metering

/// What became of an action.
package enum Outcome: Hashable, Sendable {
    /// A grant or a top-up.
    case granted(GrantedBlock, Entry, Balances)
    case used(Entry, Balances)
    case refunded(RefundResult, Balances)
    /// No entry when nothing was left to take back.
    case revoked(GrantedBlock, Entry?, Balances)
    /// The block that an adjustment upwards made.
    case adjusted(GrantedBlock?, Entry, Balances)
    /// The entry and the balances of the sender.
    case transferred(TransferResult, Balances)
    case reserved(Reservation, Balances)
    case reservationChanged(Reservation, ReservationChange, Balances)
    case spendCapCreated(SpendCap)
    case spendCapDeleted
    /// `created` is false when the end user was there before.
    case endUser(EndUserProfile, AccountSettings, created: Bool)
    case advanced
    case refused(Refusal)
}

/// Where the credits of a refund went.
package struct RefundResult: Hashable, Sendable {
    /// One for each charge that was reversed, at least one: a reservation with progress was charged several times.
    package let entries: [Entry]
    /// Everything that the refund counts for: what went back, what paid debt, what was forfeited; mc.
    package let refunded: Int64
    /// What reduced the outstanding overage of the charge.
    package let overageReduced: Int64
    /// What its revoked blocks would have got.
    package let forfeited: Int64
    /// New blocks in place of expired ones and of overage that was settled since.
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

/// What an action did to a reservation.
package struct ReservationChange: Hashable, Sendable {
    /// What this action charged, mc.
    package let charged: Int64
    /// What of the hold was given back, mc.
    package let returned: Int64
    /// What became overage, mc.
    package let overage: Int64
    /// The entry of the charge, or of the release.
    package let entry: Entry?
}

/// Why an action was refused. A refusal changes nothing. The cases stand roughly in the order of precedence.
package enum Refusal: Error, Hashable, Sendable {
    case occurredTooLongAgo(Instant, now: Instant)
    case occursInTheFuture(Instant, now: Instant)
    case expiresInThePast(Instant, now: Instant)
    case unknownEndUser
    case unknownPackage(PackageKey)
    case unknownReservation(Int32)
    case unknownSpendCap(Int32)
    case unknownBlock(Int32)
    /// No use or commit of the end user has that sequence.
    case unknownCharge(Int64)
    case unknownTestClock(PublicID)
    /// The clock is behind what has happened to the end user, or another one is attached.
    case testClockConflict
    /// Sender and receiver live by different clocks.
    case differentClocks
    case tooMany(TooMany)
    /// An override says of a feature what only another type of feature can have.
    case wrongOverride(FeatureKey)
    case reservationNotActive(Int32)
    /// The payment has been applied to a block with other contents.
    case paymentAlreadyApplied
    case alreadyRefunded(refundable: Int64)
    case unknownFeature(FeatureKey)
    case featureNotInPlan(FeatureKey)
    case featureNotPriced(FeatureKey)
    /// The rule asks for units where quantities were given, the other way round, or for another dimension.
    case wrongMeasure(WrongMeasure)
    /// A cost, a balance or a total would leave ±(2^53 − 1).
    case amountOutOfRange(field: String)
    case quotaExceeded(FeatureKey, QuotaState)
    case spendCapReached(SpendCapState, required: Int64)
    case insufficientCredits(effectiveBalance: Int64, spendable: Int64, required: Int64)

    /// What an account can have only so many of.
    package enum TooMany: String, Hashable, Sendable {
        case spendCaps, reservations, overrides, blocks
    }
}
