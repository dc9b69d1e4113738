import ChildProcesses
import Credits
import JSON
import Testing

extension Acceptance {
    /// Credits that are held for a job: the answer to every action, and the books afterwards.
    @Suite struct ReservationTests {
        @Test("A reservation holds its estimate: the balance stays, the effective balance falls")
        func create() async throws {
            let client = try await furnished(500_000, unitCost: 75)
            let made = try await client.post(
                "/v1/reservations",
                ["end_user_id": "alice", "feature_key": "api", "units": 1_000, "metadata": ["job": "j1"]]
            ).expect(201)
            expectMutationHeaders(made)
            let expected: [(String, JSONValue)] = [
                ("end_user_id", "alice"), ("feature_key", "api"), ("status", "active"), ("units", 1_000),
                ("quantities", .null), ("credits", .null), ("attributes", .object([:])),
                ("estimated_cost", 75_000), ("held", 75_000), ("uncovered", 0), ("cost", 0), ("progress", .null),
                ("finished_at", .null), ("metadata", ["job": "j1"]), ("balance", 500_000),
                ("reserved_balance", 75_000), ("effective_balance", 425_000),
            ]
            for (name, value) in expected { #expect(made[name] == value, "\(name): \(made)") }
            #expect(try made.text("id").hasPrefix("res_") && made.text("rule_id").hasPrefix("rule_"))
            let created = try #require(Instant(rfc3339: made.text("created_at")))
            #expect(try made.text("expires_at") == created.adding(seconds: 300).description)

            let shown = try await client.reservation(try made.text("id")).expect(200)
            for name in shown.json.names { #expect(shown[name] == made[name], "\(name)") }
            #expect(try await client.all("/v1/reservations", [("end_user_id", "alice")]) == [shown.json])
            #expect(
                try await client.all("/v1/reservations", [("end_user_id", "alice"), ("status", "released")]).isEmpty)
            let check = try await client.check("alice", "api", 1).expect(200)
            #expect(check["reserved_balance"] == 75_000 && check["spendable_balance"] == 425_000)
        }

        @Test("A commit below the hold charges what it cost and returns the rest; every later action is refused")
        func commit() async throws {
            let client = try await furnished(100_000, unitCost: 75)
            let id = try await client.reserve("alice", "api", units: 1_000).expect(201).text("id")
            let committed = try await client.commit(id, units: 400).expect(200)
            expectMutationHeaders(committed)
            let expected: [(String, JSONValue)] = [
                ("status", "committed"), ("cost", 30_000), ("charged", 30_000), ("returned", 45_000), ("overage", 0),
                ("held", 0), ("balance", 70_000), ("reserved_balance", 0), ("effective_balance", 70_000),
            ]
            for (name, value) in expected { #expect(committed[name] == value, "\(name): \(committed)") }
            #expect(committed["entry.type"] == "commit" && committed["entry.reservation_id"] == .string(id))
            #expect(committed["entry.amount"] == -30_000 && committed["entry.reserved_delta"] == -75_000)
            expectInstant(committed["finished_at"])
            try await client.commit(id, units: 400).expect(409, "reservation_not_active")
            try await client.release(id).expect(409, "reservation_not_active")
            try await client.extend(id, ttl: 60).expect(409, "reservation_not_active")
            try await client.progress(id, units: 5).expect(409, "reservation_not_active")
            #expect(try await client.reservation(id)["status"] == "committed")
            #expect(try await client.ledger("alice").count == 3)
        }

        @Test("A commit beyond its hold takes free credits, and then follows the shortfall mode")
        func shortfall() async throws {
            let client = try await furnished(1_000, unitCost: 10)
            let first = try await client.reserve("alice", "api", units: 50).expect(201).text("id")
            let rejected = try await client.commit(first, units: 101).expect(402, "insufficient_credits")
            #expect(rejected["required"] == 510 && rejected["spendable_balance"] == 500)
            #expect(try await client.reservation(first)["status"] == "active")
            let within = try await client.commit(first, units: 60).expect(200)
            #expect(within["cost"] == 600 && within["returned"] == 0 && within["balance"] == 400)

            let second = try await client.reserve("alice", "api", units: 10).expect(201).text("id")
            let capped = try await client.commit(second, units: 50, shortfall: "cap").expect(200)
            #expect(capped["cost"] == 400 && capped["balance"] == 0 && capped["overage"] == 0)

            let third = try await client.reserve("alice", "api", units: 0).expect(201).text("id")
            let owing = try await client.commit(third, units: 3, shortfall: "overage").expect(200)
            #expect(owing["cost"] == 30 && owing["overage"] == 30 && owing["balance"] == -30)
        }

        @Test("Under allow a hold takes all available credits; the uncovered rest becomes overage only on commit")
        func uncovered() async throws {
            let client = try await furnished(0, unitCost: 10)
            try await client.allowOverage("alice", limit: 500)
            try await client.grant("alice", 100).expect(201)
            let made = try await client.reserve("alice", "api", units: 40).expect(201)
            #expect(made["held"] == 100 && made["uncovered"] == 300 && made["balance"] == 100)
            #expect(try await client.balance("alice")["overage"] == 0)
            let committed = try await client.commit(try made.text("id"), units: 40).expect(200)
            #expect(committed["cost"] == 400 && committed["overage"] == 300 && committed["balance"] == -300)
            try await client.reserve("alice", "api", units: 21).expect(402, "insufficient_credits")
        }

        @Test("A release returns everything; a commit of nothing charges nothing")
        func release() async throws {
            let client = try await furnished(100, unitCost: 10)
            let first = try await client.reserve("alice", "api", units: 10).expect(201).text("id")
            let released = try await client.release(first).expect(200)
            #expect(released["status"] == "released" && released["returned"] == 100 && released["charged"] == 0)
            #expect(released["entry.type"] == "release" && released["effective_balance"] == 100)
            let second = try await client.reserve("alice", "api", units: 10).expect(201).text("id")
            let nothing = try await client.commit(second, units: 0).expect(200)
            #expect(nothing["status"] == "committed" && nothing["cost"] == 0 && nothing["effective_balance"] == 100)
        }

        @Test("A reservation lapses at its deadline by itself, with an entry as of that instant")
        func lapse() async throws {
            let client = try await furnished(100, unitCost: 10)
            let made = try await client.reserve("alice", "api", units: 10, ttl: 1).expect(201)
            let id = try made.text("id")
            try await waitUntil("the reservation has lapsed", within: 10) {
                try await client.balance("alice")["effective_balance"] == 100
            }
            try await client.commit(id, units: 1).expect(409, "reservation_not_active")
            let shown = try await client.reservation(id)
            #expect(shown["status"] == "expired" && shown["finished_at"] == made["expires_at"])
            let entry = try #require(try await client.ledger("alice", type: "release").first)
            #expect(entry[path: "effective_at"] == made["expires_at"] && entry[path: "trigger"] == "deadline")
            #expect(entry[path: "reserved_delta"] == -100 && entry[path: "amount"] == 0)
        }

        @Test("On a test clock a reservation lapses when the clock passes its deadline, and every read shows it")
        func testClock() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            try await client.sell("api", unitCost: 10)
            let clock = try await client.make("alice", at: "2030-01-01T00:00:00Z")
            try await tenant.live.post(
                "/v1/end-users", ["end_user_id": "alice", "test_clock_id": .string(clock.id)]
            ).expect(403, "test_mode_only")
            try await client.grant("alice", 100, expiresAt: "2030-01-01T00:01:00Z").expect(201)
            let made = try await client.reserve("alice", "api", units: 6, ttl: 300).expect(201)
            #expect(made["expires_at"] == "2030-01-01T00:05:00.000Z")
            try await clock.advance(to: "2030-01-01T00:04:59Z")
            #expect(try await client.balance("alice")["balance"] == 60)
            #expect(try await client.reservation(try made.text("id"))["status"] == "active")
            try await clock.advance(to: "2030-01-01T01:00:00Z")
            let shown = try await client.reservation(try made.text("id"))
            #expect(shown["status"] == "expired" && shown["finished_at"] == "2030-01-01T00:05:00.000Z")
            #expect(
                try await client.ledger("alice").map { $0[path: "effective_at"]?.text?.prefix(19) ?? "" }.suffix(3)
                    == ["2030-01-01T00:01:00", "2030-01-01T00:05:00", "2030-01-01T00:05:00"])
            for (at, balance) in [("00:00:30", 100), ("00:01:00", 60), ("00:05:00", 0)] as [(String, Int64)] {
                let then = try await client.get(
                    "/v1/credits/balance", [("end_user_id", "alice"), ("at", "2030-01-01T\(at)Z")]
                ).expect(200)
                #expect(then["balance"]?.integer == balance, "\(at)")
            }
        }

