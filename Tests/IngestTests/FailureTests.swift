import Ingest
import Testing

@Suite("A failure during a run is repeated or reported", .timeLimit(.minutes(5)))
struct FailureTests {
    @Test(
        "A batch is sent again when the server is not ready, as soon as Retry-After says",
        arguments: [503, 429, 500, 202])
    func notReady(status: Int) async throws {
        let tally = UsageTally()
        let file = try TemporaryFile(usage("ana", "bob", "carla"))
        let server = ScriptedServer { request in
            request.number == 1 ? .answer(status, headers: ["Retry-After": "0"], "{}") : tally.answer(request.body)
        }
        try await server.run { url in
            // With the policy's own delay the test would exceed its time limit.
            let report = await Ingestion(
                plan(file, url) {
                    $0.retry.firstDelay = .seconds(3_600)
                    $0.retry.maximumDelay = .seconds(3_600)
                }
            ).run()
            #expect(report.status == .complete && report.accepted == 3)
            #expect(server.requests.count == 3 && server.requests[0].body == server.requests[1].body)
        }
    }

    @Test("A connection that breaks, before or within the answer, charges nothing twice", arguments: [true, false])
    func brokenConnection(isMidway: Bool) async throws {
        let tally = UsageTally()
        let file = try TemporaryFile(usage("ana", "bob", "carla"))
        let server = ScriptedServer { request in
            let answer = tally.answer(request.body)
            guard request.number == 1 else { return answer }
            return isMidway ? .closedMidway : .closed
        }
        try await server.run { url in
            let report = await Ingestion(plan(file, url)).run()
            // The first batch was charged although its answer was lost, so the second attempt is answered with replays.
            #expect(report.status == .complete && report.accepted == 1 && report.replayed == 2)
            #expect(tally.units.values.reduce(0, +) == 6 && server.requests.count == 3)
        }
    }

    @Test("A server that stays unavailable ends the run, with the reason and the lines")
    func givenUp() async throws {
        let file = try TemporaryFile(usage("ana", "bob", "carla"))
        let server = ScriptedServer { _ in .answer(503, #"{"detail": "The queue is full."}"#) }
        try await server.run { url in
            let report = await Ingestion(plan(file, url) { $0.retry.maximumAttempts = 3 }).run()
            #expect(
                report.failure
                    == .unavailable(
                        reason: "the server answers 503: The queue is full.", attempts: 3, lines: 2...3))
            #expect(report.status == .failed && server.requests.count == 3)
        }
    }

    @Test("A server that refuses the connection ends the run too")
    func nobodyListens() async throws {
        let file = try TemporaryFile(usage("ana"))
        var closedURL = ""
        let server = ScriptedServer { _ in .closed }
        try await server.run { url in closedURL = url }
        let report = await Ingestion(plan(file, closedURL) { $0.retry.maximumAttempts = 2 }).run()
        guard case .unavailable(let reason, 2, 2...2)? = report.failure else {
            Issue.record("\(report)")
            return
        }
        #expect(reason.lowercased().contains("refused"), "\(reason)")
    }

    @Test("A Retry-After beyond the maximum ends the run at once")
    func endlessRetryAfter() async throws {
        let file = try TemporaryFile(usage("ana"))
        let server = ScriptedServer { _ in .answer(429, headers: ["Retry-After": "86400"], "") }
        try await server.run { url in
            let report = await Ingestion(plan(file, url)).run()
            #expect(
                report.failure == .unavailable(reason: "the server answers 429", attempts: 1, lines: 2...2))
            #expect(server.requests.count == 1)
        }
    }

