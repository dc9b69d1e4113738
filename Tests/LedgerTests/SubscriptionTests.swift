import Catalogue
import Credits
import Metering
import Testing

@testable import Ledger

@Suite("Subscriptions")
struct SubscriptionTests {
    private func mc(_ amount: Int64) throws -> Millicredits { try Millicredits(amount) }

    private func monthly(_ lines: [GrantLine], _ mode: BillingMode = .prepaid) -> VariantTerms {
        VariantTerms(billingInterval: BillingInterval(.month), billingMode: mode, grants: lines)
    }

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

    private func period(_ credits: Int64, rollover: Int32? = nil) throws -> GrantLine {
        GrantLine(
            credits: try mc(credits), cadence: .period, expiry: .periodEnd,
            rollover: rollover.map { GrantLine.Rollover(percentage: $0) })
    }

    private func every(
        _ credits: Int64, _ duration: String, _ anchor: GrantLine.Anchor, _ expiry: GrantLine.Expiry = .nextGrant,
        rollover: GrantLine.Rollover? = nil
    ) throws -> GrantLine {
        let duration = try #require(CalendarDuration(iso8601: duration))
        return GrantLine(
            credits: try mc(credits), cadence: .every(duration, anchor: anchor), expiry: expiry, rollover: rollover)
    }

    private func hold(_ units: Int64, ttlSeconds: Int64) -> AccountAction {
        .reserve(
            ReservationRequest(
                featureKey: Subscriber.calls, estimate: .measured(.units(units), .none), ttlSeconds: ttlSeconds))
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

    @Test("Erasing ends subscriptions first and takes no credits back")
    func erasure() throws {
        var alice = Subscriber()
        let variant = try alice.variant(monthly([try period(100)]))
        try alice.subscribe(variant, at: "2026-01-01T00:00:00Z")
        try alice.at("2026-01-02T00:00:00Z", .subscription(1, .cancel(.periodEnd, revokesCredits: true)))
        try alice.at("2026-01-03T00:00:00Z", .eraseEndUser)
        #expect(alice.balance == 100 && alice.entries == ["grant 100 2026-01-01T00:00"])
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
