import JSON
import Testing

extension Acceptance {
    @Suite struct BadInputTests {
        @Test(
            "A bad request is refused with its status, code and place, and changes nothing",
            arguments: [
                BadRequests.notJSON, .numbers, .grants, .usage, .catalogue, .prices, .packages, .time, .reports,
                .queries,
                .routes,
                .envelopes, .credits, .reservations, .limits, .autoTopUps, .plans,
            ])
        func refused(_ group: BadRequests) async throws {
            let tenant = try await furnishedTenant()
            try await expectRefusals(group, tenant.test)
        }

        @Test("A key that is missing, mistyped, revoked or of the wrong kind is refused")
        func keys() async throws {
            let installation = try await SharedInstallation.get()
            let client = try await furnishedTenant().test
            let made = try await client.post("/v1/api-keys", ["name": "gone"]).expect(201)
            try await client.post("/v1/api-keys/\(try made.text("id"))/revoke").expect(200)
            let otherRoot = try await installation.run("key", "root").output
            let group = BadRequests.keys(
                of: client, revoked: try made.text("key"), root: installation.rootKey,
                otherRoot: String(otherRoot.prefix { $0 != "\n" }))
            try await expectRefusals(group, client)
        }

        @Test("A body without a stated length is read up to the limit and no further")
        func chunked() async throws {
            let client = try await furnishedTenant().test
            let body: JSONValue = ["end_user_id": "alice", "credits": 5]
            let small = try await client.send("POST", "/v1/credits/grant", bytes: body.bytes, isChunked: true)
            small.expect(201)
            for (path, limit) in [("/v1/credits/grant", 1 << 20), ("/v1/usage/batch", 8 << 20)] {
                let large = body.bytes + [UInt8](repeating: UInt8(ascii: " "), count: limit)
                let answer = try await client.send("POST", path, bytes: large, isChunked: true)
                expectProblem(answer.expect(413, "body_too_large"))
            }
            #expect(try await client.balance("alice")["balance"] == 1_005)
        }

        @Test("A refusal lists all errors of a body")
        func allProblems() async throws {
            let client = try await makeTenant().test
            let answer = try await client.post(
                "/v1/credits/grant", ["credits": "5", "priority": 101, "expires_after": "soon", "colour": "red"]
            ).expect(400, "invalid_request")
            let pointers = try answer.items("errors").compactMap { $0[path: "pointer"]?.text }
            #expect(Set(pointers) == ["/end_user_id", "/credits", "/priority", "/expires_after", "/colour"])
            expectProblem(answer)
        }

        /// A tenant with an item in every list, so that a wrong write is noticed.
        private func furnishedTenant() async throws -> Tenant {
            let tenant = try await makeTenant()
            let client = tenant.test
            try await client.sell("api", unitCost: 1_000)
            for key in ["unpriced", "archived"] {
                try await client.post("/v1/features", ["key": .string(key), "name": "F", "type": "metered"]).expect(201)
            }
            try await client.patch("/v1/features/archived", ["archived": true]).expect(200)
            try await client.grant("alice", 1_000).expect(201)
            return tenant
        }

        private func expectRefusals(
            _ group: BadRequests, _ client: Client, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let root = try await SharedInstallation.get().root
            let before = try await snapshot(client)
            for request in group.requests {
                let body = request.bytes.map { String(decoding: $0.prefix(120), as: UTF8.self) } ?? ""
                let name = "\(request.method) \(request.path.prefix(120)) \(body)"
                do {
                    let answer = try await request.send(client, root: root)
                    if let complaint = request.complaint(answer) {
                        Issue.record("\(name): \(complaint), was answered \(answer)", sourceLocation: sourceLocation)
                    } else {
                        expectProblem(answer, name, sourceLocation: sourceLocation)
                    }
                } catch {
                    Issue.record("\(name): \(error)", sourceLocation: sourceLocation)
                }
            }
            #expect(try await snapshot(client) == before, "\(group.theme)", sourceLocation: sourceLocation)
        }

        /// Everything that the environment shows through the API.
        private func snapshot(_ client: Client) async throws -> [JSONValue] {
            var shown: [JSONValue] = []
            for path in ["/v1/features", "/v1/metering-rules", "/v1/end-users", "/v1/api-keys"] {
                shown.append(.array(try await client.all(path)))
            }
            shown.append(.array(try await client.blocks("alice")))
            shown.append(.array(try await client.ledger("alice")))
            let balance = try await client.balance("alice").expect(200)
            for member in ["balance", "version", "lifetime_granted", "position"] {
                shown.append(try #require(balance[member]))
            }
            return shown
        }
    }
}
