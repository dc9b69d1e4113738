package import Catalogue
package import Credits

/// The entries and events that a change, or time, would make. They are made on a copy of the account, so the numbers of
/// their blocks mean nothing outside the forecast.
package struct SubscriptionForecast: Hashable, Sendable {
    package let entries: [Entry]
    package let events: [Event]
    /// The subscription afterwards; nil if there is none with the number.
    package let subscription: Subscription?
    package let balances: Balances
    /// The instant at which it ends.
    package let at: Instant

    /// The largest numbers of instants and of effects that a forecast goes through, so that its cost is bounded.
    fileprivate static let maximumSteps = 2_000
    fileprivate static let maximumEffects = 2_000
}

extension Account {
    /// Forecasts an action on a subscription. The code that decides the action decides the forecast too.
    ///
    /// - Parameter instant: The account's current instant, to which it was advanced.
    package func preview(
        _ action: SubscriptionAction, of number: Int32, _ catalogue: Catalogue, at instant: Instant
    ) -> (outcome: Outcome, forecast: SubscriptionForecast) {
        var draft = forecastDraft
        let outcome = draft.apply(
            .subscription(number, action), idempotencyKey: nil, catalogue: catalogue, now: instant)
        return (outcome, draft.forecast(of: number, at: instant))
    }

    /// The next things that time does to the account, until a number of events of the subscription and of what takes its
    /// place was met, or a bound of the cost.
    package func upcoming(events count: Int, of number: Int32, _ catalogue: Catalogue) -> SubscriptionForecast {
        var draft = forecastDraft
        var last = advancedTo
        for _ in 0..<SubscriptionForecast.maximumSteps where draft.events.count < count {
            guard let due = draft.account.subscriptionsDueAt, !draft.recorder.isFull else { break }
            last = max(last, due)
            draft.advance(to: last, in: catalogue)
        }
        return draft.forecast(of: number, at: last)
    }

    /// A draft of the account for changes that are never written. Its new blocks and subscriptions have numbers behind all
    /// that the account has.
    private var forecastDraft: AccountDraft {
        let latest = max(
            blocks.map(\.number).max() ?? 0, scheduled.map(\.number).max() ?? 0, subscriptions.map(\.number).max() ?? 0)
        let book = AccountBook(
            blockCount: latest, reservationCount: reservations.map(\.number).max() ?? 0, subscriptionCount: latest,
            lastHash: .zero, salt: .zero)
        var draft = AccountDraft(
            account: self, book: book,
            profile: EndUserProfile(name: nil, metadata: nil, createdAt: advancedTo, updatedAt: advancedTo))
        draft.recorder.isForecast = true
        draft.limitSteps(to: SubscriptionForecast.maximumEffects)
        return draft
    }
}

extension AccountDraft {
    fileprivate func forecast(of number: Int32, at instant: Instant) -> SubscriptionForecast {
        SubscriptionForecast(
            entries: entries, events: events,
            subscription: recorder.changedSubscriptions[number] ?? account.subscriptions[at: number],
            balances: account.balances, at: instant)
    }
}
