import Credits
import LedgerModel
import Testing

/// The model's subscriptions, by examples that were computed by hand. All times are in days after 1 April 2026, UTC, and
/// April has 30 days.
@Suite("The model follows the rules of subscriptions")
struct SubscriptionModelTests {
    // MARK: - Proration

    @Test("Upgrade, downgrade now and upgrade again on day 15 of 30 from 100 to 1,000 gives 550 once")
    func boundedProration() {
        var scene = ModelScene([1: .monthly(100), 2: .monthly(1_000)])
        scene.subscribe(1)
        scene.at(15, .change(1, .init(.upgrade, variant: 2)))
        #expect(scene.ledger.balance == 550)
        var down = ModelSubscriptionAct.Change(.downgrade, variant: 1)
        down.effective = .now
        scene.at(15, .change(1, down))
        scene.at(15, .change(1, .init(.upgrade, variant: 2)))
        #expect(scene.ledger.balance == 550)
        #expect(scene.entries == ["grant 100 l0 p1", "grant 450 l0 p1"])
        // Both blocks end with the period.
        #expect(scene.ledger.blocks.map(\.expiresAt) == [scene.day(30), scene.day(30)])
    }

    @Test("More seats give the difference for the rest of the period, rounded down once per line")
    func seats() {
        var variant = ModelVariant.monthly(100)
        variant.lines.append(ModelLine(7, .period))
        var scene = ModelScene([1: variant])
        scene.subscribe(1)
        scene.at(20, .change(1, .init(.quantity, quantity: 4)))
        // 300 × 10/30 and 21 × 10/30.
        #expect(scene.entries == ["grant 100 l0 p1", "grant 7 l1 p1", "grant 100 l0 p1", "grant 7 l1 p1"])
        scene.at(20, .change(1, .init(.quantity, quantity: 2)))
        #expect(scene.state.pending == .init(variant: 1, quantity: 2))
        scene.at(21, .renew(1))
        scene.advance(30)
        #expect(scene.state.quantity == 2 && scene.ledger.balance == 214)
    }

    @Test("A downgrade waits for the period's end, can be withdrawn, and is dropped by a change now")
    func pending() {
        var scene = ModelScene([1: .monthly(100), 2: .monthly(1_000), 3: .monthly(10)])
        scene.subscribe(2)
        scene.at(1, .change(1, .init(.downgrade, variant: 1)))
        scene.at(2, .withdrawChange(1))
        scene.refuses(2, .withdrawChange(1), "invalid_transition")
        scene.at(3, .change(1, .init(.downgrade, variant: 3)))
        scene.at(4, .change(1, .init(.downgrade, variant: 1)))
        scene.at(5, .renew(1))
        scene.advance(30)
        #expect(scene.state.variant == 1 && scene.ledger.balance == 100)
        scene.at(31, .change(1, .init(.downgrade, variant: 3)))
        scene.at(31, .change(1, .init(.upgrade, variant: 2)))
        #expect(scene.state.pending == nil && scene.state.variant == 2)
    }

    @Test("A restart revokes what is left and begins a new period with full grants")
    func restart() {
        var scene = ModelScene([1: .monthly(100), 2: .monthly(1_000)])
        scene.subscribe(1)
        scene.use(10, 30)
        var change = ModelSubscriptionAct.Change(.upgrade, variant: 2)
        change.restarts = true
        scene.at(10, .change(1, change))
        #expect(scene.entries == ["grant 100 l0 p1", "use -30", "revoke -70 l0 p1", "grant 1000 l0 p2"])
        #expect(scene.state.index == 2 && scene.state.start == scene.day(10) && scene.state.end == scene.day(40))
    }

    @Test("An upgrade gives an every line the difference for the rest of its window")
    func windowProration() {
        let every = ModelLine.Cadence.every(ModelDuration(seconds: 5 * 3_600), .subscription)
        var scene = ModelScene([
            1: .monthly([ModelLine(10, every, expires: .nextGrant)]),
            2: .monthly([ModelLine(60, every, expires: .nextGrant)]),
        ])
        scene.subscribe(1)
        scene.at(0, hours: 1, .change(1, .init(.upgrade, variant: 2)))
        #expect(scene.ledger.balance == 50)
        scene.advance(0, hours: 5)
        #expect(scene.ledger.balance == 60)
        // More seats change an every line from its next landing on.
        scene.at(0, hours: 6, .change(1, .init(.quantity, quantity: 2)))
        #expect(scene.ledger.balance == 60)
        scene.advance(0, hours: 10)
        #expect(scene.ledger.balance == 120)
    }

