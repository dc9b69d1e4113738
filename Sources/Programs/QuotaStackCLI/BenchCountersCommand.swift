import ArgumentParser
import JSON
import LoadGenerator
import Logging
import Postgres
import Runtime

/// Compares an end user who has many open counters with one who has few: a budget for each member of an account.
struct BenchCountersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-counters",
        abstract: "Compare the costs of an account with 10,000 open counters and one with ten; ./ops/bench counters.",
        discussion: """
            The command needs what `bench` needs. It measures both accounts in turn, several times, and prints the \
            medians. The WAL of a use includes that of everything else that the server does meanwhile.
            """)

    @Option(help: "Seconds of each measurement.") var seconds = 5.0
    @Option(help: "Measurements of each account.") var rounds = 3
    @Option(help: "Id of the process whose memory is shown.") var pid: Int32

    func run() async throws {
        let settings = try await Settings.load()
        try LogSetup.start(level: settings.logLevel)
        let bench = try BenchCommand.parse([])
        let (target, key) = try await bench.tenant()
        _ = try await Preparation(target: target, endUsers: 1).run()
        let client = APIClient(url: try apiURL(nil), key: key)
        guard let books = environment("QUOTASTACK_BENCH_DATABASE_URL") else {
            throw ValidationError("QUOTASTACK_BENCH_DATABASE_URL is not set; ./ops/bench counters sets it.")
        }
        let connection = try await PostgresConnection.connect(
            try PostgresConfiguration(url: books), logger: Logger(label: "quotastack"))
        defer { connection.close() }
        var accounts = [CounterAccount(name: "few", members: 10), CounterAccount(name: "many", members: 10_000)]
        for account in accounts { try await prepare(account, client) }
        // Memory of the counters alone: twenty more accounts of 10,000.
        let before = try residentMemory()
        for number in 0..<20 {
            writeError("opening 10,000 counters in account \(number + 1) of 20\n")
            try await prepare(CounterAccount(name: "further-\(number)", members: 10_000), client)
        }
        let perCounter = Double(try residentMemory() - before) / 200_000
        for round in 1...rounds {
            for index in accounts.indices {
                writeError("round \(round): \(accounts[index].members) counters\n")
                try await measure(&accounts[index], target, connection)
            }
        }
        print(table(accounts[0], accounts[1], perCounter))
    }

    /// Grants credits, sets the budgets, and opens a counter for each member.
    private func prepare(_ account: CounterAccount, _ client: APIClient) async throws {
        let grant = #"{"end_user_id":"\#(account.name)","credits":1000000000000}"#
        _ = try await client.call("POST", "/v1/credits/grant", body: Array(grant.utf8))
        let limit = #"{"unit":"units","limit":1000000000,"window":"month","per":"member"}"#
        _ = try await client.call("PUT", "/v1/end-users/\(account.name)/limits/budget", body: Array(limit.utf8))
        let events = (0..<account.members).map { member in
            #"{"end_user_id":"\#(account.name)","feature_key":"api_calls","attributes":{"member":"m\#(member)"}}"#
        }
        let opened = try await client.call(
            "POST", "/v1/usage/batch", body: Array(#"{"events":[\#(events.joined(separator: ","))]}"#.utf8))
        guard opened["accepted"]?.integer == Int64(account.members) else {
            throw CallError("The counters of \(account.name) could not be opened: \(opened["results"] ?? .null)")
        }
    }

    private func measure(
        _ account: inout CounterAccount, _ target: LoadTarget, _ connection: PostgresConnection
    ) async throws {
        let uses = Scenario.memberUsage(target, endUser: account.name, members: account.members)
        let start = try await walPosition(connection)
        let used = try await run(uses, target, connections: 8)
        account.walPerUse.append(Double(try await walPosition(connection) - start) / Double(max(1, used.requests)))
        account.usesPerSecond.append(used.throughput)
        let alone = try await run(uses, target, connections: 1)
        account.useMilliseconds.append(Double(alone.latency.summary.p50) / 1e6)
        let checks = Scenario.memberCheck(target, endUser: account.name, members: account.members)
        account.checksPerSecond.append(try await run(checks, target, connections: 8).throughput)
    }

    private func run(_ scenario: Scenario, _ target: LoadTarget, connections: Int) async throws -> LoadResult {
        let result = try await ClosedLoop(
            target: target, connections: connections, limit: .seconds(seconds)
        ).run(scenario.script)
        guard result.isClean else {
            throw CallError("\(scenario.name): \(result.firstFailure ?? result.complaints.first ?? "?")")
        }
        return result
    }

    private func walPosition(_ connection: PostgresConnection) async throws -> Int64 {
        let result = try await connection.run(
            PostgresQuery("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))
        return try result.first?.int64(0) ?? 0
    }

    /// The resident memory of the process, in bytes.
    private func residentMemory() throws -> Int64 {
        guard let memory = MachineFacts.residentMemory(ofProcess: pid) else {
            throw CallError("There is no process \(pid).")
        }
        return Int64(memory)
    }

    private func table(_ few: CounterAccount, _ many: CounterAccount, _ memory: Double) -> String {
        func row(_ name: String, _ value: (CounterAccount) -> [Double], places: Int, isRate: Bool) -> String {
            let (left, right) = (value(few).median, value(many).median)
            let ratio = isRate ? left / right : right / left
            let spread = (value(few) + value(many)).map { $0 / left }
            return "| \(name) | \(left.rounded(places)) | \(right.rounded(places)) | \(ratio.rounded(2)) | "
                + "\((spread.min() ?? 0).rounded(2)) to \((spread.max() ?? 0).rounded(2)) |"
        }
        return """
            | one account | \(few.members) counters | \(many.members) counters | cost ratio | spread |
            |---|---|---|---|---|
            \(row("uses per second, 8 callers", { $0.usesPerSecond }, places: 0, isRate: true))
            \(row("one use alone, p50 in ms", { $0.useMilliseconds }, places: 2, isRate: false))
            \(row("checks per second, 8 callers", { $0.checksPerSecond }, places: 0, isRate: true))
            \(row("bytes of WAL per use", { $0.walPerUse }, places: 0, isRate: false))
            | bytes of memory per open counter, of 200,000 | | \(memory.rounded(0)) | | |
            """
    }
}

/// An account under comparison, and its measurements.
private struct CounterAccount {
    let name: String
    let members: Int
    var usesPerSecond: [Double] = []
    var useMilliseconds: [Double] = []
    var checksPerSecond: [Double] = []
    var walPerUse: [Double] = []

    init(name: String, members: Int) {
        self.name = name
        self.members = members
    }
}

extension [Double] {
    fileprivate var median: Double {
        let ordered = sorted()
        return ordered.isEmpty ? 0 : ordered[ordered.count / 2]
    }
}

extension Double {
    /// The number with a fixed number of decimal places.
    fileprivate func rounded(_ places: Int) -> String {
        let scale = (0..<places).reduce(1.0) { product, _ in product * 10 }
        let number = (self * scale).rounded() / scale
        return places == 0 ? "\(Int64(number))" : "\(number)"
    }
}
