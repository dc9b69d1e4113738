import ChildProcesses

/// The first design of most teams: one transaction per event on a plain PostgreSQL schema, driven by `pgbench`.
///
/// A database is created for each measurement and dropped after it. The keys are integers, which favours this peer a
/// little over the text keys of an API.
package struct RollYourOwnSQL: Sendable {
    /// The form of the transaction.
    package enum Form: Sendable {
        /// Insert, update, insert, between `BEGIN` and `COMMIT`: five round trips, as most programs do it.
        case statements
        /// All in one statement, as an expert in SQL would write it: one round trip.
        case oneStatement
    }

    /// The URL of a server (`postgres://user@host:port/database`) whose user may create databases. The programs get it
    /// as an argument, so it is visible in the list of processes.
    package let databaseURL: String
    package let endUsers: Int
    package let form: Form
    /// The directory of `psql` and `pgbench`; nil looks in `PATH`.
    package let programs: String?

    package init(
        databaseURL: String, endUsers: Int = 100_000, form: Form = .statements, programs: String? = nil
    ) {
        self.databaseURL = databaseURL
        self.endUsers = endUsers
        self.form = form
        self.programs = programs
    }

    /// Measures transactions per second at full speed: the best result of the given numbers of clients, each run for
    /// `seconds`.
    package func throughput(clients: [Int] = [8, 16, 32], seconds: Int = 10) async throws -> PeerResult {
        try await withPreparedDatabase { database, script, _ in
            var best: PeerResult?
            for count in clients {
                let output = try await pgbench(database, script, clients: count, seconds: seconds)
                let result = PeerResult(
                    name: "SQL, \(count) clients", perSecond: try Self.transactionsPerSecond(output), latency: nil)
                if result.perSecond > best?.perSecond ?? 0 { best = result }
            }
            guard let best else { throw PeerError(description: "no number of clients was given for pgbench") }
            return best
        }
    }

    /// Measures the latency of the transaction at a fixed rate, counted from when each transaction was due.
    package func latency(rate: Int, clients: Int = 16, seconds: Int = 10) async throws -> PeerResult {
        try await withPreparedDatabase { database, script, directory in
            let log = "\(directory)/latency"
            let output = try await pgbench(
                database, script, clients: clients, seconds: seconds,
                ["--rate=\(rate)", "--log", "--log-prefix=\(log)"])
            var histogram = LatencyHistogram()
            for name in namesOfFiles(in: directory) where name.hasPrefix("latency.") {
                Self.readLog(readFile("\(directory)/\(name)") ?? "", into: &histogram)
            }
            guard histogram.count > 0 else { throw PeerError(description: "pgbench logged no transaction") }
            return PeerResult(
                name: "SQL at \(rate)/s", perSecond: try Self.transactionsPerSecond(output),
                latency: histogram.summary)
        }
    }

    static let schema = """
        CREATE TABLE account (
            end_user_id bigint PRIMARY KEY,
            balance bigint NOT NULL CHECK (balance >= 0)
        );
        CREATE TABLE idempotency_key (
            key bigint PRIMARY KEY,
            created_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE TABLE ledger_entry (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            end_user_id bigint NOT NULL,
            amount bigint NOT NULL,
            feature_key text NOT NULL,
            idempotency_key bigint NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now()
        );
        """

    private static let variables = """
        \\set end_user random(1, :end_users)
        \\set key random(1, 9223372036854775806)

        """

    private static let statements = """
        BEGIN;
        INSERT INTO idempotency_key (key) VALUES (:key) ON CONFLICT DO NOTHING;
        UPDATE account SET balance = balance - 1000 WHERE end_user_id = :end_user AND balance >= 1000;
        INSERT INTO ledger_entry (end_user_id, amount, feature_key, idempotency_key)
            VALUES (:end_user, -1000, 'api_calls', :key);
        COMMIT;
        """

    private static let oneStatement = """
        WITH fresh AS (
            INSERT INTO idempotency_key (key) VALUES (:key) ON CONFLICT DO NOTHING RETURNING key
        ), debited AS (
            UPDATE account SET balance = balance - 1000 FROM fresh
            WHERE end_user_id = :end_user AND balance >= 1000
            RETURNING end_user_id
        )
        INSERT INTO ledger_entry (end_user_id, amount, feature_key, idempotency_key)
            SELECT end_user_id, -1000, 'api_calls', :key FROM debited;
        """

    private var script: String {
        switch form {
        case .statements: Self.variables + Self.statements
        case .oneStatement: Self.variables + Self.oneStatement
        }
    }

    private func withPreparedDatabase<Output>(
        _ body: (_ database: String, _ script: String, _ directory: String) async throws -> Output
    ) async throws -> Output {
        let name = "quotastack_peer_" + Scenario.randomRunName()
        try await psql(databaseURL, "CREATE DATABASE \(name)")
        let result: Result<Output, any Error>
        do {
            let database = Self.url(databaseURL, withDatabase: name)
            try await psql(database, Self.schema)
            try await psql(
                database,
                "INSERT INTO account SELECT number, 1000000000000 FROM generate_series(1, \(endUsers)) AS number")
            try await psql(database, "VACUUM (ANALYZE) account")
            try await psql(database, "CHECKPOINT")
            result = .success(
                try await withTemporaryDirectory { directory in
                    let file = "\(directory)/transaction.sql"
                    try writeFile(file, Array(script.utf8))
                    return try await body(database, file, directory)
                })
        } catch {
            result = .failure(error)
        }
        try await psql(databaseURL, "DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
        return try result.get()
    }

    private func psql(_ database: String, _ statement: String) async throws {
        _ = try await ChildProcess.output(of: [
            program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=\(database)",
            "--command=\(statement)",
        ])
    }

    private func pgbench(
        _ database: String, _ script: String, clients: Int, seconds: Int, _ options: [String] = []
    ) async throws -> String {
        try await ChildProcess.output(
            of: [
                program("pgbench"), "--no-vacuum", "--protocol=prepared", "--file=\(script)", "--client=\(clients)",
                "--jobs=\(min(clients, 2))", "--time=\(seconds)", "--define=end_users=\(endUsers)",
            ] + options + [database])
    }

    private func program(_ name: String) -> String {
        programs.map { "\($0)/\(name)" } ?? name
    }

    /// Reads the rate that `pgbench` prints at its end.
    ///
    /// - Throws: When the rate is missing or transactions failed.
    static func transactionsPerSecond(_ output: String) throws(PeerError) -> Double {
        var rate: Double?
        for line in output.split(separator: "\n") {
            if line.hasPrefix("tps = ") {
                rate = line.dropFirst(6).split(separator: " ").first.flatMap { Double(String($0)) }
            }
            if line.hasPrefix("number of failed transactions: "), !line.hasPrefix("number of failed transactions: 0 ") {
                throw PeerError(description: "pgbench had failures: \(line)")
            }
        }
        guard let rate else { throw PeerError(description: "pgbench printed no rate: \(output.suffix(500))") }
        return rate
    }

    /// Reads the lines of a transaction log: client, number, latency in microseconds, and further fields.
    static func readLog(_ text: String, into histogram: inout LatencyHistogram) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 3)
            if fields.count > 3, let microseconds = UInt64(fields[2]) {
                histogram.record(nanoseconds: microseconds * 1_000)
            }
        }
    }

    /// Returns the URL of another database on the same server.
    static func url(_ url: String, withDatabase name: String) -> String {
        let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let pieces = parts[0].split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        let server = pieces.prefix(3).joined(separator: "/")
        return "\(server)/\(name)" + (parts.count > 1 ? "?\(parts[1])" : "")
    }
}