    // MARK: - Lines

    @Test("Rollover gives a percentage of what is left, at most the cap, and does not count as granted")
    func rollover() {
        var line = ModelLine(1_000, .period)
        line.rollover = .init(percentage: 50, cap: 300)
        var scene = ModelScene([1: .monthly([line])])
        scene.subscribe(1)
        scene.use(1, 200)
        scene.at(2, .renew(1))
        scene.advance(30)
        #expect(
            scene.entries == [
                "grant 1000 l0 p1", "use -200", "expire -800", "rollover 300 l0 p2", "grant 1000 l0 p2",
            ])
        #expect(scene.ledger.lifetime == 2_000 && scene.ledger.balance == 1_300)
        scene.use(31, 1_250)
        scene.at(32, .renew(1))
        scene.advance(61)
        // The plan block burns first: 50 of the rollover are left.
        #expect(scene.entries.suffix(3) == ["expire -50", "rollover 25 l0 p3", "grant 1000 l0 p3"])
        // Nobody pays, so there is no next period and no rollover.
        scene.advance(200)
        #expect(scene.ledger.balance == 0 && scene.entries.count { $0.hasPrefix("rollover") } == 2)
    }

    @Test("An accumulation cap cuts a grant, and a cut to zero writes no entry")
    func accumulationCap() {
        var line = ModelLine(100, .period, expires: .never)
        line.accumulationCap = 250
        var variant = ModelVariant.monthly([line])
        variant.isPostpaid = true
        var scene = ModelScene([1: variant])
        scene.subscribe(1)
        scene.advance(30 + 31 + 30)
        #expect(scene.entries == ["grant 100 l0 p1", "grant 100 l0 p2", "grant 50 l0 p3"])
        scene.use(92, 120)
        scene.advance(30 + 31 + 30 + 31)
        #expect(scene.entries.last == "grant 100 l0 p5" && scene.ledger.balance == 230)
    }

    @Test("A five-hour line lands every five hours from the start, independent of periods")
    func fiveHours() {
        let every = ModelLine.Cadence.every(ModelDuration(seconds: 5 * 3_600), .subscription)
        var scene = ModelScene([1: .monthly([ModelLine(10, every, expires: .nextGrant)])])
        scene.subscribe(1)
        scene.use(0, hours: 1, 4)
        scene.advance(0, hours: 11)
        #expect(
            scene.entries == [
                "grant 10 l0 p1", "use -4", "expire -6", "grant 10 l0 p1", "expire -10", "grant 10 l0 p1",
            ])
        #expect(
            scene.ledger.entries.map(\.effectiveAt).suffix(2) == [scene.day(0, hours: 10), scene.day(0, hours: 10)])
        #expect(scene.state.lines[0].next == scene.day(0, hours: 15))
    }

    @Test("A first_use window opens with the first use, and the next credits land when it closes")
    func firstUse() {
        let every = ModelLine.Cadence.every(ModelDuration(seconds: 5 * 3_600), .firstUse)
        var scene = ModelScene([1: .monthly([ModelLine(10, every, expires: .nextGrant)])])
        scene.subscribe(1)
        scene.advance(2)
        #expect(scene.ledger.blocks[0].expiresAt == nil && scene.ledger.balance == 10)
        scene.use(2, hours: 7, 4)
        #expect(scene.ledger.blocks[0].expiresAt == scene.day(2, hours: 12))
        scene.advance(3)
        #expect(scene.entries == ["grant 10 l0 p1", "use -4", "expire -6", "grant 10 l0 p1"])
        #expect(scene.state.lines[0].isWaiting && scene.state.lines[0].next == nil)
    }

    @Test("A calendar line lands at the start and then with each local day")
    func calendar() {
        let every = ModelLine.Cadence.every(ModelDuration(days: 1), .calendar)
        var scene = ModelScene([1: .monthly([ModelLine(10, every, expires: .nextGrant)])])
        scene.world.catalogue.zone = ModelZone(first: 7_200, changes: [])
        scene.subscribe(1, on: 1.5)
        #expect(scene.state.lines[0].next == scene.day(1, hours: 22))
        scene.advance(2)
        #expect(scene.state.lines[0].next == scene.day(2, hours: 22))
    }

    // MARK: - States

    @Test("A pause of ten days moves the end and the expiries by ten days, and freezes the credits")
    func pause() {
        var scene = ModelScene([1: .monthly(100)])
        scene.grant(40)
        scene.subscribe(1)
        scene.at(10, .pause(1, until: nil))
        #expect(scene.ledger.frozen == 100 && scene.ledger.balance == 140 && scene.ledger.effective == 40)
        #expect(scene.ledger.spendable("calls") == 40)
        scene.refuses(12, .renew(1), "invalid_transition")
        scene.at(20, .resume(1))
        #expect(scene.state.end == scene.day(40) && scene.ledger.blocks[1].expiresAt == scene.day(40))
        scene.at(21, .renew(1))
        scene.advance(40)
        // Later periods count from the moved end, 11 May.
        #expect(scene.state.start == scene.day(40) && scene.state.end == scene.day(71))
        #expect(scene.entries.suffix(2) == ["expire -100", "grant 100 l0 p2"])
        // The pause is no part of the length: half of the period is left.
        var moved = ModelScene([1: .monthly(100), 2: .monthly(1_000)])
        moved.subscribe(1)
        moved.at(10, .pause(1, until: moved.day(20)))
        moved.at(25, .change(1, .init(.upgrade, variant: 2)))
        #expect(moved.ledger.balance == 550)
    }

    @Test("An unpaid period has its credits until grace ends, then it expires and falls back")
    func grace() {
        var free = ModelVariant.monthly(5)
        free.isPostpaid = true
        var scene = ModelScene([1: .monthly(100), 2: free])
        scene.world.catalogue.fallbackVariant = 2
        scene.subscribe(1)
        scene.advance(32)
        #expect(scene.state.status == .pastDue && scene.ledger.blocks[0].expiresAt == scene.day(33))
        #expect(scene.ledger.spendable("calls") == 100)
        scene.advance(40)
        #expect(scene.entries == ["grant 100 l0 p1", "expire -100", "grant 5 l0 p1"])
        #expect(
            scene.ledger.subscriptions.map(\.description) == [
                """
                s1 variant 1 slot base quantity 1 expired index 1 start \(scene.day(0)) end \(scene.day(30)) \
                ended \(scene.day(33))
                """,
                "s2 variant 2 slot base quantity 1 active index 1 start \(scene.day(33)) end \(scene.day(64))",
            ])
        #expect(
            scene.events == [
                "created 0", "activated 0", "renewal_due 27", "past_due 30", "expired 33", "fallback_started 33",
                "activated 33",
            ])
    }

    @Test("A renewal in grace begins the period where the old one ended")
    func renewedInGrace() {
        var line = ModelLine(100, .period)
        line.rollover = .init(percentage: 100)
        var scene = ModelScene([1: .monthly([line])])
        scene.subscribe(1)
        scene.at(32, .renew(1))
        #expect(scene.state.start == scene.day(30) && scene.state.end == scene.day(61))
        #expect(scene.entries == ["grant 100 l0 p1", "expire -100", "rollover 100 l0 p2", "grant 100 l0 p2"])
        #expect(scene.ledger.entries.last?.effectiveAt == scene.day(32))
        scene.refuses(33, .renew(2), "unknown_subscription")
        scene.at(33, .renew(1))
        scene.refuses(34, .renew(1), "invalid_transition")
    }

    @Test("A renewal of a short period that is over already ends at once, as of its end")
    func renewedTooLate() {
        var variant = ModelVariant(.hour)
        variant.lines = [ModelLine(10, .period)]
        var scene = ModelScene([1: variant])
        scene.subscribe(1)
        scene.at(1, .renew(1))
        #expect(scene.state.status == .pastDue && scene.state.index == 2)
        #expect(scene.state.graceEnd == scene.day(3, hours: 2) && scene.ledger.balance == 10)
        #expect(scene.events.suffix(3) == ["renewed 1", "renewal_due 0", "past_due 0"])
    }

    @Test("A trial has its own credits; grants of the period wait for its end")
    func trial() {
        var variant = ModelVariant.monthly(100)
        variant.lines.append(ModelLine(7, .activation, expires: .never))
        (variant.trialDays, variant.trialCredits) = (14, 20)
        var scene = ModelScene([1: variant])
        scene.subscribe(1)
        #expect(scene.entries == ["grant 20 p0"] && scene.state.end == scene.day(14))
        scene.advance(15)
        #expect(scene.state.status == .pastDue && scene.ledger.balance == 0)
        scene.at(16, .renew(1))
        #expect(scene.entries.suffix(2) == ["grant 100 l0 p1", "grant 7 l1 p1"])
        #expect(scene.state.start == scene.day(14) && scene.events.contains("trial_ending 11"))
        var early = ModelScene([1: variant])
        early.subscribe(1)
        early.at(2, .renew(1))
        #expect(early.entries == ["grant 20 p0", "expire -20", "grant 100 l0 p1", "grant 7 l1 p1"])
        #expect(early.state.start == early.day(2) && early.state.end == early.day(32))
    }

    @Test("Cancellation at the period's end can be withdrawn; now it leaves the credits or takes them")
    func cancel() {
        var scene = ModelScene([1: .monthly(100)])
        scene.subscribe(1)
        scene.at(1, .cancel(1, now: false, revokes: true))
        scene.refuses(2, .cancel(1, now: false, revokes: false), "invalid_transition")
        scene.refuses(2, .renew(1), "invalid_transition")
        scene.at(3, .uncancel(1))
        scene.refuses(3, .uncancel(1), "invalid_transition")
        scene.at(4, .cancel(1, now: true, revokes: false))
        #expect(scene.state.status == .canceled && scene.ledger.spendable("calls") == 100)
        scene.refuses(5, .resume(1), "invalid_transition")
        scene.subscribe(1, on: 5)
        scene.at(6, .cancel(2, now: true, revokes: true))
        #expect(scene.entries == ["grant 100 l0 p1", "grant 100 l0 p1", "revoke -100 l0 p1"])
        scene.advance(31)
        #expect(scene.entries.last == "expire -100")
    }

    @Test("A slot has one live subscription, and a planned one holds it")
    func slots() {
        var addOn = ModelVariant.monthly(3)
        addOn.slot = "seats"
        var scene = ModelScene([1: .monthly(100), 2: addOn, 3: .archived])
        scene.subscribe(1, startsOn: 3)
        scene.refuses(1, .subscribe(.init(variant: 1)), "already_subscribed")
        scene.refuses(1, .subscribe(.init(variant: 3)), "not_found")
        scene.refuses(1, .subscribe(.init(variant: 4)), "not_found")
        scene.subscribe(2, on: 1)
        scene.refuses(4, .change(2, .init(.upgrade, variant: 1)), "invalid_transition")
        #expect(scene.ledger.running.map(\.number) == [1, 2] && scene.ledger.balance == 103)
        // The base's turn comes first because its number is lower.
        #expect(scene.events == ["created 0", "created 1", "activated 1", "activated 3"])
    }

    @Test("A postpaid period reports its usage, and settles the overage of the account")
    func postpaid() {
        var variant = ModelVariant.monthly(100)
        (variant.isPostpaid, variant.policy) = (true, .allow)
        var scene = ModelScene([1: variant])
        scene.subscribe(1)
        scene.use(3, 130)
        scene.grant(50, on: 4)
        // The grant does not pay the overage, which the tenant charges at the period's end.
        #expect(scene.ledger.overage == 30)
        scene.advance(30)
        #expect(scene.entries.suffix(2) == ["settle 30 p1", "grant 100 l0 p2"])
        #expect(scene.ledger.overage == 0 && scene.ledger.balance == 150)
        let renewed = scene.ledger.events.first { $0.type == "subscription.renewed" }
        #expect(renewed?.usage.map(\.units) == [130] && renewed?.usage.map(\.cost) == [130])
        #expect(renewed?.figures.last == 30)
    }

    @Test("A contract ends with its last period, and is announced before")
    func contract() {
        var variant = ModelVariant.monthly(1)
        variant.isPostpaid = true
        for renews in [true, false] {
            var scene = ModelScene([1: variant])
            var wanted = ModelSubscriptionAct.Subscribe(variant: 1)
            wanted.contract = .init(periods: 2, renews: renews, noticeDays: 10)
            scene.at(0, .subscribe(wanted))
            scene.advance(62)
            #expect(scene.events.contains("ending_soon 51") && scene.events.contains("ended 61"))
            #expect(scene.state.status == (renews ? .active : .expired))
        }
    }

    // MARK: - Checks

    @Test("A feature is denied for the plan, a pause or an unpaid period, and an override grants it all the same")
    func denials() {
        var variant = ModelVariant.monthly(100)
        variant.features = ["calls": .enabled(true), "beta": .enabled(true)]
        variant.allowsUsageWhileOverdue = false
        var scene = ModelScene([1: variant])
        scene.grant(40)
        #expect(scene.check("calls") == "feature_not_in_plan" && scene.check("beta") == "feature_not_in_plan")
        #expect(scene.check("other") == "allowed")
        scene.subscribe(1)
        #expect(scene.check("calls") == "allowed" && scene.check("beta") == "allowed")
        scene.at(5, .pause(1, until: nil))
        #expect(scene.check("calls") == "subscription_paused" && scene.check("beta") == "subscription_paused")
        // Nobody's plan lists the feature, so top-ups pay for it.
        #expect(scene.check("other") == "allowed")
        var settings = ModelCommand.Settings()
        settings.overrides = ["calls": .enabled(true)]
        scene.play(5, .update(settings))
        #expect(scene.check("calls") == "allowed")
        settings.overrides = [:]
        scene.play(5, .update(settings))
        scene.at(6, .resume(1))
        scene.advance(32)
        #expect(scene.check("calls") == "subscription_past_due" && scene.ledger.frozen == 100)
    }

    @Test("Limits of variants apply while their subscription lives, times the seats")
    func limits() {
        var variant = ModelVariant.monthly(100)
        variant.limits = ["five": .init(.init(unit: "units", amount: 10, window: .day), isPerQuantity: true)]
        var scene = ModelScene([1: variant])
        var wanted = ModelSubscriptionAct.Subscribe(variant: 1)
        wanted.quantity = 2
        scene.at(0, .subscribe(wanted))
        scene.use(1, 20)
        #expect(scene.check("calls") == "quota_exceeded")
        scene.at(1, .cancel(1, now: true, revokes: false))
        #expect(scene.check("calls") == "allowed")
    }

    @Test("Policies are those of the end user, of the first slot that names one, then of the environment")
    func policies() {
        var addOn = ModelVariant.monthly(1)
        (addOn.slot, addOn.policy, addOn.overageLimit) = ("a", .allow, 5)
        var scene = ModelScene([1: .monthly(1), 2: addOn])
        scene.subscribe(1)
        #expect(!scene.ledger.terms.isAllowed)
        scene.subscribe(2)
        #expect(scene.ledger.terms.isAllowed && scene.ledger.terms.limit == 5)
        var settings = ModelCommand.Settings()
        settings.policy = .block
        scene.play(0, .update(settings))
        #expect(!scene.ledger.terms.isAllowed)
    }

    @Test("What a change to a prepaid variant has summed up is in no later summary of the same period")
    func summaries() {
        var postpaid = ModelVariant.monthly(1_000)
        postpaid.isPostpaid = true
        var scene = ModelScene([1: postpaid, 2: .monthly(1_000)])
        scene.subscribe(1)
        scene.use(1, 15)
        scene.at(2, .change(1, .init(.upgrade, variant: 2)))
        scene.use(3, 7)
        scene.at(4, .change(1, .init(.upgrade, variant: 1)))
        scene.use(5, 4)
        scene.advance(30)
        #expect(scene.ledger.events.flatMap(\.usage).map(\.units) == [15, 4])
    }

    @Test("Period tiers fill over the subscription's period, and begin anew with the next, paid or not")
    func tiers() {
        var variant = ModelVariant.monthly(1_000)
        variant.prices = [
            "calls": [
                (
                    Instant(microseconds: 0),
                    .graduated([ModelTier(upTo: 10, cost: 2), ModelTier(upTo: nil, cost: 1)], perPeriod: true)
                )
            ]
        ]
        var scene = ModelScene([1: variant])
        scene.subscribe(1)
        #expect(scene.use(1, 15) == .done([25]))
        #expect(scene.use(29, 5) == .done([5]))
        #expect(scene.use(31, 5) == .done([10]))
        scene.at(32, .renew(1))
        #expect(scene.use(32, 10) == .done([15]))
        #expect(scene.ledger.version(of: "calls", at: scene.day(32)) == 1_001)
    }

    @Test("A late advance falls back to the version of the instant at which the subscription ended")
    func lateFallback() {
        var free = ModelVariant.monthly(5)
        free.isPostpaid = true
        var scene = ModelScene([1: .monthly(100), 2: free, 102: free, 202: free])
        scene.world.catalogue.fallbackVariant = 2
        scene.subscribe(1)
        for (version, number, day) in [(2, 102, 33.0), (102, 202, 34)] {
            let madeAt = scene.day(day)
            scene.world.catalogue.variants[version]?.newer = number
            scene.world.catalogue.variants[number]?.madeAt = madeAt
        }
        scene.advance(40)
        #expect(scene.ledger.subscriptions.map(\.variant) == [1, 102])
    }

    @Test("Tiers of an unpaid period go on after a pause, up to the boundary that the pause has moved")
    func tiersOfAPause() {
        var variant = ModelVariant.monthly(1_000)
        let tiers = [ModelTier(upTo: 10, cost: 2), ModelTier(upTo: nil, cost: 1)]
        variant.prices = ["calls": [(Instant(microseconds: 0), .graduated(tiers, perPeriod: true))]]
        variant.graceDays = 60
        var scene = ModelScene([1: variant])
        scene.subscribe(1)
        #expect(scene.use(31, 15) == .done([25]))
        scene.at(32, .pause(1, until: nil))
        scene.at(35, .resume(1))
        #expect(scene.use(35, 5) == .done([5]))
        scene.at(36, .renew(1))
        // May begins on day 30 and, moved by the pause, on day 33. June begins on day 64.
        #expect(scene.state.start == scene.day(33))
        #expect(scene.use(63, 5) == .done([5]))
        #expect(scene.use(64, 5) == .done([10]))
    }

    @Test("A new end user begins on the default plan, with the command that creates it")
    func defaultPlan() {
        var scene = ModelScene([1: .monthly(100), 2: .monthly(1_000)])
        scene.world.catalogue.defaultVariant = 1
        #expect(scene.check("calls") == "allowed")
        #expect(scene.use(1, 101) != .done([101]))
        #expect(!scene.ledger.exists && scene.entries.isEmpty)
        scene.use(2, 30)
        #expect(scene.entries == ["grant 100 l0 p1", "use -30"])
        var other = ModelScene([1: .monthly(100), 2: .monthly(1_000)])
        other.world.catalogue.defaultVariant = 1
        other.subscribe(2)
        #expect(other.ledger.subscriptions.map(\.variant) == [2])
    }

    @Test("Many steps of time have the result of one")
    func steps() {
        var line = ModelLine(100, .period)
        line.rollover = .init(percentage: 50)
        let daily = ModelLine.Cadence.every(ModelDuration(days: 1), .subscription)
        var variant = ModelVariant.monthly([line, ModelLine(3, daily, expires: .nextGrant)])
        variant.fallback = 2
        var free = ModelVariant(.day, count: 10)
        free.lines = [ModelLine(1, .period)]
        free.isPostpaid = true
        var once = ModelScene([1: variant, 2: free])
        once.subscribe(1)
        once.at(3, .pause(1, until: once.day(5)))
        once.at(7, .renew(1))
        var often = once
        once.advance(120)
        for day in 8...120 { often.advance(Double(day)) }
        #expect(once.entries == often.entries && once.events == often.events)
        #expect(once.ledger.entries.map(\.effectiveAt) == often.ledger.entries.map(\.effectiveAt))
        #expect(once.ledger.subscriptions == often.ledger.subscriptions)
    }
}
