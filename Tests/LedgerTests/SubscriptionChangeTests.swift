import Catalogue
import Credits
import Metering
import Testing

@testable import Ledger

@Suite("Changes of subscriptions")
struct SubscriptionChangeTests {
    @Test("Upgrade, downgrade and upgrade again give the difference once")
    func proration() throws {
        var alice = Subscriber()
        let thirtyDays = BillingInterval(.day, count: 30)
        func terms(_ credits: Int64) throws -> VariantTerms {
            VariantTerms(
                billingInterval: thirtyDays,
                grants: [GrantLine(credits: try mc(credits), cadence: .period, expiry: .periodEnd)])
        }
        let (small, large) = (try alice.variant(try terms(100)), try alice.variant(try terms(1_000)))
        try alice.subscribe(small, at: "2026-01-01T00:00:00Z")
        func change(to variant: PublicID) -> AccountAction {
            .subscription(1, .change(SubscriptionChange(variant: .id(variant), timing: .now)))
        }
        for _ in 1...3 {
            try alice.at("2026-01-16T00:00:00Z", change(to: large))
            try alice.at("2026-01-16T00:00:00Z", change(to: small))
        }
        #expect(alice.entries == ["grant 100 2026-01-01T00:00", "grant 450 2026-01-16T00:00"])
        #expect(alice.balance == 550)
        #expect(alice.violation == nil)
    }