    @Test("A refused key stops the run at the first request, with the server's text")
    func unauthenticated() async throws {
        let file = try TemporaryFile(usage("ana", "bob", "carla"))
        let problem = #"{"status":401,"code":"unauthenticated","detail":"The key is revoked.","request_id":"req_1"}"#
        let server = ScriptedServer { _ in .answer(401, problem) }
        try await server.run { url in
            let report = await Ingestion(plan(file, url)).run()
            #expect(report.status == .failed && server.requests.count == 1)
            #expect(
                report.failure?.description
                    == "The server refuses lines 2 to 3 with 401 unauthenticated: The key is revoked. (request req_1)")
        }
    }

    @Test("The rows before a refusal are reported, with the condition under which they are not charged again")
    func refusedHalfway() async throws {
        let tally = UsageTally()
        let file = try TemporaryFile(usage("ana", "bob", "carla", "dora"))
        let server = ScriptedServer { request in
            request.number == 1 ? tally.answer(request.body) : .answer(400, #"{"detail": "No."}"#)
        }
        try await server.run { url in
            let report = await Ingestion(plan(file, url)).run()
            #expect(report.status == .failed && report.accepted == 2)
            #expect(report.description.contains("lines 4 to 5 with 400: No."))
            #expect(
                report.description.contains("are not charged again if they and the rows before them are unchanged."))
        }
    }

    @Test("The API key is not sent to the target of a redirect")
    func redirect() async throws {
        let file = try TemporaryFile(usage("ana"))
        let other = ScriptedServer { _ in .closed }
        try await other.run { otherURL in
            let server = ScriptedServer { _ in
                .answer(307, headers: ["Location": otherURL + "/v1/usage/batch"], "")
            }
            try await server.run { url in
                let report = await Ingestion(plan(file, url)).run()
                #expect(report.failure == .unexpectedAnswer("its status is 307", lines: 2...2))
                #expect(other.requests.isEmpty)
            }
        }
    }

    @Test("Rejected rows are counted by code and shown with their lines; the other rows are charged")
    func rejected() async throws {
        let tally = UsageTally(refusing: "bob")
        let file = try TemporaryFile(usage("ana", "bob", "carla", "bob", "bob"))
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            let report = await Ingestion(plan(file, url)).run()
            #expect(report.status == .someRejected && report.status.rawValue == 2)
            #expect(report.accepted == 2 && report.rejectedByCode == ["insufficient_credits": 3])
            #expect(report.firstRejected.map(\.line) == [3, 5, 6])
            #expect(report.description.contains("line 3: insufficient_credits: bob has not enough credits."))
        }
    }

    @Test("Only the first rejected rows are kept, whichever request is answered first")
    func manyRejected() async throws {
        let tally = UsageTally(refusing: "bob")
        let file = try TemporaryFile("user,tokens\n" + String(repeating: "bob,1\n", count: 50))
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            let report = await Ingestion(plan(file, url) { $0.concurrency = 4 }).run()
            #expect(report.firstRejected.map(\.line) == Array(2...11) && report.rejected == 50)
            #expect(report.description.hasSuffix("  and 40 more"))
        }
    }

    @Test("The rejects file can be loaded again, under keys of its own")
    func rejectsFile() async throws {
        let refusing = UsageTally(refusing: "bob")
        let file = try TemporaryFile("user,tokens,model\nana,1,m\nbob,2,\"l\"\"x\"\nbob,3,\n")
        let rejects = try TemporaryFile("what was here before\n", ending: ".ndjson")
        let first = ScriptedServer { refusing.answer($0.body) }
        try await first.run { url in
            let report = await Ingestion(
                plan(file, url) {
                    $0.rejectsFile = rejects.path
                    $0.mapping.metadataColumns = ["model"]
                    $0.mapping.idempotencyKey = .rowNumber(prefix: "day")
                }
            ).run()
            #expect(report.rejected == 2)
        }
        let reason = #""status":402,"code":"insufficient_credits","detail":"bob has not enough credits.""#
        #expect(
            try rejects.text == """
                {"line":3,\(reason),"end_user_id":"bob","feature_key":"tokens","units":2,"idempotency_key":"day-1",\
                "metadata":{"model":"l\\"x"}}
                {"line":4,\(reason),"end_user_id":"bob","feature_key":"tokens","units":3,"idempotency_key":"day-2"}

                """)
        let accepting = UsageTally()
        let second = ScriptedServer { accepting.answer($0.body) }
        try await second.run { url in
            let report = await Ingestion(
                plan(rejects, url) {
                    $0.mapping = EventMapping(
                        endUser: .column("end_user_id"), feature: .column("feature_key"), units: .sum(of: ["units"]),
                        metadataColumns: ["metadata"])
                }
            ).run()
            #expect(report.accepted == 2 && accepting.units.values.sorted() == [2, 3])
            #expect(accepting.units.keys.allSatisfy { !$0.hasPrefix("day") })
            #expect(second.requests.first?.text.contains(#""metadata":{"model":"l\"x"}"#) == true)
        }
    }

    @Test("The input file is never used as the rejects file")
    func rejectsOntoInput() async throws {
        let file = try TemporaryFile(usage("ana"))
        let report = await Ingestion(plan(file, "http://127.0.0.1:1") { $0.rejectsFile = file.path }).run()
        #expect(report.failure == .rejectsUnwritable(path: file.path, reason: "it is the input file"))
        #expect(try file.text == usage("ana"))
    }

    @Test("A rejects file that cannot be written is found before anything is sent")
    func unwritableRejects() async throws {
        let file = try TemporaryFile(usage("ana"))
        let server = ScriptedServer { _ in .closed }
        try await server.run { url in
            let report = await Ingestion(plan(file, url) { $0.rejectsFile = "/nonexistent/rejects" }).run()
            #expect(
                report.failure == .rejectsUnwritable(path: "/nonexistent/rejects", reason: "No such file or directory"))
            #expect(server.requests.isEmpty)
        }
    }
}
