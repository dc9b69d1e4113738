import Catalogue
import Credits
import Metering
import Testing

@testable import Ledger

@Suite("Subscriptions")
struct SubscriptionTests {
    @Test("A prepaid month is renewed ahead, and its unused credits expire when the next one starts")
    func prepaid() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            monthly([GrantLine(credits: try mc(1_000), cadence: .period, expiry: .periodEnd)]))
        try alice.subscribe(variant, at: "2026-01-31T10:00:00Z")
        try alice.use(300, at: "2026-02-01T00:00:00Z")
        #expect(alice.balance == 700)
        try alice.at("2026-02-26T00:00:00Z", .subscription(1, .renew))
        try alice.pass(to: "2026-02-28T09:59:59Z")
        #expect(alice.balance == 700)
        try alice.pass(to: "2026-02-28T10:00:00Z")
        #expect(alice.balance == 1_000)
        // Nobody pays for the third month: grace of three days, and then the end.
        try alice.pass(to: "2026-03-31T10:00:00Z")
        let subscription = try alice.subscription()
        #expect(subscription.status == .pastDue && subscription.period.end.description == "2026-03-31T10:00:00.000Z")
        #expect(alice.balance == 1_000)
        try alice.pass(to: "2026-05-01T00:00:00Z")
        #expect(
            alice.entries == [
                "grant 1000 2026-01-31T10:00", "use -300 2026-02-01T00:00", "expire -700 2026-02-28T10:00",
                "grant 1000 2026-02-28T10:00", "expire -1000 2026-04-03T10:00",
            ])
        #expect(
            alice.events == [
                "subscription.created 2026-01-31T10:00", "subscription.activated 2026-01-31T10:00",
                "subscription.renewal_due 2026-02-25T10:00", "subscription.changed 2026-02-26T00:00",
                "subscription.renewed 2026-02-28T10:00", "subscription.renewal_due 2026-03-28T10:00",
                "subscription.past_due 2026-03-31T10:00", "subscription.expired 2026-04-03T10:00",
            ])
        #expect(alice.violation == nil)
    }

    @Test("A renewal in grace starts the new period where the old one ended")
    func renewedInGrace() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            monthly([GrantLine(credits: try mc(1_000), cadence: .period, expiry: .periodEnd)]))
        try alice.subscribe(variant, at: "2026-01-15T00:00:00Z")
        try alice.use(100, at: "2026-02-16T00:00:00Z")
        try alice.at("2026-02-17T00:00:00Z", .subscription(1, .renew))
        let subscription = try alice.subscription()
        #expect(subscription.status == .active && subscription.periodIndex == 2)
        #expect(subscription.period.start.description == "2026-02-15T00:00:00.000Z")
        #expect(subscription.period.end.description == "2026-03-15T00:00:00.000Z")
        #expect(
            alice.entries == [
                "grant 1000 2026-01-15T00:00", "use -100 2026-02-16T00:00", "expire -900 2026-02-17T00:00",
                "grant 1000 2026-02-17T00:00",
            ])
        #expect(alice.violation == nil)
    }

    /// A month of tiers, of which the first ten units cost 2 each and further ones 1, and 60 days of grace.
    private func subscribedToTiers(at instant: String) throws -> Subscriber {
        var alice = Subscriber()
        let tiers = [Tier(upTo: 10, unitCost: try mc(2)), Tier(upTo: nil, unitCost: try mc(1))]
        alice.catalogue.insert(
            MeteringRule(
                id: PublicID(.rule, Bits128(high: 1, low: 2)), featureKey: Subscriber.calls, version: 2,
                price: Price(.graduated(tiers, scope: .period)),
                effectiveFrom: try #require(Instant(rfc3339: "2020-01-01T00:00:00Z"))))
        var terms = monthly([try period(1_000)])
        terms.gracePeriodDays = 60
        try alice.subscribe(try alice.variant(terms), at: instant)
        return alice
    }

    @Test("A pause in grace restarts no period tiers, and neither does the renewal after it")
    func tiersOfAPauseInGrace() throws {
        var alice = try subscribedToTiers(at: "2026-01-30T00:00:00Z")
        try alice.use(15, at: "2026-03-01T00:00:00Z")
        try alice.at("2026-03-05T00:00:00Z", .subscription(1, .pause(until: nil)))
        try alice.at("2026-03-06T00:00:00Z", .subscription(1, .resume))
        try alice.use(5, at: "2026-03-06T00:00:00Z")
        // A second pause moves the boundary again.
        try alice.at("2026-03-07T00:00:00Z", .subscription(1, .pause(until: nil)))
        try alice.at("2026-03-09T00:00:00Z", .subscription(1, .resume))
        try alice.use(5, at: "2026-03-09T00:00:00Z")
        try alice.at("2026-03-10T00:00:00Z", .subscription(1, .renew))
        #expect(try alice.subscription().period.start.description == "2026-03-03T00:00:00.000Z")
        try alice.use(5, at: "2026-03-10T00:00:00Z")
        try alice.at("2026-03-11T00:00:00Z", .subscription(1, .renew))
        try alice.use(5, at: "2026-04-03T00:00:00Z")
        #expect(alice.costs == [-25, -5, -5, -5, -10])
        #expect(alice.violation == nil)
    }

    @Test("Tiers of an unpaid period go on after a pause up to the boundary that the pause has moved")
    func tiersOfUnpaidPeriods() throws {
        var alice = try subscribedToTiers(at: "2025-12-30T00:00:00Z")
        // The second unpaid period begins on 28 February. A pause of three days moves the boundary to 2 March.
        try alice.use(15, at: "2026-02-27T00:00:00Z")
        try alice.use(15, at: "2026-03-01T00:00:00Z")
        try alice.at("2026-03-05T00:00:00Z", .subscription(1, .pause(until: nil)))
        try alice.pass(to: "2026-03-06T00:00:00Z")
        try alice.at("2026-03-08T00:00:00Z", .subscription(1, .resume))
        try alice.use(5, at: "2026-03-08T00:00:00Z")
        try alice.use(5, at: "2026-04-01T23:59:59Z")
        try alice.use(5, at: "2026-04-02T00:00:00Z")
        #expect(alice.costs == [-25, -25, -5, -5, -10])
        #expect(alice.violation == nil)
    }

    @Test("A trial gives its own credits, and then a prepaid subscription waits for its payment")
    func trial() throws {
        var alice = Subscriber()
        var terms = monthly([
            GrantLine(credits: try mc(1_000), cadence: .period, expiry: .periodEnd),
            GrantLine(credits: try mc(50), cadence: .activation, expiry: .never),
        ])
        terms.trialDays = 14
        terms.trialCredits = try mc(100)
        let variant = try alice.variant(terms)
        let subscription = try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        #expect(subscription.status == .trialing && subscription.periodIndex == 0)
        try alice.pass(to: "2026-01-16T00:00:00Z")
        #expect(try alice.subscription().status == .pastDue)
        #expect(alice.balance == 0)
        try alice.at("2026-01-16T12:00:00Z", .subscription(1, .renew))
        let renewed = try alice.subscription()
        #expect(renewed.periodIndex == 1 && renewed.period.start.description == "2026-01-15T00:00:00.000Z")
        #expect(alice.balance == 1_050)
        #expect(
            alice.events == [
                "subscription.created 2026-01-01T00:00", "subscription.trial_ending 2026-01-12T00:00",
                "subscription.past_due 2026-01-15T00:00", "subscription.activated 2026-01-16T12:00",
            ])
        #expect(alice.violation == nil)
    }

    @Test("A postpaid period ends with a summary of its usage, and its overage is settled")
    func postpaid() throws {
        var alice = Subscriber()
        var terms = monthly([GrantLine(credits: try mc(100), cadence: .period, expiry: .periodEnd)], .postpaid)
        terms.overagePolicy = .allow
        let variant = try alice.variant(terms)
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.use(250, at: "2026-01-20T00:00:00Z")
        #expect(alice.balance == -150)
        try alice.pass(to: "2026-02-01T00:00:00Z")
        #expect(
            alice.entries == [
                "grant 100 2026-01-01T00:00", "use -250 2026-01-20T00:00", "settle 150 2026-02-01T00:00",
                "grant 100 2026-02-01T00:00",
            ])
        guard case .subscription(.subscriptionRenewed, let event)? = alice.draft.events.last?.content else {
            Issue.record("no renewal")
            return
        }
        let summary = try #require(event.details.summary)
        #expect(summary.usage.map(\.units) == [250] && summary.usage.map(\.cost) == [250])
        #expect(summary.settledOverage == 150)
        #expect(alice.violation == nil)
    }

    @Test("An ended subscription falls back to the plan that its variant names")
    func fallback() throws {
        var alice = Subscriber()
        let free = try alice.variant(
            monthly([GrantLine(credits: try mc(5), cadence: .period, expiry: .periodEnd)], .postpaid))
        var terms = monthly([GrantLine(credits: try mc(1_000), cadence: .period, expiry: .periodEnd)])
        terms.fallbackVariantID = free
        let paid = try alice.variant(terms)
        try alice.subscribe(paid, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-10T00:00:00Z", .subscription(1, .cancel(.periodEnd, revokesCredits: false)))
        try alice.pass(to: "2026-02-01T00:00:00Z")
        #expect(try alice.subscription(1).status == .canceled)
        #expect(try alice.subscription(2).status == .active)
        #expect(
            alice.entries == [
                "grant 1000 2026-01-01T00:00", "expire -1000 2026-02-01T00:00", "grant 5 2026-02-01T00:00",
            ])
        #expect(
            alice.events.suffix(3) == [
                "subscription.canceled 2026-02-01T00:00", "subscription.fallback_started 2026-02-01T00:00",
                "subscription.activated 2026-02-01T00:00",
            ])
        #expect(alice.violation == nil)
    }

    @Test("A late advance falls back to the version of the instant at which the subscription ended")
    func lateFallback() throws {
        var alice = Subscriber()
        let free = try alice.variant(monthly([try period(5)], .postpaid))
        var terms = monthly([try period(1_000)])
        terms.fallbackVariantID = free
        let paid = try alice.variant(terms)
        try alice.subscribe(paid, at: "2026-01-01T00:00:00Z")
        let first = try #require(alice.catalogue.latestVariant(free))
        for (version, instant) in [(Int32(2), "2026-02-04T00:00:00Z"), (3, "2026-02-04T00:00:01Z")] {
            var newer = PlanVariant(
                id: free, planID: first.planID, version: version, name: "newer", terms: first.terms,
                updatedAt: Instant(rfc3339: instant))
            if version == 3 { newer.archivedAt = newer.updatedAt }
            alice.catalogue.insert(newer)
        }
        var plan = try #require(alice.catalogue.plans[first.planID])
        plan.archivedAt = Instant(rfc3339: "2026-02-05T00:00:00Z")
        alice.catalogue.insert(plan)
        // The grace ends on 4 February, and nobody looks before 10 February.
        var late = alice
        try late.pass(to: "2026-02-10T00:00:00Z")
        #expect(try late.subscription(2).variant == VariantReference(id: free, version: 2))
        // On a test clock the latest version counts, which is archived.
        var clocked = Subscriber()
        clocked.catalogue = alice.catalogue
        let clock = PublicID(.testClock, Bits128(high: 0, low: 9))
        clocked.catalogue.testClocks[clock] = Instant(rfc3339: "2026-01-01T00:00:00Z")
        try clocked.at("2026-01-01T00:00:00Z", .createEndUser(EndUserChange(testClock: clock)))
        try clocked.subscribe(paid, at: "2026-01-01T00:00:00Z")
        clocked.catalogue.testClocks[clock] = Instant(rfc3339: "2026-02-10T00:00:00Z")
        try clocked.pass(to: "2026-02-10T00:00:00Z")
        #expect(try clocked.subscription(1).status == .expired && clocked.draft.account.subscriptions.isEmpty)
    }

    @Test("An end user that is seen for the first time starts on the default plan, unless the command is refused")
    func defaultPlan() throws {
        var alice = Subscriber()
        alice.catalogue.config.defaultVariantID = try alice.variant(
            monthly([GrantLine(credits: try mc(20), cadence: .period, expiry: .periodEnd)], .postpaid))
        try alice.at("2026-01-01T00:00:00Z", .use(UsageEvent(featureKey: Subscriber.calls, units: 21)))
        #expect(alice.draft.profile == nil && alice.entries.isEmpty)
        try alice.use(3, at: "2026-01-02T00:00:00Z")
        #expect(alice.entries == ["grant 20 2026-01-02T00:00", "use -3 2026-01-02T00:00"])
        #expect(alice.violation == nil)
    }

    @Test("A contract that expires ends its subscription, and no period follows")
    func contractExpires() throws {
        var alice = Subscriber()
        let variant = try alice.variant(monthly([try period(100)], .postpaid))
        try alice.at(
            "2026-01-01T00:00:00Z",
            .subscribe(
                NewSubscription(variant: .id(variant), contract: Contract(periods: 1, onEnd: .expire, noticeDays: 5))))
        try alice.pass(to: "2026-03-01T00:00:00Z")
        #expect(try alice.subscription().status == .expired)
        #expect(alice.entries == ["grant 100 2026-01-01T00:00", "expire -100 2026-02-01T00:00"])
        #expect(alice.events.suffix(2) == ["contract.ended 2026-02-01T00:00", "subscription.expired 2026-02-01T00:00"])
        #expect(alice.violation == nil)
    }

    @Test("Nobody falls back to a variant of an archived plan")
    func archivedFallback() throws {
        var alice = Subscriber()
        let free = try alice.variant(monthly([try period(5)], .postpaid))
        var plan = try #require(alice.catalogue.latestVariant(free).flatMap { alice.catalogue.plan(of: $0) })
        plan.archivedAt = .epoch
        alice.catalogue.insert(plan)
        var terms = monthly([])
        terms.fallbackVariantID = free
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-02T00:00:00Z", .subscription(1, .cancel(.now, revokesCredits: false)))
        #expect(alice.events.last == "subscription.canceled 2026-01-02T00:00" && alice.entries.isEmpty)
    }

    @Test("The credits that end with the last period expire, before its overage is settled and others are revoked")
    func endsInOrder() throws {
        var alice = Subscriber()
        var terms = monthly(
            [try period(100), GrantLine(credits: try mc(7), cadence: .activation, expiry: .never)], .postpaid)
        terms.overagePolicy = .allow
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-03T00:00:00Z", .subscription(1, .cancel(.periodEnd, revokesCredits: true)))
        try alice.pass(to: "2026-02-01T00:00:00Z")
        #expect(alice.entries.suffix(2) == ["expire -100 2026-02-01T00:00", "revoke -7 2026-02-01T00:00"])
        #expect(alice.violation == nil)
    }

    @Test("Erasing ends subscriptions first and takes no credits back")
    func erasure() throws {
        var alice = Subscriber()
        let variant = try alice.variant(monthly([try period(100)]))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-02T00:00:00Z", .subscription(1, .cancel(.periodEnd, revokesCredits: true)))
        try alice.at("2026-01-03T00:00:00Z", .eraseEndUser)
        #expect(alice.balance == 100 && alice.entries == ["grant 100 2026-01-01T00:00"])
    }

    @Test("Usage of an earlier postpaid period is in no later summary")
    func staleUsage() throws {
        var alice = Subscriber()
        var free = monthly([], .postpaid)
        free.overagePolicy = .allow
        let (postpaid, prepaid) = (try alice.variant(free), try alice.variant(monthly([try period(100)])))
        try alice.subscribe(postpaid, at: "2026-01-01T00:00:00Z")
        try alice.use(30, at: "2026-01-02T00:00:00Z")
        func change(to variant: PublicID) -> AccountAction {
            .subscription(1, .change(SubscriptionChange(variant: .id(variant), timing: .now)))
        }
        try alice.at("2026-01-03T00:00:00Z", change(to: prepaid))
        try alice.at("2026-01-04T00:00:00Z", .subscription(1, .renew))
        try alice.at("2026-02-03T00:00:00Z", change(to: postpaid))
        try alice.pass(to: "2026-03-01T00:00:00Z")
        guard case .subscription(.subscriptionRenewed, let told)? = alice.draft.events.last?.content else {
            Issue.record("\(alice.events)")
            return
        }
        #expect(told.details.summary?.usage.isEmpty == true)
    }
}