    @Test("A move names a version, keeps a later one, and leaves a subscription that has left the variant")
    func move() throws {
        var alice = Subscriber()
        func terms(_ credits: Int64) throws -> VariantTerms {
            monthly([GrantLine(credits: try mc(credits), cadence: .period, expiry: .periodEnd)])
        }
        let (pro, max) = (try alice.variant(try terms(100)), try alice.variant(try terms(10)))
        let first = try #require(alice.catalogue.latestVariant(pro))
        for version in 2...3 {
            alice.catalogue.insert(
                PlanVariant(
                    id: pro, planID: first.planID, version: Int32(version), name: "variant",
                    terms: try terms(Int64(version) * 100)))
        }
        func move(to version: Int32, of variant: PublicID) -> AccountAction {
            .subscription(
                1,
                .change(
                    SubscriptionChange(
                        variant: .id(variant), version: version, source: pro, timing: .now, proration: .restart)))
        }
        let start = "2026-01-01T00:00:00Z"
        try alice.subscribe(pro, at: start)
        #expect(try alice.subscription().variant.version == 3)
        try alice.at(start, move(to: 2, of: pro))
        #expect(try alice.subscription().variant == VariantReference(id: pro, version: 3))
        #expect(alice.entries == ["grant 300 2026-01-01T00:00"])
        #expect(
            try alice.at(start, move(to: 9, of: max)) == .refused(.unknownVariant(.id(max))), "an unknown version")
        try alice.at(start, move(to: 1, of: max))
        #expect(try alice.subscription().variant == VariantReference(id: max, version: 1))
        guard case .refused(.invalidTransition(let refusal)) = try alice.at(start, move(to: 2, of: pro)) else {
            Issue.record("the subscription has left the variant")
            return
        }
        #expect(refusal.obstacle == .otherVariant && alice.balance == 10)
        #expect(alice.violation == nil)
    }

    @Test("More seats count now, fewer with the next period, and every amount is multiplied")
    func quantity() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            VariantTerms(
                billingInterval: BillingInterval(.day, count: 30), billingMode: .postpaid,
                grants: [GrantLine(credits: try mc(100), cadence: .period, expiry: .periodEnd)]))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z", quantity: 2)
        try alice.at("2026-01-16T00:00:00Z", .subscription(1, .change(SubscriptionChange(quantity: 5))))
        #expect(alice.balance == 350)
        try alice.at("2026-01-17T00:00:00Z", .subscription(1, .change(SubscriptionChange(quantity: 1))))
        let pending = try #require(try alice.subscription().pendingChange)
        #expect(pending.quantity == 1 && alice.balance == 350)
        try alice.pass(to: "2026-01-31T00:00:00Z")
        #expect(alice.balance == 100)
        #expect(try alice.subscription().quantity == 1)
        #expect(alice.violation == nil)
    }

    @Test("A pause freezes the credits and moves what is to come")
    func pause() throws {
        var alice = Subscriber()
        let variant = try alice.variant(
            monthly([GrantLine(credits: try mc(1_000), cadence: .period, expiry: .periodEnd)], .postpaid))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-11T00:00:00Z", .subscription(1, .pause(until: nil)))
        #expect(alice.spendable == 0 && alice.draft.account.balances.frozen == 1_000)
        #expect(alice.draft.account.balances.effective == 0)
        try alice.pass(to: "2026-02-15T00:00:00Z")
        #expect(alice.balance == 1_000)
        try alice.at("2026-02-20T00:00:00Z", .subscription(1, .resume))
        let subscription = try alice.subscription()
        #expect(subscription.status == .active && alice.spendable == 1_000)
        // 40 days after 1 February.
        #expect(subscription.period.end.description == "2026-03-13T00:00:00.000Z")
        try alice.pass(to: "2026-03-13T00:00:00Z")
        #expect(alice.entries.suffix(2) == ["expire -1000 2026-03-13T00:00", "grant 1000 2026-03-13T00:00"])
        #expect(try alice.subscription().period.end.description == "2026-04-13T00:00:00.000Z")
        #expect(alice.violation == nil)
    }

    @Test(
        "A postpaid period that ends by a change to a prepaid variant is summed up and settled",
        arguments: [true, false])
    func leavesPostpaid(isRestart: Bool) throws {
        var alice = Subscriber()
        var terms = monthly([], .postpaid)
        terms.overagePolicy = .allow
        let (postpaid, prepaid) = (try alice.variant(terms), try alice.variant(monthly([])))
        try alice.subscribe(postpaid, at: "2026-01-01T00:00:00Z")
        try alice.use(30, at: "2026-01-02T00:00:00Z")
        let change = SubscriptionChange(
            variant: .id(prepaid), timing: isRestart ? .now : .periodEnd, proration: isRestart ? .restart : .credits)
        try alice.at("2026-01-03T00:00:00Z", .subscription(1, .change(change)))
        try alice.pass(to: "2026-02-01T00:00:00Z")
        #expect(alice.entries == ["use -30 2026-01-02T00:00", "settle 30 2026-0\(isRestart ? "1-03" : "2-01")T00:00"])
        let summaries = alice.draft.events.compactMap { event -> UsageSummary? in
            guard case .subscription(_, let told) = event.content else { return nil }
            return told.details.summary
        }
        #expect(summaries.map(\.settledOverage) == [30] && summaries.first?.usage.map(\.units) == [30])
        #expect(alice.violation == nil)
    }

    @Test("A renewal is due again after a withdrawn cancellation, and for the terms of a change")
    func renewalDueAgain() throws {
        var alice = Subscriber()
        let (postpaid, prepaid) = (try alice.variant(monthly([], .postpaid)), try alice.variant(monthly([])))
        try alice.subscribe(prepaid, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-02T00:00:00Z", .subscription(1, .cancel(.periodEnd, revokesCredits: false)))
        try alice.at("2026-01-03T00:00:00Z", .subscription(1, .uncancel))
        var other = alice
        try other.at(
            "2026-01-04T00:00:00Z", .subscription(1, .change(SubscriptionChange(variant: .id(postpaid), timing: .now))))
        try alice.pass(to: "2026-01-30T00:00:00Z")
        try other.pass(to: "2026-01-30T00:00:00Z")
        #expect(alice.events.last == "subscription.renewal_due 2026-01-29T00:00")
        #expect(!other.events.contains("subscription.renewal_due 2026-01-29T00:00"))
    }

    @Test("The notice of a contract's end counts from the end that a pause and other periods give it")
    func contractNotice() throws {
        var alice = Subscriber()
        let variant = try alice.variant(monthly([], .postpaid))
        try alice.at(
            "2026-01-28T00:00:00Z",
            .subscribe(
                NewSubscription(variant: .id(variant), contract: Contract(periods: 2, onEnd: .expire, noticeDays: 1))))
        try alice.at("2026-02-10T00:00:00Z", .subscription(1, .pause(until: nil)))
        try alice.at("2026-02-11T00:00:00Z", .subscription(1, .resume))
        // The moved end of period 1 is 1 March, so period 2 ends on 1 April.
        try alice.pass(to: "2026-04-01T00:00:00Z")
        #expect(alice.events.contains("contract.ending_soon 2026-03-31T00:00"))
    }

    @Test("The notice of a contract's end counts the periods to come by the interval of a change")
    func contractNoticeAfterChange() throws {
        var alice = Subscriber()
        let month = try alice.variant(monthly([], .postpaid))
        let week = try alice.variant(VariantTerms(billingInterval: BillingInterval(.week), billingMode: .postpaid))
        try alice.at(
            "2026-01-01T00:00:00Z",
            .subscribe(
                NewSubscription(variant: .id(month), contract: Contract(periods: 3, onEnd: .expire, noticeDays: 1))))
        try alice.at(
            "2026-01-02T00:00:00Z", .subscription(1, .change(SubscriptionChange(variant: .id(week), timing: .now))))
        // The month ends on 1 February, and two weeks follow.
        try alice.pass(to: "2026-02-15T00:00:00Z")
        #expect(alice.events.contains("contract.ending_soon 2026-02-14T00:00"))
        #expect(alice.events.last == "subscription.expired 2026-02-15T00:00")
    }

    @Test("The last period of a contract that expires cannot be renewed beyond")
    func lastOfContract() throws {
        func subscribed(_ end: Contract.End) throws -> Subscriber {
            var subscriber = Subscriber()
            let variant = try subscriber.variant(monthly([]))
            try subscriber.at(
                "2026-01-01T00:00:00Z",
                .subscribe(NewSubscription(variant: .id(variant), contract: Contract(periods: 2, onEnd: end))))
            try subscriber.at("2026-01-02T00:00:00Z", .subscription(1, .renew))
            return subscriber
        }
        var alice = try subscribed(.expire)
        guard
            case .refused(.invalidTransition(let refusal)) = try alice.at(
                "2026-02-02T00:00:00Z", .subscription(1, .renew))
        else { throw ScriptError("the renewal is not refused") }
        #expect(refusal.obstacle == .contractEnds)
        var bob = try subscribed(.renew)
        guard case .subscriptionChanged = try bob.at("2026-02-02T00:00:00Z", .subscription(1, .renew)) else {
            throw ScriptError("the renewal is refused")
        }
    }

    @Test("A renewal in the trial ends the trial")
    func renewedInTrial() throws {
        var alice = Subscriber()
        var terms = monthly([])
        terms.trialDays = 10
        try alice.subscribe(try alice.variant(terms), at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-04T00:00:00Z", .subscription(1, .renew))
        #expect(Subscriber.short(try alice.subscription().trialEndsAt) == "2026-01-04T00:00")
    }

    @Test("A line that a variant lacks for a while gives its credits once")
    func prorationOfLines() throws {
        var alice = Subscriber()
        let thirtyDays = BillingInterval(.day, count: 30)
        let long = try alice.variant(
            VariantTerms(billingInterval: thirtyDays, grants: [try period(10), try period(100)]))
        let short = try alice.variant(VariantTerms(billingInterval: thirtyDays, grants: [try period(10)]))
        try alice.subscribe(long, at: "2026-01-01T00:00:00Z")
        for variant in [short, long] {
            try alice.at(
                "2026-01-16T00:00:00Z",
                .subscription(1, .change(SubscriptionChange(variant: .id(variant), timing: .now))))
        }
        #expect(alice.balance == 110)
    }

    @Test("A change of the interval that is taken back leaves the anchor")
    func anchorStays() throws {
        var alice = Subscriber()
        let month = try alice.variant(monthly([], .postpaid))
        let week = try alice.variant(VariantTerms(billingInterval: BillingInterval(.week), billingMode: .postpaid))
        try alice.subscribe(month, at: "2026-01-31T00:00:00Z")
        for variant in [week, month] {
            try alice.at(
                "2026-02-01T00:00:00Z",
                .subscription(1, .change(SubscriptionChange(variant: .id(variant), timing: .now))))
        }
        try alice.pass(to: "2026-02-28T00:00:00Z")
        #expect(Subscriber.short(try alice.subscription().period.end) == "2026-03-31T00:00")
    }

    @Test("What a change to a prepaid variant has summed up is in no later summary of the same period")
    func summariesOfAPeriod() throws {
        var alice = Subscriber()
        let postpaid = try alice.variant(monthly([try period(1_000)], .postpaid))
        let prepaid = try alice.variant(monthly([try period(1_000)]))
        try alice.subscribe(postpaid, at: "2026-01-01T00:00:00Z")
        try alice.use(15, at: "2026-01-02T00:00:00Z")
        for (variant, day, units) in [(prepaid, "03", Int64(7)), (postpaid, "05", 4)] {
            try alice.at(
                "2026-01-\(day)T00:00:00Z",
                .subscription(1, .change(SubscriptionChange(variant: .id(variant), timing: .now))))
            try alice.use(units, at: "2026-01-\(day)T12:00:00Z")
        }
        try alice.pass(to: "2026-02-01T00:00:00Z")
        let summaries = alice.draft.events.compactMap { event -> [Int64]? in
            guard case .subscription(_, let told) = event.content else { return nil }
            return told.details.summary?.usage.map(\.units)
        }
        #expect(summaries == [[15], [4]])
    }

    @Test("In a trial a change of quantity that names the same variant waits for period 1")
    func quantityInTrial() throws {
        var alice = Subscriber()
        var terms = monthly([])
        terms.trialDays = 7
        let variant = try alice.variant(terms)
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z", quantity: 3)
        try alice.at(
            "2026-01-02T00:00:00Z",
            .subscription(1, .change(SubscriptionChange(variant: .id(variant), quantity: 2, timing: .periodEnd))))
        let subscription = try alice.subscription()
        #expect(subscription.quantity == 3 && subscription.pendingChange?.quantity == 2)
    }
}
