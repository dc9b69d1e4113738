import JSON
import Testing

extension Acceptance {
    /// Credits that are granted, refunded, revoked and moved: the answers, and the books afterwards.
    @Suite struct CreditTests {
        @Test("A grant shows the source, priority, expiry, price and features of its block")
        func grantTerms() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let granted = try await client.post(
                "/v1/credits/grant",
                [
                    "end_user_id": "alice", "credits": 5, "source": "compensation", "priority": 3,
                    "expires_after": "P1D", "price_paid": 250, "currency": "EUR", "feature_keys": ["api"],
                    "reason": "sorry", "metadata": ["ticket": 7],
                ]
            ).expect(201)
            expectMutationHeaders(granted)
            let expected: [(String, JSONValue)] = [
                ("source", "compensation"), ("priority", 3), ("price_paid", 250), ("currency", "EUR"),
                ("external_payment_id", .null), ("feature_keys", ["api"]), ("reason", "sorry"),
                ("metadata", ["ticket": 7]), ("original", 5), ("remaining", 5), ("held", 0), ("status", "active"),
                ("revoked_at", .null),
            ]
            for (name, value) in expected { #expect(granted["block.\(name)"] == value, "\(name)") }
            #expect(try await client.blocks("alice") == [try #require(granted["block"])])
        }

