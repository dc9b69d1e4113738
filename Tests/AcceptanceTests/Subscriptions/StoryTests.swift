import JSON
import Testing

extension Acceptance {
    /// A few weeks of six businesses, each on a test clock.
    @Suite struct StoryTests {
        private static let month: JSONValue = ["unit": "month"]

        /// Makes a reservation of an end user, and returns its id.
        private func hold(_ client: Client, _ endUser: String, _ feature: String, _ units: Int64) async throws -> String
        {
            try await client.post(
                "/v1/reservations",
                [
                    "end_user_id": .string(endUser), "feature_key": .string(feature), "units": .integer(units),
                    "ttl_seconds": 604_800,
                ]
            ).expect(201).text("id")
        }

        @Test("A SaaS product sells a month with rollover, and top-ups that outlast it")
        func saas() async throws {
            let client = try await makeTenant().test
            try await client.sell("reports", unitCost: 1_000)
            try await client.makePlan(
                "team",
                [
                    "billing_interval": Self.month, "price": 4_900, "currency": "EUR",
                    "credit_grants": [
                        [
                            "credits": 100_000, "cadence": "period",
                            "rollover": ["percentage": 50, "cap": 40_000, "expires": "P3M"],
                        ]
                    ],
                ])
            let clock = try await client.make("acme", at: "2030-01-31T09:00:00Z")
            let id = try await client.subscribe("acme", "team").expect(201).text("id")
            try await client.use("acme", "reports", 30).expect(201)
            try await client.post(
                "/v1/topups", ["end_user_id": "acme", "credits": 10_000, "external_payment_id": "pay_1"]
            ).expect(201)
            try await client.act(id, "renew").expect(200)
            try await clock.advance(to: "2030-02-28T09:00:00Z")
            // 70 unused, of which 35 come back; 100 new; 10 bought.
            #expect(try await client.balance("acme")["balance"] == 145_000)
            // The plan's credits burn first, then those that rolled over, then those that were bought.
            try await client.use("acme", "reports", 120).expect(201)
            let left = try await client.blocks("acme", status: "active").map { $0[path: "source"] }
            #expect(left == ["rollover", "topup"])
            // Nobody pays for March: grace, and then the end. What was bought stays.
            try await clock.advance(to: "2030-03-31T09:00:00Z")
            #expect(try await client.subscription(id)["status"] == "past_due")
            try await clock.advance(to: "2030-06-30T00:00:00Z")
            #expect(try await client.subscription(id)["status"] == "expired")
            #expect(try await client.balance("acme")["balance"] == 10_000)
        }

        @Test("A consumer app limits five hours, a week, and a week of the large models, all at once")
        func consumer() async throws {
            let client = try await makeTenant().test
            try await client.sell("chat", unitCost: 1)
            try await client.makePlan(
                "plus",
                [
                    "billing_interval": Self.month, "billing_mode": "postpaid",
                    "credit_grants": [["credits": 1_000_000, "cadence": "period"]],
                    "limits": [
                        [
                            "key": "five-hours", "unit": "credits", "limit": 100, "window": "PT5H",
                            "anchor": "first_use",
                        ],
                        ["key": "week", "unit": "credits", "limit": 250, "window": "P7D", "anchor": "subscription"],
                        [
                            "key": "large", "unit": "credits", "limit": 60, "window": "P7D", "anchor": "subscription",
                            "match": ["model": "large"],
                        ],
                    ],
                ])
            let clock = try await client.make("ann", at: "2030-01-02T10:00:00Z")
            try await client.subscribe("ann", "plus").expect(201)
            func use(_ units: Int64, _ model: String) async throws -> Answer {
                try await client.post(
                    "/v1/usage",
                    [
                        "end_user_id": "ann", "feature_key": "chat", "units": .integer(units),
                        "attributes": ["model": .string(model)],
                    ])
            }
            try await use(60, "large").expect(201)
            let large = try await use(1, "large").expect(402, "spend_cap_reached")
            #expect(large["limit_key"] == "large" && large["resets_at"] == "2030-01-09T10:00:00.000Z")
            try await use(40, "small").expect(201)
            let hours = try await use(1, "small").expect(402, "spend_cap_reached")
            #expect(hours["limit_key"] == "five-hours" && hours["resets_at"] == "2030-01-02T15:00:00.000Z")
            try await clock.advance(to: "2030-01-02T15:00:00Z")
            try await use(100, "small").expect(201)
            try await clock.advance(to: "2030-01-03T00:00:00Z")
            try await use(50, "small").expect(201)
            #expect(try await use(1, "small").expect(402, "spend_cap_reached")["limit_key"] == "week")
            try await clock.advance(to: "2030-01-09T10:00:00Z")
            try await use(60, "large").expect(201)
        }

