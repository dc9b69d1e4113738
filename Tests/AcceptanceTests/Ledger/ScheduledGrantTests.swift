import ChildProcesses
import Credits
import JSON
import Postgres
import Testing

extension Acceptance {
    /// Grants that start later: the answers, the lists, the reads of the past, and the landing.
    @Suite struct ScheduledGrantTests {
        private static let later = "2034-02-01T00:00:00.000Z"

        /// A tenant with an end user on a test clock that shows the first of January.
        private func start() async throws -> (client: Client, advance: (String) async throws -> Answer) {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let clock = try await client.post("/v1/test-clocks", ["now": "2034-01-01T00:00:00Z"]).expect(201)
            let id = try clock.text("id")
            try await client.post(
                "/v1/end-users", ["end_user_id": "alice", "test_clock_id": .string(id)]
            ).expect(201)
            return (client, { try await client.post("/v1/test-clocks/\(id)/advance", ["to": .string($0)]) })
        }

        private func grant(
            _ client: Client, _ credits: Int64, startsAt: String, key: String? = nil, _ more: [(String, JSONValue)] = []
        ) async throws -> Answer {
            let body: [(String, JSONValue?)] = [
                ("end_user_id", "alice"), ("credits", .integer(credits)), ("starts_at", .string(startsAt)),
            ]
            return try await client.post(
                "/v1/credits/grant", .members(body + more.map { ($0.0, .some($0.1)) }), key: key)
        }

