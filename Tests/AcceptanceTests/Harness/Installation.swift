import ChildProcesses
import Glibc
import Messaging
import Postgres
import RabbitMQ
import Synchronization

/// A separate QuotaStack: a database, queues with their own prefix, and `quotastack up` on a free port.
final class Installation: Sendable {
    let port: Int
    let rootKey: String
    let database: PostgresConfiguration
    let name: String
    private let server: PostgresConfiguration
    let amqp: AMQPConfiguration
    private let environment: [String: String]
    let binary: String
    private let process = Mutex<ChildProcess?>(nil)
    private let nodes = Mutex<[Node]>([])

    var url: String { "http://127.0.0.1:\(port)" }
    var logPath: String { "\(Self.temporaryFolder)/\(name).log" }

    /// The names of the queues of commands.
    var queues: [String] { Topology(prefix: "\(name).", shardCount: 4).commandQueues }

    private static let temporaryFolder = variable("TMPDIR") ?? "/tmp"

    private init(
        name: String, port: Int, rootKey: String, binary: String, servers: Servers, settings: [String: String]
    ) throws {
        self.name = name
        self.port = port
        self.rootKey = rootKey
        self.binary = binary
        server = try PostgresConfiguration(url: servers.databaseURL)
        database = server.database(name)
        amqp = try AMQPConfiguration(url: servers.amqpURL)
        environment = [
            "PATH": variable("PATH") ?? "/usr/bin:/bin", "LANG": "C.UTF-8",
            "DATABASE_URL": Self.url(servers.databaseURL, database: name), "AMQP_URL": servers.amqpURL,
            "QUOTASTACK_WEBHOOK_KEY": "\(name) seals webhook secrets with this",
            "QUOTASTACK_WEBHOOK_ALLOW": "127.0.0.0/8",
            "QUOTASTACK_ROOT_KEY": rootKey, "QUOTASTACK_PORT": "\(port)", "QUOTASTACK_QUEUE_PREFIX": "\(name).",
            "QUOTASTACK_SHARDS": "4", "QUOTASTACK_LOG_LEVEL": "debug", "SWIFT_BACKTRACE": "enable=no",
        ].merging(settings) { $1 }
        PlantedSecrets.remember(passwordsIn: environment)
    }

    // MARK: - Life

    /// Creates an installation, migrates it and starts it.
    ///
    /// - Parameters:
    ///   - serves: False to start no `quotastack up`, because the test starts its own nodes.
    ///   - settings: Further environment variables of its processes.
    static func start(serves: Bool = true, settings: [String: String] = [:]) async throws -> Installation {
        let servers = try Servers()
        let binary = try quotastack()
        let name = "acceptance_\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
        let key = try await ChildProcess.run(
            [binary, "key", "root"], environment: [:], logPath: "\(temporaryFolder)/\(name).key")
        _ = unlink("\(temporaryFolder)/\(name).key")
        let installation = try Installation(
            name: name, port: try LoopbackPorts.next(), rootKey: String(key.output.prefix { $0 != "\n" }),
            binary: binary, servers: servers, settings: settings)
        try await installation.onServer("CREATE DATABASE \(name)")
        do {
            let migrated = try await installation.run("migrate")
            guard migrated.status == 0 else { throw HarnessError("migrate failed: \(migrated.output)") }
            if serves { try await installation.startServer() }
        } catch {
            try? await installation.remove()
            throw error
        }
        return installation
    }

    /// Starts the server and waits until it is ready.
    func startServer() async throws {
        let started = try await ChildProcess.start([binary, "up"], environment: environment, logPath: logPath)
        process.withLock { $0 = started }
        let client = Client(url: url, key: nil)
        try await waitUntil("the server is ready; its log:\n\(logPath)") {
            if started.hasEnded { throw HarnessError("the server has ended:\n\(log.suffix(4_000))") }
            return (try? await client.get("/readyz"))?.status == 200
        }
    }

    /// A node of this installation that is not started yet.
    ///
    /// - Parameter executable: `quotastack-api`, `quotastack-ledger`, `quotastack-scheduler` or `quotastack-entitlements`.
    func node(_ executable: String) throws -> Node {
        let port = try LoopbackPorts.next()
        let folder = binary[..<(binary.lastIndex(of: "/") ?? binary.startIndex)]
        let node = Node(
            binary: "\(folder)/\(executable)", port: port, environment: environment,
            logPath: "\(Self.temporaryFolder)/\(name).\(executable).\(port).log")
        nodes.withLock { $0.append(node) }
        return node
    }

