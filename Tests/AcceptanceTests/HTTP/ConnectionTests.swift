import ChildProcesses
import JSON
import Runtime
import Testing

extension Acceptance.Processes {
    /// The bounds on connections, time and memory that clients can make a node hold.
    @Suite struct ConnectionTests {
        @Test("Idle connections keep nobody out, and busy ones keep out their own address only")
        func shares() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try installation.node("quotastack-api")
                try await api.start([
                    "QUOTASTACK_MAX_CONNECTIONS": "60", "QUOTASTACK_MAX_CONNECTIONS_PER_ADDRESS": "40",
                ])
                let worker = try installation.node("quotastack-ledger")
                try await worker.start()
                let client = try await installation.makeTenant(through: api).test
                let (port, key) = (api.port, client.key ?? "")
                let get = "GET /v1/features HTTP/1.1\r\nHost: h\r\nX-API-Key: \(key)\r\n\r\n"
                let (first, other) = try await client.raw { _ in
                    let idle = try (0..<300).map { _ in try RawConnection(port: port) }
                    return try withExtendedLifetime(idle) {
                        (try Self.answer(to: get, on: port), try Self.answer(to: get, on: port, from: 2))
                    }
                }
                first.expect(200)
                other.expect(200)
                #expect(try await api.metric("quotastack_http_connections_displaced_total") ?? 0 >= 260)

