import ChildProcesses
import Foundation
import JSON
import MCP
import Testing

extension Acceptance {
    /// The Model Context Protocol as a node serves it, and as `quotastack mcp` does.
    @Suite struct MCPTests {
        private static let readers = [
            "check", "balance", "explain", "ledger", "usage", "features", "plans", "plan_variants", "subscriptions",
        ]
        private static let docs = ["docs_search", "docs_read"]

        @Test("Each tool answers as its endpoint does")
        func answers() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1_000)
            let granted = try await client.tool(
                "grant_credits", ["end_user_id": "alice", "credits": 5_000, "reason": "trial", "idempotency_key": "g1"])
            #expect(!granted.isError && granted.structured["balance"] == 5_000, "\(granted)")
            let again = try await client.tool(
                "grant_credits", ["end_user_id": "alice", "credits": 5_000, "reason": "trial", "idempotency_key": "g1"])
            #expect(again.structured == granted.structured)
            let used = try await client.tool(
                "record_usage", ["end_user_id": "alice", "feature_key": "api", "units": 2])
            #expect(used.structured["cost"] == 2_000, "\(used)")

            let calls: [(String, JSONValue, String)] = [
                ("check", ["end_user_id": "alice", "feature_key": "api"], "/v1/entitlements/check"),
                ("ledger", ["end_user_id": "alice", "limit": 1], "/v1/ledger"),
                ("usage", ["end_user_id": "alice", "group_by": "feature"], "/v1/usage"),
                ("features", [:], "/v1/features"), ("plans", [:], "/v1/plans"),
                ("subscriptions", ["end_user_id": "alice"], "/v1/subscriptions"),
            ]
            for (tool, arguments, path) in calls {
                guard case .object(let object) = arguments else { continue }
                let query = object.members.map { ($0.key, $0.value.text ?? $0.value.integer.map(String.init)) }
                let result = try await client.tool(tool, arguments)
                let answer = try await client.get(path, query).expect(200)
                #expect(!result.isError && result.structured == answer.json, "\(tool): \(result)")
                #expect(result.text.utf8.elementsEqual(answer.bytes), "\(tool)")
            }
            let explained = try await client.tool("explain", ["end_user_id": "alice", "feature_key": "api"])
            #expect(explained.structured["balance"] == 3_000, "\(explained)")
            let first = try await client.tool("ledger", ["end_user_id": "alice", "limit": 1])
            let cursor = try #require(first.structured[path: "pagination.next_cursor"])
            let second = try await client.tool("ledger", ["end_user_id": "alice", "limit": 1, "cursor": cursor])
            #expect(second.structured[path: "data.0.type"] == "grant", "\(second)")
        }

        @Test("A refusal of the API is an error of the tool with its code")
        func refusals() async throws {
            let tenant = try await makeTenant()
            let unknown = try await tenant.test.tool("balance", ["end_user_id": "nobody"])
            #expect(unknown.isError && unknown.structured["code"] == "unknown_end_user", "\(unknown)")
            #expect(unknown.text.contains("code unknown_end_user, status 404"))
            let bad = try await tenant.test.tool("balance", ["end_user_id": "a", "at": "yesterday"])
            #expect(bad.isError && bad.structured["code"] == "invalid_request", "\(bad)")
            // A path parameter stays inside its path.
            let path = try await tenant.test.tool("plan_variants", ["key": "../../healthz?x="])
            #expect(path.isError && path.structured["status"] == 404, "\(path)")
            let live = try await tenant.live.tool("grant_credits", ["end_user_id": "a", "credits": 1])
            #expect(live.isError && live.text.contains("test_mode_only"), "\(live)")
            try await tenant.live.get("/v1/end-users/a").expect(404)
        }

        @Test(
            "A key is shown the tools that its scopes and its environment allow, and no key those of the documentation")
        func scopes() async throws {
            let tenant = try await makeTenant()
            let all = Tool.all.map(\.name)
            #expect(try await tenant.test.toolNames() == all)
            #expect(try await tenant.live.toolNames() == Self.docs + Self.readers)
            var nobody = tenant.test
            nobody.key = nil
            #expect(try await nobody.toolNames() == Self.docs)
            let made = try await tenant.test.post(
                "/v1/api-keys", ["name": "k", "scopes": ["credits:read", "usage:write"]])
            let limited = Client(url: tenant.test.url, key: try made.expect(201).text("key"))
            #expect(try await limited.toolNames() == Self.docs + ["balance", "explain", "ledger", "record_usage"])
            let refused = try await limited.tool("plans", [:])
            #expect(refused.isError && refused.structured["code"] == "forbidden_scope", "\(refused)")
            let open = try await nobody.tool("balance", ["end_user_id": "a"])
            #expect(open.isError && open.structured["code"] == "unauthenticated", "\(open)")
            let found = try await nobody.tool("docs_search", ["query": "idempotency"])
            #expect(!found.isError && found.text.contains("/docs/concepts/idempotency"), "\(found)")
        }

        @Test("A key that is not valid is refused before its message is read")
        func keys() async throws {
            let tenant = try await makeTenant()
            let installation = try await SharedInstallation.get()
            try await Client(url: tenant.test.url, key: "qs_test_x").request("ping").expect(401, "unauthenticated")
            try await installation.root.request("ping").expect(403, "forbidden_scope")
            let made = try await tenant.test.post("/v1/api-keys", ["name": "k"]).expect(201)
            let other = Client(url: tenant.test.url, key: try made.text("key"))
            try await other.request("ping").expect(200)
            try await tenant.test.post("/v1/api-keys/\(try made.text("id"))/revoke").expect(200)
            try await other.request("ping").expect(401)
        }

        @Test("Calls of tools count towards the rate limit, and messages that make no call do not")
        func rates() async throws {
            let client = try await makeTenant().test
            try await client.patch("/v1/config", ["rate_limit_per_second": 1]).expect(200)
            var refused = 0
            for _ in 0..<20 {
                try await client.request("ping").expect(200)
                if try await client.tool("plans", [:]).structured["code"] == "rate_limited" { refused += 1 }
            }
            #expect(refused > 0)
        }

        @Test("The endpoint follows the rules of the transport")
        func transport() async throws {
            let client = try await makeTenant().test
            let ping: JSONValue = ["jsonrpc": "2.0", "id": 1, "method": "ping"]
            for method in ["GET", "DELETE"] {
                let answer = try await client.send(method, "/mcp", headers: ["Accept": "text/event-stream"])
                #expect(answer.expect(405, "method_not_allowed").headers["allow"] == "POST, OPTIONS")
            }
            let note = try await client.message(["jsonrpc": "2.0", "method": "notifications/initialized"])
            #expect(note.expect(202).bytes.isEmpty)
            let answer = try await client.message(ping, headers: ["MCP-Protocol-Version": "2025-06-18"]).expect(200)
            #expect(answer.headers["content-type"] == "application/json" && answer.headers["mcp-session-id"] == nil)
            let version = try await client.message(ping, headers: ["MCP-Protocol-Version": "1999-01-01"]).expect(400)
            #expect(version["error.code"] == -32_022)
            try await client.message([ping]).expect(200)
            try await client.message([ping], headers: ["MCP-Protocol-Version": "2025-06-18"]).expect(400)
            let text = try await client.send("POST", "/mcp", bytes: ping.bytes, contentType: "text/plain")
            text.expect(415, "unsupported_media_type")
            try await client.send("POST", "/mcp?session=1", bytes: ping.bytes).expect(400, "unknown_field")
            let large = [UInt8](repeating: UInt8(ascii: " "), count: MCPLimits.messageBytes + 1)
            try await client.send("POST", "/mcp", bytes: large).expect(413, "body_too_large")
            try await client.send("POST", "/mcp", bytes: Array("{".utf8)).expect(400)
        }

        @Test("A page of another site is refused, whatever its host is called")
        func origins() async throws {
            let client = try await makeTenant().test
            let foreign = [
                "https://evil.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "null",
                "http://localhost:1@evil.example", "file://", "http://localhost:123456", "http://[::1].evil",
                "localhost",
                client.url.replacing("127.0.0.1", with: "rebound.example"),
            ]
            for origin in foreign {
                let ping: JSONValue = ["jsonrpc": "2.0", "id": 1, "method": "ping"]
                let answer = try await client.message(ping, headers: ["Origin": origin]).expect(403, nil, origin)
                #expect(answer["error.code"] == -32_600)
            }
            for origin in ["http://localhost:6274", "HTTP://127.0.0.1", "https://[::1]:8443", "http://localhost"] {
                let ping: JSONValue = ["jsonrpc": "2.0", "id": 1, "method": "ping"]
                try await client.message(ping, headers: ["Origin": origin]).expect(200, nil, origin)
            }
        }

        @Test("A change over a tool is in the audit log with the id of its message")
        func audit() async throws {
            let client = try await makeTenant().test
            let body: JSONValue = [
                "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": ["name": "grant_credits", "arguments": ["end_user_id": "alice", "credits": 1]],
            ]
            let answer = try await client.message(body, headers: ["X-Request-Id": "mcp-1"]).expect(200)
            #expect(answer.headers["x-request-id"] == "mcp-1")
            let log = try await client.get("/v1/audit-log", [("limit", "1")]).expect(200)
            #expect(try log.text("data.0.request_id") == "mcp-1")
        }

        // MARK: - Standard input and output

        /// Sends lines to `quotastack mcp` and returns its lines by their ids.
        private func converse(
            _ lines: [String], with variables: [String: String], _ options: String = ""
        ) async throws -> [JSONValue] {
            let folder = FileManager.default.temporaryDirectory.appending(
                path: "mcp-\(UInt64.random(in: 0...UInt64.max))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let input = folder.appending(path: "input")
            try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: input)
            let binary = try await SharedInstallation.get().binary
            let run = try await ChildProcess.run(
                ["bash", "-c", #"exec "$0" mcp \#(options) < "$1" 2> "$1.errors""#, binary, input.path],
                environment: ["PATH": "/usr/bin:/bin"].merging(variables) { $1 },
                logPath: folder.appending(path: "log").path)
            #expect(run.status == 0, "\(run.output) \(readFile(input.path + ".errors") ?? "")")
            return try run.output.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
        }

        private func call(_ id: Int, _ tool: String, _ arguments: String) -> String {
            let parameters = #"{"name":"\#(tool)","arguments":\#(arguments)}"#
            return #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":\#(parameters)}"#
        }

        @Test("quotastack mcp asks the installation with the key of its environment")
        func standardInput() async throws {
            let tenant = try await makeTenant()
            try await tenant.test.grant("alice", 7_000).expect(201)
            let key = try #require(tenant.test.key)
            let answers = try await converse(
                [
                    #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#,
                    #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "", "{",
                    #"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, call(3, "balance", #"{"end_user_id":"alice"}"#),
                    call(4, "balance", #"{"end_user_id":"nobody"}"#),
                    String(repeating: "x", count: MCPLimits.messageBytes + 1),
                    call(5, "grant_credits", #"{"end_user_id":"alice","credits":1}"#),
                ], with: ["QUOTASTACK_URL": tenant.test.url, "QUOTASTACK_TEST_KEY": key])
            try #require(answers.count == 7)
            #expect(answers[0][path: "result.protocolVersion"] == "2025-06-18")
            #expect(answers[1][path: "error.code"] == -32_700)
            let names = answers[2][path: "result.tools"]?.items?.compactMap { $0["name"]?.text }
            #expect(names == Tool.all.map(\.name))
            #expect(answers[3][path: "result.structuredContent.balance"] == 7_000, "\(answers[3])")
            #expect(answers[4][path: "result.structuredContent.code"] == "unknown_end_user", "\(answers[4])")
            #expect(answers[5][path: "error.code"] == -32_600)
            #expect(answers[6][path: "result.structuredContent.balance"] == 7_001, "\(answers[6])")
        }

        @Test("quotastack mcp takes its key from a file, and changes nothing in a live environment")
        func keyFile() async throws {
            let tenant = try await makeTenant()
            let key = try #require(tenant.live.key)
            try await withTemporaryDirectory { folder in
                try writeFile("\(folder)/key", Array("\(key)\n".utf8))
                let answers = try await converse(
                    [
                        #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
                        call(2, "grant_credits", #"{"end_user_id":"a","credits":1}"#), call(3, "plans", "{}"),
                    ], with: ["QUOTASTACK_URL": tenant.live.url, "QUOTASTACK_LIVE_KEY_FILE": "\(folder)/key"], "--live")
                let names = answers[0][path: "result.tools"]?.items?.compactMap { $0["name"]?.text }
                #expect(names == Self.docs + Self.readers)
                #expect(answers[1][path: "result.isError"] == true)
                #expect(answers[2][path: "result.structuredContent.data"] == [])
            }
        }

        @Test("quotastack mcp serves the documentation without an installation")
        func alone() async throws {
            let answers = try await converse(
                [
                    #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
                    call(2, "docs_read", #"{"page":"/docs/quickstart"}"#),
                    call(3, "plans", "{}"),
                ], with: [:])
            let names = answers[0][path: "result.tools"]?.items?.compactMap { $0["name"]?.text }
            #expect(names == Self.docs)
            #expect(answers[1][path: "result.content.0.text"]?.text?.hasPrefix("# Quickstart") == true)
            #expect(answers[2][path: "result.content.0.text"]?.text?.contains("QUOTASTACK_URL") == true)
            let key = try #require(try await makeTenant().test.key)
            let unreachable = try await converse(
                [#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, call(2, "plans", "{}")],
                with: [
                    "QUOTASTACK_URL": "http://127.0.0.1:1", "QUOTASTACK_TEST_KEY": key,
                ])
            #expect(unreachable[0][path: "result.tools"]?.items?.count == Self.docs.count)
            #expect(unreachable[1][path: "result.isError"] == true)
        }
    }
}
