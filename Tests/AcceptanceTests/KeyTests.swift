import ChildProcesses
import Credits
import JSON
import Postgres
import Testing

extension Acceptance {
    /// The scopes of keys, their expiry, and their replacement.
    @Suite struct KeyTests {
        @Test("A key does what its scopes say and nothing else, and the refusal names the scope that is missing")
        func scopes() async throws {
            let owner = try await makeTenant().test
            try await owner.sell("api", unitCost: 1)
            try await owner.grant("alice", 100).expect(201)
            let made = try await owner.post(
                "/v1/api-keys", ["name": "meter", "scopes": ["usage:write", "entitlements:read", "usage:write"]]
            ).expect(201)
            #expect(made["scopes"] == ["usage:write", "entitlements:read"])
            #expect(made["expires_at"] == .null && made["replaces"] == .null)
            let meter = Client(url: owner.url, key: try made.text("key"))
            try await meter.use("alice", "api").expect(201)
            try await meter.check("alice", "api").expect(200)
            let balance = try await meter.balance("alice").expect(403, "forbidden_scope")
            #expect(try balance.text("detail").contains("credits:read"))
            expectProblem(balance)
            let grant = try await meter.grant("alice", 5).expect(403, "forbidden_scope")
            #expect(try grant.text("detail").contains("credits:write"))
            try await meter.get("/v1/api-keys").expect(403, "forbidden_scope")
            #expect(try await owner.balance("alice")["balance"] == 99)
            #expect(try await owner.all("/v1/api-keys").map { $0[path: "scopes"] } == [made["scopes"], .null])
        }

        @Test("No key can give scopes or time that it does not have, to a new key or by rolling another")
        func nobodyGivesMore() async throws {
            let owner = try await makeTenant().test
            let soon = "2099-01-01T00:00:00.000Z"
            func make(_ by: Client, _ body: JSONValue) async throws -> Answer {
                try await by.post("/v1/api-keys", body)
            }
            let clerk = try await make(owner, ["name": "clerk", "scopes": ["admin:write", "usage:read"]]).expect(201)
            let guest = try await make(owner, ["name": "guest", "expires_at": .string(soon)]).expect(201)
            #expect(guest["expires_at"] == .string(soon))
            let (byClerk, byGuest) = (
                Client(url: owner.url, key: try clerk.text("key")), Client(url: owner.url, key: try guest.text("key"))
            )
            let wide: [JSONValue] = [
                ["name": "k"], ["name": "k", "scopes": .null], ["name": "k", "scopes": ["usage:read", "usage:write"]],
            ]
            for body in wide { try await make(byClerk, body).expect(403, "forbidden_scope") }
            try await make(byClerk, ["name": "k", "scopes": ["usage:read"]]).expect(201)
            try await make(byGuest, ["name": "k"]).expect(403, "forbidden_scope")
            try await make(byGuest, ["name": "k", "expires_at": "2099-01-01T00:00:01Z"]).expect(403, "forbidden_scope")
            try await make(byGuest, ["name": "k", "expires_at": .string(soon)]).expect(201)

            let first = try #require(try await owner.all("/v1/api-keys").last)
            let ownersID = try #require(first[path: "id"]?.text)
            try await byClerk.post("/v1/api-keys/\(ownersID)/roll").expect(403, "forbidden_scope")
            try await byClerk.post("/v1/api-keys/\(try guest.text("id"))/roll").expect(403, "forbidden_scope")
            try await byGuest.post("/v1/api-keys/\(ownersID)/roll").expect(403, "forbidden_scope")
            try await byClerk.post("/v1/api-keys/\(try clerk.text("id"))/roll").expect(201)
            // Nor can a key revoke one that has scopes which it lacks; the expiry does not matter.
            let revoked = try await byClerk.post("/v1/api-keys/\(ownersID)/revoke").expect(403, "forbidden_scope")
            #expect(try revoked.text("detail").contains("all scopes"))
            #expect(try await owner.all("/v1/api-keys").count == 6)
            #expect(try await owner.all("/v1/api-keys").last == first)
            let reader = try await make(owner, ["name": "reader", "scopes": ["usage:read", "credits:read"]]).expect(201)
            let path = "/v1/api-keys/\(try reader.text("id"))/revoke"
            #expect(try await byClerk.post(path).expect(403).text("detail").contains("credits:read"))
            try await byClerk.post("/v1/api-keys/key_00000000000000000000000000/revoke").expect(404, "not_found")
            let equal = try await make(owner, ["name": "equal", "scopes": ["usage:read"]]).expect(201)
            try await byClerk.post("/v1/api-keys/\(try equal.text("id"))/revoke").expect(200)
            try await byGuest.post("/v1/api-keys/\(ownersID)/revoke").expect(200)
            try await owner.get("/v1/features").expect(401, "unauthenticated")
        }

