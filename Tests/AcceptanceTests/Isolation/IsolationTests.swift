import API
import Catalogue
import ChildProcesses
import Credits
import JSON
import Testing

extension Acceptance {
    /// No environment sees or changes anything of another one, whether that belongs to the same tenant or not.
    @Suite struct IsolationTests {
        @Test("The table of calls has every route of the API with its access, and nothing else")
        func completeness() throws {
            let table = Set(EndpointCall.all.map(\.endpoint))
            let served = try EndpointCall.served()
            #expect(table.subtracting(served) == [])
            #expect(served.subtracting(table) == [])
            #expect(
                served.filter { $0.access == .anybody }.map(\.path).sorted() == [
                    "/", "/docs", "/docs.md", "/docs/{page}", "/docs/{page}/{subpage}", "/healthz", "/llms-full.txt",
                    "/llms.txt", "/mcp", "/metrics", "/openapi.json", "/readyz",
                ])
        }

        @Test(
            "Every endpoint, called with another environment's ids, finds, shows and changes nothing",
            arguments: ["tenant", "side"])
        func everyEndpoint(_ stranger: String) async throws {
            let owner = try await makeTenant()
            let property = try await furnish(owner.test, tenantID: owner.id)
            let client = stranger == "side" ? owner.live : try await makeTenant().test
            let before = try await snapshot(owner.test)
            for call in EndpointCall.all {
                let answer = try await call.send(client, property)
                let name = "\(call.endpoint.method) \(call.endpoint.path)"
                // The owner's other side is its live environment, which has no test clocks.
                let isTestOnly = call.endpoint.path.hasPrefix("/v1/test-clocks")
                answer.expect(stranger == "side" && isTestOnly ? 403 : call.stranger, nil, name)
                #expect(property.leaks(in: answer).isEmpty, "\(name): \(answer)")
            }
            #expect(try await snapshot(owner.test) == before)
        }

