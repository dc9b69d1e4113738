import Credits
import JSON
import Testing

extension Acceptance {
    /// Pages, filters and orders.
    @Suite struct ListTests {
        /// Reads a list in pages of one, two and three items, and expects the whole list each time.
        private func expectPages(
            _ client: Client, _ path: String, _ query: [(String, String?)] = [], count: Int,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let all = try await client.all(path, query)
            #expect(all.count == count, "\(path)", sourceLocation: sourceLocation)
            for limit in 1...3 {
                let pages = try await client.pages(path, query, limit: limit)
                #expect(pages.flatMap { $0 } == all, "\(path) by \(limit)", sourceLocation: sourceLocation)
                let full = pages.dropLast().allSatisfy { $0.count == limit }
                #expect(full && pages.count == max(1, (count + limit - 1) / limit), sourceLocation: sourceLocation)
            }
            let first = try await client.get(path, query + [("limit", "\(max(1, count))")]).expect(200)
            #expect(first["pagination"] == ["has_more": false, "next_cursor": .null], sourceLocation: sourceLocation)
            #expect(first.json.names == ["data", "pagination"], sourceLocation: sourceLocation)
            if count > 1 {
                let part = try await client.get(path, query + [("limit", "1")]).expect(200)
                #expect(part["pagination.has_more"] == true, sourceLocation: sourceLocation)
                #expect(part["pagination.next_cursor"]?.text?.isEmpty == false, sourceLocation: sourceLocation)
            }
        }