        @Test("Held credits outlive the expiry of their block, and expire when they return")
        func heldBeyondExpiry() async throws {
            let client = try await furnished(0, unitCost: 10)
            let clock = try await client.make("alice", at: "2030-01-01T00:00:00Z")
            let granted = try await client.grant("alice", 100, expiresAfter: "PT1M").expect(201)
            let made = try await client.reserve("alice", "api", units: 6).expect(201)
            try await clock.advance(to: "2030-01-01T00:02:00Z")
            #expect(try await client.balance("alice")["balance"] == 60)
            let committed = try await client.commit(try made.text("id"), units: 4).expect(200)
            #expect(committed["cost"] == 40 && committed["balance"] == 0)
            let expired = try await client.ledger("alice", type: "expire")
            #expect(expired.map { $0[path: "amount"]?.integer } == [-40, -20])
            #expect(expired[0][path: "effective_at"] == granted["block.expires_at"])
        }

        @Test("An extension moves the deadline to the later of the present one and now plus the time given")
        func extend() async throws {
            let client = try await furnished(100, unitCost: 10)
            let made = try await client.reserve("alice", "api", units: 10, ttl: 600).expect(201)
            let id = try made.text("id")
            let shorter = try await client.extend(id, ttl: 5).expect(200)
            #expect(shorter["expires_at"] == made["expires_at"] && shorter["entry"] == .null)
            let longer = try await client.extend(id, ttl: 604_800).expect(200)
            #expect(try longer.text("expires_at") > made.text("expires_at"))
            #expect(try await client.reservation(id)["expires_at"] == longer["expires_at"])
        }