        @Test("An AI chat sells a wallet, and passes in a slot of their own")
        func passes() async throws {
            let client = try await makeTenant().test
            try await client.sell("message", unitCost: 10)
            try await client.makePlan(
                "day-pass", slot: "pass",
                [
                    "billing_interval": ["unit": "day"], "grace_period_days": 0,
                    "credit_grants": [["credits": 500, "cadence": "activation", "expires": "P1D"]],
                ])
            let clock = try await client.make("ben", at: "2030-05-01T20:00:00Z")
            try await client.post("/v1/topups", ["end_user_id": "ben", "credits": 300]).expect(201)
            try await client.use("ben", "message", 10).expect(201)
            let pass = try await client.subscribe("ben", "day-pass").expect(201)
            #expect(pass["slot"] == "pass")
            // The pass burns before the wallet.
            try await client.use("ben", "message", 40).expect(201)
            #expect(try await client.balance("ben")["balance"] == 300)
            try await clock.advance(to: "2030-05-02T20:00:00Z")
            #expect(try await client.balance("ben")["balance"] == 200)
            #expect(try await client.subscription(try pass.text("id"))["status"] == "expired")
            try await client.subscribe("ben", "day-pass").expect(201)
            #expect(try await client.balance("ben")["balance"] == 700)
        }

        @Test("An image generator sells packs, and holds credits while it works")
        func generation() async throws {
            let client = try await makeTenant().test
            try await client.sell("image", unitCost: 2_000)
            try await client.makePlan(
                "creator",
                [
                    "billing_interval": ["unit": "year"], "trial_days": 7, "trial_credits": 6_000,
                    "credit_grants": [
                        ["credits": 20_000, "cadence": "every", "every": "P1M", "expires": "next_grant"]
                    ],
                ])
            let clock = try await client.make("cleo", at: "2030-01-31T12:00:00Z")
            let id = try await client.subscribe("cleo", "creator").expect(201).text("id")
            #expect(try await client.balance("cleo")["balance"] == 26_000)
            try await clock.advance(to: "2030-02-05T12:00:00Z")
            let job = try await hold(client, "cleo", "image", 4)
            // The yearly payment came during the trial, which ends then. Held credits stay held.
            let renewed = try await client.act(id, "renew").expect(200)
            #expect(renewed["current_period_end"] == "2031-02-05T12:00:00.000Z")
            #expect(try await client.balance("cleo")["reserved_balance"] == 8_000)
            let done = try await client.commit(job, units: 3).expect(200)
            #expect(done["cost"] == 6_000)
            // The trial's credits were to burn by 7 February and had been held; nothing of them is left.
            #expect(try await client.balance("cleo")["balance"] == 20_000)
            // Monthly credits of a yearly plan, counted from the start: 28 February, 31 March.
            try await clock.advance(to: "2030-03-31T12:00:00Z")
            let grants = try await client.ledger("cleo", type: "grant").map {
                $0[path: "effective_at"]?.text?.prefix(10)
            }
            #expect(grants == ["2030-01-31", "2030-01-31", "2030-02-28", "2030-03-31"])
        }

