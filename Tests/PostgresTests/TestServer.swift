import Glibc
import Postgres
import Synchronization
import Testing

/// The server of the tests is not configured.
struct MissingServer: Error, CustomStringConvertible {
    let description =
        "Set QUOTASTACK_TEST_DATABASE_URL to postgres://user@127.0.0.1:port/postgres of a superuser on a "
        + "PostgreSQL 15 with wal_level=logical."
}

func testConfiguration() throws -> PostgresConfiguration {
    guard let url = getenv("QUOTASTACK_TEST_DATABASE_URL") else { throw MissingServer() }
    return try PostgresConfiguration(url: String(cString: url))
}

/// Lends a connection, and closes it afterwards.
func withConnection<Value: Sendable>(
    _ body: @Sendable (PostgresConnection) async throws -> Value
) async throws -> Value {
    let connection = try await PostgresConnection.connect(testConfiguration())
    defer { connection.close() }
    return try await body(connection)
}

/// Lends the configuration of an empty database, and drops the database afterwards.
func withDatabase(_ body: @Sendable (PostgresConfiguration) async throws -> Void) async throws {
    let name = "postgres_driver_\(UInt64.random(in: 0 ... .max))"
    let configuration = try testConfiguration()
    try await withConnection { try await $0.script("CREATE DATABASE \(name)") }
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(configuration.database(name)))
    } catch {
        result = .failure(error)
    }
    // A slot disappears with its server process, a moment after its connection.
    try await withConnection { connection async throws in
        let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = $1"
        try await eventually { try await connection.integer(slots, [.text(name)]) == 0 }
    }
    try await withConnection { try await $0.script("DROP DATABASE \(name) WITH (FORCE)") }
    try result.get()
}

/// Lets other tasks run until the condition holds. If it never does, the suite's time limit ends the test.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}

/// The error that the body throws, which must be a `PostgresError`.
func postgresError(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async throws -> PostgresError {
    try #require(await #expect(throws: PostgresError.self, sourceLocation: sourceLocation) { try await body() })
}

extension PostgresConnection {
    func text(_ sql: String, _ parameters: [PostgresValue] = []) async throws -> String? {
        try await run(PostgresQuery(PostgresStatement(sql), parameters)).row(0).textOrNil(0)
    }

    func integer(_ sql: String, _ parameters: [PostgresValue] = []) async throws -> Int64 {
        try await run(PostgresQuery(PostgresStatement(sql), parameters)).row(0).int64(0)
    }
}

/// A value that several tasks and threads of a test share.
final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) {
        state = Mutex(value)
    }

    func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        state.withLock { body(&$0) }
    }
}

extension PostgresError {
    /// Whether the connection can no longer be used, also when it was given up because of a deadline.
    var isConnectionLoss: Bool {
        switch kind {
        case .connection: true
        case .timeout(let outcomeUnknown): outcomeUnknown
        case .server, .closed, .poolExhausted, .lineFull, .decoding, .invalidRequest: false
        }
    }
}

extension CopyRow {
    /// The next field, which must not be null.
    mutating func nextField() throws -> PostgresField {
        try #require(try nextFieldOrNil())
    }
}

extension PostgresPool {
    /// Lends a connection to a patient caller whose owner may have all.
    func withConnection<Value: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let share = PoolShare(
            atOnce: .max, longAtOnce: .max, waiting: .max, patience: .seconds(30), longPatience: .seconds(30))
        return try await withConnection(PoolClaim(owner: 0, isLong: false, share: share), body)
    }
}
