import Catalogue
import Credits
import Testing

@testable import Ledger

@Suite("Forecasts of subscriptions")
struct SubscriptionForecastTests {
    /// An end user whose third subscription is live: a month that falls back to a free plan. The add-on, with number 3, has
    /// ended.
    private func scene() throws -> (alice: Subscriber, free: PublicID) {
        var alice = Subscriber()
        let free = try alice.variant(monthly([try period(10)], .postpaid))
        var terms = monthly([try period(1_000)])
        terms.fallbackVariantID = free
        let pro = try alice.variant(terms)
        let addOn = try alice.variant(monthly([try period(5)]), slot: "more")
        try alice.subscribe(free, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-10T00:00:00Z", .subscription(1, .cancel(.now, revokesCredits: false)))
        try alice.subscribe(pro, at: "2026-01-10T00:00:00Z")
        try alice.subscribe(addOn, at: "2026-01-10T00:00:00Z")
        try alice.at("2026-01-11T00:00:00Z", .subscription(3, .cancel(.now, revokesCredits: false)))
        return (alice, free)
    }

    @Test("A forecast names a new subscription by the number that it gets, and tells what time then does")
    func upcoming() throws {
        var (alice, free) = try scene()
        let now = try #require(Instant(rfc3339: "2026-01-12T00:00:00Z"))
        let forecast = alice.draft.account.upcoming(events: 6, of: 2, latest: 3, alice.catalogue, at: now)
        let (entries, events) = (alice.draft.entries.count, alice.draft.events.count)
        try alice.pass(to: forecast.at.description)
        func told(_ events: some Sequence<Event>) -> [String] {
            events.map { "\($0.content.type.rawValue) \($0.at) \($0.content.storedJSON(of: AccountID(1)))" }
        }
        let happened = told(alice.draft.events.dropFirst(events))
        #expect(told(forecast.events) == happened && happened.count >= 6)
        #expect(
            forecast.entries.map { "\($0.type) \($0.amount) \($0.effectiveAt)" }
                == alice.draft.entries.dropFirst(entries).map { "\($0.type) \($0.amount) \($0.effectiveAt)" })
        let fallback = try alice.subscription(4)
        let ended = try alice.subscription(2)
        #expect(fallback.variant.id == free && forecast.subscription == ended)
        #expect(forecast.balances == alice.draft.account.balances)
    }

    @Test(
        "What time has done by the instant of a forecast is not in it, and a subscription that it has made can be changed"
    )
    func overdue() throws {
        let (alice, free) = try scene()
        let now = try #require(Instant(rfc3339: "2026-02-20T00:00:00Z"))
        // Nothing was written since January, and the month and its grace are over.
        let account = alice.draft.account
        let change = SubscriptionAction.change(SubscriptionChange(quantity: 3, timing: .now))
        let (outcome, forecast) = account.preview(change, of: 4, latest: 3, alice.catalogue, at: now)
        guard case .subscriptionChanged(let changed) = outcome else { throw ScriptError("\(outcome)") }
        #expect(changed.number == 4 && changed.variant.id == free && changed.quantity == 3)
        #expect(forecast.events.map(\.content.type) == [.subscriptionChanged])
        #expect(forecast.entries.map(\.type) == [.grant])
        #expect(forecast.subscription == changed)
        #expect(
            account.upcoming(events: 2, of: 4, latest: 3, alice.catalogue, at: now).events.first.map { $0.at > now }
                == true)
    }
}
