import API
import Catalogue
import Deflation
import JSON
import Testing

extension Acceptance {
    /// The headers that the API reads, and the codings of bodies.
    @Suite struct HeaderTests {
        @Test("A bearer token may have spaces around it, and another scheme leaves X-API-Key in force")
        func authorization() async throws {
            let client = try await makeTenant().test
            let key = client.key ?? ""
            let nobody = Client(url: client.url, key: nil)
            for (headers, status) in [
                ("Authorization: Bearer \(key)", 200), ("Authorization: bearer   \(key)  ", 200),
                ("Authorization: Basic eDp5\r\nX-API-Key: \(key)", 200),
                ("X-API-Key: \(key)\r\nAuthorization: Digest x", 200), ("Authorization: Basic eDp5", 401),
                ("Authorization: Bearer\r\nX-API-Key: \(key)", 200),
                ("Authorization: Bearer x\r\nX-API-Key: \(key)", 401),
                ("Authorization: Bearer \(key) \(key)", 401), ("X-API-Key:  \(key)\t", 200), ("X-API-Key:", 401),
            ] {
                let answer = try await nobody.raw { connection in
                    connection.send("GET /v1/features HTTP/1.1\r\nHost: h\r\n\(headers)\r\n\r\n")
                    return try connection.answer()
                }
                answer.expect(status, nil, headers.replacing(key, with: "KEY"))
                #expect(answer.headers["www-authenticate"] == (status == 401 ? "Bearer" : nil))
            }
        }

        @Test("Idempotency keys are compared as bytes: two keys in Latin-1 are refused, and grant nothing")
        func undecodableKeys() async throws {
            let client = try await makeTenant().test
            let body = #"{"end_user_id":"alice","credits":100}"#
            func grant(_ key: [UInt8]) async throws -> Answer {
                try await client.raw { connection in
                    connection.send("POST /v1/credits/grant HTTP/1.1\r\nHost: h\r\nX-API-Key: \(client.key ?? "")\r\n")
                    connection.send("Content-Length: \(body.utf8.count)\r\nIdempotency-Key: ")
                    connection.send(key + Array("\r\n\r\n\(body)".utf8))
                    return try connection.answer()
                }
            }
            for last in [0xEB, 0xE9] as [UInt8] {
                expectProblem(try await grant(Array("Zo".utf8) + [last]).expect(400, "invalid_request"))
            }
            #expect(try await client.balance("alice").status == 404)
            // The same letter, composed and decomposed: two keys.
            for key in ["Zo\u{EB}", "Zoe\u{308}"] { try await grant(Array(key.utf8)).expect(201) }
            #expect(try await grant(Array("Zo\u{EB}".utf8)).expect(201).isReplay)
            #expect(try await client.balance("alice")["balance"] == 200)
        }

        @Test("A quoted idempotency key is the text inside the quotes")
        func quotedKeys() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 100).expect(201)
            let use = event("alice", "api")
            try await client.post("/v1/usage", use.with("idempotency_key", "abc"), key: #""abc""#).expect(201)
            #expect(try await client.post("/v1/usage", use, key: "abc").expect(201).isReplay)
            for (number, other) in [
                #""abc"#, #"abc""#, #""abc";p"#, #""a"bc""#, #""a\b\c""#, #""abc\""#,
            ].enumerated() {
                #expect(!(try await client.post("/v1/usage", use, key: other).expect(201).isReplay), "\(other)")
                #expect(try await client.balance("alice")["balance"] == .integer(Int64(98 - number)))
            }
            for empty in ["\"\"", "\""] {
                try await client.post("/v1/usage", use, key: empty).expect(400, "invalid_request")
            }
        }

