import Credits
import Ingest
import NIOCore
import Synchronization
import Testing

@Suite("A file is sent", .timeLimit(.minutes(5)))
struct IngestionTests {
    @Test("Every row arrives once, in order, as an authorised batch")
    func batches() async throws {
        let tally = UsageTally()
        let file = try TemporaryFile("user,tokens\nana,3\nbob,4\n\"car\"\"la\",5\n")
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            let report = await Ingestion(plan(file, url + "/qs/")).run()
            #expect(report.status == .complete && report.accepted == 3 && report.rows == 3)
            // hashlib.sha256 of Python over the digest before and "3:ana1:3", and so on.
            let keys = [
                "1d70b4926d6540808175bb8e424a1b0c", "de1c2de130458e843ae37b64d7337384",
                "21c0cc0b754de4edc4d1d5880686a1f6",
            ]
            #expect(
                server.requests.map(\.text) == [
                    #"{"events":[{"end_user_id":"ana","feature_key":"tokens","units":3,"idempotency_key":"\#(keys[0])"},"#
                        + #"{"end_user_id":"bob","feature_key":"tokens","units":4,"idempotency_key":"\#(keys[1])"}]}"#,
                    #"{"events":[{"end_user_id":"car\"la","feature_key":"tokens","units":5,"#
                        + #""idempotency_key":"\#(keys[2])"}]}"#,
                ])
            for request in server.requests {
                #expect(request.method == "POST" && request.path == "/qs/v1/usage/batch")
                #expect(request.headers["authorization"] == "Bearer qs_test_secret")
                #expect(request.headers["content-type"] == "application/json")
            }
        }
    }

    @Test("The second run of a file charges nothing; a file that grew is charged for its new rows only")
    func rerun() async throws {
        let tally = UsageTally()
        let file = try TemporaryFile(usage("ana", "bob", "carla"))
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            _ = await Ingestion(plan(file, url)).run()
            let second = await Ingestion(plan(file, url) { $0.batchSize = 10_000 }).run()
            #expect(second.status == .complete && second.accepted == 0 && second.replayed == 3)
            #expect(tally.units.count == 3)
            try file.append("\ndora,4\n\ncarla,3")
            let grown = await Ingestion(plan(file, url)).run()
            #expect(grown.accepted == 2 && grown.replayed == 3 && grown.blankLines == 2)
            #expect(grown.description.contains("2 blank lines were skipped"))
            // A row that another run has appended to is another row.
            try file.append("0\n")
            #expect(await Ingestion(plan(file, url)).run().accepted == 1)
            #expect(tally.units.values.sorted() == [1, 2, 3, 3, 4, 30])
        }
    }

    @Test("Skip and limit choose rows without moving their keys and patterns")
    func selection() async throws {
        let tally = UsageTally()
        let file = try TemporaryFile(usage("a", "b", "c", "d", "e", "f"))
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            let report = await Ingestion(
                plan(file, url) {
                    $0.skip = 1
                    $0.limit = 3
                    $0.mapping.endUser = .pattern("user_", modulo: 2)
                    $0.mapping.idempotencyKey = .rowNumber(prefix: "day")
                }
            ).run()
            #expect(report.rows == 3 && report.accepted == 3)
            #expect(tally.units == ["day-1": 2, "day-2": 3, "day-3": 4])
            #expect(server.requests.first?.text.contains(#"[{"end_user_id":"user_1""#) == true)
        }
    }

    @Test("A file with one bad row is refused as a whole before anything is sent")
    func badRow() async throws {
        let file = try TemporaryFile(usage("ana", "bob") + "carla,many\ndora,-1\n")
        let server = ScriptedServer { _ in .closed }
        try await server.run { url in
            let report = await Ingestion(plan(file, url)).run()
            #expect(report.status == .failed && server.requests.isEmpty)
            #expect(
                report.description == """
                    2 rows are not usable; nothing was sent.
                      line 4: column tokens must be a non-negative integer
                      line 5: column tokens must be a non-negative integer
                    """)
        }
    }

    @Test("More than one request is in flight, and never more than the plan allows")
    func concurrency() async throws {
        let tally = UsageTally()
        let file = try TemporaryFile("user,tokens\n" + String(repeating: "ana,1\n", count: 40))
        let server = ScriptedServer(delay: .milliseconds(20)) { tally.answer($0.body) }
        try await server.run { url in
            let report = await Ingestion(plan(file, url) { $0.concurrency = 3 }).run()
            #expect(report.accepted == 40 && server.requests.count == 20)
            #expect((2...3).contains(server.mostUnderWay))
        }
    }

    @Test("Progress ends with every row, every byte and the result")
    func progress() async throws {
        let tally = UsageTally(refusing: "bob")
        let file = try TemporaryFile(usage("ana", "bob", "carla"))
        let seen = Mutex<[IngestProgress]>([])
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            _ = await Ingestion(plan(file, url)).run { progress in seen.withLock { $0.append(progress) } }
        }
        let progress = seen.withLock { $0 }
        #expect(progress.map(\.phase) == [.checking, .sending, .sending])
        #expect(progress.map(\.rowsDone) == [3, 2, 3] && progress.map(\.rowsTotal) == [nil, 3, 3])
        #expect(progress.map(\.bytesDone) == [32, 24, 32] && progress.allSatisfy { $0.bytesTotal == 32 })
        #expect(progress.last?.accepted == 2 && progress.last?.rejected == 1 && progress.last?.fraction == 1)
    }

    @Test("A dry run tells what would be sent and sends nothing")
    func inspection() async throws {
        let file = try TemporaryFile(
            "{\"u\":\"ana\",\"n\":9223372036854775807,\"t\":1700000000}\n{\"u\":\"bob\",\"n\":1,\"t\":1600000000}\n",
            ending: ".jsonl")
        let inspection = try Ingestion(
            plan(file, "http://127.0.0.1:1") {
                $0.mapping.endUser = .column("u")
                $0.mapping.units = .sum(of: ["n"])
                $0.mapping.occurredAt = .init(column: "t", format: .unixSeconds)
            }
        ).inspect()
        #expect(inspection.rows == 2 && inspection.units == 9_223_372_036_854_775_808)
        #expect(inspection.earliest?.microseconds == 1_600_000_000_000_000)
        #expect(inspection.latest?.microseconds == 1_700_000_000_000_000)
        #expect(inspection.blankLines == 0)
    }

    @Test("A cancelled run can be continued")
    func cancellation() async throws {
        let tally = UsageTally()
        let file = try TemporaryFile(usage("a", "b", "c", "d", "e"))
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            let plan = plan(file, url)
            let report = await Task {
                await Ingestion(plan).run { progress in
                    if progress.phase == .sending { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }.value
            #expect(report.failure == .cancelled && report.accepted == 2 && server.requests.count == 1)
            let second = await Ingestion(plan).run()
            #expect(second.status == .complete && second.accepted == 3 && second.replayed == 2)
        }
    }

    @Test("A file that is written to during the run stops it")
    func changedFile() async throws {
        let tally = UsageTally()
        let file = try TemporaryFile(usage("a", "b", "c"))
        let server = ScriptedServer { tally.answer($0.body) }
        try await server.run { url in
            let report = await Ingestion(plan(file, url)).run { progress in
                if progress.phase == .sending, progress.rowsDone == 2 { try? file.append("d,4\n") }
            }
            #expect(report.failure == .fileChanged(path: file.path) && report.accepted == 2)
        }
    }

    @Test(
        "An unusable plan is refused with a sentence",
        arguments: [
            Mistake("The format of usage.txt is not clear") { $0.file = "usage.txt" },
            Mistake("No such file") { $0.file = "/nonexistent.csv" },
            Mistake("not a regular file") {
                $0.file = "/"; $0.format = .csv
            },
            Mistake("base URL") { $0.baseURL = "127.0.0.1:8080" },
            Mistake("base URL") { $0.baseURL = "http://" },
            Mistake("base URL") { $0.baseURL = "http://a/?x" },
            Mistake("API key") { $0.apiKey = APIKey("two words") },
            Mistake("batch size") { $0.batchSize = 10_001 },
            Mistake("concurrency") { $0.concurrency = 0 },
            Mistake("skip") { $0.skip = -1 },
            Mistake("feature key") { $0.mapping.feature = .fixed("a b") },
            Mistake("twice") { $0.mapping.units = .sum(of: ["tokens", "tokens"]) },
            Mistake("at least 1") { $0.mapping.endUser = .pattern("user_", modulo: 0) },
            Mistake("dimension a b") { $0.mapping.units = .quantities([.init(name: "a b", column: "tokens")]) },
            Mistake("attribute m is mapped twice") {
                $0.mapping.attributes = [.init(name: "m", column: "user"), .init(name: "m", column: "tokens")]
            },
            Mistake("key prefix") { $0.mapping.idempotencyKey = .rowNumber(prefix: "") },
            Mistake("The header has no column units; it has user, tokens.") { $0.mapping.units = .sum(of: ["units"]) },
        ])
    func unusablePlan(mistake: Mistake) async throws {
        let file = try TemporaryFile(usage("ana"))
        let report = await Ingestion(plan(file, "http://127.0.0.1:1", change: mistake.make)).run()
        #expect(report.status == .failed && report.description.contains(mistake.words), "\(report)")
    }

    @Test("A mapping without a time and without keys is warned about")
    func warning() throws {
        let file = try TemporaryFile(usage("ana"))
        var mapping = plan(file, "http://127.0.0.1:1").mapping
        #expect(mapping.warning?.contains("--key-prefix") == true)
        mapping.idempotencyKey = .rowNumber(prefix: "day")
        #expect(mapping.warning == nil)
        mapping.idempotencyKey = .column("user")
        #expect(mapping.warning == nil)
        mapping.idempotencyKey = .runningDigest
        mapping.occurredAt = .init(column: "user", format: .utc)
        #expect(mapping.warning == nil)
    }

    /// A mistake in a plan, and words from the sentence that reports it.
    struct Mistake: Sendable {
        let words: String
        let make: @Sendable (inout IngestPlan) -> Void

        init(_ words: String, make: @escaping @Sendable (inout IngestPlan) -> Void) {
            self.words = words
            self.make = make
        }
    }

    @Test("The API key does not show when a plan is printed")
    func secret() throws {
        let file = try TemporaryFile(usage("ana"))
        let plan = plan(file, "http://127.0.0.1:1")
        #expect(!"\(plan)".contains("qs_test") && !String(reflecting: plan).contains("qs_test"))
    }
}
