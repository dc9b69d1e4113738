import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("A use is priced when it occurred and debits the balance as it is now")
struct UsageTests {
    @Test("The cost is rounded up once per event")
    func rounding() throws {
        try ledger(
            """
            price tokens 3 per 1000
            grant alice 100
            use alice 1 tokens -> ok 1
            use alice 1000 tokens -> ok 3
            use alice 1001 tokens -> ok 4
            use alice 0 tokens -> ok 0
            balance alice 92
            """)
    }

    @Test("A flat price does not depend on the units, and zero units cost nothing in every model")
    func zeroUnits() throws {
        try ledger(
            """
            price report flat 250
            price tokens 3 per 1000
            use alice 0 report -> ok 0
            use alice 0 tokens -> ok 0
            use alice 0 -> ok 0
            entries alice 3
            use alice 1 report -> insufficient_credits 250 of 0
            grant alice 500
            use alice 1 report -> ok 250
            use alice 1_000_000 report -> ok 250
            """)
    }

    @Test("A use that the credits do not cover is refused as a whole: nothing is partly debited")
    func allOrNothing() throws {
        try ledger(
            """
            grant alice 60 p1
            grant alice 40 p2
            use alice 101 -> insufficient_credits 101 of 100
            balance alice 100
            entries alice 2
            use alice 100 -> ok
            use alice 1 -> insufficient_credits 1 of 0
            use alice 0 -> ok
            """)
    }

    @Test("A refusal names the effective balance, the spendable balance and the cost")
    func refusalFigures() throws {
        let now = Instant(microseconds: 1_000)
        let (api, video) = (try #require(FeatureKey("api")), try #require(FeatureKey("video")))
        var catalogue = Catalogue()
        for feature in [api, video] {
            catalogue.features[feature] = Feature(key: feature)
            catalogue.prices[feature] = PriceList([
                MeteringRule(
                    id: PublicID(.rule, Bits128(high: 0, low: 1)), featureKey: feature, version: 1,
                    price: Price(.perUnit(unitCost: try Millicredits(Int64(3)), perUnits: 1)), effectiveFrom: now)
            ])
        }
        var draft = AccountDraft(
            account: Account(
                id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice"))),
            profile: nil)
        for features in [[api], [video]] {
            _ = draft.apply(
                .grant(Grant(credits: try Millicredits(Int64(50)), featureKeys: features)), idempotencyKey: nil,
                catalogue: catalogue, now: now)
        }
        let before = draft
        let outcome = draft.apply(
            .use(UsageEvent(featureKey: api, units: 20)), idempotencyKey: "k", catalogue: catalogue, now: now)
        #expect(outcome == .refused(.insufficientCredits(effectiveBalance: 100, spendable: 50, required: 60)))
        #expect(draft == before)
    }

    @Test("The rule in force when the event occurred prices it")
    func priceInForce() throws {
        try ledger(
            """
            price calls 10 from 2026-04-01
            price calls 20 from 2026-04-10
            price calls 40 from 2026-04-13
            grant alice 1000
            at 2026-04-12
            use alice 1 calls -> ok 20
            use alice 1 calls occurred 2026-04-10 -> ok 20
            use alice 1 calls occurred 2026-04-09T23:59:59.999999Z -> ok 10
            last alice use -10 balance 950 effective 2026-04-09T23:59:59.999999Z recorded +0s
            use alice 1 calls occurred 2026-04-01 -> ok 10
            use alice 1 calls occurred 2026-03-31T23:59:59.999999Z -> feature_not_priced
            at 2026-04-12T23:59:59.999999Z
            use alice 1 calls -> ok 20
            use alice 1 calls occurred +1us -> ok 40
            use alice 1 calls occurred +5m -> ok 40
            at 2026-04-13
            use alice 1 calls -> ok 40
            use alice 1 calls occurred -1us -> ok 20
            """)
    }

    @Test("An event may be up to 35 days old and up to 5 minutes ahead, both to the microsecond")
    func window() throws {
        try ledger(
            """
            grant alice 10
            use alice 1 occurred -35d -> ok
            last alice use -1 effective -35d recorded +0s
            use alice 1 occurred -35d-1us -> occurred_too_long_ago
            use alice 1 occurred +5m -> ok
            last alice use -1 effective +5m recorded +0s
            use alice 1 occurred +5m+1us -> occurs_in_the_future
            use alice 1 occurred 0001-01-01 -> occurred_too_long_ago
            use alice 1 occurred 9999-12-31 -> occurs_in_the_future
            balance alice 8
            entries alice 3
            """)
    }

    @Test("A cost beyond the largest amount is refused before the credits are checked")
    func costRange() throws {
        try ledger(
            """
            price dear max
            grant alice 1
            use alice 2 dear -> amount_out_of_range
            use alice 9223372036854775807 -> amount_out_of_range
            use alice 1 dear -> insufficient_credits
            balance alice 1
            grant bob max
            use bob 1 dear -> ok 9007199254740991
            """)
    }

    @Test("Unknown, archived and unpriced features are told apart")
    func features() throws {
        try ledger(
            """
            price old 1
            archive old
            feature plain
            price soon 1 from +1s
            grant alice 10
            use alice 1 nothing -> unknown_feature
            use alice 0 nothing -> unknown_feature
            use alice 1 old -> unknown_feature
            use alice 1 plain -> feature_not_priced
            use alice 0 plain -> feature_not_priced
            use alice 1 soon -> feature_not_priced
            use alice 1 soon occurred +1s -> ok 1
            entries alice 2
            """)
    }

    @Test("Refusals come in their order of precedence")
    func precedence() throws {
        try ledger(
            """
            feature plain
            use alice 1 nothing occurred -36d -> occurred_too_long_ago
            use alice 1 nothing occurred +1h -> occurs_in_the_future
            use alice 9223372036854775807 nothing -> unknown_feature
            use alice 9223372036854775807 plain -> feature_not_priced
            use alice 9223372036854775807 -> amount_out_of_range
            use alice 1 -> insufficient_credits
            """)
    }

    @Test("A use of one end user has no effect on another")
    func twoEndUsers() throws {
        try ledger(
            """
            grant alice 10
            grant bob 20
            use alice 10
            use alice 1 -> insufficient_credits 1 of 0
            balance bob 20
            entries bob 1
            """)
    }
}