        @Test("An API platform bills tiers afterwards, with a summary of each month")
        func platform() async throws {
            let client = try await makeTenant().test
            try await client.post("/v1/features", ["key": "calls", "name": "Calls", "type": "metered"]).expect(201)
            try await client.post(
                "/v1/metering-rules",
                [
                    "feature_key": "calls", "model": "graduated", "scope": "period",
                    "tiers": [["up_to": 1_000, "unit_cost": 10], ["up_to": .null, "unit_cost": 5]],
                ]
            ).expect(201)
            try await client.makePlan(
                "metered",
                ["billing_interval": Self.month, "billing_mode": "postpaid", "overage_policy": "allow"])
            let clock = try await client.make("dana", at: "2030-01-15T00:00:00Z")
            try await client.subscribe("dana", "metered").expect(201)
            #expect(try await client.use("dana", "calls", 800).expect(201)["cost"] == 8_000)
            try await clock.advance(to: "2030-02-01T00:00:00Z")
            // The tiers fill over the subscription's period, not over the month.
            #expect(try await client.use("dana", "calls", 400).expect(201)["cost"] == 3_000)
            #expect(try await client.balance("dana")["overage"] == 11_000)
            try await clock.advance(to: "2030-02-15T00:00:00Z")
            #expect(try await client.balance("dana")["balance"] == 0)
            #expect(try await client.use("dana", "calls", 10).expect(201)["cost"] == 100)
            _ = try await client.events("dana", atLeast: 3)
            let feed = try await client.get("/v1/events", [("limit", "100")]).expect(200)
            guard case .array(let events)? = feed["data"],
                let renewed = events.first(where: { $0[path: "type"] == "subscription.renewed" })
            else {
                Issue.record("no renewal")
                return
            }
            let summary = renewed[path: "data.usage_summary"]
            #expect(summary?[path: "features"] == [["feature_key": "calls", "units": 1_200, "cost": 11_000]])
            #expect(summary?[path: "settled_overage"] == 11_000)
            #expect(renewed[path: "timestamp"] == "2030-02-15T00:00:00.000Z")
        }

        @Test("Agents are paid by outcome, with long reservations, seats and caps")
        func agents() async throws {
            let client = try await makeTenant().test
            try await client.sell("resolution", unitCost: 990)
            try await client.makePlan(
                "agents",
                [
                    "billing_interval": Self.month, "billing_mode": "postpaid",
                    "credit_grants": [["credits": 99_000, "cadence": "period"]],
                    "limits": [["key": "jobs", "unit": "concurrent", "limit": 1, "per_quantity": true]],
                ])
            let clock = try await client.make("eve", at: "2030-03-01T00:00:00Z")
            let id = try await client.subscribe("eve", "agents", [("quantity", 2)]).expect(201).text("id")
            #expect(try await client.balance("eve")["balance"] == 198_000)
            let jobs = [
                try await hold(client, "eve", "resolution", 10), try await hold(client, "eve", "resolution", 10),
            ]
            let refused = try await client.post(
                "/v1/reservations", ["end_user_id": "eve", "feature_key": "resolution", "units": 1])
            #expect(refused.expect(402, "quota_exceeded")["limit_key"] == "jobs")
            try await client.act(id, "quantity", ["quantity": 3]).expect(200)
            try await client.post(
                "/v1/spend-caps", ["end_user_id": "eve", "credits": 30_000, "window": "month"]
            ).expect(201)
            let third = try await hold(client, "eve", "resolution", 10)
            let capped = try await client.post(
                "/v1/reservations", ["end_user_id": "eve", "feature_key": "resolution", "units": 11])
            capped.expect(402)
            try await clock.advance(to: "2030-03-06T00:00:00Z")
            #expect(try await client.commit(jobs[0], units: 0).expect(200)["cost"] == 0)
            #expect(try await client.commit(jobs[1], units: 10).expect(200)["cost"] == 9_900)
            // The third job runs into its deadline and costs nothing.
            try await clock.advance(to: "2030-03-20T00:00:00Z")
            #expect(try await client.reservation(third)["status"] == "expired")
            #expect(try await client.balance("eve")["reserved_balance"] == 0)
        }
    }
}