        @Test("Features, rules, end users and keys are listed newest first, in pages of any size")
        func catalogueLists() async throws {
            let client = try await makeTenant().test
            let numbers = Array(1...7)
            for number in numbers {
                try await client.post(
                    "/v1/features", ["key": "f\(number)", "name": "F", "type": "metered"]
                ).expect(201)
                try await client.post(
                    "/v1/metering-rules", ["feature_key": "f\(number % 2 + 1)", "model": "flat", "amount": 1]
                ).expect(number == 1 ? 404 : 201)
                try await client.post("/v1/end-users", ["end_user_id": .string("u\(number)")]).expect(201)
                try await client.post("/v1/api-keys", ["name": .string("k\(number)")]).expect(201)
            }
            try await expectPages(client, "/v1/features", count: 7)
            try await expectPages(client, "/v1/metering-rules", count: 6)
            try await expectPages(client, "/v1/metering-rules", [("feature_key", "f1")], count: 3)
            try await expectPages(client, "/v1/end-users", count: 7)
            try await expectPages(client, "/v1/api-keys", count: 8)
            let newestFirst = numbers.reversed()
            #expect(try await client.all("/v1/features").map { $0[path: "key"]?.text } == newestFirst.map { "f\($0)" })
            #expect(
                try await client.all("/v1/end-users").map { $0[path: "end_user_id"]?.text }
                    == newestFirst.map { "u\($0)" })
            #expect(
                try await client.all("/v1/api-keys").map { $0[path: "name"]?.text }.prefix(7)
                    == ArraySlice(newestFirst.map { "k\($0)" }))
        }

        @Test("The list of tenants can be read page by page while others are made")
        func tenants() async throws {
            let installation = try await SharedInstallation.get()
            var made: [String] = []
            for number in 0..<4 { made.append(try await installation.makeTenant("list-\(number)").id) }
            for limit in [1, 3] {
                let ids = try await installation.root.pages("/v1/admin/tenants", limit: limit)
                    .flatMap { $0 }.compactMap { $0[path: "id"]?.text }
                #expect(Set(ids).count == ids.count)
                #expect(ids.filter(made.contains) == made.reversed())
            }
        }

        @Test("An item made between two pages neither repeats nor hides another")
        func insertionBetweenPages() async throws {
            let client = try await makeTenant().test
            for number in 0..<4 { try await client.grant("alice", 1, priority: Int64(number) * 10).expect(201) }
            let query = [("end_user_id", "alice"), ("limit", "2")]
            let newest = try await client.get("/v1/ledger", query).expect(200)
            let burnedFirst = try await client.get("/v1/credits/blocks", query).expect(200)
            try await client.grant("alice", 1, priority: 0).expect(201)
            let older = try await client.get("/v1/ledger", query + [("cursor", newest["pagination.next_cursor"]?.text)])
            #expect(
                (try newest.items() + older.items()).map { $0[path: "sequence"] } == [4, 3, 2, 1])
            let burnedLater = try await client.get(
                "/v1/credits/blocks", query + [("cursor", burnedFirst["pagination.next_cursor"]?.text)])
            #expect(
                (try burnedFirst.items() + burnedLater.items()).map { $0[path: "priority"] } == [0, 10, 20, 30])
        }

        @Test("The ledger is filtered by type, feature and time, in either order")
        func ledger() async throws {
            let client = try await makeTenant().test
            try await client.sell("a", unitCost: 1)
            try await client.sell("b", unitCost: 2)
            try await client.grant("alice", 1_000).expect(201)
            for number in 1...6 {
                try await client.use("alice", number % 2 == 0 ? "a" : "b", Int64(number)).expect(201)
            }
            let query: [(String, String?)] = [("end_user_id", "alice")]
            try await expectPages(client, "/v1/ledger", query, count: 7)
            try await expectPages(client, "/v1/ledger", query + [("order", "asc")], count: 7)
            try await expectPages(client, "/v1/ledger", query + [("type", "use")], count: 6)
            try await expectPages(client, "/v1/ledger", query + [("feature_key", "a"), ("order", "asc")], count: 3)
            func sequences(_ filters: (String, String?)...) async throws -> [Int64?] {
                try await client.all("/v1/ledger", query + filters).map { $0[path: "sequence"]?.integer }
            }
            #expect(try await sequences() == [7, 6, 5, 4, 3, 2, 1])
            #expect(try await sequences(("order", "desc")) == [7, 6, 5, 4, 3, 2, 1])
            #expect(try await sequences(("order", "asc")) == [1, 2, 3, 4, 5, 6, 7])
            #expect(try await sequences(("type", "grant")) == [1])
            #expect(try await sequences(("type", "expire")) == [])
            #expect(try await sequences(("feature_key", "b")) == [6, 4, 2])
            #expect(try await sequences(("feature_key", "nothing")) == [])
            let entries = try await client.ledger("alice")
            let third = try #require(entries[2][path: "effective_at"]?.text)
            let fifth = try #require(entries[4][path: "effective_at"]?.text)
            #expect(try await sequences(("from", third), ("order", "asc")) == [3, 4, 5, 6, 7])
            #expect(try await sequences(("to", third), ("order", "asc")) == [1, 2])
            #expect(try await sequences(("from", third), ("to", fifth), ("feature_key", "b")) == [4])
        }

        @Test("A cursor with any numbers is followed or refused as a cursor, whatever the list")
        func extremeCursors() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 10).expect(201)
            try await client.post("/v1/plans", ["key": "pro", "name": "Pro"]).expect(201)
            let numbers = ["\(Int64.min)", "\(Int64.max)", "-1", "0", "2147483648", "99999999999999999999"]
            let ids = ["op", "rule", "key", "clk"].map { "\"\($0)_7ZZZZZZZZZZZZZZZZZZZZZZZZZ\"" }
            let cursors =
                numbers.map { "[\($0)]" } + ids.map { "[\($0)]" }
                + numbers.flatMap { number in (ids + [#""api""#]).map { "[\(number),\($0)]" } }
                + numbers.flatMap { number in
                    numbers.flatMap { other in
                        [true, false].map { "[\($0),\(number),\(other),\(!$0),\(number)]" }
                    }
                }
            for path in [
                "/v1/features", "/v1/metering-rules", "/v1/topup-packages", "/v1/plans", "/v1/plans/pro/variants",
                "/v1/end-users", "/v1/api-keys",
                "/v1/audit-log", "/v1/credits/blocks?end_user_id=alice", "/v1/ledger?end_user_id=alice",
                "/v1/ledger?end_user_id=alice&order=asc", "/v1/reservations?end_user_id=alice",
                "/v1/spend-caps?end_user_id=alice", "/v1/entitlements?end_user_id=alice",
            ] {
                for cursor in cursors {
                    let text = cursor.utf8.map { byte in
                        String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
                    }.joined()
                    let answer = try await client.send(
                        "GET", "\(path)\(path.contains("?") ? "&" : "?")cursor=\(text)")
                    if answer.status != 200 { answer.expect(400, "invalid_cursor") }
                }
            }
        }

        @Test("Blocks are listed in burn order, spent ones after the others")
        func burnOrder() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 3_000).expect(201)
            try await client.grant("alice", 24_000, expiresAt: "2998-04-18T00:00:00Z").expect(201)
            try await client.grant("alice", 100_000, expiresAt: "2998-05-11T00:00:00Z").expect(201)
            try await client.grant("alice", 10, priority: 0).expect(201)
            try await client.grant("alice", 20, priority: 100, featureKeys: ["api"]).expect(201)
            try await client.grant("alice", 3_001).expect(201)
            let names = [4, 2, 3, 1, 6, 5]
            func listed(_ status: String? = nil) async throws -> [[Int64]] {
                try await client.blocks("alice", status: status).map { block in
                    [block[path: "original"]?.integer ?? 0, block[path: "remaining"]?.integer ?? 0]
                }
            }
            let originals: [Int64] = [3_000, 24_000, 100_000, 10, 20, 3_001]
            #expect(try await listed().map { $0[0] } == names.map { originals[$0 - 1] })
            try await expectPages(client, "/v1/credits/blocks", [("end_user_id", "alice")], count: 6)

            let used = try await client.use("alice", "api", 30_010).expect(201)
            let blocks = try await client.blocks("alice")
            #expect(try await listed("active") == [[100_000, 94_000], [3_000, 3_000], [3_001, 3_001], [20, 20]])
            #expect(try await listed("spent") == [[10, 0], [24_000, 0]])
            #expect(try await listed("expired").isEmpty)
            #expect(try await listed() == (try await listed("active")) + (try await listed("spent")))
            #expect(
                blocks.map { $0[path: "status"]?.text } == ["active", "active", "active", "active", "spent", "spent"])
            let allocation = try used.items("entry.allocation")
            #expect(allocation.map { $0[path: "amount"]?.integer } == [-10, -24_000, -6_000])
            #expect(
                allocation.map { $0[path: "block_id"] }
                    == [blocks[4][path: "id"], blocks[5][path: "id"], blocks[0][path: "id"]])
        }

        @Test("Credits restricted to a feature pay for no other")
        func restriction() async throws {
            let client = try await makeTenant().test
            for feature in ["a", "b", "c"] { try await client.sell(feature, unitCost: 1) }
            try await client.grant("alice", 100, priority: 0, featureKeys: ["a", "b"]).expect(201)
            try await client.grant("alice", 10, priority: 99).expect(201)
            let refused = try await client.use("alice", "c", 11).expect(402, "insufficient_credits")
            #expect(refused["required"] == 11)
            #expect(refused["effective_balance"] == 110)
            let check = try await client.check("alice", "c", 11).expect(200)
            #expect(check["allowed"] == false)
            #expect(check["spendable_balance"] == 10)
            #expect(check["effective_balance"] == 110)
            try await client.use("alice", "c", 4).expect(201)
            try await client.use("alice", "b", 106).expect(201)
            #expect(try await client.balance("alice")["balance"] == 0)
        }
    }
}