        @Test("A rolled key has a successor with its name and rights, and both work until the overlap is over")
        func overlap() async throws {
            let owner = try await makeTenant().test
            let soon = "2099-01-01T00:00:00.000Z"
            let made = try await owner.post(
                "/v1/api-keys", ["name": "worker", "scopes": ["catalog:read"], "expires_at": .string(soon)]
            ).expect(201)
            let id = try made.text("id")
            let old = Client(url: owner.url, key: try made.text("key"))
            let rolled = try await owner.post("/v1/api-keys/\(id)/roll", ["overlap_seconds": 1]).expect(201)
            expectMutationHeaders(rolled)
            for member in ["name", "scopes", "expires_at", "environment"] {
                #expect(rolled[member] == made[member], "\(member)")
            }
            #expect(rolled["replaces"] == made["id"] && rolled["id"] != made["id"] && rolled["key"] != made["key"])
            let new = Client(url: owner.url, key: try rolled.text("key"))
            try await new.get("/v1/features").expect(200)
            try await new.get("/v1/end-users").expect(403, "forbidden_scope")
            try await waitUntil("the old key has ended") { try await old.get("/v1/features").status == 401 }
            try await new.get("/v1/features").expect(200)
            let listed = try await owner.all("/v1/api-keys")
            #expect(listed.map { $0[path: "replaces"] } == [made["id"], .null, .null])
            #expect(listed[1][path: "revoked_at"] == .null)
            expectInstant(listed[1][path: "expires_at"])

            try await owner.post("/v1/api-keys/\(id)/roll").expect(409, "conflict")
            // The default overlap is one day.
            let again = try await owner.post("/v1/api-keys/\(try rolled.text("id"))/roll").expect(201)
            #expect(again["expires_at"] == .string(soon))
            try await new.get("/v1/features").expect(200)
            let ending = try #require(try await owner.all("/v1/api-keys")[1][path: "expires_at"]?.text)
            let created = try again.text("created_at")
            let (end, start) = (try #require(Instant(rfc3339: ending)), try #require(Instant(rfc3339: created)))
            #expect(end.microseconds - start.microseconds == 86_400_000_000)
        }

        @Test("Rolling without overlap ends the old key at once; a key that has ended cannot be rolled")
        func noOverlap() async throws {
            let owner = try await makeTenant().test
            let made = try await owner.post("/v1/api-keys", ["name": "worker"]).expect(201)
            let old = Client(url: owner.url, key: try made.text("key"))
            let id = try made.text("id")
            let rolled = try await old.post("/v1/api-keys/\(id)/roll", ["overlap_seconds": 0]).expect(201)
            try await old.get("/v1/features").expect(401, "unauthenticated")
            try await Client(url: owner.url, key: try rolled.text("key")).get("/v1/features").expect(200)
            try await owner.post("/v1/api-keys/\(id)/roll").expect(409, "conflict")
            let other = try await owner.post("/v1/api-keys", ["name": "other"]).expect(201)
            try await owner.post("/v1/api-keys/\(try other.text("id"))/revoke").expect(200)
            try await owner.post("/v1/api-keys/\(try other.text("id"))/roll").expect(409, "conflict")
        }

        @Test("A new key is shown again to the key that asked for it and to no other")
        func shownToWhoAsked() async throws {
            let owner = try await makeTenant().test
            let made = try await owner.post("/v1/api-keys", ["name": "worker"]).expect(201)
            let other = Client(url: owner.url, key: try made.text("key"))
            let path = "/v1/api-keys/\(try made.text("id"))/roll"
            let rolled = try await owner.post(path, key: "roll").expect(201)
            let again = try await owner.post(path, key: "roll").expect(201)
            #expect(again.isReplay && again.bytes == rolled.bytes)
            let stranger = try await other.post(path, key: "roll").expect(422, "idempotency_key_reuse")
            #expect(stranger["key"] == nil)
            let created = try await owner.post("/v1/api-keys", ["name": "next"], key: "create").expect(201)
            #expect(created["key"] != nil)
            let asked = try await other.post("/v1/api-keys", ["name": "next"], key: "create")
            #expect(asked.expect(422, "idempotency_key_reuse")["key"] == nil)
        }

        @Test("Ten minutes after the decision a replay shows the key to nobody")
        func shownForMinutes() async throws {
            let installation = try await SharedInstallation.get()
            let owner = try await installation.makeTenant().test
            let root = installation.root
            func create() async throws -> Answer {
                try await owner.post("/v1/api-keys", ["name": "worker"], key: "minutes").expect(201)
            }
            let name = "tenant-\(UInt64.random(in: 0...UInt64.max))"
            func createTenant() async throws -> Answer {
                try await root.post("/v1/admin/tenants", ["name": "T"], key: name).expect(201)
            }
            let (made, tenant) = (try await create(), try await createTenant())
            try await age(installation, minutes: 9)
            #expect(try await create().bytes == made.bytes)
            #expect(try await createTenant().bytes == tenant.bytes)
            try await age(installation, minutes: 1)
            let late = try await create()
            #expect(late.isReplay && late["key"] == .null && late["id"] == made["id"])
            #expect(try late.text("key_notice").contains("10 minutes"))
            let lateTenant = try await createTenant()
            #expect(lateTenant.isReplay && lateTenant["api_keys"] == ["live": .null, "test": .null])
            #expect(lateTenant["key_notice"] == late["key_notice"] && lateTenant["id"] == tenant["id"])
            try await Client(url: owner.url, key: try made.text("key")).get("/v1/features").expect(200)

            /// Moves the decisions on keys and tenants into the past.
            func age(_ installation: Installation, minutes: Int) async throws {
                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script(
                        """
                        update commands set decided_at = decided_at - interval '\(minutes) minutes'
                        where request_id in ('\(made.headers["x-request-id"] ?? "")', '\(tenant.headers["x-request-id"] ?? "")')
                        """)
                }
            }
        }

