import Catalogue
import Credits
import JSON
import Ledger

/// Reads request bodies about subscriptions.
extension JSONReader {
    mutating func newSubscription() -> NewSubscription? {
        let variant = variantName()
        let quantity = optionalQuantity()
        let startsAt = optionalInstant("start_at")
        let trialDays = optionalInt64("trial_days", .plain, in: 0...Int64(VariantTerms.maximumTrialDays))
        let contract = optionalObject("contract") { $0.contract() }
        let metadata = metadata()
        guard let variant else { return nil }
        return NewSubscription(
            variant: variant, quantity: quantity ?? 1, startsAt: startsAt, trialDays: trialDays.map { Int32($0) },
            contract: contract, metadata: metadata)
    }

    private mutating func contract() -> Contract? {
        let periods = int64("periods", .plain, in: 1...Contract.maximumPeriods)
        let onEnd = choice("on_end", of: Contract.End.self)
        let noticeDays = optionalInt64("notice_days", .plain, in: Contract.noticeDays)
        guard let periods, let onEnd else { return nil }
        return Contract(
            periods: Int32(periods), onEnd: onEnd,
            noticeDays: noticeDays.map { Int32($0) } ?? Contract.defaultNoticeDays)
    }

    /// A change of the variant.
    ///
    /// - Parameter timing: The time of a change that states none.
    mutating func variantChange(by default: SubscriptionChange.Timing) -> SubscriptionAction? {
        let variant = variantName()
        let quantity = optionalQuantity()
        let timing = optionalChoice("effective", of: SubscriptionChange.Timing.self)
        let proration = optionalChoice("proration", of: SubscriptionChange.Proration.self)
        guard let variant else { return nil }
        return .change(
            SubscriptionChange(
                variant: variant, quantity: quantity, timing: timing ?? `default`, proration: proration ?? .credits))
    }

    mutating func quantityChange() -> SubscriptionAction? {
        let quantity = int64("quantity", .plain, in: Subscription.quantities)
        let timing = optionalChoice("effective", of: SubscriptionChange.Timing.self)
        let proration = optionalChoice("proration", of: SubscriptionChange.Proration.self)
        guard let quantity else { return nil }
        return .change(
            SubscriptionChange(quantity: Int32(quantity), timing: timing, proration: proration ?? .credits))
    }

    mutating func pause() -> SubscriptionAction { .pause(until: optionalInstant("resume_at")) }

    mutating func cancellation() -> SubscriptionAction {
        let timing = optionalChoice("at", of: SubscriptionChange.Timing.self)
        let revokesCredits = optionalBool("revoke_credits")
        return .cancel(timing ?? .periodEnd, revokesCredits: revokesCredits ?? false)
    }

    private mutating func variantName() -> VariantName? {
        string("plan_variant_id", expected: VariantKey.nameExpectation) { VariantName($0) }
    }

    private mutating func optionalQuantity() -> Int32? {
        optionalInt64("quantity", .plain, in: Subscription.quantities).map { Int32($0) }
    }
}
