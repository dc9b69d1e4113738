import ChildProcesses
import JSON
import SeededRandom
import Testing

extension Acceptance {
    /// Checks that are answered at once, on the event loop of their connection.
    @Suite struct CheckLaneTests {
        /// The number of requests that are played through both paths.
        private static let count = 10_000

        @Test("10,000 checks have the same answers at once and on the ordinary path")
        func sameAnswers() async throws {
            let client = try await makeTenant().test
            let users = try await Self.prepare(client)
            let seed = UInt64.random(in: 0...UInt64.max)
            try await client.raw { connection in
                var random = SeededGenerator(seed: seed)
                for number in 0..<Self.count {
                    let request = Self.request(users, key: client.key ?? "", number, &random)
                    // A length of 0 means nothing, but no lane takes it.
                    connection.send("\(request)\r\n\(request)Content-Length: 0\r\n\r\n")
                    let (one, other) = (try connection.answer(), try connection.answer())
                    #expect(one.status == other.status && one.bytes == other.bytes, "\(seed) \(number): \(request)")
                    var (headers, others) = (one.headers, other.headers)
                    (headers["date"], others["date"]) = (nil, nil)
                    #expect(headers == others, "\(seed) \(number): \(request)")
                    if number < 3 { #expect(one.status == 200) }
                }
            }
        }

        @Test("A check shows a mutation, a price and a config at once, on any connection")
        func neverStale() async throws {
            let tenant = try await makeTenant()
            let client = tenant.test
            try await client.sell("api", unitCost: 1)
            let made = try await client.post("/v1/api-keys", ["name": "K"]).expect(201)
            let second = Client(url: client.url, key: try made.text("key"))
            for round in 1...20 {
                try await client.grant("alice", 10).expect(201)
                try await second.check("alice", "api").expect(200)
                #expect(try await second.check("alice", "api")["balance"] == .integer(Int64(round) * 10))
                try await client.post(
                    "/v1/metering-rules",
                    ["feature_key": "api", "model": "per_unit", "unit_cost": .integer(Int64(round)), "per_units": 1]
                ).expect(201)
                #expect(try await second.check("alice", "api")["estimated_cost"] == .integer(Int64(round)))
                let policy: JSONValue = round % 2 == 0 ? "block" : "allow"
                try await client.patch("/v1/config", ["overage_policy": policy]).expect(200)
                #expect(try await second.check("alice", "api")["overage_policy"] == policy)
            }
        }

        @Test("A key that was revoked is refused on a connection that has just used it, and so is one that was limited")
        func revoked() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            let made = try await client.post("/v1/api-keys", ["name": "K"]).expect(201)
            let (id, key) = (try made.text("id"), try made.text("key"))
            let port = Int(client.url.split(separator: ":").last ?? "") ?? 0
            // One connection, because each connection remembers the caller of its latest check.
            try await client.raw { connection in
                func check(_ key: String) throws -> Answer {
                    connection.send(
                        "GET /v1/entitlements/check?end_user_id=alice&feature_key=api HTTP/1.1\r\nHost: h\r\n"
                            + "X-API-Key: \(key)\r\n\r\n")
                    return try connection.answer()
                }
                func change(_ method: String, _ path: String, _ body: String) throws {
                    let other = try RawConnection(port: port)
                    other.send(
                        "\(method) \(path) HTTP/1.1\r\nHost: h\r\nX-API-Key: \(client.key ?? "")\r\n"
                            + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                    try other.answer().expect(200)
                }
                for _ in 0..<5 { try check(key).expect(200) }
                try change("POST", "/v1/api-keys/\(id)/revoke", "{}")
                try check(key).expect(401)
                let own = client.key ?? ""
                for _ in 0..<5 { try check(own).expect(200) }
                try change("PATCH", "/v1/config", #"{"rate_limit_per_second":1}"#)
                let statuses = try (0..<5).map { _ in try check(own).status }
                #expect(statuses.contains(429))
            }
        }

        @Test("A client that sends 2,000 checks, ends its side and reads late gets every answer")
        func lateReader() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 10).expect(201)
            try await client.raw { connection in
                connection.keepSmallBuffer()
                let head = "GET /v1/entitlements/check?end_user_id=alice&feature_key=api HTTP/1.1\r\nHost: h\r\n"
                let request = head + "X-API-Key: \(client.key ?? "")\r\n\r\n"
                connection.send(String(repeating: request, count: 2_000))
                connection.endInput()
                for number in 0..<2_000 {
                    let answer = try connection.answer()
                    #expect(answer.status == 200 && answer["balance"] == 10, "\(number)")
                }
                #expect(try connection.rest().isEmpty)
            }
        }

        /// Features of each kind, and end users of each kind.
        private static func prepare(_ client: Client) async throws -> [String] {
            try await client.sell("api", unitCost: 3)
            try await client.post("/v1/features", ["key": "seats", "name": "Seats", "type": "limit"]).expect(201)
            try await client.post("/v1/features", ["key": "sso", "name": "SSO", "type": "boolean"]).expect(201)
            try await client.post(
                "/v1/features",
                ["key": "calls", "name": "Calls", "type": "metered", "quota": ["limit": 40, "window": "month"]]
            ).expect(201)
            for (number, user) in ["rich", "org/7@x.org", "u:1"].enumerated() {
                try await client.grant(user, Int64(10 + 1_000 * number)).expect(201)
            }
            try await client.use("rich", "calls", 25).expect(201)
            try await client.post(
                "/v1/reservations", ["end_user_id": "org/7@x.org", "feature_key": "api", "units": 20]
            ).expect(201)
            return ["rich", "org/7@x.org", "u:1", "nobody", "a%20b", "a+b", "erased_1", ""]
        }

        private static func request(
            _ users: [String], key: String, _ number: Int, _ random: inout SeededGenerator
        ) -> String {
            var parameters = [
                "end_user_id=\(random.pick(users))",
                "feature_key=\(random.pick(["api", "api", "calls", "seats", "sso", "none", "a/b"]))",
            ]
            if random.chance(60) {
                let units = random.pick([
                    "0", "1", "13", "16", "007", "9007199254740992", "1e3", "-1", "", "99999999999999999999",
                ])
                parameters.append("units=\(units)")
            }
            if random.chance(5) { parameters.append(random.pick(["reservation=true", "reservation=x", "unknown=1"])) }
            if random.chance(30) { parameters.shuffle(using: &random) }
            var headers = ["Host: localhost", random.chance(70) ? "Authorization: Bearer \(key)" : "x-api-key: \(key)"]
            if random.chance(5) {
                headers[1] = random.pick(["Authorization: Basic eA==", "X-API-Key: qs_test_1", "Accept: */*"])
            }
            headers += ["X-Request-Id: request-\(number)"]
            if random.chance(30) { headers.append("User-Agent: test/1.0 (x; y)") }
            if random.chance(20) {
                headers.append("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            }
            if random.chance(10) { headers.append("Connection: keep-alive") }
            if random.chance(5) { headers.append("QuotaStack-Min-Position: 0") }
            if random.chance(30) { headers.shuffle(using: &random) }
            if number < 3 {
                (parameters, headers) = (
                    ["end_user_id=rich", "feature_key=api"],
                    ["Host: localhost", "Authorization: Bearer \(key)", "X-Request-Id: request-\(number)"]
                )
            }
            return "GET /v1/entitlements/check?\(parameters.joined(separator: "&")) HTTP/1.1\r\n"
                + headers.map { "\($0)\r\n" }.joined()
        }
    }
}
