import ChildProcesses
import Credits
import JSON
import Testing

extension Client {
    /// Makes a plan with one variant, whose key is the plan's, and returns the variant's id.
    @discardableResult
    func makePlan(_ key: String, slot: String? = nil, _ terms: JSONValue) async throws -> String {
        try await post(
            "/v1/plans",
            .members([("key", .string(key)), ("name", .string(key)), ("slot", slot.map { .string($0) })])
        ).expect(201)
        var members: [(String, JSONValue?)] = [("key", .string(key)), ("name", .string(key))]
        for (name, value) in terms.objectMembers { members.append((name, value)) }
        return try await post("/v1/plans/\(key)/variants", .members(members)).expect(201).text("id")
    }

    func subscribe(_ endUser: String, _ variant: String, _ more: [(String, JSONValue?)] = []) async throws -> Answer {
        try await post(
            "/v1/subscriptions",
            .members([("end_user_id", .string(endUser)), ("plan_variant_id", .string(variant))] + more))
    }

    func subscription(_ id: String) async throws -> Answer { try await get("/v1/subscriptions/\(id)").expect(200) }

    func act(_ id: String, _ action: String, _ body: JSONValue = [:], key: String? = nil) async throws -> Answer {
        try await post("/v1/subscriptions/\(id)/\(action)", body, key: key)
    }

    /// The types of an end user's events, oldest first, once there is a number of them. A transaction of anybody that is
    /// older delays the feed.
    func events(_ endUser: String, atLeast count: Int) async throws -> [String] {
        try await waitUntil("the feed shows \(count) events", within: 60) {
            try await events(endUser).count >= count
        }
        return try await events(endUser)
    }

    private func events(_ endUser: String) async throws -> [String] {
        var types: [String] = []
        var after: String?
        while true {
            let page = try await get("/v1/events", [("after", after), ("limit", "100")]).expect(200)
            guard case .array(let events)? = page["data"] else { return types }
            types += events.filter { $0[path: "end_user_id"]?.text == endUser }.compactMap { $0[path: "type"]?.text }
                .filter { $0.hasPrefix("subscription.") || $0.hasPrefix("contract.") }
            after = page["pagination.next_cursor"]?.text
            if page["pagination.has_more"] == .bool(false) { return types }
        }
    }
}

extension JSONValue {
    var objectMembers: [(String, JSONValue)] {
        guard case .object(let object) = self else { return [] }
        return object.members.map { ($0.key, $0.value) }
    }
}

extension Acceptance {
    /// Subscriptions over HTTP.
    @Suite struct SubscriptionTests {
        static let month: JSONValue = ["unit": "month", "count": 1]

        @Test("The three calls everybody starts with")
        func threeCalls() async throws {
            let client = try await makeTenant().test
            try await client.sell("api_calls", unitCost: 1_000)
            let variant = try await client.makePlan(
                "pro", ["billing_interval": Self.month, "credit_grants": [["credits": 50_000, "cadence": "period"]]])
            let made = try await client.post(
                "/v1/subscriptions", ["end_user_id": "user_123", "plan_variant_id": .string(variant)], key: "once"
            ).expect(201)
            expectMutationHeaders(made)
            #expect(try made.text("id").hasPrefix("sub_") && made["status"] == "active" && made["slot"] == "base")
            #expect(made["period_index"] == 1 && made["quantity"] == 1 && made["renewed_ahead"] == .bool(false))
            let again = try await client.post(
                "/v1/subscriptions", ["end_user_id": "user_123", "plan_variant_id": .string(variant)], key: "once")
            #expect(again.isReplay && again.bytes == made.bytes)
            let used = try await client.use("user_123", "api_calls").expect(201)
            #expect(used["effective_balance"] == 49_000)
            let check = try await client.check("user_123", "api_calls")
            #expect(check["allowed"] == .bool(true) && check["subscription_status"] == "active")
            #expect(check["balance"] == 49_000 && check["affordable_units"] == 49)
            #expect(try await client.subscription(try made.text("id")).json == made.json)
            #expect(try await client.all("/v1/subscriptions", [("end_user_id", "user_123")]) == [made.json])
            let twice = try await client.subscribe("user_123", "pro")
            #expect(twice.expect(409, "already_subscribed")["subscription_id"] == made["id"])
            #expect(
                try await client.events("user_123", atLeast: 2) == ["subscription.created", "subscription.activated"])
        }