        @Test("Progress charges up to a watermark that only rises; the commit names the total")
        func progress() async throws {
            let client = try await furnished(1_000, unitCost: 10)
            let id = try await client.reserve("alice", "api", units: 20).expect(201).text("id")
            let first = try await client.progress(id, units: 15).expect(200)
            #expect(first["status"] == "active" && first["charged"] == 150 && first["held"] == 50)
            #expect(first["progress.units"] == 15 && first["cost"] == 150 && first["balance"] == 850)
            let again = try await client.progress(id, units: 15).expect(200)
            #expect(again["charged"] == 0 && again["entry"] == .null)
            let earlier = try await client.progress(id, units: 9).expect(200)
            #expect(earlier["charged"] == 0 && earlier["progress.units"] == 15)
            let grown = try await client.progress(id, units: 30).expect(200)
            #expect(grown["charged"] == 150 && grown["held"] == 200 && grown["balance"] == 700)
            let committed = try await client.commit(id, units: 33).expect(200)
            #expect(committed["cost"] == 330 && committed["charged"] == 30 && committed["balance"] == 670)
            #expect(committed["entry.units"] == 33)
            let refund = try await client.refund("alice", try committed.text("entry.id")).expect(201)
            #expect(refund["refunded"] == 330 && refund["balance"] == 1_000)
        }

