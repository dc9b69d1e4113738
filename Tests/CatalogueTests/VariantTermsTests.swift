import Catalogue
import Credits
import JSON
import Metering
import Testing

@Suite("The terms of a variant are read from JSON with all their problems, and written as they were read")
struct VariantTermsTests {
    @Test("Terms that state only the interval have all defaults")
    func defaults() throws {
        let terms = try VariantTerms(json: #"{"billing_interval":{"unit":"month"}}"#)
        #expect(terms == VariantTerms.defaults)
        #expect(
            JSONValue.object(terms.json)
                == (try JSONParser.parse(
                    Array(
                        """
                        {"billing_interval": {"unit": "month", "count": 1}, "billing_mode": "prepaid", "credit_grants": [],
                         "features": [], "limits": [], "overage_policy": null, "overage_limit": null,
                         "renewal_due_days": 3, "grace_period_days": 3, "allow_usage_while_overdue": true,
                         "trial_days": 0, "trial_credits": 0, "fallback_variant_id": null, "price": null,
                         "currency": null}
                        """.utf8))))
    }

    @Test("All terms come back from their canonical text")
    func roundTrip() throws {
        let terms = try VariantTermsFixture.full()
        #expect(try VariantTerms(json: terms.canonicalJSON) == terms)
        #expect(try VariantTerms(json: terms.canonicalJSON).canonicalJSON == terms.canonicalJSON)
    }