        @Test("A check of an end user that was never seen answers from the default plan")
        func defaultPlan() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.makePlan(
                "free",
                [
                    "billing_interval": Self.month, "billing_mode": "postpaid",
                    "credit_grants": [["credits": 100, "cadence": "period"]],
                ])
            try await client.patch("/v1/config", ["default_plan_variant_id": "free"]).expect(200)
            let check = try await client.check("nobody", "api")
            #expect(check["allowed"] == .bool(true) && check["balance"] == 100 && check["affordable_units"] == 10)
            #expect(check["subscription_status"] == "active")
            try await client.use("nobody", "api", 11).expect(402, "insufficient_credits")
            try await client.get("/v1/end-users/nobody").expect(404)
            #expect(try await client.use("nobody", "api", 4).expect(201)["balance"] == 60)
            let ledger = try await client.ledger("nobody")
            #expect(ledger.map { $0[path: "type"] } == ["grant", "use"])
            #expect(ledger[0][path: "subscription_id"]?.text?.hasPrefix("sub_") == true)
        }

        @Test("A year of a prepaid plan passes in one step of a clock, and the events come in order")
        func year() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.makePlan(
                "pro",
                [
                    "billing_interval": Self.month, "billing_mode": "postpaid", "trial_days": 14,
                    "credit_grants": [
                        ["credits": 1_000, "cadence": "period", "rollover": ["percentage": 50, "cap": 400]],
                        ["credits": 10, "cadence": "every", "every": "P1D", "anchor": "calendar"],
                    ],
                ])
            let clock = try await client.make("alice", at: "2030-01-31T12:00:00Z")
            let id = try await client.subscribe("alice", "pro").expect(201).text("id")
            try await clock.advance(to: "2031-01-31T12:00:00Z")
            let shown = try await client.subscription(id)
            #expect(shown["status"] == "active" && shown["period_index"] == 12)
            #expect(shown["current_period_end"] == "2031-02-14T12:00:00.000Z")
            // The daily credits, the month's, and what rolled over.
            #expect(try await client.balance("alice")["balance"] == 1_410)
            let events = try await client.events("alice", atLeast: 14)
            #expect(
                events.prefix(3) == ["subscription.created", "subscription.trial_ending", "subscription.activated"])
            #expect(events.count { $0 == "subscription.renewed" } == 11)
        }

        @Test("Every request that the state does not allow is refused, and changes nothing")
        func transitions() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.makePlan("pro", ["billing_interval": Self.month])
            let id = try await client.subscribe("alice", "pro").expect(201).text("id")
            for action in ["resume", "uncancel"] { try await client.act(id, action).expect(409, "invalid_transition") }
            try await client.send("DELETE", "/v1/subscriptions/\(id)/pending-change").expect(409, "invalid_transition")
            try await client.act(id, "renew").expect(200)
            try await client.act(id, "renew").expect(409, "invalid_transition")
            try await client.act(id, "pause").expect(200)
            for action in ["pause", "renew", "uncancel"] {
                try await client.act(id, action).expect(409, "invalid_transition")
            }
            try await client.act(id, "quantity", ["quantity": 2]).expect(409, "invalid_transition")
            let resumed = try await client.act(id, "resume").expect(200)
            #expect(resumed["status"] == "active" && resumed["renewed_ahead"] == .bool(true))
            try await client.act(id, "cancel").expect(200)
            try await client.act(id, "cancel").expect(409, "invalid_transition")
            #expect(try await client.act(id, "uncancel").expect(200)["cancel_at_period_end"] == .bool(false))
            let ended = try await client.act(id, "cancel", ["at": "now"], key: "end").expect(200)
            #expect(ended["status"] == "canceled" && ended["ended_at"] != .null)
            for action in ["pause", "resume", "renew", "cancel", "uncancel"] {
                try await client.act(id, action).expect(409, "invalid_transition")
            }
            #expect(try await client.subscription(id).json == ended.json)
            // The slot is free again.
            try await client.subscribe("alice", "pro").expect(201)
        }

        @Test("A paused and a past due subscription deny what only they give")
        func access() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.sell("open", unitCost: 1)
            try await client.makePlan(
                "pro",
                [
                    "billing_interval": Self.month, "allow_usage_while_overdue": false,
                    "features": [["feature_key": "api", "enabled": true]],
                    "credit_grants": [["credits": 1_000, "cadence": "period"]],
                ])
            let clock = try await client.make("alice", at: "2030-01-01T00:00:00Z")
            #expect(try await client.check("alice", "api")["reason"] == "feature_not_in_plan")
            let id = try await client.subscribe("alice", "pro").expect(201).text("id")
            #expect(try await client.check("alice", "api")["allowed"] == .bool(true))
            try await client.act(id, "pause").expect(200)
            let paused = try await client.check("alice", "api")
            #expect(paused["reason"] == "subscription_paused" && paused["affordable_units"] == 0)
            #expect(paused["balance"] == 1_000 && paused["effective_balance"] == 0)
            #expect(try await client.balance("alice")["frozen_balance"] == 1_000)
            try await client.use("alice", "api").expect(403, "subscription_paused")
            try await client.grant("alice", 5).expect(201)
            #expect(try await client.use("alice", "open", 5).expect(201)["balance"] == 1_000)
            try await client.act(id, "resume").expect(200)
            try await clock.advance(to: "2030-02-01T00:00:00Z")
            #expect(try await client.check("alice", "api")["reason"] == "subscription_past_due")
            try await client.use("alice", "api").expect(403, "subscription_past_due")
            try await client.act(id, "renew").expect(200)
            #expect(try await client.use("alice", "api").expect(201)["balance"] == 990)
            try await client.patch(
                "/v1/end-users/alice", ["feature_overrides": [["feature_key": "api", "enabled": true]]]
            ).expect(200)
            try await client.act(id, "pause").expect(200)
            // An override that grants does so whatever the subscription's state; the credits stay frozen.
            #expect(try await client.check("alice", "api")["reason"] == "insufficient_credits")
        }

        @Test("Balances and explanations know the subscriptions of a past instant, and what was frozen")
        func past() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            try await client.makePlan(
                "pro",
                [
                    "billing_interval": Self.month, "features": [["feature_key": "api", "enabled": true]],
                    "credit_grants": [["credits": 1_000, "cadence": "period"]],
                ])
            let clock = try await client.make("alice", at: "2030-01-01T00:00:00Z")
            try await client.grant("alice", 50).expect(201)
            try await clock.advance(to: "2030-01-02T00:00:00Z")
            let id = try await client.subscribe("alice", "pro").expect(201).text("id")
            try await clock.advance(to: "2030-01-05T00:00:00Z")
            try await client.act(id, "pause").expect(200)
            try await clock.advance(to: "2030-01-09T00:00:00Z")
            func explained(_ instant: String?) async throws -> Answer {
                try await client.get(
                    "/v1/ledger/explain",
                    [("end_user_id", "alice"), ("feature_key", "api"), ("units", "2"), ("at", instant)]
                ).expect(200)
            }
            for (instant, frozen, reason, spendable) in [
                ("2030-01-01T12:00:00Z", 0, "feature_not_in_plan", 50), ("2030-01-04T00:00:00Z", 0, nil, 1_050),
                ("2030-01-05T00:00:00Z", 1_000, "subscription_paused", 50), (nil, 1_000, "subscription_paused", 50),
            ] as [(String?, Int64, String?, Int64)] {
                let answer = try await explained(instant)
                let name: Comment = "\(instant ?? "now")"
                #expect(answer["entitlement.reason"] == reason.map { .string($0) } ?? .null, name)
                #expect(answer["entitlement.spendable_balance"] == .integer(spendable), name)
                #expect(answer["frozen_balance"] == .integer(frozen), name)
                let effective = try answer.integer("balance") - frozen
                #expect(answer["effective_balance"] == .integer(effective), name)
                for sum in try answer.items("arithmetic") {
                    let steps = sum[path: "steps"]?.elements ?? []
                    #expect(
                        steps.reduce(0) { $0 + ($1[path: "amount"]?.integer ?? 0) } == sum[path: "value"]?.integer, name
                    )
                    if sum[path: "result"] == "effective_balance" {
                        #expect(sum[path: "value"] == .integer(effective), name)
                    }
                    if sum[path: "result"] == "spendable_balance" {
                        #expect(sum[path: "value"] == .integer(spendable), name)
                    }
                }
                let balance = try await client.get(
                    "/v1/credits/balance", [("end_user_id", "alice"), ("at", instant)]
                ).expect(200)
                #expect(balance["frozen_balance"] == .integer(frozen), name)
                #expect(balance["effective_balance"] == .integer(effective), name)
            }
        }

        @Test("A forecast of what follows names the next subscription by its id, and a preview changes nothing")
        func forecast() async throws {
            let client = try await makeTenant().test
            let free = try await client.makePlan(
                "free",
                [
                    "billing_interval": Self.month, "billing_mode": "postpaid",
                    "credit_grants": [["credits": 10, "cadence": "period"]],
                ])
            try await client.makePlan(
                "pro",
                [
                    "billing_interval": Self.month, "fallback_variant_id": .string(free),
                    "credit_grants": [["credits": 1_000, "cadence": "period"]],
                ])
            try await client.makePlan("pass", slot: "pass", ["billing_interval": Self.month])
            let clock = try await client.make("alice", at: "2030-01-01T00:00:00Z")
            let id = try await client.subscribe("alice", "pro").expect(201).text("id")
            let pass = try await client.subscribe("alice", "pass").expect(201).text("id")
            try await client.act(pass, "cancel", ["at": "now"]).expect(200)
            let upcoming = try await client.get("/v1/subscriptions/\(id)/upcoming").expect(200)
            let events = try upcoming.items("events")
            let started = try #require(events.first { $0[path: "type"] == "subscription.fallback_started" })
            let named = try #require(started[path: "data.subscription_id"]?.text)
            #expect(named != pass && named != id && started[path: "data.ended_subscription_id"] == .string(id))
            let preview = try await client.get("/v1/subscriptions/\(id)/preview", [("quantity", "3")]).expect(200)
            #expect(preview["subscription.quantity"] == 3 && preview["balance"] == 3_000)
            #expect(try await client.subscription(id)["quantity"] == 1)
            try await clock.advance(to: "2030-03-01T00:00:00Z")
            let fallback = try await client.subscription(named)
            #expect(fallback["plan_variant_id"] == .string(free) && fallback["status"] == "active")
            let feed = try await client.get("/v1/events", [("limit", "100")]).expect(200).items()
            let told = feed.first { $0[path: "type"] == "subscription.fallback_started" }
            #expect(
                told?[path: "data"] == started[path: "data"] && told?[path: "timestamp"] == started[path: "timestamp"])
        }

        @Test("Bad input is refused with its code and pointer, and nothing is written")
        func badInput() async throws {
            let client = try await makeTenant().test
            try await client.makePlan("pro", ["billing_interval": Self.month])
            let bodies: [(String, String)] = [
                (#"{"end_user_id":"a"}"#, "/plan_variant_id"),
                (#"{"end_user_id":"a","plan_variant_id":"NOT A KEY"}"#, "/plan_variant_id"),
                (#"{"end_user_id":"a","plan_variant_id":"pro","quantity":0}"#, "/quantity"),
                (#"{"end_user_id":"a","plan_variant_id":"pro","quantity":1000001}"#, "/quantity"),
                (#"{"end_user_id":"a","plan_variant_id":"pro","trial_days":1000000}"#, "/trial_days"),
                (#"{"end_user_id":"a","plan_variant_id":"pro","start_at":"tomorrow"}"#, "/start_at"),
                (
                    #"{"end_user_id":"a","plan_variant_id":"pro","contract":{"periods":0,"on_end":"renew"}}"#,
                    "/contract/periods"
                ),
                (#"{"end_user_id":"a","plan_variant_id":"pro","contract":{"periods":1}}"#, "/contract/on_end"),
                (
                    #"{"end_user_id":"a","plan_variant_id":"pro","contract":{"periods":1,"on_end":"x"}}"#,
                    "/contract/on_end"
                ),
                (#"{"end_user_id":"","plan_variant_id":"pro"}"#, "/end_user_id"),
            ]
            for (body, pointer) in bodies {
                let refused = try await client.send("POST", "/v1/subscriptions", bytes: Array(body.utf8))
                #expect(refused.expect(400, "invalid_request")["errors.0.pointer"]?.text == pointer, "\(body)")
            }
            try await client.send(
                "POST", "/v1/subscriptions",
                bytes: Array(#"{"end_user_id":"a","plan_variant_id":"pro","free":true}"#.utf8)
            ).expect(400, "unknown_field")
            try await client.subscribe("a", "other").expect(404, "not_found")
            try await client.patch("/v1/plans/pro", ["archived": true]).expect(200)
            try await client.subscribe("a", "pro").expect(404, "not_found")
            try await client.get("/v1/subscriptions/sub_00000000000000000000000000").expect(404, "not_found")
            try await client.act("nonsense", "renew").expect(404, "not_found")
            try await client.get("/v1/end-users/a").expect(404)
        }
    }
}