        @Test("A mutation with a query parameter is refused and has no effect")
        func queriesOfMutations() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 100).expect(201)
            for path in [
                "/v1/usage?dry_run=true", "/v1/usage?units=7", "/v1/credits/grant?dry_run", "/v1/usage/batch?x=1",
            ] {
                let refused = try await client.post(path, event("alice", "api")).expect(400, "unknown_field")
                expectProblem(refused)
            }
            try await client.send("DELETE", "/v1/spend-caps/x?force=true").expect(400, "unknown_field")
            try await client.patch("/v1/config?dry_run=true", ["timezone": "UTC"]).expect(400, "unknown_field")
            try await client.get("/v1/config?x=1").expect(400, "unknown_field")
            try await Client(url: client.url, key: nil).post("/v1/usage?dry_run=true").expect(401)
            try await client.get("/healthz?x=1").expect(200)
            #expect(try await client.balance("alice")["balance"] == 100)
        }

        @Test("No endpoint takes a query parameter that it does not know")
        func unknownParameters() async throws {
            let tenant = try await makeTenant().test
            let root = try await SharedInstallation.get().root
            for call in EndpointCall.all where call.endpoint.access != .anybody {
                let endpoint = call.endpoint
                let client = endpoint.access == .root ? root : tenant
                let path = endpoint.path.replacing(/\{[a-z_]+\}/, with: "x")
                // A stream would not end.
                let isStream = path == "/v1/ledger/stream"
                if endpoint.method == "GET", !isStream, try await client.get(path).status == 400 {
                    // It requires parameters; `queries` of the bad requests has cases with them.
                    continue
                }
                let body: [UInt8]? = endpoint.method == "GET" ? nil : Array("{}".utf8)
                let answer = try await client.send(endpoint.method, path + "?unexpected=1", bytes: body)
                answer.expect(400, "unknown_field", "\(endpoint.method) \(path)")
            }
        }

        @Test("A body may have another content type when it is empty, and no other charset than UTF-8")
        func contentTypes() async throws {
            let client = try await makeTenant().test
            let body: JSONValue = ["end_user_id": "alice", "credits": 1]
            for (type, status) in [
                ("application/json", 201), ("Application/JSON; charset=utf-8", 201),
                ("application/json ; Charset=\"UTF-8\"", 201), ("application/json;charset=us-ascii", 201),
                ("application/json; charset=iso-8859-1", 415), ("application/json; charset=utf-16", 415),
                ("application/x-www-form-urlencoded", 415),
            ] {
                let answer = try await client.send("POST", "/v1/credits/grant", bytes: body.bytes, contentType: type)
                answer.expect(status, nil, type)
                let empty = try await client.send("POST", "/v1/credits/grant", bytes: [], contentType: type)
                empty.expect(400, "invalid_request", type)
            }
            try await client.sell("api", unitCost: 1)
            let held = try await client.post(
                "/v1/reservations", ["end_user_id": "alice", "feature_key": "api", "units": 1]
            ).expect(201)
            // The request of `curl -X POST -d ''`.
            let released = try await client.raw { [id = try held.text("id")] connection in
                connection.send(
                    "POST /v1/reservations/\(id)/release HTTP/1.1\r\nHost: h\r\nX-API-Key: \(client.key ?? "")\r\n"
                        + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n")
                return try connection.answer()
            }
            released.expect(200)
        }

        @Test("Compressed bodies are inflated within the limits of plain ones; other codings are refused")
        func codings() async throws {
            let client = try await makeTenant().test
            try await client.sell("api", unitCost: 1)
            try await client.grant("alice", 100_000).expect(201)
            let events: JSONValue = ["events": .array((0..<5_000).map { event("alice", "api", key: "k\($0)") })]
            func batch(_ bytes: [UInt8], _ coding: String, path: String = "/v1/usage/batch") async throws -> Answer {
                try await client.send(
                    "POST", path, bytes: bytes, headers: ["Content-Encoding": coding, "Prefer": "wait=60"])
            }
            let gzip = try Deflation.compressed(events.bytes, .gzip)
            #expect(try await batch(gzip, "gzip").expect(200)["accepted"] == 5_000)
            for (format, coding) in [
                (.gzip, "GZip"), (.gzip, "x-gzip"), (.gzip, "identity, gzip"), (.zlib, "deflate"), (.bare, "deflate"),
            ] as [(Deflation.Format, String)] {
                let answer = try await batch(try Deflation.compressed(events.bytes, format), coding)
                #expect(answer.expect(200, nil, coding)["replayed"] == 5_000)
            }
            #expect(try await client.balance("alice")["balance"] == 95_000)
            let chunked = try await client.send(
                "POST", "/v1/usage/batch", bytes: gzip, headers: ["Content-Encoding": "gzip"], isChunked: true)
            #expect(chunked.expect(200)["replayed"] == 5_000)

            for coding in ["br", "zstd", "gzip, gzip", "compress"] {
                expectProblem(try await batch(gzip, coding).expect(415, "unsupported_media_type", coding))
            }
            expectProblem(try await batch(events.bytes, "gzip").expect(400, "invalid_request"))
            expectProblem(try await batch(Array(gzip.dropLast(20)), "gzip").expect(400, "invalid_request"))
            func padded(to count: Int) -> [UInt8] {
                // Letters without a pattern, so that the ratio is no reason to refuse them.
                var seed: UInt32 = 1
                let letters = (0..<count - 8).map { _ in
                    seed = seed &* 1_664_525 &+ 1_013_904_223
                    return UInt8(ascii: "a") + UInt8(seed >> 28)
                }
                return Array(#"{"x":""#.utf8) + letters + Array(#""}"#.utf8)
            }
            for (path, limit) in [("/v1/credits/grant", 1 << 20), ("/v1/usage/batch", 8 << 20)] {
                let fitting = try Deflation.compressed(padded(to: limit), .gzip)
                try await batch(fitting, "gzip", path: path).expect(400)
                let larger = try Deflation.compressed(padded(to: limit + 1), .gzip)
                expectProblem(try await batch(larger, "gzip", path: path).expect(413, "body_too_large"))
            }
            let bomb = try Deflation.compressed([UInt8](repeating: UInt8(ascii: " "), count: 7 << 20), .gzip)
            #expect(bomb.count < 10_000)
            expectProblem(try await batch(bomb, "gzip").expect(413, "body_too_large"))
        }

        @Test("A refusal of a body names the kind of value that was sent, and lists at most twenty errors")
        func kinds() async throws {
            let client = try await makeTenant().test
            let answer = try await client.post(
                "/v1/credits/grant", ["end_user_id": 5, "credits": "10", "feature_keys": [:], "metadata": [1]]
            ).expect(400, "invalid_request")
            let details = try answer.items("errors").map {
                "\($0[path: "pointer"]?.text ?? "") \($0[path: "detail"]?.text ?? "")"
            }
            for detail in [
                "/end_user_id must be a string, not a number", "/credits must be an integer, not a string",
                "/feature_keys must be an array, not an object", "/metadata must be an object, not an array",
            ] {
                #expect(details.contains(detail), "\(details)")
            }
            let unknown = JSONValue.members((0..<500).map { ("x\($0)", 1) })
            let many = try await client.post("/v1/credits/grant", unknown).expect(400)
            #expect(try many.items("errors").count == 20)
            let events = JSONValue.array(Array(repeating: unknown, count: 500))
            let batch = try await client.post("/v1/usage/batch", ["events": events]).expect(200)
            #expect(batch["rejected"] == 500)
            #expect(batch.bytes.count < 1 << 20)
            let dense = try await client.send(
                "POST", "/v1/usage/batch",
                bytes: Array((#"{"events":[{"":0}"# + String(repeating: #",{"":0}"#, count: 1_100_000) + "]}").utf8))
            expectProblem(dense.expect(400, "invalid_request"))
        }
    }
}
