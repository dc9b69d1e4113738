import Catalogue
import Credits
import Metering
import Testing

@testable import Ledger

@Suite("Grants of subscriptions")
struct SubscriptionGrantTests {
    @Test("Unused credits roll over up to the cap, and the grant is cut to what may accumulate")
    func rollover() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            monthly(
                [
                    GrantLine(
                        credits: try mc(1_000), cadence: .period, expiry: .periodEnd,
                        rollover: GrantLine.Rollover(percentage: 50, cap: try mc(300)),
                        accumulationCap: try mc(1_200))
                ], .postpaid))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.use(500, at: "2026-01-10T00:00:00Z")
        try alice.pass(to: "2026-02-01T00:00:00Z")
        try alice.pass(to: "2026-03-01T00:00:00Z")
        #expect(
            alice.entries == [
                "grant 1000 2026-01-01T00:00", "use -500 2026-01-10T00:00", "expire -500 2026-02-01T00:00",
                "rollover 250 2026-02-01T00:00", "grant 950 2026-02-01T00:00", "expire -250 2026-03-01T00:00",
                "expire -950 2026-03-01T00:00", "rollover 300 2026-03-01T00:00", "grant 900 2026-03-01T00:00",
            ])
        #expect(alice.draft.account.lifetimeGranted.rawValue == 2_850)
        #expect(alice.violation == nil)
    }

    @Test("Recurring grants land from the start, independent of the periods, and in local days by the calendar")
    func recurring() throws {
        var alice = Subscriber()
        let fiveHours = try #require(CalendarDuration(iso8601: "PT5H"))
        let variant = try alice.variant(
            monthly(
                [
                    GrantLine(
                        credits: try mc(10), cadence: .every(fiveHours, anchor: .subscription), expiry: .nextGrant),
                    GrantLine(credits: try mc(7), cadence: .every(.day, anchor: .calendar), expiry: .nextGrant),
                ], .postpaid))
        try alice.subscribe(variant, at: "2026-01-01T01:00:00Z")
        try alice.use(4, at: "2026-01-01T02:00:00Z")
        try alice.pass(to: "2026-01-01T11:00:00Z")
        try alice.pass(to: "2026-01-02T00:00:00Z")
        #expect(
            alice.entries == [
                "grant 10 2026-01-01T01:00", "grant 7 2026-01-01T01:00", "use -4 2026-01-01T02:00",
                "expire -6 2026-01-01T06:00", "grant 10 2026-01-01T06:00", "expire -10 2026-01-01T11:00",
                "grant 10 2026-01-01T11:00", "expire -10 2026-01-01T16:00", "grant 10 2026-01-01T16:00",
                "expire -10 2026-01-01T21:00", "grant 10 2026-01-01T21:00", "expire -7 2026-01-02T00:00",
                "grant 7 2026-01-02T00:00",
            ])
        #expect(alice.violation == nil)
    }

    @Test("A window that opens with a use waits for it")
    func firstUse() throws {
        var alice = Subscriber()
        let fiveHours = try #require(CalendarDuration(iso8601: "PT5H"))
        let variant = try alice.variant(
            monthly(
                [
                    GrantLine(
                        credits: try mc(10), cadence: .every(fiveHours, anchor: .firstUse), expiry: .nextGrant)
                ], .postpaid))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.pass(to: "2026-01-03T00:00:00Z")
        #expect(alice.spendable == 10)
        try alice.use(4, at: "2026-01-03T07:00:00Z")
        #expect(alice.draft.account.blocks.first?.expiresAt?.description == "2026-01-03T12:00:00.000Z")
        try alice.pass(to: "2026-01-10T00:00:00Z")
        #expect(
            alice.entries == [
                "grant 10 2026-01-01T00:00", "use -4 2026-01-03T07:00", "expire -6 2026-01-03T12:00",
                "grant 10 2026-01-03T12:00",
            ])
        #expect(alice.violation == nil)
    }

    @Test("One jump of two years gives the entries and events of every day by itself")
    func oneJump() throws {
        var alice = Subscriber()
        let free = try alice.variant(
            monthly(
                [GrantLine(credits: try mc(5), cadence: .every(.day, anchor: .calendar), expiry: .nextGrant)], .postpaid
            ))
        var terms = monthly(
            [
                GrantLine(
                    credits: try mc(1_000), cadence: .period, expiry: .periodEnd,
                    rollover: GrantLine.Rollover(percentage: 30)),
                GrantLine(
                    credits: try mc(10),
                    cadence: .every(try #require(CalendarDuration(iso8601: "P10D")), anchor: .subscription),
                    expiry: .after(.month)),
            ], .postpaid)
        terms.trialDays = 10
        terms.fallbackVariantID = free
        let paid = try alice.variant(terms)
        try alice.at(
            "2026-01-31T13:00:00Z",
            .subscribe(
                NewSubscription(
                    variant: .id(paid), contract: Contract(periods: 6, onEnd: .expire, noticeDays: 20))))
        var (once, often) = (alice, alice)
        try once.pass(to: "2028-01-31T13:00:00Z")
        let start = try #require(Instant(rfc3339: "2026-01-31T13:00:00Z"))
        for hour in stride(from: 7, through: 730 * 24, by: 7) {
            try often.pass(to: start.adding(seconds: Int64(hour) * 3_600).description)
        }
        try often.pass(to: "2028-01-31T13:00:00Z")
        #expect(once.draft.entries.count > 500)
        let first = zip(once.entries, often.entries).first { $0 != $1 }
        #expect(first == nil && once.draft.entries.count == often.draft.entries.count)
        #expect(once.events == often.events)
        #expect(once.violation == nil && often.violation == nil)
    }

    // MARK: - Turns at their edges

    @Test("What a trial gave ends with it: nothing rolls over into period 1")
    func trialDoesNotRollOver() throws {
        var alice = Subscriber()
        var terms = monthly(
            [try every(10, "P1M", .subscription, .periodEnd, rollover: .init(percentage: 100))], .postpaid)
        terms.trialDays = 7
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.pass(to: "2026-01-08T00:00:00Z")
        #expect(alice.entries == ["grant 10 2026-01-01T00:00", "expire -10 2026-01-08T00:00"])
        #expect(alice.events.contains("subscription.activated 2026-01-08T00:00"))
    }

    @Test("Credits that were held over the end of their period expire when the hold ends, also in a later grace")
    func heldOverTheEnd() throws {
        var alice = Subscriber()
        var terms = VariantTerms(billingInterval: BillingInterval(.day), grants: [try period(100)])
        terms.gracePeriodDays = 10
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-01T01:00:00Z", .subscription(1, .renew))
        try alice.at("2026-01-01T02:00:00Z", hold(60, ttlSeconds: 604_800))
        try alice.pass(to: "2026-01-03T01:00:00Z")
        #expect(try alice.subscription().status == .pastDue)
        try alice.at("2026-01-03T02:00:00Z", .reservation(1, .release))
        #expect(alice.entries.last == "expire -60 2026-01-03T02:00" && alice.balance == 100)
        #expect(alice.violation == nil)
    }

    @Test("A hold that lapses at the end of a period gives credits back that roll over")
    func lapsesAtTheEnd() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            VariantTerms(
                billingInterval: BillingInterval(.day), billingMode: .postpaid, grants: [try period(100, rollover: 50)])
        )
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-01T12:00:00Z", hold(60, ttlSeconds: 43_200))
        try alice.pass(to: "2026-01-02T00:00:00Z")
        #expect(
            alice.entries.suffix(4) == [
                "release 0 2026-01-02T00:00", "expire -100 2026-01-02T00:00", "rollover 50 2026-01-02T00:00",
                "grant 100 2026-01-02T00:00",
            ])
        #expect(alice.violation == nil)
    }

    @Test("The expiry of credits that nobody used opens the window of their line at its instant")
    func windowOpensByExpiry() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            monthly(
                [try every(10, "PT5H", .firstUse, .after(try #require(CalendarDuration(iso8601: "P1D"))))], .postpaid))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.pass(to: "2026-01-02T01:00:00Z")
        #expect(Subscriber.short(try alice.subscription().lines[0].window?.end) == "2026-01-02T05:00")
    }

    @Test("Credits that waited for the end of grace land when the renewal comes")
    func waitsForRenewal() throws {
        var alice = Subscriber()
        var terms = VariantTerms(billingInterval: BillingInterval(.day), grants: [try every(10, "PT5H", .firstUse)])
        terms.allowsUsageWhileOverdue = false
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.use(4, at: "2026-01-01T21:00:00Z")
        try alice.pass(to: "2026-01-02T04:00:00Z")
        try alice.at("2026-01-02T05:00:00Z", .subscription(1, .renew))
        #expect(alice.entries.suffix(2) == ["expire -6 2026-01-02T02:00", "grant 10 2026-01-02T05:00"])
    }

    @Test("What rolls over until the next grant expires with it, and the cap is that of the old seats")
    func rolloverOfWindows() throws {
        var alice = Subscriber()
        let rollover = GrantLine.Rollover(percentage: 100, cap: try mc(4), expiry: .nextGrant)
        let variant = try alice.variant(
            VariantTerms(
                billingInterval: BillingInterval(.day), billingMode: .postpaid,
                grants: [try every(10, "P2D", .subscription, .periodEnd, rollover: rollover)]))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z", quantity: 2)
        try alice.at("2026-01-01T01:00:00Z", .subscription(1, .change(SubscriptionChange(quantity: 1))))
        try alice.pass(to: "2026-01-02T00:00:00Z")
        #expect(alice.entries.suffix(2) == ["expire -20 2026-01-02T00:00", "rollover 8 2026-01-02T00:00"])
        #expect(Subscriber.short(alice.draft.account.blocks.first?.expiresAt) == "2026-01-03T00:00")
    }

    @Test("Credits that are due at the very end of a pause land")
    func landsAtTheResume() throws {
        var alice = Subscriber()
        let variant = try alice.variant(monthly([try every(7, "P1D", .calendar)], .postpaid))
        try alice.subscribe(variant, at: "2026-01-01T12:00:00Z")
        let midnight = try #require(Instant(rfc3339: "2026-01-02T00:00:00Z"))
        try alice.at("2026-01-01T13:00:00Z", .subscription(1, .pause(until: midnight)))
        try alice.pass(to: "2026-01-02T00:00:00Z")
        #expect(alice.entries.last == "grant 7 2026-01-02T00:00")
    }

    @Test("Credits that had expired before a pause expire when their hold ends in it")
    func expiredBeforeThePause() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            VariantTerms(
                billingInterval: BillingInterval(.day), billingMode: .postpaid, grants: [try period(100)]))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-01T12:00:00Z", hold(60, ttlSeconds: 604_800))
        try alice.at("2026-01-02T01:00:00Z", .subscription(1, .pause(until: nil)))
        try alice.at("2026-01-02T02:00:00Z", .reservation(1, .release))
        #expect(alice.entries.last == "expire -60 2026-01-02T02:00" && alice.balance == 100)
    }

    @Test("A refund in a pause goes back to the frozen credits, whose expiry moves")
    func refundInAPause() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            VariantTerms(billingInterval: BillingInterval(.day), billingMode: .postpaid, grants: [try period(100)]))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.use(40, at: "2026-01-01T12:00:00Z")
        try alice.at("2026-01-01T13:00:00Z", .subscription(1, .pause(until: nil)))
        try alice.at("2026-01-05T00:00:00Z", .refund(Refund(account: AccountID(1), charge: 2, extent: .rest)))
        #expect(alice.draft.account.blocks.map(\.remaining.rawValue) == [100])
    }

    @Test("The credits of a window expire with it wherever its first use takes them")
    func firstUseTakesAll() throws {
        var alice = Subscriber()
        let variant = try alice.variant(monthly([try every(10, "PT5H", .firstUse)], .postpaid))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.use(10, at: "2026-01-01T01:00:00Z")
        try alice.at("2026-01-01T02:00:00Z", .refund(Refund(account: AccountID(1), charge: 2, extent: .rest)))
        #expect(Subscriber.short(alice.draft.account.blocks.first?.expiresAt) == "2026-01-01T06:00")
        var (sender, receiver) = (Subscriber(), Subscriber.other)
        sender.catalogue = alice.catalogue
        try sender.subscribe(variant, at: "2026-01-01T00:00:00Z")
        let now = try #require(Instant(rfc3339: "2026-01-01T01:00:00Z"))
        let transfer = Transfer(receiver: receiver.account.endUserID, credits: try mc(3))
        try sender.transfer(transfer, to: &receiver, now: now)
        #expect(Subscriber.short(receiver.account.blocks.first?.expiresAt) == "2026-01-01T06:00")
    }

    @Test("What is due at the instant of a command is told by it")
    func tellsAtOnce() throws {
        var alice = Subscriber()
        var terms = monthly([])
        terms.trialDays = 2
        let variant = try alice.variant(terms)
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        #expect(alice.events.last == "subscription.trial_ending 2026-01-01T00:00" && alice.violation == nil)
    }

    @Test("A commit takes from held blocks in the burn order of now, which a pause can change")
    func commitsInBurnOrder() throws {
        var alice = Subscriber()
        let week = try #require(CalendarDuration(iso8601: "P7D"))
        var terms = monthly([], .postpaid)
        terms.trialDays = 20
        terms.grants = [try every(10, "P1M", .subscription, .after(week))]
        let other = try alice.variant(terms, slot: "more")
        terms.grants = [try every(10, "P1M", .subscription, .after(try #require(CalendarDuration(iso8601: "P6D"))))]
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.subscribe(other, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-01T00:00:00Z", hold(20, ttlSeconds: 604_800))
        try alice.at("2026-01-01T00:00:00Z", .subscription(1, .pause(until: nil)))
        try alice.at("2026-01-03T00:00:00Z", .subscription(1, .resume))
        try alice.at("2026-01-03T00:00:00Z", .reservation(1, .commit(.measured(.units(10), .none), shortfall: nil)))
        let commit = try #require(alice.draft.entries.last { $0.type == .commit })
        #expect(commit.allocations.map(\.block) == [2])
    }

    @Test("The audit accepts a use at the instant of the renewal that then ends its credits")
    func usedAtTheRenewal() throws {
        var alice = Subscriber()
        var terms = monthly([])
        (terms.trialDays, terms.trialCredits) = (7, try mc(50))
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.use(10, at: "2026-01-02T00:00:00Z")
        try alice.at("2026-01-02T00:00:00Z", .subscription(1, .renew))
        #expect(alice.entries.last == "expire -40 2026-01-02T00:00" && alice.violation == nil)
    }

    @Test("A late renewal, whose period is over, leaves held credits expired")
    func heldOverALateRenewal() throws {
        var alice = Subscriber()
        var terms = VariantTerms(billingInterval: BillingInterval(.day), grants: [try period(100)])
        terms.gracePeriodDays = 3
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-01T02:00:00Z", hold(60, ttlSeconds: 604_800))
        try alice.at("2026-01-04T00:00:00Z", .subscription(1, .renew))
        try alice.at("2026-01-04T01:00:00Z", .reservation(1, .release))
        #expect(alice.entries.last == "expire -60 2026-01-04T01:00" && alice.balance == 100)
        #expect(alice.violation == nil)
    }

    @Test("The audit accepts that the credits of a late renewal pay overage")
    func settlesByALateRenewal() throws {
        var alice = Subscriber()
        alice.catalogue.config.overagePolicy = .allow
        try alice.subscribe(
            try alice.variant(VariantTerms(billingInterval: BillingInterval(.day), grants: [try period(10)])),
            at: "2026-01-01T00:00:00Z")
        try alice.use(15, at: "2026-01-01T01:00:00Z")
        try alice.at("2026-01-04T00:00:00Z", .subscription(1, .renew))
        #expect(alice.entries.suffix(2) == ["grant 10 2026-01-04T00:00", "settle 0 2026-01-04T00:00"])
        #expect(alice.violation == nil)
    }
}
