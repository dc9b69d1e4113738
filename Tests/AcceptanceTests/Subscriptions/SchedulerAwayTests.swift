import ChildProcesses
import Credits
import Glibc
import JSON
import Postgres
import Testing

extension Acceptance.Processes {
    /// Nobody tells the accounts of a tenant that time has passed.
    @Suite struct SchedulerAwayTests {
        /// One of two tenants that are driven alike.
        private struct Side {
            let client: Client
            let clock: String
            /// Whether the accounts are advanced whenever the clock moves, as a scheduler advances them.
            let isAttended: Bool
        }

        private static let endUsers = ["ann", "bob", "cat", "dan", "eve", "fay"]

        @Test(
            "A week without a scheduler changes no answer, and when one returns every event is told as of the instant at which it was due"
        )
        func week() async throws {
            try await withInstallation(serves: false) { installation in
                _ = try await installation.startNodes("quotastack-ledger", 1)
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                // The week ends an hour ago, so that real time can go on from there.
                let start = Instant(microseconds: Int64(time(nil)) * 1_000_000).adding(seconds: -(7 * 24 + 1) * 3_600)
                var sides: [Side] = []
                for (name, isAttended) in [("Attended", true), ("Left alone", false)] {
                    let client = try await installation.makeTenant(name, through: api).test
                    sides.append(try await makeSide(client, from: start, isAttended: isAttended))
                }
                var renewed: [[String]] = []
                for side in sides { renewed.append(try await subscribe(side, from: start)) }
                for hour in stride(from: 7, through: 7 * 24, by: 7) {
                    let now = start.adding(seconds: Int64(hour) * 3_600)
                    for side in sides { try await move(side, to: now, installation) }
                    try await compare(sides, "after \(hour) hours")
                    // The others have no command in the whole week.
                    if hour % 21 == 0 {
                        let used = try await both(sides) { try await $0.client.use("bob", "calls", 13) }
                        #expect(used[0].expect(201)["cost"] == 13)
                        #expect(plain(used[0]) == plain(used[1]), "a use after \(hour) hours")
                    }
                    if [28, 63, 70].contains(hour) {
                        for (side, ids) in zip(sides, renewed) {
                            try await side.client.act(ids[0], "renew").expect(200)
                        }
                    }
                }
                let alone = try await told(sides[1], by: "cat").filter { $0.hasPrefix("subscription.") }
                #expect(
                    alone == ["subscription.created", "subscription.trial_ending"], "nobody has advanced cat: \(alone)")
                try await returnToRealTime(installation)
                _ = try await installation.startNodes("quotastack-scheduler", 1)
                try await compareEvents(sides)
                try await compare(sides, "after the scheduler has returned")
                let books = try await installation.run("verify")
                #expect(books.status == 0, "\(books.output)")
            }
        }

        // MARK: - Two tenants

        private func makeSide(_ client: Client, from start: Instant, isAttended: Bool) async throws -> Side {
            for feature in ["calls", "pro"] {
                let name: JSONValue = .string(feature)
                try await client.post("/v1/features", ["key": name, "name": name, "type": "metered"]).expect(201)
                try await client.post(
                    "/v1/metering-rules",
                    [
                        "feature_key": name, "model": "per_unit", "unit_cost": 1,
                        "effective_from": "2020-01-01T00:00:00Z",
                    ]
                ).expect(201)
            }
            _ = try await client.makePlan(
                "free",
                [
                    "billing_interval": ["unit": "week"], "billing_mode": "postpaid",
                    "credit_grants": [["credits": 5, "cadence": "period"]],
                ])
            _ = try await client.makePlan(
                "daily",
                [
                    "billing_interval": ["unit": "day"], "trial_days": 1, "trial_credits": 50, "grace_period_days": 2,
                    "renewal_due_days": 1, "fallback_variant_id": "free",
                    "credit_grants": [
                        ["credits": 100, "cadence": "period", "rollover": ["percentage": 50]],
                        ["credits": 7, "cadence": "every", "every": "PT5H"],
                        ["credits": 3, "cadence": "every", "every": "P1D", "anchor": "calendar", "expires": "P2D"],
                    ],
                    "features": [["feature_key": "pro", "enabled": true]],
                ])
            _ = try await client.makePlan(
                "metered",
                [
                    "billing_interval": ["unit": "day", "count": 2], "billing_mode": "postpaid",
                    "overage_policy": "allow", "credit_grants": [["credits": 20, "cadence": "period"]],
                    "features": [["feature_key": "pro", "enabled": true]],
                ])
            let clock = try await client.post("/v1/test-clocks", ["now": .string("\(start)")]).expect(201).text("id")
            for endUser in Self.endUsers {
                try await client.post(
                    "/v1/end-users", ["end_user_id": .string(endUser), "test_clock_id": .string(clock)]
                ).expect(201)
            }
            return Side(client: client, clock: clock, isAttended: isAttended)
        }

