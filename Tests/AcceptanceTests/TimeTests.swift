import Credits
import JSON
import Testing

extension Acceptance {
    @Suite struct TimeTests {
        @Test("A block expires at its instant without any command, and the ledger has the expiry as of that instant")
        func expiry() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 5).expect(201)
            let granted = try await client.grant("alice", 100, priority: 1, expiresAfter: "PT5S").expect(201)
            try await client.use("alice", "api", 30).expect(201)
            let expiresAt = try instant(granted["block.expires_at"])
            #expect(expiresAt == (try instant(granted["block.created_at"])).adding(seconds: 5))

            var answersBefore = 0
            var answersAfter = 0
            for _ in 0..<100_000 where answersAfter < 3 {
                let balance = try await client.balance("alice").expect(200)
                let before = try instant(balance["as_of"]) < expiresAt
                let check = try await client.check("alice", "api", 6).expect(200)
                let later = try await client.balance("alice").expect(200)
                #expect(balance["balance"] == (before ? 75 : 5))
                #expect(balance["version"] == (before ? 3 : 4))
                if before { answersBefore += 1 } else { answersAfter += 1 }
                if !before { #expect(check["allowed"] == false && check["spendable_balance"] == 5) }
                if try instant(later["as_of"]) < expiresAt {
                    #expect(check["allowed"] == true && check["balance"] == 75)
                }
            }
            #expect(answersBefore > 0 && answersAfter == 3)

            try await client.use("alice", "api", 6).expect(402, "insufficient_credits")
            let blocks = try await client.blocks("alice")
            #expect(blocks.map { $0[path: "status"]?.text } == ["active", "expired"])
            #expect(blocks.last?[path: "id"] == granted["block.id"])
            #expect(blocks.last?[path: "remaining"] == 0)
            #expect(try await client.blocks("alice", status: "expired") == blocks.suffix(1))
            let expired = try await client.ledger("alice", type: "expire")
            #expect(expired.count == 1)
            #expect(expired.first?[path: "sequence"] == 4)
            #expect(expired.first?[path: "amount"] == -70)
            #expect(expired.first?[path: "balance_after"] == 5)
            #expect(expired.first?[path: "effective_at"] == granted["block.expires_at"])
            #expect(
                expired.first?[path: "allocation"]
                    == [.members([("amount", -70), ("block_id", granted["block.id"])])])
        }

        @Test(
            "Blocks that expire without a request are in the list and in the ledger in due order at the first read")
        func expiryUnseen() async throws {
            let client = try await makeTenant().test
            let first = try await client.grant("alice", 2, expiresAfter: "PT12S").expect(201)
            let end = try instant(first["block.expires_at"])
            let second = try await client.grant("alice", 1, expiresAt: "\(end.adding(seconds: -4))").expect(201)
            let third = try await client.grant("alice", 4, expiresAt: "\(end.adding(seconds: 1))").expect(201)
            // Requests about another end user let the time pass: none concerns alice.
            try await client.grant("clock", 1).expect(201)
            let last = try instant(third["block.expires_at"])
            var now = last.adding(seconds: -1)
            for _ in 0..<100_000 where now < last { now = try instant(try await client.balance("clock")["as_of"]) }
            #expect(now >= last)
            let blocks = try await client.blocks("alice")
            #expect(blocks.count == 3 && blocks.allSatisfy { $0[path: "status"] == "expired" })
            let entries = try await client.ledger("alice")
            #expect(entries.map { $0[path: "amount"]?.integer } == [2, 1, 4, -1, -2, -4])
            #expect(entries.map { $0[path: "balance_after"]?.integer } == [2, 3, 7, 6, 4, 0])
            try #require(entries.count == 6)
            #expect(entries[3][path: "effective_at"] == second["block.expires_at"])
            #expect(entries[5][path: "effective_at"] == third["block.expires_at"])
            #expect(try await client.balance("alice")["version"] == 6)
        }

        @Test("An expiry after a duration counts calendar months and exact days")
        func durations() async throws {
            let client = try await makeTenant().test
            for (duration, seconds) in [("P1W", 604_800), ("P2DT3H4M5S", 183_845), ("PT36H", 129_600)]
                as [(String, Int64)]
            {
                let block = try await client.grant("alice", 1, expiresAfter: duration).expect(201)
                let created = try instant(block["block.created_at"])
                #expect(try instant(block["block.expires_at"]) == created.adding(seconds: seconds), "\(duration)")
            }
            let block = try await client.grant("alice", 1, expiresAfter: "P1Y").expect(201)
            let (from, to) = (try block.text("block.created_at"), try block.text("block.expires_at"))
            // A year later the date and time are the same, except for 29 February.
            if !from.contains("-02-29T") { #expect(from.dropFirst(4) == to.dropFirst(4)) }
            #expect(Int(to.prefix(4)) == (Int(from.prefix(4)) ?? 0) + 1)
        }

        @Test("An event is priced by the rule in force when it occurred")
        func occurredAt() async throws {
            let client = try await makeTenant().test
            let granted = try await client.grant("alice", 1_000_000).expect(201)
            let now = try instant(granted["entry.recorded_at"])
            try await client.post("/v1/features", ["key": "f", "name": "F", "type": "metered"]).expect(201)
            for (days, amount) in [(30, 5), (10, 7)] as [(Int64, Int64)] {
                try await client.post(
                    "/v1/metering-rules",
                    [
                        "feature_key": "f", "model": "flat", "amount": .integer(amount),
                        "effective_from": .string(now.adding(seconds: -days * 86_400).description),
                    ]
                ).expect(201)
            }
            func use(secondsFromNow: Int64) async throws -> Answer {
                let occurredAt = now.adding(seconds: secondsFromNow).description
                let answer = try await client.post(
                    "/v1/usage", ["end_user_id": "alice", "feature_key": "f", "occurred_at": .string(occurredAt)])
                if answer.status == 201 {
                    #expect(answer["occurred_at"]?.text == occurredAt)
                    #expect(answer["entry.effective_at"]?.text == occurredAt)
                }
                return answer
            }
            let day: Int64 = 86_400
            #expect(try await use(secondsFromNow: 0).expect(201)["cost"] == 7)
            #expect(try await use(secondsFromNow: -10 * day).expect(201)["cost"] == 7)
            #expect(try await use(secondsFromNow: -10 * day - 1).expect(201)["cost"] == 5)
            #expect(try await use(secondsFromNow: -30 * day).expect(201)["cost"] == 5)
            try await use(secondsFromNow: -30 * day - 1).expect(409, "feature_not_priced")
            try await use(secondsFromNow: -35 * day - 1).expect(400, "invalid_request")
            #expect(try await use(secondsFromNow: 290).expect(201)["cost"] == 7)
            let early = try await use(secondsFromNow: 3_600).expect(400, "invalid_request")
            #expect(early["errors.0.pointer"] == "/occurred_at")
        }
    }
}

private func instant(_ value: JSONValue?) throws -> Instant {
    try #require(Instant(rfc3339: value?.text ?? ""), "\(value?.text ?? "nothing") is not an instant")
}
