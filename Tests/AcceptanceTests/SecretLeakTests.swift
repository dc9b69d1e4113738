import ChildProcesses
import JSON
import Testing

extension Acceptance {
    /// No log contains tenant data or secrets. Every installation's log is searched when it is removed; this test makes
    /// sure that there is something to find.
    @Suite struct SecretLeakTests {
        @Test("Tenant data is in no log, whether a request is accepted, refused or cannot be served")
        func everywhere() async throws {
            let word = PlantedSecrets.word
            try await withInstallation { installation in
                let tenant = try await installation.makeTenant("\(word) Ltd")
                let client = tenant.test
                let user = "\(word) user"
                let path = percentEncoded(user)
                let metadata: JSONValue = ["note": .string(word), "\(word)": 1]
                try await client.sell("\(word)-calls", unitCost: 10)
                try await client.patch("/v1/features/\(word)-calls", ["name": .string(word)]).expect(200)
                try await client.post(
                    "/v1/end-users", ["end_user_id": .string(user), "name": .string(word), "metadata": metadata]
                ).expect(201)
                try await client.patch("/v1/end-users/\(path)", ["name": "\(word) again"]).expect(200)
                try await client.post(
                    "/v1/credits/grant",
                    ["end_user_id": .string(user), "credits": 15, "reason": .string(word), "metadata": metadata],
                    key: "\(word)-key"
                ).expect(201)
                try await client.use(user, "\(word)-calls", key: "\(word)-use").expect(201)
                try await client.use(user, "\(word)-calls").expect(402)
                try await client.use(user, "\(word)-none").expect(404)
                let batch: JSONValue = ["events": [event(user, "\(word)-calls", key: "\(word)-event")]]
                try await client.post("/v1/usage/batch", batch).expect(200)
                try await client.check(user, "\(word)-calls").expect(200)
                try await client.balance(user).expect(200)
                _ = try await (client.blocks(user), client.ledger(user))
                let made = try await client.post("/v1/api-keys", ["name": "\(word) key"]).expect(201)
                try await client.post("/v1/api-keys/\(try made.text("id"))/roll").expect(201)

                let hook = try await client.post(
                    "/v1/webhook-endpoints",
                    ["url": "http://\(word).invalid/\(word)?\(word)", "description": .string(word)]
                ).expect(201).text("id")
                try await client.post("/v1/webhook-endpoints/\(hook)/test").expect(200)
                try await client.delivers(hook, ["failed"])

                // Requests that the API does not know.
                try await client.get("/v1/\(word)").expect(404)
                try await client.get("/v1/features", [(word, word)]).expect(400)
                try await client.get("/v1/features", [("cursor", word)]).expect(400)
                try await client.post("/v1/credits/grant", ["\(word)": .string(word)]).expect(400)
                try await client.send("POST", "/v1/usage", bytes: Array("{\"\(word)".utf8)).expect(400)
                try await client.send("POST", "/v1/usage", bytes: Array("{}".utf8), contentType: "text/\(word)").expect(
                    415)
                try await client.send("\(word.uppercased())", "/v1/usage").expect(400)
                try await client.grant(user, 1, key: String(repeating: word, count: 50)).expect(400)
                for header in ["traceparent", "Prefer", "X-Forwarded-For", "User-Agent", "QuotaStack-Min-Position"] {
                    _ = try await client.send("GET", "/v1/features", headers: [header: word])
                    _ = try await client.send(
                        "POST", "/v1/end-users", bytes: Array(#"{"end_user_id":"\#(word)"}"#.utf8),
                        headers: [header: word])
                }
                for key in ["Bearer qs_live_\(word)", "Basic \(word)", "Bearer \(client.key ?? "")x"] {
                    try await Client(url: client.url, key: nil).get("/v1/features", headers: ["Authorization": key])
                        .expect(401)
                }
                // Requests that cannot be served.
                try await installation.admitConnections(false)
                try await waitUntil("a list cannot be served") {
                    try await client.get("/v1/ledger", [("end_user_id", user)]).status == 503
                }
                try await client.get("/v1/end-users/\(path)").expect(503)
                try await installation.admitConnections(true)

                let log = installation.log
                for part in ["route=/v1/end-users/{id}", "status=402", "status=503", "a request failed", "applied"] {
                    #expect(log.contains(part), "\(part)")
                }
                #expect(PlantedSecrets.lines(of: log).isEmpty)
            }
        }

        @Test("The search finds keys, passwords and tenant data")
        func search() {
            PlantedSecrets.remember(passwordsIn: ["SOME_URL": "amqp://user:for-this-test-only@127.0.0.1:1/x"])
            let log = """
                1 nothing here
                2 password=for-this-test-only
                3 Authorization: Bearer qs_test_0000
                4 path=/v1/end-users/alice
                5 amqp://user:***@127.0.0.1:1/x
                """
            #expect(PlantedSecrets.lines(of: log).map { $0.prefix(1) } == ["2", "3", "4"])
        }
    }
}
