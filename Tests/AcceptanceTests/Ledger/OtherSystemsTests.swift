import JSON
import Testing

extension Acceptance {
    /// Defects that users of other systems reported, one test for each report.
    @Suite struct OtherSystemsTests {
        @Test("lago-api#2243, #3618: the same payment event delivered twice within milliseconds grants once")
        func paymentDeliveredTwice() async throws {
            let client = try await makeTenant().test
            for round in 0..<20 {
                let deliver = { @Sendable in
                    try await client.topUp("alice", 1_000, payment: "evt_\(round)", price: 999, currency: "EUR")
                }
                async let one = deliver()
                async let two = deliver()
                let answers = try await [one, two]
                for answer in answers { answer.expect(201) }
                #expect(answers[0]["block.id"] == answers[1]["block.id"])
            }
            #expect(try await client.balance("alice")["balance"] == 20_000)
            #expect(try await client.ledger("alice").count == 20)
        }

        @Test("eliza#10846: a settle that is retried after its acknowledgement was lost charges once")
        func settleRetried() async throws {
            let client = try await furnished(1_000)
            let id = try await client.reserve("alice", "api", units: 50).expect(201).text("id")
            // The first commit is accepted without waiting for its result, so its answer counts as lost.
            let lost = try await client.post(
                "/v1/reservations/\(id)/commit", ["units": 30], key: "settle-1", headers: ["Prefer": "respond-async"])
            #expect([200, 202].contains(lost.status))
            for _ in 0..<3 {
                let retried = try await client.commit(id, units: 30, key: "settle-1").expect(200)
                #expect(retried["charged"] == 300 && retried["status"] == "committed")
            }
            // Without its key the commit is refused, and charges nothing.
            try await client.commit(id, units: 30).expect(409, "reservation_not_active")
            #expect(try await client.balance("alice")["balance"] == 700)
            #expect(try await client.ledger("alice", type: "commit").count == 1)
        }

        @Test("litellm#40095: the first requests of an unknown user do not all pass")
        func firstRequestsOfUnknownUser() async throws {
            let client = try await furnished(0)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<30 { group.addTask { try await client.use("stranger", "api").status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses == Array(repeating: 402, count: 30))
            #expect(try await client.check("stranger", "api")["allowed"] == false)
            try await client.balance("stranger").expect(404, "unknown_end_user")
            // With credits for ten uses, ten of thirty requests pass.
            try await client.grant("newcomer", 100).expect(201)
            let passed = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<30 { group.addTask { try await client.use("newcomer", "api").status } }
                return try await group.reduce(into: 0) { $0 += $1 == 201 ? 1 : 0 }
            }
            #expect(passed == 10)
        }

        @Test("blnk#181: holds count in every balance check")
        func holdsCount() async throws {
            let client = try await furnished(1_000)
            try await client.reserve("alice", "api", units: 90).expect(201)
            let check = try await client.check("alice", "api", 11).expect(200)
            #expect(check["allowed"] == false && check["affordable_units"] == 10)
            #expect(check["effective_balance"] == 100 && check["spendable_balance"] == 100)
            try await client.use("alice", "api", 11).expect(402, "insufficient_credits")
            try await client.reserve("alice", "api", units: 11).expect(402, "insufficient_credits")
            try await client.adjust("alice", -101).expect(402, "insufficient_credits")
            try await client.transfer("alice", "bob", 101).expect(402, "insufficient_credits")
            let batch = try await client.post("/v1/usage/batch", ["events": [event("alice", "api", 11)]]).expect(200)
            #expect(batch["rejected"] == 1)
            #expect(try await client.balance("alice")["effective_balance"] == 100)
            try await client.use("alice", "api", 10).expect(201)
        }

        @Test("blnk#182: a hold that was rejected cannot be committed")
        func rejectedHold() async throws {
            let client = try await furnished(100)
            let made = try await client.reserve("alice", "api", units: 1).expect(201)
            let refused = try await client.reserve("alice", "api", units: 10).expect(402, "insufficient_credits")
            #expect(refused["id"] == nil)
            // The rejected reservation would have had the number 2, which does not exist.
            let id = try made.text("id")
            let next = String(id.dropLast()) + "2"
            #expect(id.hasSuffix("1"))
            try await client.commit(next, units: 1).expect(404, "not_found")
            try await client.release(id).expect(200)
            try await client.commit(id, units: 1).expect(409, "reservation_not_active")
            #expect(try await client.balance("alice")["balance"] == 100)
        }

        @Test("lago-api#5495: two concurrent voids take back once")
        func concurrentVoids() async throws {
            let client = try await makeTenant().test
            for round in 0..<20 {
                let user = "user-\(round)"
                let block = try await client.grant(user, 500).expect(201).text("block.id")
                try await client.grant(user, 70).expect(201)
                async let one = client.revoke(block)
                async let two = client.revoke(block)
                let answers = try await [one, two]
                for answer in answers { answer.expect(200) }
                #expect(try answers.map { try $0.integer("revoked") }.sorted() == [0, 500])
                #expect(try await client.balance(user)["balance"] == 70)
                #expect(try await client.ledger(user, type: "revoke").count == 1)
            }
        }

        @Test("lago-api#5947: taking back a partly spent top-up claws back only what is unspent")
        func clawBack() async throws {
            let client = try await furnished(0)
            try await client.topUp("alice", 1_000, payment: "pi_1", price: 999, currency: "EUR").expect(201)
            let use = try await client.use("alice", "api", 35).expect(201)
            let revoked = try await client.revoke("pi_1").expect(200)
            #expect(revoked["revoked"] == 650 && revoked["balance"] == 0)
            #expect(try await client.balance("alice")["overage"] == 0)
            // Spent credits stay spent: a refund of the use returns nothing to the revoked block.
            let refund = try await client.refund("alice", try use.text("id")).expect(201)
            #expect(refund["forfeited"] == 350 && refund["balance"] == 0)
        }

        @Test("litellm#8364: a quota is reset when its window ends, although no job resets it")
        func resetIsNeverMissed() async throws {
            let client = try await makeTenant().test
            let clock = try await client.make("alice", at: "2026-03-01T10:00:30Z")
            try await client.post(
                "/v1/features",
                [
                    "key": "api", "name": "API", "type": "metered",
                    "quota": ["limit": 3, "window": "day", "anchor": "calendar"],
                ]
            ).expect(201)
            try await client.use("alice", "api", 3).expect(201)
            let denied = try await client.use("alice", "api").expect(402, "quota_exceeded")
            #expect(denied["resets_at"] == "2026-03-02T00:00:00.000Z" && denied["remaining"] == 0)
            for (to, isNew) in [("2026-03-01T23:59:59.999999Z", false), ("2026-03-02T00:00:00Z", true)] {
                try await clock.advance(to: to)
                let check = try await client.check("alice", "api", 3).expect(200)
                #expect(check["allowed"] == .bool(isNew) && check["quota.used"] == (isNew ? 0 : 3), "\(to)")
            }
            try await client.use("alice", "api", 3).expect(201)
            // Windows without any request are reset as well.
            try await clock.advance(to: "2026-09-01T00:00:00Z")
            #expect(try await client.check("alice", "api", 3)["allowed"] == true)
        }

        private func furnished(_ credits: Int64) async throws -> Client {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            if credits > 0 { try await client.grant("alice", credits).expect(201) }
            return client
        }
    }
}
