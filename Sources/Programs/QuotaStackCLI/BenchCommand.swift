import ArgumentParser
import JSON
import LoadGenerator
import Logging
import Postgres
import Runtime
import Storage

/// Measures a running installation and its alternatives: hand-written SQL and Redis.
struct BenchCommand: AsyncParsableCommand {
    enum Name: String, CaseIterable, ExpressibleByArgument {
        case check
        case checkLatency = "check-latency"
        case checkBatch = "check-batch"
        case usage
        case usageBatch = "usage-batch"
        case usageHot = "usage-hot"
        case reserveCommit = "reserve-commit"
        case freshness
        case replica
    }

    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure a running installation and its peers in one run; ./ops/bench does this from a checkout.",
        discussion: """
            The command needs QUOTASTACK_URL, QUOTASTACK_ROOT_KEY and DATABASE_URL of the installation, and creates a \
            tenant for the run. The SQL peer needs QUOTASTACK_BENCH_DATABASE_URL, with a PostgreSQL user who may create \
            databases.
            """)

    @Argument(help: "Scenarios to measure; default: all.") var scenarios: [Name] = Name.allCases
    @Option(help: "End users with three blocks each.") var endUsers = 100_000
    @Option(help: "Seconds per scenario, after a warm-up.") var seconds = 10.0
    @Option(help: "Rounds of each scenario, of which the table shows the median and the spread.") var rounds = 1
    @Option(help: "Requests per second, sent at fixed times; default: as many as are answered.") var rate: Double?
    @Option(help: "Id of the process whose peak memory is shown.") var pid: Int32?
    @Flag(help: "Print JSON instead of a table.") var json = false
    @Flag(help: "Do not measure the peers.") var noPeers = false

    func run() async throws {
        let settings = try await Settings.load()
        try LogSetup.start(level: settings.logLevel)
        let target = try await tenant().target
        progress("preparing \(endUsers) end users with 3 blocks each")
        let granted = try await Preparation(target: target, endUsers: endUsers).run()
        progress("granted \(Int(granted)) blocks/s")
        var report = BenchmarkReport(revision: await MachineFacts.gitRevision() ?? "unknown")
        for scenario in scenarios {
            var measured: [[BenchmarkRow]] = []
            for _ in 0..<max(1, rounds) { measured.append(try await rows(of: scenario, target, settings)) }
            report.rows += measured[0].indices.map { index in .median(of: measured.map { $0[index] }) }
        }
        print(json ? String(decoding: report.json, as: UTF8.self) : report.table)
        if report.rows.contains(where: { $0.balances == false }) { throw ExitCode(1) }
    }

    /// Creates a tenant and returns its live environment, so that runs do not share data.
    func tenant() async throws -> (target: LoadTarget, key: String) {
        let url = try apiURL(nil)
        guard let port = url.split(separator: ":").last.flatMap({ Int($0) }), url.hasPrefix("http://127.0.0.1:") else {
            throw ValidationError("The benchmark loads an installation on 127.0.0.1 only, not \(url).")
        }
        let root = try RootOptions.parse([]).client()
        let tenant = try await root.call("POST", "/v1/admin/tenants", body: Array(#"{"name":"benchmark"}"#.utf8))
        guard let key = tenant["api_keys"]?["live"]?.text else {
            throw CallError("The answer to POST /v1/admin/tenants has no live key.")
        }
        return (LoadTarget(port: port, apiKey: key), key)
    }

    private func rows(of name: Name, _ target: LoadTarget, _ settings: Settings) async throws -> [BenchmarkRow] {
        progress("measuring \(name.rawValue)")
        switch name {
        case .checkLatency: return try await checkLatency(target)
        case .reserveCommit: return try await reserveAndCommit(target, settings)
        case .freshness: return try await freshness(target)
        case .replica: return try await replica()
        case .check, .checkBatch, .usage, .usageBatch, .usageHot: return [try await measure(name, target, settings)]
        }
    }

    /// Measures the throughput of a scenario.
    private func measure(_ name: Name, _ target: LoadTarget, _ settings: Settings) async throws -> BenchmarkRow {
        let scenario: Scenario
        let connections: Int
        let goal: BenchmarkRow.Goal?
        switch name {
        case .check: (scenario, connections, goal) = (.check(target, endUsers: endUsers), 64, .atLeast(1.2))
        case .checkBatch: (scenario, connections, goal) = (.checkBatch(target, endUsers: endUsers), 16, nil)
        case .usage: (scenario, connections, goal) = (.usage(target, endUsers: endUsers), 64, .atLeast(1.5))
        case .usageBatch: (scenario, connections, goal) = (.usageBatch(target, endUsers: endUsers), 8, .atLeast(5))
        default: (scenario, connections, goal) = (.usageBatch(target, endUsers: 1), 8, .atLeast(4.5))
        }
        let result = try await load(scenario, target, connections: connections)
        try requireClean(result, name.rawValue)
        let peer = noPeers ? nil : try await peer(of: name)
        let books = try await verify(settings)
        return BenchmarkRow(
            scenario: name.rawValue,
            ours: .perSecond(result.throughput * Double(scenario.operationsPerRequest)),
            peerName: peer?.name, peer: peer.map { .perSecond($0.perSecond) }, goal: goal,
            latency: result.latency.summary, peakMemory: pid.flatMap { MachineFacts.peakMemory(ofProcess: $0) },
            balances: books)
    }

    /// Sends the scenario's requests for `seconds`: at a fixed rate, or each request when the previous one is answered.
    private func load(_ scenario: Scenario, _ target: LoadTarget, connections: Int) async throws -> LoadResult {
        if let rate {
            return try await OpenLoop(target: target, connections: connections, rate: rate, warmUp: 2, seconds: seconds)
                .run(scenario.script)
        }
        return try await ClosedLoop(
            target: target, connections: connections, warmUp: .seconds(2), limit: .seconds(seconds)
        ).run(scenario.script)
    }

    private func peer(of name: Name) async throws -> PeerResult? {
        if name == .checkBatch { return nil }
        if name == .check {
            progress("measuring Redis GET")
            return try await RedisPeer().run()
        }
        guard let url = environment("QUOTASTACK_BENCH_DATABASE_URL") else {
            throw ValidationError(
                "QUOTASTACK_BENCH_DATABASE_URL is not set. Set it, or leave the peers out with --no-peers.")
        }
        progress("measuring roll-your-own SQL")
        return try await RollYourOwnSQL(databaseURL: url, endUsers: endUsers).throughput(
            seconds: max(3, Int(seconds / 2)))
    }

    func requireClean(_ result: LoadResult, _ name: String) throws {
        guard !result.isClean else { return }
        throw CallError(
            "\(name): \(result.failures + result.unanswered) answers were not successful or missing; the first: \(result.firstFailure ?? result.complaints.first ?? "?")"
        )
    }

    func verify(_ settings: Settings) async throws -> Bool {
        progress("verifying the books")
        let connection = try await PostgresConnection.connect(
            try settings.postgres(), logger: Logger(label: "quotastack"))
        defer { connection.close() }
        return try await BookVerifier.verify(on: connection) { _ in }.isClean
    }

    func progress(_ text: String) {
        writeError("\(text)\n")
    }
}