    /// Starts the given number of nodes of one kind.
    func startNodes(_ executable: String, _ count: Int) async throws -> [Node] {
        var started: [Node] = []
        for _ in 0..<count {
            let node = try node(executable)
            try await node.start()
            started.append(node)
        }
        return started
    }

    /// Ends the server with SIGKILL, at whatever instruction it is.
    func killServer() async {
        guard let running = process.withLock({ $0 }) else { return }
        running.signal(SIGKILL)
        _ = await running.ended()
    }

    /// Asks the server to stop, and returns its exit status.
    func stopServer() async -> Int32? {
        guard let running = process.withLock({ $0 }) else { return nil }
        running.signal(SIGTERM)
        return await running.ended()
    }

    /// Ends the server and removes its database, queues and log.
    ///
    /// - Throws: Also when a log contains a secret or a tenant's data.
    func remove() async throws {
        await killServer()
        var leaks = PlantedSecrets.lines(of: log)
        for node in nodes.withLock({ $0 }) {
            node.signal(SIGCONT)
            await node.kill()
            leaks += PlantedSecrets.lines(of: node.log)
            _ = unlink(node.logPath)
        }
        // A replication slot disappears with its server process, a moment after its connection.
        try await waitUntil("no replication slot is left") {
            try await PostgresConnection.lent(server) { connection in
                try await connection.run(
                    PostgresQuery("SELECT 1 FROM pg_replication_slots WHERE database = $1", [.text(self.name)])
                ).rowCount == 0
            }
        }
        try await onServer("DROP DATABASE \(name) WITH (FORCE)")
        let queues = (0..<4).map { "\(name).ledger.\($0)" } + ["\(name).catalog"]
        try await AMQPTopology.delete(queues, configuration: amqp)
        _ = unlink(logPath)
        guard leaks.isEmpty else {
            throw HarnessError("a log contains secrets or tenant data, in \(leaks.count) lines such as:\n\(leaks[0])")
        }
    }

    /// Allows connections to the database, or ends every connection and refuses new ones.
    func admitConnections(_ admits: Bool) async throws {
        try await onServer("ALTER DATABASE \(name) ALLOW_CONNECTIONS \(admits)")
        guard !admits else { return }
        try await onServer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
    }

    /// Lets later sessions write, or not, as if the server were a standby. Sessions that may write are ended.
    func takeWrites(_ takes: Bool) async throws {
        try await onServer("ALTER DATABASE \(name) SET default_transaction_read_only = \(!takes)")
        guard !takes else { return }
        try await onServer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
    }

    /// The URL of the database, with which a session takes any server, also one without writes.
    var anyServerURL: String {
        let url = environment["DATABASE_URL"] ?? ""
        return url + (url.contains("?") ? "&" : "?") + "target_session_attrs=any"
    }

    // MARK: - Looking inside

    /// The number of commands that were put aside.
    func parkedCommands() async throws -> Int64 {
        try await PostgresConnection.lent(database) { connection in
            try await connection.run(PostgresQuery("select count(*) from parked_commands")).first?.int64(0) ?? 0
        }
    }

    /// The server process that sends the write-ahead log to the only replica of this installation.
    func logSender() async throws -> pid_t {
        let senders = try await PostgresConnection.lent(database) { connection in
            try await connection.run(
                PostgresQuery(
                    """
                    select pid from pg_stat_activity
                    where datname = current_database() and backend_type = 'walsender'
                    """)
            ).map { try $0.int32(0) }
        }
        guard senders.count == 1, let sender = senders.first else {
            throw HarnessError("\(senders.count) processes send the log")
        }
        return sender
    }

    /// Runs a subcommand of `quotastack` with this installation's configuration.
    ///
    /// - Parameter extra: Further environment variables for this process only.
    func run(
        _ arguments: String..., with extra: [String: String] = [:]
    ) async throws -> (status: Int32, output: String) {
        let path = "\(Self.temporaryFolder)/\(name).\(arguments[0]).\(UInt64.random(in: 0...UInt64.max))"
        defer { _ = unlink(path) }
        return try await ChildProcess.run(
            [binary] + arguments, environment: environment.merging(extra) { $1 }, logPath: path)
    }

