package import Credits

extension Subscription {
    /// The subscription at a past instant, as far as its row tells; nil before its start and after its end.
    ///
    /// A row has the present state and the last terms, and no earlier ones. The pause or the grace that runs is known from
    /// its beginning on, and so is the grace in which a subscription ended. Before that, the subscription counts as one that
    /// permits use. Variant and quantity are those that it has, or had at its end.
    package func standing(at instant: Instant) -> Subscription? {
        guard status != .scheduled, startsAt <= instant else { return nil }
        if let endedAt, endedAt <= instant { return nil }
        var past = self
        if let pause, instant < pause.at {
            past.status = pause.statusBefore
            past.pause = nil
        }
        if past.status.isFinal { past.status = graceEndsAt == nil ? .active : .pastDue }
        if past.status == .pastDue, instant < period.end { past.status = periodIndex == 0 ? .trialing : .active }
        return past
    }
}
