import JSON
import Testing

extension Acceptance {
    /// Requests, byte by byte: where they begin and end, and whether the connection goes on.
    @Suite struct FramingTests {
        /// The bytes of a request that the server must refuse without a route.
        struct Malformed: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let bytes: [UInt8]
            var status = 400
            var code = "invalid_request"
            /// Whether the client ends its side after the bytes.
            var ends = false

            init(
                _ name: String, _ text: String, _ status: Int = 400, _ code: String = "invalid_request",
                ends: Bool = false
            ) {
                self.init(name, Array(text.utf8), status, code, ends: ends)
            }

            init(
                _ name: String, _ bytes: [UInt8], _ status: Int = 400, _ code: String = "invalid_request",
                ends: Bool = false
            ) {
                (testDescription, self.bytes, self.status, self.code, self.ends) = (name, bytes, status, code, ends)
            }
        }

        private static let post = "POST /v1/usage HTTP/1.1\r\nHost: h\r\n"
        private static let get = "GET /healthz HTTP/1.1\r\nHost: h\r\n"

        private static let malformed: [Malformed] = [
            Malformed("no Host", "GET /healthz HTTP/1.1\r\n\r\n"),
            Malformed("two Hosts", get + "Host: h\r\n\r\n"),
            Malformed("a Host with a path", "GET /healthz HTTP/1.1\r\nHost: h/x\r\n\r\n"),
            Malformed("no HTTP", "hello\r\n\r\n"),
            Malformed("no HTTP and the end", "hello", ends: true),
            Malformed("an unknown method", "BREW /healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
            Malformed("HTTP/2.0", "GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n"),
            Malformed("a target that is no path", "GET healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
            Malformed("chunks in HTTP/1.0", "POST /v1/usage HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Malformed("an unknown coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "not_implemented"),
            Malformed("only an unknown coding", post + "Transfer-Encoding: gzip\r\n\r\n", 501, "not_implemented"),
            Malformed("chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
            Malformed(
                "a length and chunks", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Malformed("two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
            Malformed("a length that is no number", post + "Content-Length: five\r\n\r\nhello"),
            Malformed("a signed length", post + "Content-Length: +5\r\n\r\nhello"),
            Malformed("a length beyond 64 bits", post + "Content-Length: 99999999999999999999\r\n\r\n"),
            Malformed("a name with a space", get + "X-A : b\r\n\r\n"),
            Malformed("no colon", get + "X-A\r\n\r\n"),
            Malformed("a folded line", get + "X-A: b\r\n c\r\n\r\n"),
            Malformed("a NUL in a header", get + "X-A: b\u{0}c\r\n\r\n"),
            Malformed("a control byte in a header", get + "X-A: b\u{1}c\r\n\r\n"),
            Malformed("DEL in a header", get + "X-A: b\u{7F}c\r\n\r\n"),
            Malformed("a carriage return in a header", get + "X-A: b\rc\r\n\r\n"),
            Malformed("a control byte in the target", "GET /health\u{1}z HTTP/1.1\r\nHost: h\r\n\r\n"),
            Malformed("a key in Latin-1", Array((post + "Idempotency-Key: Zo").utf8) + [0xEB] + Array("\r\n\r\n".utf8)),
            Malformed(
                "an API key in Latin-1", Array((get + "X-API-Key: qs_live_").utf8) + [0xEB] + Array("\r\n\r\n".utf8)),
            Malformed(
                "a target in Latin-1", Array("GET /v1/".utf8) + [0xEB] + Array(" HTTP/1.1\r\nHost: h\r\n\r\n".utf8)),
            Malformed("two idempotency keys", post + "Idempotency-Key: a\r\nidempotency-key: b\r\n\r\n"),
            Malformed("two API keys", get + "X-API-Key: a\r\nX-Api-Key: b\r\n\r\n"),
            Malformed("two authorizations", get + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
            Malformed("two content types", post + "Content-Type: application/json\r\nContent-Type: text/csv\r\n\r\n"),
            Malformed(
                "another expectation", post + "Expect: a-miracle\r\nContent-Length: 5\r\n\r\n", 417,
                "expectation_failed"),
            Malformed(
                "a long request line", "GET /\(String(repeating: "x", count: 8 << 10)) HTTP/1.1\r\nHost: h\r\n\r\n",
                414,
                "uri_too_long"),
            Malformed(
                "a request line without an end", "GET /" + String(repeating: "x", count: 20 << 10), 414, "uri_too_long"),
            Malformed(
                "a large header", get + "X-A: \(String(repeating: "x", count: 16 << 10))\r\n\r\n", 431,
                "headers_too_large"),
            Malformed(
                "a header without an end", get + "X-A: " + String(repeating: "x", count: 40 << 10), 431,
                "headers_too_large"),
            Malformed(
                "many headers", get + (0..<100).map { "X-\($0): y\r\n" }.joined() + "\r\n", 431, "headers_too_large"),
        ]

        @Test("A request that is not HTTP is refused as a problem, and its connection is closed", arguments: malformed)
        func refused(_ request: Malformed) async throws {
            let client = try await SharedInstallation.get().client(nil)
            let (answer, rest) = try await client.raw { connection in
                connection.send(request.bytes)
                if request.ends { connection.endInput() }
                return (try connection.answer(), try connection.rest())
            }
            expectProblem(answer.expect(request.status, request.code))
            #expect(answer.headers["connection"] == "close")
            #expect(rest == [])
        }

        @Test("A HEAD that is refused for its head is answered without a body")
        func refusedHead() async throws {
            let client = try await SharedInstallation.get().client(nil)
            for (request, status) in [
                ("HEAD /\(String(repeating: "x", count: 9_000)) HTTP/1.1\r\nHost: h\r\n\r\n", 414),
                ("HEAD /healthz HTTP/1.1\r\nHost: h\r\nX: \(String(repeating: "x", count: 20_000))\r\n\r\n", 431),
                ("HEAD /healthz HTTP/1.1\r\nHost : h\r\n\r\n", 400), ("HEAD /healthz HTTP/1.1\r\n\r\n", 400),
            ] {
                let (answer, rest) = try await client.raw { connection in
                    connection.send(request)
                    return (try connection.answer(hasBody: false), try connection.rest())
                }
                #expect(answer.status == status && rest == [], "\(request.prefix(80))")
            }
        }

        @Test("A request behind another one is refused also when the client has ended its side")
        func refusedBehindAnother() async throws {
            let client = try await SharedInstallation.get().client(nil)
            for bad in ["Host: h\r\nHost: h\r\n\r\n", "Host: user@h\r\n\r\n", "Host : h\r\n\r\n", "\r\n"] {
                for _ in 0..<50 {
                    let (answers, rest) = try await client.raw { connection in
                        connection.send("\(Self.get)\r\nGET /healthz HTTP/1.1\r\n\(bad)")
                        connection.endInput()
                        return ([try connection.answer(), try connection.answer()], try connection.rest())
                    }
                    #expect(answers.map(\.status) == [200, 400] && rest == [], "\(bad)")
                }
            }
        }

        @Test(
            "A body that ends early or has bad chunks is the client's fault: 400, and no failure of the server is counted",
            arguments: [
                ("Content-Length: 50", "{\"end_user_id\""), ("Transfer-Encoding: chunked", "5\r\n{\"end"),
                ("Transfer-Encoding: chunked", "ZZ\r\n{}\r\n0\r\n\r\n"),
                ("Transfer-Encoding: chunked", "2\r\n{}XX0\r\n\r\n"),
                ("Transfer-Encoding: chunked", "-2\r\n{}\r\n0\r\n\r\n"),
                ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\nbad trailer\r\n\r\n"),
                ("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\n{}"),
            ])
        func badBody(_ framing: String, _ body: String) async throws {
            let client = try await makeTenant().test
            let head =
                "POST /v1/usage HTTP/1.1\r\nHost: h\r\nX-API-Key: \(client.key ?? "")\r\nX-Request-Id: bad-body\r\n"
            let (answer, rest) = try await client.raw { connection in
                connection.send("\(head)\(framing)\r\n\r\n\(body)")
                connection.endInput()
                return (try connection.answer(), try connection.rest())
            }
            expectProblem(answer.expect(400, "invalid_request"))
            #expect(answer["request_id"] == "bad-body")
            #expect(rest == [])
            let log = try await SharedInstallation.get().log.split(separator: "\n")
            #expect(!log.contains { $0.contains("bad-body") && ($0.contains("error") || $0.contains("warning")) })
        }

        @Test("A limit of the head is the largest size that is accepted")
        func largestHead() async throws {
            let client = try await SharedInstallation.get().client(nil)
            let line = "GET /healthz?" + String(repeating: "x", count: (8 << 10) - 22) + " HTTP/1.1\r\n"
            #expect(line.utf8.count == 8 << 10 | 2)
            let headers = "Host: h\r\nX-A: " + String(repeating: "x", count: (16 << 10) - 16) + "\r\n"
            #expect(headers.utf8.count == 16 << 10)
            let many = "Host: h\r\n" + (0..<99).map { "X-\($0): y\r\n" }.joined()
            let answers = try await client.raw { connection in
                connection.send("\(line)\(headers)\r\n\(line)\(many)\r\n")
                return [try connection.answer(), try connection.answer()]
            }
            for answer in answers { answer.expect(200) }
        }

        @Test("The client's Connection header decides, as a list in any case, whether the connection goes on")
        func connectionOptions() async throws {
            let client = try await SharedInstallation.get().client(nil)
            for (head, persists) in [
                ("GET /healthz HTTP/1.1\r\nHost: h\r\n", true),
                ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n", false),
                ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n", false),
                ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close, TE\r\nTE: trailers\r\n", false),
                ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: TE,\tCLOSE\r\nTE: trailers\r\n", false),
                ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n", true),
                ("GET /healthz HTTP/1.0\r\n", false), ("GET /healthz HTTP/1.0\r\nHost: h\r\n", false),
                ("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n", true),
                ("GET /healthz HTTP/1.0\r\nConnection: close\r\n", false),
                ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", false),
            ] {
                let answers = try await client.raw { connection in
                    connection.send("\(head)\r\n\(head)\r\n")
                    let first = try connection.answer()
                    return persists
                        ? [first, try connection.answer()] : [first, nil, try connection.rest().isEmpty ? nil : first]
                }
                #expect(answers[0]?.status == 200, "\(head)")
                if persists {
                    #expect(answers[1]?.status == 200, "\(head)")
                    #expect(
                        answers[0]?.headers["connection"] == (head.contains("HTTP/1.0") ? "keep-alive" : nil), "\(head)"
                    )
                } else {
                    #expect(answers[0]?.headers["connection"] == "close", "\(head)")
                    #expect(answers[2] == nil, "\(head) was followed by more than its answer")
                }
            }
        }

        @Test("Requests that are sent before their predecessors are answered are answered in order")
        func pipelining() async throws {
            let client = try await makeTenant().test
            let key = "Host: h\r\nPrefer: wait=60\r\nX-API-Key: \(client.key ?? "")\r\n"
            func request(_ number: Int) -> String {
                let id = "X-Request-Id: r\(number)\r\n"
                let body = #"{"end_user_id":"alice","credits":\#(number + 1)}"#
                return switch number % 4 {
                case 0: "GET /v1/features HTTP/1.1\r\n\(key)\(id)\r\n"
                case 1:
                    "POST /v1/credits/grant HTTP/1.1\r\n\(key)\(id)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                case 2:
                    "POST /v1/credits/grant HTTP/1.1\r\n\(key)\(id)Transfer-Encoding: chunked\r\n\r\n"
                        + "5\r\n\(body.prefix(5))\r\n\(String(body.utf8.count - 5, radix: 16));x=y\r\n\(body.dropFirst(5))\r\n"
                        + "0\r\nTrailer: t\r\n\r\n"
                default: "HEAD /v1/features HTTP/1.1\r\n\(key)\(id)\r\n"
                }
            }
            let count = 200
            let all = Array((0..<count).map(request).joined().utf8)
            for cut in [all.count, 1_000, 7] {
                let answers = try await client.raw { connection in
                    var rest = all[...]
                    while !rest.isEmpty {
                        connection.send(Array(rest.prefix(cut)))
                        rest = rest.dropFirst(cut)
                    }
                    connection.endInput()
                    let answers = try (0..<count).map { try connection.answer(hasBody: $0 % 4 != 3) }
                    guard try connection.rest().isEmpty else { throw HarnessError("more answers than requests") }
                    return answers
                }
                for (number, answer) in answers.enumerated() {
                    #expect(answer.status == (number % 4 == 1 || number % 4 == 2 ? 201 : 200))
                    #expect(answer.headers["x-request-id"] == "r\(number)")
                }
            }
            let granted = (0..<count).filter { $0 % 4 == 1 || $0 % 4 == 2 }.reduce(0) { $0 + $1 + 1 }
            #expect(try await client.balance("alice")["balance"] == .integer(Int64(3 * granted)))
        }

        @Test("Empty lines before a request are skipped, and a body may contain blank lines")
        func blankLines() async throws {
            let client = try await makeTenant().test
            let key = "Host: h\r\nX-API-Key: \(client.key ?? "")\r\n"
            let body = "{\r\n\r\n\"end_user_id\":\n\n\"alice\",\r\n\r\n\"credits\":1}\r\n\r\n"
            let chunk = "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
            let post = "POST /v1/credits/grant HTTP/1.1\r\n\(key)"
            let answers = try await client.raw { connection in
                connection.send("\r\n\r\n\(post)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
                connection.send("\r\n\(post)Transfer-Encoding: chunked\r\n\r\n\(chunk)")
                connection.send("GET /v1/features HTTP/1.1\r\n\(key)\r\n")
                return [try connection.answer(), try connection.answer(), try connection.answer()]
            }
            #expect(answers.map(\.status) == [201, 201, 200])
        }

        @Test("The answer to HTTP/1.0 is not chunked")
        func streamForHTTP10() async throws {
            let client = try await makeTenant().test
            try await client.grant("alice", 5).expect(201)
            let answers = try await client.raw { connection in
                let key = "X-API-Key: \(client.key ?? "")\r\n"
                connection.send("GET /v1/ledger/export HTTP/1.0\r\nConnection: keep-alive\r\n\(key)\r\n")
                let old = try connection.answer()
                let next = try RawConnection(port: Int(client.url.split(separator: ":").last ?? "") ?? 0)
                next.send("GET /v1/ledger/export HTTP/1.1\r\nHost: h\r\n\(key)\r\n")
                return (old, try next.answer())
            }
            #expect(answers.0.headers["transfer-encoding"] == nil)
            #expect(answers.0.headers["connection"] == "close")
            #expect(answers.1.headers["transfer-encoding"] == "chunked")
            #expect(answers.0.bytes == answers.1.bytes && !answers.0.bytes.isEmpty)
        }
    }
}