        /// Returns the ids of the subscriptions that are renewed later.
        private func subscribe(_ side: Side, from start: Instant) async throws -> [String] {
            let client = side.client
            let ann = try await client.subscribe("ann", "daily").expect(201).text("id")
            try await client.subscribe("bob", "metered").expect(201)
            // A trial, grace, the end, and the fallback.
            try await client.subscribe("cat", "daily").expect(201)
            let dan = try await client.subscribe("dan", "metered").expect(201).text("id")
            try await client.act(dan, "cancel").expect(200)
            let eve = try await client.subscribe("eve", "daily", [("trial_days", 0)]).expect(201).text("id")
            let resumption = start.adding(seconds: 50 * 3_600)
            try await client.act(eve, "pause", ["resume_at": .string("\(resumption)")]).expect(200)
            try await client.grant("fay", 10, expiresAfter: "P1D").expect(201)
            try await client.post(
                "/v1/credits/grant",
                [
                    "end_user_id": "fay", "credits": 20, "starts_at": .string("\(start.adding(seconds: 300_000))"),
                    "expires_after": "PT30H",
                ]
            ).expect(201)
            return [ann]
        }

        /// Moves the clock of a side. The clock of the tenant that is left alone is moved in its table, so that no account
        /// gets a command.
        private func move(_ side: Side, to now: Instant, _ installation: Installation) async throws {
            if side.isAttended {
                return try await TestClock(id: side.clock, client: side.client).advance(to: "\(now)")
            }
            try await PostgresConnection.lent(installation.database) { connection in
                try await connection.script(
                    """
                    begin;
                    update test_clocks set shows = '\(now)'
                    where environment_id = (select max(environment_id) from test_clocks);
                    update environments set catalogue_version = catalogue_version + 1
                    where environment_id = (select max(environment_id) from test_clocks);
                    commit
                    """)
            }
            try await waitUntil("the node shows the clock at \(now)") {
                try await side.client.balance("fay")["as_of"] == .string("\(now)")
            }
        }

        private func both<Value: Sendable>(
            _ sides: [Side], _ ask: (Side) async throws -> Value
        ) async throws -> [Value] {
            var answers: [Value] = []
            for side in sides { answers.append(try await ask(side)) }
            return answers
        }

        private func compare(_ sides: [Side], _ when: String) async throws {
            for endUser in Self.endUsers {
                for feature in ["calls", "pro"] {
                    let checks = try await both(sides) { try await $0.client.check(endUser, feature, 3) }
                    #expect(plain(checks[0]) == plain(checks[1]), "a check of \(feature) by \(endUser) \(when)")
                }
                let balances = try await both(sides) { try await $0.client.balance(endUser) }
                #expect(plain(balances[0]) == plain(balances[1]), "the balance of \(endUser) \(when)")
            }
        }