    /// A variable of the environment of this installation's processes.
    func setting(_ name: String) -> String? { environment[name] }

    /// The environment variables with which a process uses TLS to both servers, and verifies them.
    func overTLS() throws -> [String: String] {
        guard let databaseURL = variable("QUOTASTACK_TEST_DATABASE_TLS_URL"),
            let amqpURL = variable("QUOTASTACK_TEST_AMQP_TLS_URL")
        else {
            throw HarnessError(
                "the variables for TLS are not set: ./ops/test starts servers with TLS and sets them")
        }
        return ["DATABASE_URL": Self.url(databaseURL, database: name), "AMQP_URL": amqpURL]
    }

    /// The URL of the installation's database for another login.
    func databaseURL(user: String, password: String) throws -> String {
        let url = environment["DATABASE_URL"] ?? ""
        guard let at = url.lastIndex(of: "@") else { throw HarnessError("the database's URL has no user") }
        return "postgres://\(user):\(password)\(url[at...])"
    }

    /// Creates logins with the given options and with their name as password, and drops them after the body.
    ///
    /// - Parameter logins: The options follow CREATE ROLE name LOGIN PASSWORD.
    func withLogins(_ logins: [(name: String, options: String)], _ body: () async throws -> Void) async throws {
        for login in logins {
            try await onServer("CREATE ROLE \(login.name) LOGIN PASSWORD '\(login.name)' \(login.options)")
        }
        let result: Result<Void, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        for login in logins { try await onServer("DROP ROLE \(login.name)") }
        try result.get()
    }

    /// The URL of the broker at another port, which is that of a proxy in front of it.
    func amqpURL(port: UInt16) throws -> String {
        let url = environment["AMQP_URL"] ?? ""
        guard let at = url.lastIndex(of: "@"), let slash = url[at...].firstIndex(of: "/") else {
            throw HarnessError("the broker's URL has no user or no virtual host")
        }
        return "\(url[...at])127.0.0.1:\(port)\(url[slash...])"
    }

    /// The password in the URL of the database.
    var password: String {
        let user = (environment["DATABASE_URL"] ?? "").split(separator: "@").first ?? ""
        return String(user.split(separator: ":").last ?? "")
    }

    /// The log of the server, over all its starts.
    var log: String { process.withLock { $0 }?.log ?? "" }

    private func onServer(_ statement: String) async throws {
        try await PostgresConnection.lent(server) { try await $0.script(statement) }
    }

    // MARK: - Look-ups

    /// The path of the `quotastack` that was built with these tests.
    static func quotastack() throws -> String {
        if let path = variable("QUOTASTACK_TEST_BINARY") { return path }
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        let bundle = String(decoding: bytes[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = bundle[..<(bundle.lastIndex(of: "/") ?? bundle.startIndex)] + "/quotastack"
        guard access(String(path), X_OK) == 0 else {
            throw HarnessError("There is no \(path). Build it with swift build, or set QUOTASTACK_TEST_BINARY.")
        }
        return String(path)
    }

    private static func url(_ url: String, database: String) -> String {
        let parts = url.split(separator: "?", maxSplits: 1)
        let base = parts[0][..<(parts[0].lastIndex(of: "/") ?? parts[0].endIndex)]
        return "\(base)/\(database)" + (parts.count > 1 ? "?\(parts[1])" : "")
    }
}

/// The servers that the tests use.
private struct Servers {
    let databaseURL: String
    let amqpURL: String

    init() throws {
        guard let databaseURL = variable("QUOTASTACK_TEST_DATABASE_URL"),
            let amqpURL = variable("QUOTASTACK_TEST_AMQP_URL")
        else {
            throw HarnessError(
                "Set QUOTASTACK_TEST_DATABASE_URL to postgres://user@127.0.0.1:port/postgres of a superuser on a "
                    + "PostgreSQL 15 with wal_level=logical, and QUOTASTACK_TEST_AMQP_URL to the URL of a RabbitMQ 3.10; "
                    + "./ops/test does so.")
        }
        self.databaseURL = databaseURL
        self.amqpURL = amqpURL
    }
}

/// A variable of the process's environment; nil when it is unset or empty.
func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}

/// The amount of work of a test: the value of an environment variable, or else what CI can afford.
func count(_ name: String, inCI: Int) -> Int {
    variable(name).flatMap(Int.init) ?? inCI
}