        @Test("Paid credits burn after free ones of the same priority and expiry")
        func freeBeforePaid() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let paid = try await client.topUp("alice", 10, price: 100, currency: "EUR").expect(201)
            let free = try await client.grant("alice", 10).expect(201)
            let use = try await client.use("alice", "api", 15).expect(201)
            #expect(
                use["entry.allocation"] == [
                    .members([("amount", -10), ("block_id", free["block.id"])]),
                    .members([("amount", -5), ("block_id", paid["block.id"])]),
                ])
        }

        @Test("A top-up by package takes its credits, price, expiry and priority")
        func package() async throws {
            let client = try await makeTenant().test
            try await client.post(
                "/v1/topup-packages",
                [
                    "key": "small", "name": "Small", "credits": 10_000, "price": 999, "currency": "EUR",
                    "expires_after": "P1Y", "priority": 40,
                ]
            ).expect(201)
            let body: JSONValue = ["end_user_id": "alice", "package_key": "small", "external_payment_id": "pi_1"]
            let bought = try await client.post("/v1/topups", body).expect(201)
            let expected: [(String, JSONValue)] = [
                ("source", "topup"), ("original", 10_000), ("price_paid", 999), ("currency", "EUR"), ("priority", 40),
                ("external_payment_id", "pi_1"),
            ]
            for (name, value) in expected { #expect(bought["block.\(name)"] == value, "\(name)") }
            expectInstant(bought["block.expires_at"])
            #expect(bought["entry.external_payment_id"] == "pi_1")
            let again = try await client.post("/v1/topups", body).expect(201)
            #expect(again["block.id"] == bought["block.id"])
            #expect(try await client.balance("alice")["balance"] == 10_000)
            let other = try await client.post("/v1/topups", body.with("package_key", "large"))
            #expect([404, 409].contains(other.status))
            try await client.post("/v1/topups", ["end_user_id": "alice", "package_key": "large"]).expect(
                404, "not_found")
        }

        @Test("A payment is applied once: a repetition gets the first result, another end user or amount 409")
        func payments() async throws {
            let client = try await makeTenant().test
            let first = try await client.topUp("alice", 500, payment: "pi_9", price: 5, currency: "USD").expect(201)
            let again = try await client.topUp("alice", 500, payment: "pi_9", price: 5, currency: "USD").expect(201)
            #expect(again.json == first.json)
            try await client.topUp("alice", 501, payment: "pi_9", price: 5, currency: "USD").expect(
                409, "payment_already_applied")
            try await client.topUp("bob", 500, payment: "pi_9", price: 5, currency: "USD").expect(
                409, "payment_already_applied")
            #expect(try await client.ledger("alice").count == 1)
            try await client.balance("bob").expect(404, "unknown_end_user")
        }

        @Test("A refund returns credits to their blocks, the last taken first, and never more than the charge")
        func refund() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 10)
            let first = try await client.grant("alice", 60, priority: 1).expect(201)
            let second = try await client.grant("alice", 60, priority: 2).expect(201)
            let use = try await client.use("alice", "api", 10).expect(201)
            let id = try use.text("id")

            let part = try await client.refund("alice", id, units: 5).expect(201)
            expectMutationHeaders(part)
            #expect(part["refunded"] == 50 && part["forfeited"] == 0 && part["compensation"] == [])
            #expect(
                part["entries.0.allocation"] == [
                    .members([("amount", 40), ("block_id", second["block.id"])]),
                    .members([("amount", 10), ("block_id", first["block.id"])]),
                ])
            #expect(part["entries.0.refunds"] == use["entry.id"] && part["balance"] == 70)
            let beyond = try await client.refund("alice", id, credits: 51).expect(409, "already_refunded")
            #expect(beyond["refundable"] == 50)
            #expect(try await client.refund("alice", try use.text("entry.id")).expect(201)["refunded"] == 50)
            let nothing = try await client.refund("alice", id).expect(409, "already_refunded")
            #expect(nothing["refundable"] == 0)
            let balance = try await client.balance("alice")
            #expect(balance["balance"] == 120 && balance["lifetime_granted"] == 120)
        }

        @Test("Credits that would return to a revoked block are forfeited")
        func refundOfRevoked() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let granted = try await client.grant("alice", 100).expect(201)
            let use = try await client.use("alice", "api", 40).expect(201)
            try await client.revoke(try granted.text("block.id")).expect(200)
            let refund = try await client.refund("alice", try use.text("id")).expect(201)
            #expect(refund["refunded"] == 40 && refund["forfeited"] == 40 && refund["balance"] == 0)
        }

        @Test("A refund pays off the overage of its charge first")
        func refundOfOverage() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.allowOverage("alice")
            try await client.grant("alice", 30).expect(201)
            let use = try await client.use("alice", "api", 50).expect(201)
            #expect(use["balance"] == -20 && use["overage"] == 20)
            let refund = try await client.refund("alice", try use.text("id"), credits: 25).expect(201)
            #expect(refund["overage_reduced"] == 20 && refund["balance"] == 5)
            #expect(try await client.balance("alice")["overage"] == 0)
        }

        @Test("New credits pay off overage: an entry of the full grant, then a settle entry of amount 0")
        func settle() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.allowOverage("alice", limit: 100)
            try await client.use("alice", "api", 80).expect(201)
            try await client.use("alice", "api", 21).expect(402, "insufficient_credits")
            let grant = try await client.grant("alice", 100).expect(201)
            #expect(grant["entry.amount"] == 100 && grant["balance"] == 20)
            let settled = try await client.ledger("alice", type: "settle")
            #expect(settled.count == 1)
            #expect(settled[0][path: "amount"] == 0 && settled[0][path: "overage_delta"] == -80)
            #expect(settled[0][path: "allocation.0.amount"] == -80)
            #expect(try await client.balance("alice")["overage"] == 0)
        }

        @Test("A revocation takes the unspent credits, and held ones when their hold ends")
        func revoke() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let granted = try await client.topUp("alice", 100, payment: "pi_7").expect(201)
            try await client.use("alice", "api", 10).expect(201)
            let held = try await client.reserve("alice", "api", units: 30).expect(201)
            let revoked = try await client.revoke("pi_7").expect(200)
            #expect(revoked["revoked"] == 60 && revoked["block.id"] == granted["block.id"])
            #expect(revoked["block.status"] == "revoked" && revoked["block.held"] == 30)
            expectInstant(revoked["block.revoked_at"])
            #expect(revoked["balance"] == 30 && revoked["effective_balance"] == 0)
            let again = try await client.revoke(try granted.text("block.id")).expect(200)
            #expect(again["revoked"] == 0 && again["entry"] == .null)
            let committed = try await client.commit(try held.text("id"), units: 10).expect(200)
            #expect(committed["balance"] == 0)
            #expect(
                try await client.ledger("alice").map { $0[path: "type"] ?? .null }
                    == ["grant", "use", "reserve", "revoke", "commit", "revoke"])
            #expect(try await client.blocks("alice", status: "revoked").count == 1)
            #expect(try await client.blocks("alice", status: "active").isEmpty)
            try await client.revoke("pi_unknown").expect(404, "not_found")
            try await client.revoke("blk_00000000000000000000000001").expect(404, "not_found")
        }

        @Test("An adjustment adds a block, or takes from all spendable blocks and never more than they have")
        func adjust() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let up = try await client.adjust("alice", 50).expect(201)
            expectMutationHeaders(up)
            #expect(up["amount"] == 50 && up["block.source"] == "adjustment" && up["block.priority"] == 50)
            try await client.grant("alice", 30, featureKeys: ["api"]).expect(201)
            let down = try await client.adjust("alice", -70).expect(201)
            #expect(down["amount"] == -70 && down["block"] == .null && down["balance"] == 10)
            let tooMuch = try await client.adjust("alice", -11).expect(402, "insufficient_credits")
            #expect(tooMuch["required"] == 11 && tooMuch["spendable_balance"] == 10)
            #expect(try await client.balance("alice")["lifetime_granted"] == 80)
        }

        @Test("A transfer moves unrestricted credits with their expiry and priority, on both sides or on neither")
        func transfer() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let soon = try await client.grant("alice", 30, priority: 7, expiresAfter: "P1D").expect(201)
            try await client.grant("alice", 30).expect(201)
            try await client.grant("alice", 500, featureKeys: ["api"]).expect(201)
            let moved = try await client.transfer("alice", "bob", 40).expect(201)
            expectMutationHeaders(moved)
            #expect(moved["balance"] == 520 && moved["entry.amount"] == -40 && moved["entry.counterparty"] == "bob")
            #expect(moved["received_entry.amount"] == 40 && moved["received_entry.counterparty"] == "alice")
            #expect(moved["blocks.0.priority"] == 7 && moved["blocks.0.original"] == 30)
            #expect(moved["blocks.0.expires_at"] == soon["block.expires_at"])
            #expect(moved["blocks.1.expires_at"] == .null && moved["blocks.1.source"] == "transfer")
            #expect(try await client.balance("bob")["balance"] == 40)
            #expect(try await client.ledger("bob") == [try #require(moved["received_entry"])])
            let short = try await client.transfer("alice", "carol", 21).expect(402, "insufficient_credits")
            #expect(short["required"] == 21 && short["spendable_balance"] == 20)
            try await client.balance("carol").expect(404, "unknown_end_user")
            #expect(try await client.balance("alice")["balance"] == 520)
        }

        @Test("Concurrent transfers around a ring neither lose nor create credits")
        func ring() async throws {
            let client = try await makeTenant().test
            let names = (0..<5).map { "user-\($0)" }
            for name in names { try await client.grant(name, 100).expect(201) }
            await withTaskGroup(of: Void.self) { group in
                for round in 0..<40 {
                    let (sender, receiver) = (names[round % 5], names[(round + 1 + round / 5 % 4) % 5])
                    group.addTask { _ = try? await client.transfer(sender, receiver, Int64(10 + round)) }
                }
            }
            var total: Int64 = 0
            for name in names { total += try await client.balance(name).integer("balance") }
            #expect(total == 500)
        }
    }
}