        @Test("A scheduled grant shows its block without an entry, counts in nothing, and lands when its time comes")
        func landing() async throws {
            let (client, advance) = try await start()
            let granted = try await grant(
                client, 100, startsAt: Self.later, key: "g",
                [("expires_after", "P1M"), ("reason", "february"), ("metadata", ["plan": "x"])]
            ).expect(201)
            expectMutationHeaders(granted)
            let expected: [(String, JSONValue)] = [
                ("status", "scheduled"), ("starts_at", .string(Self.later)), ("original", 100), ("remaining", 0),
                ("expires_at", "2034-03-01T00:00:00.000Z"), ("created_at", "2034-01-01T00:00:00.000Z"),
            ]
            for (name, value) in expected { #expect(granted["block.\(name)"] == value, "\(name)") }
            #expect(granted["entry"] == .null && granted["balance"] == 0)
            let again = try await grant(
                client, 100, startsAt: Self.later, key: "g",
                [("expires_after", "P1M"), ("reason", "february"), ("metadata", ["plan": "x"])])
            #expect(again.isReplay && again.bytes == granted.bytes)
            try await grant(client, 100, startsAt: "2034-02-02T00:00:00Z", key: "g").expect(
                422, "idempotency_key_reuse")

            let plain = try await client.grant("alice", 5).expect(201)
            #expect(plain["block.starts_at"] == .null && plain["block.status"] == "active")
            #expect(try await client.blocks("alice").map { $0[path: "status"] } == ["active", "scheduled"])
            #expect(try await client.blocks("alice", status: "scheduled") == [try #require(granted["block"])])
            #expect(try await client.check("alice", "api", 6)["reason"] == "insufficient_credits")

            try await advance("2034-03-02T00:00:00Z").expect(200)
            let entries = try await client.ledger("alice")
            #expect(entries.map { $0[path: "type"] } == ["grant", "grant", "expire"])
            #expect(entries[1][path: "effective_at"]?.text == Self.later)
            #expect(entries[1][path: "reason"] == "february" && entries[1][path: "metadata"] == ["plan": "x"])
            #expect(entries[1][path: "idempotency_key"] == nil)
            #expect(entries[1][path: "allocation.0.block_id"] == granted["block.id"])
            let balance = try await client.balance("alice")
            #expect(balance["balance"] == 5 && balance["lifetime_granted"] == 105)
            for (instant, sum, lifetime) in [
                ("2034-01-31T23:59:59.999999Z", 5, 5), (Self.later, 105, 105), ("2034-03-01T00:00:00Z", 5, 105),
            ] as [(String, Int64, Int64)] {
                let past = try await client.get("/v1/credits/balance?end_user_id=alice&at=\(instant)").expect(200)
                #expect(past["balance"]?.integer == sum && past["lifetime_granted"]?.integer == lifetime, "\(instant)")
            }
            let explained = try await client.get("/v1/ledger/explain?end_user_id=alice&at=\(Self.later)").expect(200)
            #expect(explained["blocks"]?.items?.count == 2 && explained["balance"] == 105)
            let before = try await client.get("/v1/ledger/explain?end_user_id=alice&at=2034-01-15T00:00:00Z")
            #expect(before["blocks"]?.items?.count == 1 && before["balance"] == 5)
            #expect(try await client.blocks("alice").map { $0[path: "status"] } == ["active", "expired"])
        }

        @Test("A check shows credits at the instant at which they land, before anything is written")
        func check() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            var (soon, count) = (Instant.now, 0)
            // A slow machine may decide the grant after its start, so the start is set later then.
            for delay in [700_000, 5_000_000, 30_000_000] as [Int64] {
                soon = Instant(microseconds: Instant.now.microseconds + delay)
                let granted = try await grant(client, 9, startsAt: "\(soon)").expect(201)
                if granted["block.status"] == "scheduled" { break }
                try await client.use("alice", "api", 9).expect(201)
                count += 2
            }
            var seen: [(allowed: JSONValue?, before: Instant, after: Instant)] = []
            try await waitUntil("the grant has landed") {
                let before = Instant.now
                let allowed = try await client.check("alice", "api", 9)["allowed"]
                seen.append((allowed, before, .now))
                return allowed == true
            }
            for check in seen where check.after < soon { #expect(check.allowed == false) }
            for check in seen where check.before >= soon { #expect(check.allowed == true) }
            try await client.use("alice", "api", 9).expect(201)
            let entries = try await client.ledger("alice")
            #expect(entries.dropFirst(count).map { $0[path: "type"] } == ["grant", "use"])
            #expect(entries.dropFirst(count).first?[path: "effective_at"]?.text == "\(soon)")
        }

        @Test("A block revoked before its landing shows its credits as revoked, makes no entry and never lands")
        func revocation() async throws {
            let (client, advance) = try await start()
            let granted = try await grant(client, 100, startsAt: Self.later).expect(201)
            let revoked = try await client.revoke(try granted.text("block.id")).expect(200)
            #expect(revoked["revoked"] == 100 && revoked["entry"] == .null && revoked["balance"] == 0)
            #expect(revoked["block.status"] == "revoked" && revoked["block.starts_at"]?.text == Self.later)
            #expect(try await client.revoke(try granted.text("block.id")).expect(200)["revoked"] == 0)
            try await advance("2035-01-01T00:00:00Z").expect(200)
            let balance = try await client.balance("alice")
            #expect(balance["balance"] == 0 && balance["lifetime_granted"] == 0 && balance["version"] == 0)
            #expect(try await client.blocks("alice").map { $0[path: "status"] } == ["revoked"])
        }

        @Test("A start that is not after now lands at once, and a batch schedules each of its grants")
        func batch() async throws {
            let (client, advance) = try await start()
            let now = try await grant(client, 1, startsAt: "2034-01-01T00:00:00Z").expect(201)
            #expect(now["block.status"] == "active" && now["entry.amount"] == 1)
            let sent: JSONValue = [
                "grants": [
                    ["end_user_id": "alice", "credits": 2, "starts_at": .string(Self.later)],
                    ["end_user_id": "alice", "credits": 4, "starts_at": "2025-01-01T00:00:00Z"],
                    [
                        "end_user_id": "alice", "credits": 8, "starts_at": .string(Self.later),
                        "expires_at": .string(Self.later),
                    ],
                ]
            ]
            let batch = try await client.post("/v1/credits/grant/batch", sent, key: "b").expect(200)
            #expect(batch["accepted"] == 2 && batch["rejected"] == 1)
            #expect(batch["results.0.entry_id"] == .null && batch["results.1.entry_id"]?.text != nil)
            #expect(batch["results.2.error.errors.0.pointer"] == "/expires_at")
            let again = try await client.post("/v1/credits/grant/batch", sent, key: "b").expect(200)
            #expect(again["replayed"] == 2 && again["results.0.id"] == batch["results.0.id"])
            #expect(try await client.balance("alice")["balance"] == 5)
            try await advance(Self.later).expect(200)
            #expect(try await client.balance("alice")["balance"] == 7)
        }

        @Test("Blocks come page by page in burn order, the scheduled and closed ones in the same order behind")
        func pages() async throws {
            let (client, advance) = try await start()
            var ids: [String: String] = [:]
            for (name, start, priority) in [
                ("c", "2034-01-03T00:00:00Z", 50), ("b", "2034-01-02T00:00:00Z", 50), ("a", "2034-01-01T00:00:00Z", 50),
                ("z", "2034-09-01T00:00:00Z", 1), ("y", "2034-08-01T00:00:00Z", 1),
            ] as [(String, String, Int64)] {
                let granted = try await grant(client, 10, startsAt: start, [("priority", .integer(priority))])
                ids[try granted.expect(201).text("block.id")] = name
            }
            try await advance("2034-01-10T00:00:00Z").expect(200)
            func listed(_ query: String = "") async throws -> String {
                var names = ""
                var cursor = ""
                while true {
                    let page = try await client.get("/v1/credits/blocks?end_user_id=alice&limit=1\(query)\(cursor)")
                    for block in try page.expect(200).items() { names += ids[block[path: "id"]?.text ?? ""] ?? "?" }
                    guard let next = page["pagination.next_cursor"]?.text else { return names }
                    cursor = "&cursor=\(next)"
                }
            }
            #expect(try await listed() == "abcyz")
            #expect(try await listed("&status=scheduled") == "yz")
            #expect(try await listed("&status=active") == "abc")
            try await client.use("alice", "api", 25).expect(201)
            #expect(try await listed() == "cyzab")
            #expect(try await listed("&status=spent") == "ab")
        }

        @Test(
            "Bad starts are refused with their pointer, and nothing is written",
            arguments: [
                (#""credits": 5, "starts_at": "soon""#, "/starts_at"),
                (#""credits": 5, "starts_at": 5"#, "/starts_at"),
                (#""credits": 5, "starts_at": "2034-02-30T00:00:00Z""#, "/starts_at"),
                (#""credits": 5, "starts_at": "9999-12-31T23:59:59-01:00""#, "/starts_at"),
                (
                    #""credits": 5, "starts_at": "2999-01-01T00:00:00Z", "expires_at": "2999-01-01T00:00:00Z""#,
                    "/expires_at"
                ),
                (
                    #""credits": 5, "starts_at": "2999-01-01T00:00:00Z", "expires_at": "2998-01-01T00:00:00Z""#,
                    "/expires_at"
                ),
                (#""credits": 5, "starts_at": "2020-01-01T00:00:00Z", "expires_after": "P1D""#, "/expires_after"),
                (#""credits": 5, "starts_at": "9999-12-31T00:00:00Z", "expires_after": "P1D""#, "/expires_after"),
            ])
        func refused(fields: String, pointer: String) async throws {
            let client = try await makeTenant().test
            let body = try JSONParser.parse(Array(#"{"end_user_id": "alice", \#(fields)}"#.utf8))
            let refusal = try await client.post("/v1/credits/grant", body).expect(400, "invalid_request")
            #expect(refusal["errors.0.pointer"]?.text == pointer)
            try await client.balance("alice").expect(404, "unknown_end_user")
        }

        @Test(
            "Only grants take a start",
            arguments: [
                ("/v1/topups", #"{"end_user_id": "alice", "credits": 5, "starts_at": "2999-01-01T00:00:00Z"}"#),
                (
                    "/v1/credits/adjust",
                    #"{"end_user_id": "alice", "amount": 5, "reason": "x", "starts_at": "2999-01-01T00:00:00Z"}"#
                ),
                (
                    "/v1/credits/transfer",
                    #"{"from_end_user_id": "alice", "to_end_user_id": "bob", "credits": 5, "starts_at": "2999-01-01T00:00:00Z"}"#
                ),
            ])
        func onlyGrants(path: String, body: String) async throws {
            let client = try await makeTenant().test
            let refusal = try await client.post(path, try JSONParser.parse(Array(body.utf8)))
            #expect(refusal.expect(400, "unknown_field")["errors.0.pointer"] == "/starts_at")
        }
    }
}

extension Acceptance.Processes {
    @Suite struct ScheduledGrantProcessTests {
        @Test("The scheduler lands a grant without any request, and verify knows scheduled blocks")
        func scheduler() async throws {
            try await withInstallation { installation in
                let client = try await installation.makeTenant().test
                let soon = Instant(microseconds: Instant.now.microseconds + 4_000_000)
                func grant(_ startsAt: String) async throws -> Answer {
                    try await client.post(
                        "/v1/credits/grant",
                        ["end_user_id": "alice", "credits": 7, "starts_at": .string(startsAt), "reason": "by itself"]
                    ).expect(201)
                }
                _ = try await grant("\(soon)")
                _ = try await grant("2999-01-01T00:00:00Z")
                let dropped = try await grant("2999-02-01T00:00:00Z")
                try await client.revoke(try dropped.text("block.id")).expect(200)
                try await PostgresConnection.lent(installation.database) { connection in
                    try await waitUntil("the landing is written") {
                        try await connection.run(
                            PostgresQuery("select from entries where type = 'grant' and reason = 'by itself'")
                        ).rowCount == 1
                    }
                }
                #expect(try await client.ledger("alice").first?[path: "effective_at"]?.text == "\(soon)")
                #expect(try await client.balance("alice")["version"] == 1)
                #expect(try await installation.run("verify").status == 0)
                for damage in [
                    "update blocks set scheduled = false, open = false where scheduled",
                    "update blocks set starts_at = created_at + interval '1 us' where scheduled",
                    "update accounts set due_at = null",
                ] {
                    try await PostgresConnection.lent(installation.database) { connection in
                        try await connection.script("create table kept_blocks as select * from blocks")
                        try await connection.script("create table kept_accounts as select * from accounts")
                        try await connection.script(damage)
                    }
                    let books = try await installation.run("verify")
                    #expect(books.status == 1 && books.output.contains("I26"), "\(damage): \(books.output)")
                    try await PostgresConnection.lent(installation.database) { connection in
                        try await connection.script(
                            """
                            update blocks b set scheduled = k.scheduled, open = k.open, starts_at = k.starts_at
                            from kept_blocks k where k.account_id = b.account_id and k.number = b.number;
                            update accounts a set due_at = k.due_at
                            from kept_accounts k where k.account_id = a.account_id;
                            drop table kept_blocks; drop table kept_accounts
                            """)
                    }
                }
                #expect(try await installation.run("verify").status == 0)
            }
        }
    }
}