    @Test(
        "A grant line has the defaults of its cadence",
        arguments: [
            (#"{"credits":5,"cadence":"activation"}"#, GrantLine.Cadence.activation, GrantLine.Expiry.never),
            (#"{"credits":5,"cadence":"period"}"#, .period, .periodEnd),
        ])
    func lineDefaults(line: String, cadence: GrantLine.Cadence, expiry: GrantLine.Expiry) throws {
        #expect(try Self.read(line: line) == GrantLine(credits: try Millicredits(5), cadence: cadence, expiry: expiry))
    }

    @Test("A line of cadence every counts from the subscription's start and expires with its next grant")
    func everyDefaults() throws {
        let hours = try #require(CalendarDuration(iso8601: "PT5H"))
        #expect(
            try Self.read(line: #"{"credits":5,"cadence":"every","every":"PT300M"}"#)
                == GrantLine(
                    credits: try Millicredits(5), cadence: .every(hours, anchor: .subscription), expiry: .nextGrant))
    }

    @Test("A rollover expires at the period's end unless it says otherwise")
    func rolloverDefaults() throws {
        let line = try Self.read(line: #"{"credits":5,"cadence":"period","rollover":{"percentage":50}}"#)
        #expect(line.rollover == GrantLine.Rollover(percentage: 50))
        #expect(line.rollover?.expiry == .periodEnd)
    }

    @Test(
        "The problems of a grant line are named",
        arguments: [
            ("{}", ["/credits is required", "/cadence is required"]),
            (line(#""credits":0"#), ["/credits must be between 1 and 9007199254740991"]),
            (line(#""cadence":"weekly""#), [#"/cadence must be one of "activation", "period", "every""#]),
            (
                line(#""cadence":"activation","expires":"next_grant""#),
                [#"/expires cannot be "next_grant" for a line of cadence "activation", which lands once"#]
            ),
            (line(#""cadence":"every""#), ["/every is required"]),
            (
                line(#""cadence":"every","every":"PT59S""#),
                ["/every must be an ISO 8601 duration from PT1M to P10Y"]
            ),
            (
                line(#""cadence":"every","every":"P11Y""#),
                ["/every must be an ISO 8601 duration from PT1M to P10Y"]
            ),
            (
                line(#""cadence":"every","every":"P1D","anchor":"birth""#),
                [#"/anchor must be one of "subscription", "calendar", "first_use""#]
            ),
            (
                line(#""every":"P1D","anchor":"calendar""#),
                [#"/every is only for the cadence "every""#, #"/anchor is only for the cadence "every""#]
            ),
            (
                line(#""expires":"soon""#),
                [#"/expires must be "period_end", "next_grant", "never" or an ISO 8601 duration, such as P30D"#]
            ),
            (line(#""priority":101"#), ["/priority must be between 0 and 100"]),
            (line(#""rollover":{}"#), ["/rollover/percentage is required"]),
            (line(#""rollover":{"percentage":0}"#), ["/rollover/percentage must be between 1 and 100"]),
            (line(#""rollover":{"percentage":101}"#), ["/rollover/percentage must be between 1 and 100"]),
            (
                line(#""rollover":{"percentage":1,"cap":0}"#),
                ["/rollover/cap must be between 1 and 9007199254740991"]
            ),
            (line(#""rollover":{"percentage":1,"x":0}"#), ["/rollover/x is not a known field"]),
            (
                line(#""cadence":"activation","rollover":{"percentage":1}"#),
                [#"/rollover is only for lines of cadence "period""#]
            ),
            (
                line(#""cadence":"every","every":"P1D","rollover":{"percentage":1}"#),
                [#"/rollover is only for lines of cadence "period""#]
            ),
            (
                line(#""expires":"never","rollover":{"percentage":1}"#),
                [#"/rollover is only for lines that expire at "period_end" or "next_grant""#]
            ),
            (line(#""accumulation_cap":0"#), ["/accumulation_cap must be between 1 and 9007199254740991"]),
            (line(#""feature_keys":["a","a"]"#), ["/feature_keys has a feature twice"]),
            (line(#""feature_keys":["a b"]"#), ["/feature_keys/0 must be \(FeatureKey.expectation)"]),
            (line(#""colour":1"#), ["/colour is not a known field"]),
        ])
    func notLines(line: String, problems: [String]) {
        let error = #expect(throws: JSONProblems.self) { try Self.read(line: line) }
        #expect(error?.problems.map(\.description) == problems.map { "/credit_grants/0\($0)" })
    }

    @Test(
        "The problems of terms are named",
        arguments: [
            ("{}", ["/billing_interval is required"]),
            (#"{"billing_interval":null}"#, ["/billing_interval is required"]),
            (#"{"billing_interval":{}}"#, ["/billing_interval/unit is required"]),
            (terms(#""billing_mode":"free""#), [#"/billing_mode must be one of "prepaid", "postpaid""#]),
            (
                terms(#""features":[{"feature_key":"a","enabled":true},{"feature_key":"a","limit":5}]"#),
                ["/features/1/feature_key comes twice"]
            ),
            (
                terms(#""features":[{"feature_key":"a"}]"#),
                ["/features/0 must have exactly one of enabled, limit and quota"]
            ),
            (
                terms(#""limits":[\#(limit("five")),\#(limit("five"))]"#), ["/limits/1/key comes twice"]
            ),
            (
                terms(#""limits":[\#(limit("quota:calls"))]"#),
                ["/limits/0/key must not be a quota's: state the quotas of a variant in features"]
            ),
            (
                terms(#""limits":[\#(limit("cap_00000000000000000000000000"))]"#),
                ["/limits/0/key must not be the id of a spend cap"]
            ),
            (
                terms(#""limits":[{"key":"a","unit":"units","limit":null,"window":"day"}]"#),
                ["/limits/0/limit is required"]
            ),
            (terms(#""limits":[{"key":"a","unit":"units","limit":5}]"#), ["/limits/0/window is required"]),
            (terms(#""overage_policy":"maybe""#), [#"/overage_policy must be one of "block", "allow", "notify""#]),
            (terms(#""overage_limit":-1"#), ["/overage_limit must be between 0 and 9007199254740991"]),
            (terms(#""renewal_due_days":366"#), ["/renewal_due_days must be between 0 and 365"]),
            (terms(#""grace_period_days":-1"#), ["/grace_period_days must be between 0 and 365"]),
            (
                terms(#""allow_usage_while_overdue":1"#),
                ["/allow_usage_while_overdue must be true or false, not a number"]
            ),
            (terms(#""trial_days":3651"#), ["/trial_days must be between 0 and 3650"]),
            (terms(#""trial_credits":-1"#), ["/trial_credits must be between 0 and 9007199254740991"]),
            (terms(#""price":-1"#), ["/price must be between 0 and 9007199254740991"]),
            (terms(#""currency":"eur""#), ["/currency must be three capital letters, as in ISO 4217"]),
            (terms(#""fallback_variant_id":"pro""#), ["/fallback_variant_id must be the id of a variant"]),
            (terms(#""colour":"red""#), ["/colour is not a known field"]),
        ])
    func notTerms(text: String, problems: [String]) {
        let error = #expect(throws: JSONProblems.self) { try VariantTerms(json: text) }
        #expect(error?.problems.map(\.description) == problems)
    }

    @Test("An interval has 1 to 1,000 units", arguments: [(0, false), (1, true), (1_000, true), (1_001, false)])
    func intervals(count: Int, isValid: Bool) {
        let terms = try? VariantTerms(json: #"{"billing_interval":{"unit":"year","count":\#(count)}}"#)
        #expect((terms != nil) == isValid)
    }

    @Test(
        "A variant has at most 50 grant lines, 1,000 features, and 50 limits with its quotas",
        arguments: [
            (list("credit_grants", 50, { _ in #"{"credits":5,"cadence":"period"}"# }), true),
            (list("credit_grants", 51, { _ in #"{"credits":5,"cadence":"period"}"# }), false),
            (list("features", 1_000, { #"{"feature_key":"f\#($0)","enabled":true}"# }), true),
            (list("features", 1_001, { #"{"feature_key":"f\#($0)","enabled":true}"# }), false),
            (list("limits", 50, { limit("l\($0)") }), true), (list("limits", 51, { limit("l\($0)") }), false),
            (list("features", 50, quota), true), (list("features", 51, quota), false),
            (list("features", 1, quota) + "," + list("limits", 49, { limit("l\($0)") }), true),
            (list("features", 1, quota) + "," + list("limits", 50, { limit("l\($0)") }), false),
        ])
    func numbers(members: String, isValid: Bool) {
        let terms = try? VariantTerms(json: Self.terms(members))
        #expect((terms != nil) == isValid)
    }

    // MARK: - Changes

    @Test("A change keeps what it does not name, and null gives the default")
    func change() throws {
        let terms = try VariantTermsFixture.full()
        let change = try VariantTermsChange(
            canonicalJSON: #"{"billing_mode":null,"credit_grants":null,"overage_limit":null,"trial_days":7}"#)
        var expected = terms
        expected.billingMode = .prepaid
        expected.grants = []
        expected.overageLimit = nil
        expected.trialDays = 7
        #expect(try change.applied(to: terms) == expected)
        #expect(try VariantTermsChange.none.applied(to: terms) == terms)
    }

    @Test("A change of limits must fit the quotas that are kept")
    func changeTogether() throws {
        let quotas = try VariantTerms(json: Self.terms(Self.list("features", 30, Self.quota)))
        let change = try VariantTermsChange(
            canonicalJSON: "{\(Self.list("limits", 21) { Self.limit("l\($0)") })}")
        let error = #expect(throws: JSONProblems.self) { try change.applied(to: quotas) }
        #expect(error?.problems.map(\.pointer) == ["/limits"])
    }

    @Test("A body's change has only its members, and the interval cannot be cleared")
    func changeOfBody() throws {
        let body = try JSONParser.parse(Array(#"{"price": null, "trial_days": 5, "name": "n"}"#.utf8))
        let change = try JSONReader.read(body) { reader in
            _ = reader.string("name")
            return reader.variantTermsChange()
        }
        #expect(change.canonicalJSON == #"{"price":null,"trial_days":5}"#)
        #expect(throws: JSONProblems.self) { try VariantTermsChange(canonicalJSON: #"{"billing_interval":null}"#) }
        #expect(throws: JSONProblems.self) { try VariantTermsChange(canonicalJSON: #"{"fallback_variant_id":null}"#) }
    }

    @Test("A changed variant is the next version, and keeps its id, key and creation")
    func nextVersion() throws {
        let first = PlanVariant(
            id: VariantTermsFixture.id(1), planID: PublicID(.plan, Bits128(high: 0, low: 9)), key: VariantKey("pro"),
            version: 4, name: "Pro", terms: .defaults, createdAt: Instant(microseconds: 5))
        let now = Instant(microseconds: 9)
        let change = VariantChange(name: "Professional", isArchived: true)
        let second = try first.applying(change, fallbackID: VariantTermsFixture.id(2), at: now)
        var terms = first.terms
        terms.fallbackVariantID = VariantTermsFixture.id(2)
        #expect(
            second
                == PlanVariant(
                    id: first.id, planID: first.planID, key: first.key, version: 5, name: "Professional", terms: terms,
                    createdAt: first.createdAt, updatedAt: now, archivedAt: now))
    }

    // MARK: - Texts

    private static func terms(_ members: String) -> String { #"{"billing_interval":{"unit":"month"},\#(members)}"# }

    private static func limit(_ key: String) -> String {
        #"{"key":"\#(key)","unit":"units","limit":5,"window":"day"}"#
    }

    @Sendable private static func quota(_ number: Int) -> String {
        #"{"feature_key":"q\#(number)","quota":{"limit":1,"window":"day"}}"#
    }

    private static func list(_ name: String, _ count: Int, _ item: (Int) -> String) -> String {
        #""\#(name)":["# + (0..<count).map(item).joined(separator: ",") + "]"
    }

    /// A line of cadence `period` with members replaced or added.
    private static func line(_ members: String) -> String {
        let base = [(#""credits""#, "5"), (#""cadence""#, #""period""#)].filter { !members.contains("\($0.0):") }
        return "{" + (base.map { "\($0.0):\($0.1)" } + [members]).joined(separator: ",") + "}"
    }

    private static func read(line text: String) throws -> GrantLine {
        let terms = try VariantTerms(json: terms(#""credit_grants":[\#(text)]"#))
        return try #require(terms.grants.first)
    }
}

/// Terms with a distinct value in every field.
enum VariantTermsFixture {
    static func id(_ number: UInt64) -> PublicID { PublicID(.planVariant, Bits128(high: 1, low: number)) }

    static func full() throws -> VariantTerms {
        let (calls, seats) = (try #require(FeatureKey("calls")), try #require(FeatureKey("seats")))
        let hours = try #require(CalendarDuration(iso8601: "PT5H"))
        let month = try #require(CalendarDuration(iso8601: "P1MT5H"))
        return VariantTerms(
            billingInterval: BillingInterval(.week, count: 1_000), billingMode: .postpaid,
            grants: [
                GrantLine(credits: .max, cadence: .activation, expiry: .after(month), priority: 100),
                GrantLine(
                    credits: try Millicredits(1), cadence: .period, expiry: .nextGrant, priority: 0,
                    rollover: GrantLine.Rollover(percentage: 100, cap: .max, expiry: .never), accumulationCap: .max,
                    featureKeys: [seats, calls]),
                GrantLine(credits: .max, cadence: .every(hours, anchor: .firstUse), expiry: .periodEnd),
                GrantLine(credits: .max, cadence: .every(month, anchor: .calendar), expiry: .nextGrant),
            ],
            features: [
                calls: .quota(Quota(limit: 5, window: .duration(hours), anchor: .firstUse)),
                seats: .limit(Millicredits.limit), try #require(FeatureKey("sso")): .enabled(false),
            ],
            limits: [
                try #require(LimitKey("five")): VariantLimit(
                    Limit(
                        unit: .units, amount: 5, window: .day, features: [calls], match: ["model": [.string("é")]],
                        per: "member", dimension: "in"), isPerQuantity: true),
                try #require(LimitKey("jobs")): VariantLimit(Limit(unit: .concurrent, amount: 0, window: nil)),
            ],
            overagePolicy: .notify, overageLimit: .max, renewalDueDays: 365, gracePeriodDays: 0,
            allowsUsageWhileOverdue: false, trialDays: 3_650, trialCredits: .max, fallbackVariantID: id(7),
            price: Millicredits.limit, currency: "EUR")
    }
}
