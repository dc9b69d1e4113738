import JSON
import Testing

extension Acceptance {
    /// Keys that the root key makes for a tenant.
    @Suite struct TenantKeyTests {
        @Test("A tenant without a key gets one from the root key, and the logs of both sides show it")
        func rescue() async throws {
            let installation = try await SharedInstallation.get()
            let tenant = try await installation.makeTenant()
            try await tenant.live.sell("api", unitCost: 1)
            let ownID = try #require(try await tenant.live.all("/v1/api-keys").last?[path: "id"]?.text)
            try await tenant.live.post("/v1/api-keys/\(ownID)/revoke").expect(200)
            try await tenant.live.get("/v1/features").expect(401, "unauthenticated")

            let path = "/v1/admin/tenants/\(tenant.id)/api-keys"
            let body: JSONValue = ["environment": "live", "name": "rescue", "scopes": ["admin:read", "catalog:read"]]
            let made = try await installation.root.post(path, body, key: "rescue-\(tenant.id)").expect(201)
            expectMutationHeaders(made)
            #expect(made["environment"] == "live" && made["name"] == "rescue" && made["replaces"] == .null)
            #expect(made["scopes"] == ["catalog:read", "admin:read"])
            #expect(try made.text("key").hasPrefix("qs_live_"))
            let rescued = installation.client(try made.text("key"))
            #expect(try await rescued.all("/v1/features").count == 1)
            try await rescued.grant("alice", 5).expect(403, "forbidden_scope")
            #expect(try await rescued.all("/v1/api-keys").map { $0[path: "id"] } == [made["id"], .string(ownID)])

            let again = try await installation.root.post(path, body, key: "rescue-\(tenant.id)").expect(201)
            #expect(again.isReplay && again.bytes == made.bytes && again.position == made.position)
            let plain = try await installation.root.post(path, ["environment": "test"]).expect(201)
            #expect(plain["name"] == "test" && plain["scopes"] == .null && plain["expires_at"] == .null)
            try await installation.client(try plain.text("key")).grant("alice", 5).expect(201)

            let requestID = try #require(made.headers["x-request-id"])
            for log in [installation.root, rescued] {
                let records = try await log.all("/v1/audit-log", [("action", "api_key.create"), ("actor", "root")])
                let record = try #require(records.first { $0[path: "request_id"]?.text == requestID })
                #expect(record[path: "actor.type"] == "root" && record[path: "outcome"] == "succeeded")
                let operation = try await log.get("/v1/operations/\(record[path: "id"]?.text ?? "")").expect(200)
                #expect(operation["operation.result.body.id"] == made["id"])
                #expect(operation["operation.result.body.key"] == .null)
            }
        }

        @Test("The root key makes no key for a tenant or an environment that does not exist, or with wrong rights")
        func refused() async throws {
            let installation = try await SharedInstallation.get()
            let tenant = try await installation.makeTenant()
            let path = "/v1/admin/tenants/\(tenant.id)/api-keys"
            for (body, pointer) in [
                ([:], "/environment"), (["environment": "staging"], "/environment"),
                (["environment": "live", "scopes": ["everything"]], "/scopes/0"),
                (["environment": "live", "name": ""], "/name"),
                (["environment": "live", "expires_at": "2001-01-01T00:00:00Z"], "/expires_at"),
            ] as [(JSONValue, String)] {
                let refused = try await installation.root.post(path, body).expect(400, "invalid_request")
                #expect(refused["errors.0.pointer"]?.text == pointer)
            }
            for id in ["ten_00000000000000000000000000", "nonsense"] {
                try await installation.root.post("/v1/admin/tenants/\(id)/api-keys", ["environment": "live"])
                    .expect(404, "not_found")
            }
            try await tenant.live.post(path, ["environment": "live"]).expect(403, "forbidden_scope")
            #expect(try await tenant.live.all("/v1/api-keys").count == 1)
        }
    }
}
