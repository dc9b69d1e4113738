import ArgumentParser
import Credits
import JSON
import LoadGenerator
import Logging
import NIOCore
import Postgres
import Runtime
import Storage

/// Measures subscriptions that are all due at one instant, while another tenant uses features at a fixed rate.
struct BenchRenewalsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-renewals",
        abstract: "Measure many subscriptions that are due at one instant, with usage beside; ./ops/bench renewals.",
        discussion: """
            The command needs what `bench` needs. Renewals happen on a test clock that goes a month forward. Starts \
            happen in real time: the scheduler finds the accounts. The rate is that from the first to the last event \
            that was written.
            """)

    @Option(help: "Subscriptions that are due at one instant.") var subscriptions = 100_000
    @Option(help: "Uses per second of the other tenant.") var rate = 500.0
    @Option(help: "Seconds of the undisturbed measurement.") var seconds = 10.0
    @Option(help: "Seconds until which everything must have happened.") var patience = 300.0

    func run() async throws {
        let settings = try await Settings.load()
        try LogSetup.start(level: settings.logLevel)
        guard let books = environment("QUOTASTACK_BENCH_BOOKS_URL") else {
            throw ValidationError("QUOTASTACK_BENCH_BOOKS_URL is not set; ./ops/bench renewals sets it.")
        }
        let connection = try await PostgresConnection.connect(
            try PostgresConfiguration(url: books), logger: Logger(label: "quotastack"))
        defer { connection.close() }
        let neighbour = try await tenant()
        _ = try await Preparation(target: neighbour.live, endUsers: 1_000).run()
        writeError("measuring \(Int(rate)) uses/s undisturbed\n")
        let undisturbed = try await usage(neighbour.live, seconds: seconds)
        let renewals = try await measureRenewals(neighbour.live, connection)
        let starts = try await measureStarts(neighbour.live, connection)
        print(table(undisturbed, [("renewals", renewals), ("starts", starts)]))
        let ledger = try await PostgresConnection.connect(
            try settings.postgres(), logger: Logger(label: "quotastack"))
        defer { ledger.close() }
        let report = try await BookVerifier.verify(on: ledger) { _ in }
        guard report.isClean else { throw ExitCode(1) }
    }

    private struct Tenant {
        let live: LoadTarget
        let test: LoadTarget
        let liveClient: APIClient
        let testClient: APIClient
    }

    private struct Measurement {
        let perSecond: Double
        let latency: LatencySummary
        let failures: Int
    }

    private func tenant() async throws -> Tenant {
        let url = try apiURL(nil)
        guard let port = url.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw ValidationError("The benchmark loads an installation on 127.0.0.1 only, not \(url).")
        }
        let answer = try await RootOptions.parse([]).client().call(
            "POST", "/v1/admin/tenants", body: Array(#"{"name":"benchmark"}"#.utf8))
        guard let live = answer["api_keys"]?["live"]?.text, let test = answer["api_keys"]?["test"]?.text else {
            throw CallError("The answer to POST /v1/admin/tenants has no keys.")
        }
        return Tenant(
            live: LoadTarget(port: port, apiKey: live), test: LoadTarget(port: port, apiKey: test),
            liveClient: APIClient(url: url, key: live), testClient: APIClient(url: url, key: test))
    }

    // MARK: - What is measured

    /// All end users are on one test clock, which goes a month forward.
    private func measureRenewals(
        _ neighbour: LoadTarget, _ connection: PostgresConnection
    ) async throws -> Measurement {
        let tenant = try await self.tenant()
        try await makePlan(tenant.testClient)
        _ = try await tenant.testClient.call(
            "PATCH", "/v1/config", body: Array(#"{"default_plan_variant_id":"bench"}"#.utf8))
        let clock = try await tenant.testClient.call(
            "POST", "/v1/test-clocks", body: Array(#"{"now":"2030-01-01T00:00:00Z"}"#.utf8))
        guard let id = clock["id"]?.text else { throw CallError("The test clock has no id.") }
        try await create(tenant.test, "/v1/end-users") { #"{"end_user_id":"user_\#($0)","test_clock_id":"\#(id)"}"# }
        return try await measure("subscription.renewed", neighbour, connection) {
            _ = try? await tenant.testClient.call(
                "POST", "/v1/test-clocks/\(id)/advance", body: Array(#"{"to":"2030-02-01T00:00:00Z"}"#.utf8))
        }
    }

    /// All subscriptions are scheduled for one instant in real time.
    private func measureStarts(
        _ neighbour: LoadTarget, _ connection: PostgresConnection
    ) async throws -> Measurement {
        let tenant = try await self.tenant()
        try await makePlan(tenant.liveClient)
        // The instant is far enough away for all subscriptions to be made before it.
        let lead = Int64(20 + subscriptions / 1_000)
        let start = Instant.now.adding(seconds: lead)
        let deadline = ContinuousClock.now + .seconds(Double(lead))
        try await create(tenant.live, "/v1/subscriptions") {
            #"{"end_user_id":"user_\#($0)","plan_variant_id":"bench","start_at":"\#(start)"}"#
        }
        let left = deadline - .now
        guard left > .zero else { throw CallError("The subscriptions were not made in time for their start.") }
        writeError("waiting for the start\n")
        try await Task.sleep(for: left)
        return try await measure("subscription.activated", neighbour, connection) {}
    }

    private func makePlan(_ client: APIClient) async throws {
        _ = try await client.call("POST", "/v1/plans", body: Array(#"{"key":"bench","name":"Bench"}"#.utf8))
        let variant = """
            {"key":"bench","name":"Bench","billing_interval":{"unit":"month"},"billing_mode":"postpaid",
            "credit_grants":[{"credits":1000,"cadence":"period","rollover":{"percentage":50}}]}
            """
        _ = try await client.call("POST", "/v1/plans/bench/variants", body: Array(variant.utf8))
    }

    private func create(_ target: LoadTarget, _ path: String, _ body: @escaping @Sendable (Int) -> String) async throws
    {
        writeError("making \(subscriptions) subscriptions\n")
        let connections = 64
        let result = try await ClosedLoop(
            target: target, connections: connections, limit: .requests(subscriptions)
        ).run(
            LoadScript(request: { connection, sequence in
                target.post(path, Array(body(sequence * connections + connection).utf8))
            }))
        guard result.isClean else { throw CallError("\(path): \(result.firstFailure ?? "?")") }
        writeError("made \(Int(result.throughput)) per second\n")
    }

    /// Sets everything off and waits until all events of a type were written, while the neighbour uses its features.
    private func measure(
        _ type: String, _ neighbour: LoadTarget, _ connection: PostgresConnection,
        settingOff: @escaping @Sendable () async -> Void
    ) async throws -> Measurement {
        writeError("measuring \(type)\n")
        let before = try await count(type, connection)
        async let off: Void = settingOff()
        async let used = usage(neighbour, seconds: max(seconds, Double(subscriptions) / 4_000))
        let deadline = ContinuousClock.now + .seconds(patience)
        var first: ContinuousClock.Instant?
        var perSecond = 0.0
        while true {
            let asked = ContinuousClock.now
            let done = try await count(type, connection) - before
            let took = ContinuousClock.now - asked
            if done > 0, first == nil { first = .now }
            if done >= subscriptions, let first {
                perSecond = Double(subscriptions) / max(0.001, (ContinuousClock.now - first).seconds)
                break
            }
            guard ContinuousClock.now < deadline else {
                throw CallError("Only \(done) of \(subscriptions) events \(type) were written in time.")
            }
            // The count walks over all events, and must not take part of what is measured.
            try await Task.sleep(for: max(.milliseconds(100), took * 20))
        }
        let result = try await used
        await off
        return Measurement(
            perSecond: perSecond, latency: result.latency.summary, failures: result.failures + result.unanswered)
    }

    private func usage(_ target: LoadTarget, seconds: Double) async throws -> LoadResult {
        try await OpenLoop(target: target, connections: 64, rate: rate, warmUp: 0, seconds: seconds).run(
            Scenario.usage(target, endUsers: 1_000).script)
    }

    private func count(_ type: String, _ connection: PostgresConnection) async throws -> Int {
        let rows = try await connection.run(
            PostgresQuery("select count(*) from events where type = $1", [.text(type)]))
        return Int(try rows.first?.int64(0) ?? 0)
    }

    private func table(_ undisturbed: LoadResult, _ rows: [(name: String, measured: Measurement)]) -> String {
        let alone = undisturbed.latency.summary
        let lines = rows.map { name, measured in
            "| \(name) | \(Int(measured.perSecond)) | \(Figure.duration(measured.latency.p50)) | "
                + "\(Figure.duration(measured.latency.p99)) | \(Figure.duration(measured.latency.maximum)) | "
                + "\(measured.failures) |"
        }
        return """
            | \(subscriptions) at one instant | per second | usage p50 | p99 | worst | failed |
            |---|---|---|---|---|---|
            | usage undisturbed, \(Int(rate))/s | | \(Figure.duration(alone.p50)) | \(Figure.duration(alone.p99)) | \
            \(Figure.duration(alone.maximum)) | \(undisturbed.failures) |
            \(lines.joined(separator: "\n"))
            """
    }
}