        @Test("A reservation in credits holds and charges exactly that amount")
        func credits() async throws {
            let client = try await furnished(1_000, unitCost: 10)
            let made = try await client.reserve("alice", "api", credits: 300).expect(201)
            #expect(made["held"] == 300 && made["credits"] == 300 && made["units"] == .null)
            let committed = try await client.commit(try made.text("id"), credits: 120).expect(200)
            #expect(committed["cost"] == 120 && committed["returned"] == 180 && committed["balance"] == 880)
        }

        @Test("A reservation with quantities is priced by dimension, and committed by the rule it was made with")
        func quantities() async throws {
            let client = try await makeTenant().test
            try await client.grant("alice", 10_000).expect(201)
            try await client.post("/v1/features", ["key": "llm", "name": "LLM", "type": "metered"]).expect(201)
            let dimensions: JSONValue = [
                "input": ["model": "per_unit", "unit_cost": 3, "per_units": 1_000],
                "output": ["model": "per_unit", "unit_cost": 15, "per_units": 1_000],
            ]
            try await client.post("/v1/metering-rules", ["feature_key": "llm", "dimensions": dimensions]).expect(201)
            let made = try await client.post(
                "/v1/reservations",
                [
                    "end_user_id": "alice", "feature_key": "llm", "quantities": ["input": 1_001, "output": 2_000],
                    "attributes": ["tier": "pro"],
                ]
            ).expect(201)
            #expect(made["held"] == 34 && made["quantities"] == ["input": 1_001, "output": 2_000])
            #expect(made["attributes"] == ["tier": "pro"])
            try await client.post(
                "/v1/metering-rules", ["feature_key": "llm", "model": "flat", "amount": 9_000]
            ).expect(201)
            let committed = try await client.post(
                "/v1/reservations/\(try made.text("id"))/commit", ["quantities": ["input": 1_000, "output": 1_000]]
            ).expect(200)
            #expect(committed["cost"] == 18 && committed["entry.quantities"] == ["input": 1_000, "output": 1_000])
            #expect(committed["entry.rule_id"] == made["rule_id"])
        }

        @Test("Of 50 concurrent reservations of 75,000 mc against 500,000 exactly 6 succeed, every time")
        func concurrent() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 75)
            for round in 0..<20 {
                let user = "user-\(round)"
                try await client.grant(user, 500_000).expect(201)
                let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<50 {
                        group.addTask { try await client.reserve(user, "api", units: 1_000).status }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(statuses.filter { $0 == 201 }.count == 6 && statuses.filter { $0 == 402 }.count == 44)
                let balance = try await client.balance(user)
                #expect(balance["reserved_balance"] == 450_000 && balance["effective_balance"] == 50_000)
                #expect(
                    try await client.all("/v1/reservations", [("end_user_id", user), ("status", "active")]).count == 6)
            }
        }

        @Test("A reservation and a commit that are repeated with their keys happen once")
        func repeated() async throws {
            let client = try await furnished(1_000, unitCost: 10)
            let first = try await client.reserve("alice", "api", units: 10, key: "job-1").expect(201)
            let again = try await client.reserve("alice", "api", units: 10, key: "job-1").expect(201)
            #expect(again.isReplay && again.json == first.json)
            let id = try first.text("id")
            let committed = try await client.commit(id, units: 7, key: "done-1").expect(200)
            let repeated = try await client.commit(id, units: 7, key: "done-1").expect(200)
            #expect(repeated.isReplay && repeated.json == committed.json)
            try await client.commit(id, units: 8, key: "done-1").expect(422, "idempotency_key_reuse")
            #expect(try await client.balance("alice")["balance"] == 930)
        }

        /// An environment in which alice has credits and the feature api has a price.
        private func furnished(_ credits: Int64, unitCost: Int64) async throws -> Client {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: unitCost)
            if credits > 0 { try await client.grant("alice", credits).expect(201) }
            return client
        }
    }
}