                let answers = try await client.raw { _ in
                    // Requests under way: their bodies do not come. The connections of the HTTP client are idle.
                    let busy = try (0..<40).map { _ in
                        let connection = try RawConnection(port: port)
                        connection.send(
                            "POST /v1/usage HTTP/1.1\r\nHost: h\r\nX-API-Key: \(key)\r\nContent-Length: 9\r\n"
                                + "Expect: 100-continue\r\n\r\n")
                        guard try connection.answer().status == 100 else { throw HarnessError("not under way") }
                        return connection
                    }
                    func answer(_ request: String, from host: UInt32 = 1) throws -> Answer {
                        try Self.answer(to: request, on: port, from: host)
                    }
                    let health = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
                    // A crowd that says nothing does not keep out a health check.
                    let crowd = try (0..<200).map { _ in try RawConnection(port: port) }
                    let refused = [try answer(get), try answer(health), try answer(get, from: 2)]
                    // The newest ones have places in the overflow; the others were closed for them.
                    var unasked: Answer?
                    for connection in crowd.reversed() where unasked == nil { unasked = try? connection.answer() }
                    guard let unasked else { throw HarnessError("nobody who asked nothing was told why") }
                    busy[0].send("no JSON!!")
                    _ = try busy[0].answer()
                    // The node notices a little later that the place is free.
                    var last = try answer(get)
                    for _ in 0..<2_000 where last.status != 200 { last = try answer(get) }
                    return withExtendedLifetime(busy) { refused + [unasked, last] }
                }
                expectProblem(answers[0].expect(503, "unavailable"))
                #expect(answers[0].headers["retry-after"] != nil && answers[0].headers["connection"] == "close")
                answers[1].expect(200)
                answers[2].expect(200)
                expectProblem(answers[3].expect(503, "unavailable"))
                answers[4].expect(200, nil, "a place is free again")
            }
        }

        /// The answer to a request on a connection of its own. The node gets to know connections in the order of its event
        /// loops: one that was accepted before and is known after the new one can take its place, and then the client
        /// tries again.
        private static func answer(to request: String, on port: Int, from host: UInt32 = 1) throws -> Answer {
            for _ in 0..<500 {
                let connection = try RawConnection(port: port, from: host)
                connection.send(request)
                if let answer = try? connection.answer() { return answer }
            }
            throw HarnessError("every connection from \(host) ended without an answer")
        }

        @Test("A process with few descriptors raises its limit, and outlives clients that open connections without end")
        func descriptors() async throws {
            #expect(FileDescriptors.raiseLimit() > 2_000, "the test itself needs descriptors")
            try await withInstallation(serves: false) { installation in
                let tooFew = try installation.node("quotastack-api")
                let refused = try await tooFew.begin(launcher: ["prlimit", "--nofile=128:256"])
                #expect(await refused.ended() != 0)
                #expect(refused.log.contains("ulimit -Hn"), "\(refused.log)")

                let api = try installation.node("quotastack-api")
                try await api.start(launcher: ["prlimit", "--nofile=128:1024"])
                #expect(api.log.contains("may open 1024 files"))
                let worker = try installation.node("quotastack-ledger")
                try await worker.start()
                let client = try await installation.makeTenant(through: api).test
                let (port, key) = (api.port, client.key ?? "")
                let statuses = try await client.raw { _ in
                    var crowd = try (0..<1_100).map { _ in try RawConnection(port: port) }
                    for connection in crowd {
                        connection.send("POST /v1/usage HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
                    }
                    crowd += try (0..<300).map { _ in try RawConnection(port: port) }
                    let callers = try (0..<8).map { _ in try RawConnection(port: port) }
                    for caller in callers {
                        caller.send("GET /v1/features HTTP/1.1\r\nHost: h\r\nX-API-Key: \(key)\r\n\r\n")
                    }
                    return try withExtendedLifetime(crowd) { try callers.map { try $0.answer().status } }
                }
                #expect(statuses == Array(repeating: 200, count: 8))
                #expect(!api.hasEnded)
            }
        }

        @Test("Clients that are slow with a head, a body, a request or an answer lose their connection in time")
        func deadlines() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try installation.node("quotastack-api")
                try await api.start(["QUOTASTACK_IDLE_SECONDS": "2"])
                let worker = try installation.node("quotastack-ledger")
                try await worker.start()
                let client = try await installation.makeTenant(through: api).test
                let (port, key) = (api.port, client.key ?? "")
                async let idle = Self.timed(client) { connection in
                    connection.send("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                    let answer = try connection.answer()
                    return try connection.rest().isEmpty ? answer : nil
                }
                async let silent = Self.timed(client) { connection in
                    _ = try connection.rest()
                    return nil
                }
                async let slowHead = Self.timed(client) { connection in
                    connection.send("GET /healthz HTTP/1.1\r\nHost: ")
                    return try connection.answer()
                }
                async let stranger = Self.timed(client) { connection in
                    connection.send("POST /v1/usage HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
                    let answer = try connection.answer()
                    return try connection.rest().isEmpty ? answer : nil
                }
                async let slowBody = Self.timed(client) { connection in
                    connection.send(
                        "POST /v1/usage HTTP/1.1\r\nHost: h\r\nX-API-Key: \(key)\r\nContent-Length: 1000\r\n\r\n{")
                    let answer = try connection.answer()
                    return try connection.rest().isEmpty ? answer : nil
                }
                async let slowReader = Self.timed(client) { connection in
                    connection.keepSmallBuffer()
                    let requests = String(repeating: "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", count: 1_000)
                    connection.send(requests)
                    var seen: Answer?
                    // The node says that it has given up; the bytes of the answers are still in the kernel.
                    for _ in 0..<60 where seen == nil {
                        let asking = try RawConnection(port: port)
                        asking.send("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
                        let metrics = try asking.answer()
                        if String(decoding: metrics.bytes, as: UTF8.self).contains(
                            "timed_out_total{waiting_for=\"answer\"} 1")
                        {
                            seen = metrics
                        } else {
                            // Waits until the node closes this idle connection.
                            _ = try asking.rest()
                        }
                    }
                    return seen
                }
                let answers = try await (idle, silent, slowHead, stranger, slowBody, slowReader)
                #expect(
                    answers.0.answer?.status == 200 && (1.5...8).contains(answers.0.seconds), "\(answers.0.seconds)")
                #expect((9...20).contains(answers.1.seconds), "\(answers.1.seconds)")
                expectProblem(try #require(answers.2.answer).expect(408, "request_timeout"))
                #expect((9...20).contains(answers.2.seconds), "\(answers.2.seconds)")
                expectProblem(try #require(answers.3.answer).expect(401, "unauthenticated"))
                #expect(answers.3.seconds < 8, "\(answers.3.seconds)")
                expectProblem(try #require(answers.4.answer).expect(408, "request_timeout"))
                #expect((29...45).contains(answers.4.seconds), "\(answers.4.seconds)")
                #expect(answers.5.answer != nil && (29...60).contains(answers.5.seconds), "\(answers.5.seconds)")
            }
        }

        private static func timed(
            _ client: Client, _ body: @escaping @Sendable (RawConnection) throws -> Answer?
        ) async throws -> (answer: Answer?, seconds: Double) {
            let start = ContinuousClock.now
            let answer = try await client.raw(body)
            return (answer, (ContinuousClock.now - start) / .seconds(1))
        }

        @Test("The bodies and the unread answers of one environment leave room for those of others")
        func memory() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try installation.node("quotastack-api")
                try await api.start()
                let worker = try installation.node("quotastack-ledger")
                try await worker.start()
                let greedy = try await installation.makeTenant(through: api).test
                let modest = try await installation.makeTenant(through: api).test
                let port = api.port
                @Sendable func head(_ client: Client, _ length: Int) -> String {
                    "POST /v1/usage/batch HTTP/1.1\r\nHost: h\r\nX-API-Key: \(client.key ?? "")\r\n"
                        + "Content-Length: \(length)\r\n"
                }
                let bodies = try await greedy.raw { _ in
                    let holders = try (0..<2).map { _ in try RawConnection(port: port) }
                    for holder in holders {
                        holder.send(head(greedy, 8 << 20) + "Expect: 100-continue\r\n\r\n")
                        guard try holder.answer().status == 100 else { throw HarnessError("not under way") }
                    }
                    let text = String(repeating: " ", count: 100_000)
                    return try withExtendedLifetime(holders) {
                        try [greedy, modest].map { client in
                            let connection = try RawConnection(port: port)
                            connection.send(head(client, text.utf8.count) + "\r\n\(text)")
                            return try connection.answer()
                        }
                    }
                }
                expectProblem(bodies[0].expect(429, "rate_limited"))
                bodies[1].expect(400)

                // 10,000 refusals of 1.5 KB each.
                let event = #"{"end_user_id":"a","feature_key":"b","\#(String(repeating: "x", count: 600))":1}"#
                let body = #"{"events":["# + Array(repeating: event, count: 10_000).joined(separator: ",") + "]}"
                let unread = try await greedy.raw { holder in
                    holder.keepSmallBuffer()
                    holder.send(head(greedy, body.utf8.count) + "\r\n\(body)")
                    func held() throws -> Double {
                        let connection = try RawConnection(port: port)
                        connection.send("GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                        let text = String(decoding: try connection.answer().bytes, as: UTF8.self)
                        let line = text.split(separator: "\n").first { $0.hasPrefix("quotastack_http_answer_bytes ") }
                        return line.flatMap { Double($0.split(separator: " ")[1]) } ?? -1
                    }
                    var answers: [Answer] = []
                    for client in [greedy, modest] {
                        while answers.isEmpty, try held() < 10_000_000 {}
                        let connection = try RawConnection(port: port)
                        connection.send(head(client, body.utf8.count) + "\r\n\(body)")
                        answers.append(try connection.answer())
                    }
                    return answers
                }
                expectProblem(unread[0].expect(503, "unavailable"))
                #expect(unread[0]["outcome"] == "unknown")
                unread[1].expect(200)
                try await waitUntil("the memory of the closed connection is free") {
                    try await api.metric("quotastack_http_answer_bytes") == 0
                }
                #expect(try await api.metric("quotastack_http_body_bytes") == 0)
            }
        }
    }
}