        /// An answer without what differs between two tenants, or with the present time.
        private func plain(_ answer: Answer) -> JSONValue {
            let own: Set = ["position", "id", "entry", "request_id", "rule_id"]
            let members = answer.json.objectMembers.filter { !own.contains($0.0) && $0.0 != "as_of" }
            return .members([("status of the answer", .integer(Int64(answer.status)))] + members.map { ($0.0, $0.1) })
        }

        // MARK: - The return

        /// Takes all end users off their clocks. Real time is an hour later than the clocks were. The scheduler finds all of
        /// them due.
        private func returnToRealTime(_ installation: Installation) async throws {
            try await PostgresConnection.lent(installation.database) { connection in
                try await connection.script(
                    """
                    update accounts
                    set settings = null, test_clock_id = null, due_at = clock_timestamp() - interval '7 days'
                    where test_clock_id is not null
                    """)
            }
        }

        /// The events of both tenants are the same, in the same order, and each has the instant at which it was due.
        private func compareEvents(_ sides: [Side]) async throws {
            var feeds: [[JSONValue]] = []
            try? await waitUntil("both tenants are told the same") {
                feeds = try await both(sides) { try await feed($0.client) }
                return Self.endUsers.allSatisfy { endUser in
                    let lists = feeds.map { $0.filter { $0[path: "end_user_id"]?.text == endUser }.map(plain) }
                    return lists[0] == lists[1]
                }
            }
            for endUser in Self.endUsers {
                let lists = feeds.map { $0.filter { $0[path: "end_user_id"]?.text == endUser } }
                #expect(lists[0].map(plain) == lists[1].map(plain), "the events of \(endUser)")
                for list in lists {
                    let instants = list.compactMap { $0[path: "timestamp"]?.text }
                    // A renewal in grace makes notices of the new period due in the past.
                    #expect(endUser == "ann" || instants == instants.sorted(), "\(endUser) in due order")
                    #expect(list.compactMap { $0[path: "sequence"]?.integer } == (0..<list.count).map { Int64($0) + 1 })
                }
            }
            let cat = feeds[1].filter { $0[path: "end_user_id"]?.text == "cat" }
            let types = cat.compactMap { $0[path: "type"]?.text }
            #expect(
                types.filter { $0.hasPrefix("subscription.") }.starts(with: [
                    "subscription.created", "subscription.trial_ending", "subscription.past_due",
                    "subscription.expired", "subscription.fallback_started", "subscription.activated",
                ]), "\(types)")
            // All that follows the notice was recorded now, and is told as of then.
            let notice = try #require(types.firstIndex(of: "subscription.trial_ending"))
            let rest = cat.dropFirst(notice + 1)
            let recorded = rest.compactMap { $0[path: "created_at"]?.text?.prefix(10) }
            let due = rest.first?[path: "timestamp"]?.text?.prefix(10) ?? ""
            #expect(Set(recorded).count <= 2 && recorded.first ?? "" > due)
        }

        /// An event without the ids of its tenant and the instant at which it was recorded.
        private func plain(_ event: JSONValue) -> JSONValue {
            let data = event[path: "data"]?.objectMembers.filter { !$0.0.hasSuffix("_id") } ?? []
            return [
                "type": event[path: "type"] ?? .null, "timestamp": event[path: "timestamp"] ?? .null,
                "sequence": event[path: "sequence"] ?? .null, "data": .members(data.map { ($0.0, $0.1) }),
            ]
        }

        private func feed(_ client: Client) async throws -> [JSONValue] {
            var (events, after): ([JSONValue], String?) = ([], nil)
            while true {
                let page = try await client.get("/v1/events", [("after", after), ("limit", "100")]).expect(200)
                events += try page.items()
                after = page["pagination.next_cursor"]?.text
                if page["pagination.has_more"] == .bool(false) { return events }
            }
        }

        private func told(_ side: Side, by endUser: String) async throws -> [String] {
            try await feed(side.client).filter { $0[path: "end_user_id"]?.text == endUser }
                .compactMap { $0[path: "type"]?.text }
        }
    }
}
