import Catalogue
import Credits
import Testing

@testable import Ledger

@Suite("Subscriptions at past instants")
struct PastSubscriptionTests {
    private func status(of subscription: Subscription, at instant: String) throws -> SubscriptionStatus? {
        subscription.standing(at: try #require(Instant(rfc3339: instant)))?.status
    }

    private func subscribed(_ change: (inout VariantTerms) -> Void = { _ in }) throws -> Subscriber {
        var alice = Subscriber()
        var terms = monthly([try period(1_000)])
        change(&terms)
        try alice.subscribe(try alice.variant(terms), at: "2026-01-10T00:00:00Z")
        return alice
    }

    @Test("A pause that runs is known from its beginning on, and the subscription counts as active before it")
    func paused() throws {
        var alice = try subscribed()
        try alice.at("2026-01-20T00:00:00Z", .subscription(1, .pause(until: nil)))
        let subscription = try alice.subscription()
        #expect(try status(of: subscription, at: "2026-01-09T23:59:59Z") == nil)
        #expect(try status(of: subscription, at: "2026-01-10T00:00:00Z") == .active)
        #expect(try status(of: subscription, at: "2026-01-19T23:59:59Z") == .active)
        #expect(try status(of: subscription, at: "2026-01-20T00:00:00Z") == .paused)
        // The pause is over, and its row does not tell of it any more.
        try alice.at("2026-01-25T00:00:00Z", .subscription(1, .resume))
        #expect(try status(of: try alice.subscription(), at: "2026-01-20T00:00:00Z") == .active)
    }

    @Test("Grace is known from the boundary on, also when the subscription was paused in it or has ended by it")
    func grace() throws {
        var alice = try subscribed()
        try alice.pass(to: "2026-02-10T00:00:00Z")
        for change in ["paused", "ended"] {
            if change == "paused" { try alice.at("2026-02-11T00:00:00Z", .subscription(1, .pause(until: nil))) }
            if change == "ended" {
                try alice.at("2026-02-11T00:00:00Z", .subscription(1, .resume))
                try alice.pass(to: "2026-03-01T00:00:00Z")
            }
            let subscription = try alice.subscription()
            #expect(try status(of: subscription, at: "2026-02-09T23:59:59Z") == .active, "\(change)")
            #expect(try status(of: subscription, at: "2026-02-10T00:00:00Z") == .pastDue, "\(change)")
        }
        #expect(try alice.subscription().status == .expired)
        #expect(try status(of: try alice.subscription(), at: "2026-02-12T23:59:59Z") == .pastDue)
        #expect(try status(of: try alice.subscription(), at: "2026-02-13T00:00:00Z") == nil)
    }

    @Test("A trial and a subscription that was canceled permit use up to their ends, and a scheduled one is not there")
    func trialAndCancellation() throws {
        var alice = try subscribed { $0.trialDays = 5 }
        try alice.pass(to: "2026-01-16T00:00:00Z")
        #expect(try status(of: try alice.subscription(), at: "2026-01-14T00:00:00Z") == .trialing)
        #expect(try status(of: try alice.subscription(), at: "2026-01-15T00:00:00Z") == .pastDue)
        var bob = try subscribed()
        try bob.at("2026-01-20T00:00:00Z", .subscription(1, .cancel(.now, revokesCredits: false)))
        #expect(try status(of: try bob.subscription(), at: "2026-01-19T00:00:00Z") == .active)
        #expect(try status(of: try bob.subscription(), at: "2026-01-20T00:00:00Z") == nil)
        var later = try bob.subscription()
        later.status = .scheduled
        #expect(try status(of: later, at: "2026-01-19T00:00:00Z") == nil)
    }

    @Test("An explanation has the frozen credits of the subscriptions that permitted no use, and only theirs")
    func explanation() throws {
        var alice = try subscribed()
        try alice.at(
            "2026-01-11T00:00:00Z", .grant(Grant(credits: try mc(50), source: .promotional, expiry: .never)))
        try alice.at("2026-01-20T00:00:00Z", .subscription(1, .pause(until: nil)))
        let draft = alice.draft
        let granted = draft.grantedBlocks
        func explained(_ instant: String) throws -> LedgerExplanation {
            LedgerExplanation(
                account: draft.account.name, asOf: try #require(Instant(rfc3339: instant)),
                standing: PastStanding(
                    version: 2, balances: Balances(balance: 1_050, reserved: 0, frozen: 0, effective: 1_050),
                    overage: 0, lifetimeGranted: 1_050),
                blocks: granted.map { block in
                    BlockHistory(
                        granted: block,
                        parts: [
                            BlockHistory.Part(
                                type: .grant, amount: block.block.original.rawValue, held: 0, count: 1, first: 1,
                                last: 1)
                        ])
                }, holds: [], subscriptions: [try alice.subscription()])
        }
        for (instant, frozen) in [("2026-01-19T00:00:00Z", Int64(0)), ("2026-01-21T00:00:00Z", 1_000)] {
            let explanation = try explained(instant)
            #expect(explanation.standing.balances.frozen == frozen)
            #expect(explanation.standing.balances.effective == 1_050 - frozen)
            #expect(
                explanation.blocks.filter { explanation.isFrozen($0) }.map(\.remaining) == (frozen > 0 ? [1_000] : []))
            let account = try explanation.account(environmentID: EnvironmentID(1), settings: .none)
            #expect(account.balances == explanation.standing.balances)
            #expect(account.spendable(for: Subscriber.calls) == 1_050 - frozen)
        }
    }
}