        @Test("Each request checks the expiry of its key against the clock")
        func expiry() async throws {
            let owner = try await makeTenant().test
            let end = Instant(microseconds: Instant.now.microseconds + 8_000_000)
            let made = try await owner.post(
                "/v1/api-keys", ["name": "short", "expires_at": .string("\(end)")]
            ).expect(201)
            let short = Client(url: owner.url, key: try made.text("key"))
            let first = try await short.get("/v1/features").status
            #expect(first == 200 || Instant.now >= end)
            try await waitUntil("the key has expired", within: 60) { try await short.get("/v1/features").status == 401 }
            #expect(Instant.now.microseconds >= end.microseconds)
            try await owner.post("/v1/api-keys/\(try made.text("id"))/roll").expect(409, "conflict")
            try await owner.get("/v1/features").expect(200)
        }

        @Test("A revoked key is refused from the moment of the answer on")
        func revocation() async throws {
            let owner = try await makeTenant().test
            for _ in 0..<20 {
                let made = try await owner.post("/v1/api-keys", ["name": "brief"]).expect(201)
                let brief = Client(url: owner.url, key: try made.text("key"))
                try await brief.get("/v1/features").expect(200)
                try await owner.post("/v1/api-keys/\(try made.text("id"))/revoke").expect(200)
                try await brief.get("/v1/features").expect(401, "unauthenticated")
            }
        }

        @Test("The command line makes keys with scopes and an expiry, and rolls them")
        func commandLine() async throws {
            let installation = try await SharedInstallation.get()
            let owner = try await installation.makeTenant().test
            let variables = ["QUOTASTACK_URL": installation.url, "QUOTASTACK_TEST_KEY": owner.key ?? ""]
            let made = try await installation.run(
                "key", "create", "--name", "worker", "--scope", "usage:write", "--scope", "credits:read",
                "--expires-at", "2099-01-01T00:00:00Z", with: variables)
            let key = try #require(try? JSONParser.parse(Array(made.output.utf8)), "\(made.output)")
            #expect(key[path: "scopes"] == ["credits:read", "usage:write"])
            #expect(key[path: "expires_at"] == "2099-01-01T00:00:00.000Z")
            let id = try #require(key[path: "id"]?.text)
            let rolled = try await installation.run("key", "roll", id, "--overlap-seconds", "0", with: variables)
            let successor = try #require(try? JSONParser.parse(Array(rolled.output.utf8)), "\(rolled.output)")
            #expect(successor[path: "replaces"]?.text == id)
            let refused = try await installation.run(
                "key", "create", "--name", "worker", "--scope", "everything", with: variables)
            #expect(refused.status != 0 && refused.output.contains("/scopes/0"))
        }
    }
}