        @Test("A key with one scope can call the endpoints of that scope only, and refused calls change nothing")
        func everyScope() async throws {
            let owner = try await makeTenant()
            let property = try await furnish(owner.test, tenantID: owner.id)
            var keys: [(scope: KeyScopes, name: String, client: Client)] = []
            for (name, scope) in KeyScopes.named {
                let made = try await owner.test.post("/v1/api-keys", ["name": "k", "scopes": [.string(name)]])
                keys.append((scope, name, Client(url: owner.test.url, key: try made.expect(201).text("key"))))
            }
            let before = try await snapshot(owner.test)
            for (scope, name, client) in keys {
                for call in EndpointCall.all where call.endpoint.access != .anybody {
                    let label = "\(name) on \(call.endpoint.method) \(call.endpoint.path)"
                    if call.endpoint.access == .root {
                        try await call.send(client, property).expect(403, "forbidden_scope", label)
                    } else if !scope.isSuperset(of: call.endpoint.access.scopes) {
                        let needed = call.endpoint.access.scopes.names?.joined() ?? ""
                        let answer = try await call.send(client, property).expect(403, "forbidden_scope", label)
                        #expect(try answer.text("detail").contains("lacks the scope \(needed)."), "\(label)")
                        #expect(property.leaks(in: answer).isEmpty, "\(label)")
                    }
                }
            }
            #expect(try await snapshot(owner.test) == before)
            // These calls come last because they change things.
            for (scope, name, client) in keys {
                for call in EndpointCall.all {
                    guard case .scope(let needed) = call.endpoint.access, needed == scope else { continue }
                    let answer = try await call.send(client, property)
                    #expect(
                        answer.status != 401 && answer["detail"]?.text?.contains("lacks the scope") != true, "\(name)")
                }
            }
        }

        @Test("An operation is shown to the key that sent it and to keys that may read what it changed")
        func operations() async throws {
            let owner = try await makeTenant()
            let property = try await furnish(owner.test, tenantID: owner.id)
            for (name, _) in KeyScopes.named {
                let made = try await owner.test.post("/v1/api-keys", ["name": "k", "scopes": [.string(name)]])
                let client = Client(url: owner.test.url, key: try made.expect(201).text("key"))
                // The operation created an end user.
                let answer = try await client.get(property.operation)
                if name == "credits:read" {
                    #expect(answer.expect(200)["operation.result.body.end_user_id"]?.text?.hasPrefix("bob") == true)
                } else {
                    answer.expect(403, "forbidden_scope", name)
                    #expect(property.leaks(in: answer).isEmpty)
                }
            }
        }

        @Test(
            "Every call with another environment's key finds nothing and changes nothing",
            arguments: ["tenant", "side"])
        func isolation(_ stranger: String) async throws {
            let owner = try await makeTenant()
            let property = try await furnish(owner.test, tenantID: owner.id)
            let client = stranger == "side" ? owner.live : try await makeTenant().test
            let before = try await snapshot(owner.test)

            func ask(
                _ path: String, _ status: Int, _ code: String? = nil, query: [(String, String?)] = []
            ) async throws {
                let answer = try await client.get(path, query).expect(status, code, path)
                #expect(property.leaks(in: answer).isEmpty, "\(path): \(answer)")
            }
            func tell(_ method: String, _ path: String, _ body: JSONValue, _ status: Int, _ code: String) async throws {
                let answer = try await client.send(method, path, bytes: body.bytes).expect(status, code, path)
                #expect(property.leaks(in: answer).isEmpty, "\(path): \(answer)")
            }
            let alice: [(String, String?)] = [("end_user_id", "alice")]
            try await ask("/v1/features/secret-feature", 404, "unknown_feature")
            try await ask("/v1/metering-rules/\(property.ruleID)", 404, "not_found")
            try await ask("/v1/topup-packages/secret-other", 404, "not_found")
            let preview = try await client.post("/v1/metering-rules/preview", ["rule_id": .string(property.ruleID)])
            preview.expect(404, "not_found")
            try await ask("/v1/end-users/alice", 404, "unknown_end_user")
            try await ask("/v1/credits/balance", 404, "unknown_end_user", query: alice)
            try await ask("/v1/credits/blocks", 404, "unknown_end_user", query: alice)
            try await ask("/v1/ledger", 404, "unknown_end_user", query: alice)
            try await ask("/v1/entitlements/check", 200, query: alice + [("feature_key", "secret-feature")])
            for path in ["/v1/features", "/v1/metering-rules", "/v1/topup-packages", "/v1/plans", "/v1/end-users"] {
                try await ask(path, 200)
                #expect(try await client.all(path).isEmpty, "\(path)")
            }
            try await ask("/v1/api-keys", 200)
            #expect(try await client.all("/v1/api-keys").count == 1)
            // An operation of another environment looks like an unknown one: it never gets a result.
            let operation = try await client.get(property.operation).expect(200)
            #expect(operation["operation.result"] == nil && property.leaks(in: operation).isEmpty)

            try await tell("PATCH", "/v1/features/secret-feature", ["archived": true], 404, "unknown_feature")
            try await tell("PATCH", "/v1/end-users/alice", ["name": "Mallory"], 404, "unknown_end_user")
            try await tell("POST", "/v1/end-users/alice/erase", [:], 404, "unknown_end_user")
            try await tell("POST", "/v1/api-keys/\(property.keyID)/revoke", .object([:]), 404, "not_found")
            try await tell(
                "POST", "/v1/metering-rules", ["feature_key": "secret-feature", "model": "flat", "amount": 0], 404,
                "unknown_feature")
            try await tell(
                "POST", "/v1/usage", ["end_user_id": "alice", "feature_key": "secret-feature"], 404, "unknown_feature")
            try await tell(
                "POST", "/v1/credits/grant",
                ["end_user_id": "alice", "credits": 1, "feature_keys": ["secret-feature"]], 404, "unknown_feature")
            let batch = try await client.post(
                "/v1/usage/batch", ["events": [event("alice", "secret-feature", 1, key: "owners-key")]]
            ).expect(200)
            #expect(batch["rejected"] == 1 && batch["replayed"] == 0 && property.leaks(in: batch).isEmpty)

            // The same names in this environment are other objects.
            let check = try await client.check("alice", "secret-feature").expect(200)
            #expect(check["balance"] == 0 && check["reason"] == "unknown_feature")
            let granted = try await client.grant("alice", 7, key: "owners-grant").expect(201)
            #expect(!granted.isReplay && granted["balance"] == 7 && property.leaks(in: granted).isEmpty)
            let made = try await client.post(
                "/v1/features", ["key": "secret-feature", "name": "Mine", "type": "metered"], key: "owners-feature"
            ).expect(201)
            #expect(!made.isReplay)
            #expect(try await client.ledger("alice").count == 1)
            let behind = try await client.get(
                "/v1/credits/balance", alice, headers: ["QuotaStack-Min-Position": property.position])
            #expect(
                [200, 503].contains(behind.status) && property.leaks(in: behind).isEmpty && behind["balance"] != 900)

            #expect(try await snapshot(owner.test) == before)
            #expect(try await owner.test.check("alice", "secret-feature")["effective_balance"] == 800)
        }

        @Test("A cursor taken from one environment shows only the asking environment's items in another")
        func cursors() async throws {
            let (owner, other) = (try await makeTenant().test, try await makeTenant().test)
            for client in [owner, other] {
                let name = client.key == owner.key ? "owner" : "other"
                for number in 0..<3 {
                    try await client.post(
                        "/v1/features", ["key": "\(name)-\(number)", "name": "F", "type": "metered"]
                    ).expect(201)
                    try await client.post("/v1/end-users", ["end_user_id": "\(name)-\(number)"]).expect(201)
                    try await client.grant("alice", 1).expect(201)
                }
            }
            let alice: [(String, String?)] = [("end_user_id", "alice")]
            let lists: [(String, [(String, String?)])] = [
                ("/v1/features", []), ("/v1/end-users", []), ("/v1/ledger", alice), ("/v1/credits/blocks", alice),
            ]
            for (path, query) in lists {
                let page = try await owner.get(path, query + [("limit", "1")]).expect(200)
                let cursor = try page.text("pagination.next_cursor")
                let own = try await other.all(path, query)
                let answer = try await other.get(path, query + [("cursor", cursor)]).expect(200)
                #expect(try answer.items().allSatisfy(own.contains), "\(path)")
            }
        }

        private func furnish(_ client: Client, tenantID: String) async throws -> Property {
            try await client.post(
                "/v1/features", ["key": "secret-other", "name": "Confidential Five", "type": "metered"]
            ).expect(201)
            try await client.post(
                "/v1/features", ["key": "secret-feature", "name": "Confidential One", "type": "metered"],
                key: "owners-feature"
            ).expect(201)
            let price = try await client.post(
                "/v1/metering-rules", ["feature_key": "secret-feature", "model": "flat", "amount": 100]
            ).expect(201)
            try await client.post(
                "/v1/topup-packages",
                ["key": "secret-other", "name": "Confidential Six", "credits": 7, "price": 1, "currency": "EUR"]
            ).expect(201)
            try await client.post("/v1/plans", ["key": "secret-other", "name": "Confidential Seven"]).expect(201)
            try await client.post(
                "/v1/plans/secret-other/variants",
                ["key": "secret-variant", "name": "Confidential Eight", "billing_interval": ["unit": "month"]]
            ).expect(201)
            let key = try await client.post("/v1/api-keys", ["name": "Confidential Two"]).expect(201)
            let clock = try await client.post("/v1/test-clocks", ["now": "2026-01-01T00:00:00Z"]).expect(201)
            try await client.post("/v1/end-users", ["end_user_id": "alice", "name": "Confidential Three"]).expect(201)
            let granted = try await client.grant("alice", 1_000, key: "owners-grant").expect(201)
            let used = try await client.use("alice", "secret-feature", key: "owners-key").expect(201)
            var accepted: Answer
            var attempts = 0
            // The outcome can come before the confirmation of the queue, and is then the answer.
            repeat {
                attempts += 1
                accepted = try await client.post(
                    "/v1/end-users",
                    ["end_user_id": .string(attempts == 1 ? "bob" : "bob\(attempts)"), "name": "Confidential Four"],
                    key: "owners-operation \(attempts)", headers: ["Prefer": "respond-async"])
            } while accepted.status == 201 && attempts < 50
            accepted.expect(202)
            let reserved = try await client.reserve("alice", "secret-feature", units: 1).expect(201)
            let cap = try await client.cap("alice", 5_000).expect(201)
            let rule = try await client.send(
                "PUT", "/v1/end-users/alice/auto-topup", bytes: Array(#"{"threshold":5000,"credits":9}"#.utf8)
            ).expect(201)
            let subscribed = try await client.subscribe("alice", "secret-variant").expect(201)
            let migration = try await client.done(
                try await client.post("/v1/variants/secret-variant/migrate").expect(201))
            let subscription = try #require(PublicID(.subscription, parsing: try subscribed.text("id")))
            let webhook = try await client.post(
                "/v1/webhook-endpoints",
                ["url": "http://127.0.0.1:9/confidential", "description": "Confidential Nine"]
            ).expect(201)
            let webhookID = try webhook.text("id")
            let delivery = try await client.post("/v1/webhook-endpoints/\(webhookID)/test").expect(200)
            // A disabled endpoint gets no attempts, so nothing of it changes while others try.
            try await client.patch("/v1/webhook-endpoints/\(webhookID)", ["enabled": false]).expect(200)
            let operation = try #require(accepted.headers["location"])
            try await waitUntil("\(operation) is decided", within: 10) {
                try await client.get(operation).expect(200)["operation.status"] == "succeeded"
            }
            return Property(
                tenantID: tenantID, ruleID: try price.text("id"), keyID: try key.text("id"),
                clockID: try clock.text("id"), blockID: try granted.text("block.id"), usageID: try used.text("id"),
                reservationID: try reserved.text("id"), capID: try cap.text("id"),
                topUpRequestID: try rule.text("open_request_id"), subscriptionID: subscription.description,
                migrationID: try migration.text("id"),
                eventID: PublicID(.event, account: subscription.account, number: 1).description,
                webhookID: webhookID, deliveryID: try delivery.text("id"), operation: operation,
                position: try #require(used.position),
                secrets: [
                    "Confidential", try clock.text("id"), try price.text("id"), try key.text("id"),
                    try granted.text("block.id"), try reserved.text("id"), try cap.text("id"),
                    try rule.text("open_request_id"), try migration.text("id"),
                    webhookID, try webhook.text("secret"), try delivery.text("id"), "confidential",
                    try granted.text("entry.id"), try used.text("id"), try used.text("entry.hash"),
                ])
        }

        private func snapshot(_ client: Client) async throws -> [[JSONValue]] {
            var shown: [[JSONValue]] = []
            for path in [
                "/v1/features", "/v1/metering-rules", "/v1/topup-packages", "/v1/plans",
                "/v1/plans/secret-other/variants", "/v1/end-users", "/v1/api-keys", "/v1/webhook-endpoints",
            ] {
                shown.append(try await client.all(path))
            }
            shown.append([try await client.get("/v1/config").json])
            shown.append(try await client.all("/v1/audit-log"))
            for path in ["/v1/reservations", "/v1/spend-caps", "/v1/subscriptions"] {
                shown.append(try await client.all(path, [("end_user_id", "alice")]))
            }
            return shown + [try await client.blocks("alice"), try await client.ledger("alice")]
        }
    }
}

/// The objects of an owner, with the ids by which another environment might ask for them.
struct Property: Sendable {
    let tenantID: String
    let ruleID: String
    let keyID: String
    let clockID: String
    let blockID: String
    let usageID: String
    let reservationID: String
    let capID: String
    let topUpRequestID: String
    let subscriptionID: String
    let migrationID: String
    let eventID: String
    let webhookID: String
    let deliveryID: String
    let operation: String
    let position: String
    /// Texts that no answer to another environment may contain.
    let secrets: [String]

    func leaks(in answer: Answer) -> [String] {
        let text = String(decoding: answer.bytes, as: UTF8.self)
        return secrets.filter { text.contains($0) }
    }
}
