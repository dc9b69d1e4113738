package import Catalogue
package import Credits

/// The entries and events that a change, or time, would make. They are made on a copy of the account: the numbers of their
/// blocks mean nothing outside the forecast. A new subscription has the number that it gets unless another one is made
/// first.
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
    /// Forecasts an action on a subscription. The code that decides the action decides the forecast too. The
    /// forecast leaves out what time has done by the instant.
    ///
    /// - Parameters:
    ///   - latest: The number of the account's latest stored subscription.
    ///   - instant: The account's current instant.
    package func preview(
        _ action: SubscriptionAction, of number: Int32, latest: Int32, _ catalogue: Catalogue, at instant: Instant
    ) -> (outcome: Outcome, forecast: SubscriptionForecast) {
        var draft = ForecastDraft(self, latest: latest, catalogue, at: instant)
        let outcome = draft.draft.apply(
            .subscription(number, action), idempotencyKey: nil, catalogue: catalogue, now: instant)
        return (outcome, draft.forecast(of: number, at: instant))
    }

    /// The next things that time does to the account after an instant, until a number of events of the subscription and of
    /// what takes its place was met, or a bound of the cost.
    ///
    /// - Parameters:
    ///   - latest: The number of the account's latest stored subscription.
    ///   - instant: The account's current instant.
    package func upcoming(
        events count: Int, of number: Int32, latest: Int32, _ catalogue: Catalogue, at instant: Instant
    ) -> SubscriptionForecast {
        var draft = ForecastDraft(self, latest: latest, catalogue, at: instant)
        var last = instant
        for _ in 0..<SubscriptionForecast.maximumSteps where draft.events.count < count {
            guard let due = draft.draft.account.subscriptionsDueAt, !draft.draft.recorder.isFull else { break }
            last = max(last, due)
            draft.draft.advance(to: last, in: catalogue)
        }
        return draft.forecast(of: number, at: last)
    }
}

/// A draft of an account for changes that are never written. Its new blocks have numbers behind all that the account has.
private struct ForecastDraft {
    var draft: AccountDraft
    /// The numbers of entries and events that time has made by the instant of the forecast.
    private let past: (entries: Int, events: Int)

    init(_ account: Account, latest: Int32, _ catalogue: Catalogue, at instant: Instant) {
        let book = AccountBook(
            blockCount: max(
                account.blocks.map(\.number).max() ?? 0, account.scheduled.map(\.number).max() ?? 0),
            reservationCount: account.reservations.map(\.number).max() ?? 0,
            subscriptionCount: max(latest, account.subscriptions.map(\.number).max() ?? 0), lastHash: .zero,
            salt: .zero)
        draft = AccountDraft(
            account: account, book: book,
            profile: EndUserProfile(
                name: nil, metadata: nil, createdAt: account.advancedTo, updatedAt: account.advancedTo))
        draft.recorder.isForecast = true
        draft.limitSteps()
        draft.advance(to: instant, in: catalogue)
        past = (draft.entries.count, draft.events.count)
        draft.limitSteps(to: SubscriptionForecast.maximumEffects)
    }

    var events: [Event] { Array(draft.events.dropFirst(past.events)) }

    func forecast(of number: Int32, at instant: Instant) -> SubscriptionForecast {
        SubscriptionForecast(
            entries: Array(draft.entries.dropFirst(past.entries)), events: events,
            subscription: draft.recorder.changedSubscriptions[number] ?? draft.account.subscriptions[at: number],
            balances: draft.account.balances, at: instant)
    }
}
