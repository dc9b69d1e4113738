package import Credits

/// What became of an action.
package enum Outcome: Hashable, Sendable {
    case granted(GrantedBlock, Entry, Balances)
    case used(Entry, Balances)
    /// `created` is false when the end user was there before.
    case endUser(EndUserProfile, created: Bool)
    case advanced
    case refused(Refusal)
}

/// Why an action was refused. A refusal changes nothing; the order of the cases is the order of precedence.
package enum Refusal: Error, Hashable, Sendable {
    case occurredTooLongAgo(Instant, now: Instant)
    case occursInTheFuture(Instant, now: Instant)
    case expiresInThePast(Instant, now: Instant)
    case unknownEndUser
    case unknownFeature(FeatureKey)
    case featureNotPriced(FeatureKey)
    /// A cost, a balance or a total would leave ±(2^53 − 1).
    case amountOutOfRange(field: String)
    case insufficientCredits(effectiveBalance: Int64, spendable: Int64, required: Int64)
}
