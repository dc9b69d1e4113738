import Glibc
import Postgres
import TCPProxy
import Testing

@Suite("Several hosts, and servers without writes", .timeLimit(.minutes(5)))
struct SeveralHostsTests {
    /// A configuration with a port in front of the test server's own.
    private func configuration(
        first port: UInt16, change: (inout PostgresConfiguration) -> Void = { _ in }
    ) throws -> PostgresConfiguration {
        let url = try #require(getenv("QUOTASTACK_TEST_DATABASE_URL").map { String(cString: $0) })
        let at = try #require(url.lastIndex(of: "@"))
        var configuration = try PostgresConfiguration(
            url: "\(url[...at])127.0.0.1:\(port),\(url[url.index(after: at)...])")
        change(&configuration)
        return configuration
    }

    /// A server's port, behind a proxy.
    private func serverPort() throws -> UInt16 {
        let description = try testConfiguration().description
        let address = description.drop { $0 != "@" }.dropFirst().prefix { $0 != "/" }
        return try #require(UInt16(address.split(separator: ":").last ?? ""))
    }

    @Test("A host that accepts connections and stays silent costs its share of the limit, and the next host is used")
    func silentHost() async throws {
        let proxy = Proxy(target: try serverPort())
        defer { proxy.end() }
        proxy.freeze()
        let configuration = try configuration(first: proxy.port) { $0.connectLimit = .seconds(4) }
        let clock = ContinuousClock()
        let start = clock.now
        let first = try await PostgresConnection.connect(configuration)
        #expect(try await first.integer("SELECT 1") == 1)
        #expect(clock.now - start >= .seconds(2))
        // The host that has accepted a connection is tried first from then on.
        let again = clock.now
        let second = try await PostgresConnection.connect(configuration)
        #expect(clock.now - again < .seconds(2))
        first.close()
        second.close()
    }

    @Test("A host that refuses connections is passed over at once, and the last error is reported when all refuse")
    func refusingHost() async throws {
        // No server listens on port 1 of the loopback interface.
        let connection = try await PostgresConnection.connect(try configuration(first: 1))
        #expect(try await connection.integer("SELECT 1") == 1)
        connection.close()
        let nobody = try PostgresConfiguration(url: "postgres://anna:hunter2@127.0.0.1:1,127.0.0.1:2/db")
        let error = try await postgresError { _ = try await PostgresConnection.connect(nobody) }
        #expect("\(error)".contains("port 2"), "\(error)")
    }

    @Test("Every host has its port, or all have one; other lists are refused")
    func lists() throws {
        let each = try PostgresConfiguration(url: "postgres://anna:hunter2@a:1,b:2/db").eachHost
        #expect(each.map(\.description) == ["postgres://anna@a:1/db", "postgres://anna@b:2/db"])
        let shared = try PostgresConfiguration(url: "postgres://anna@/db?host=a,b&port=7").eachHost
        #expect(shared.map(\.description) == ["postgres://anna@a:7/db", "postgres://anna@b:7/db"])
        #expect(throws: PostgresError.self) { try PostgresConfiguration(url: "postgres:///db?host=a,b,c&port=1,2") }
    }

    @Test("A server without writes is passed over, unless any server will do")
    func readOnlyServer() async throws {
        try await withDatabase { configuration in
            try await makeReadOnly(configuration)
            let error = try await postgresError { _ = try await PostgresConnection.connect(configuration) }
            #expect(error.isConnectionLoss)
            #expect("\(error)".contains("read-only"), "\(error)")
            let any = taking(anyServer: configuration)
            let reader = try await PostgresConnection.connect(any)
            #expect(try await reader.integer("SELECT 1") == 1)
            reader.close()
        }
    }

    @Test("A connection is closed when its server refuses a write because it takes none")
    func writeIsRefused() async throws {
        try await withDatabase { configuration in
            try await makeReadOnly(configuration)
            let any = taking(anyServer: configuration)
            for run in [
                { _ = try await $0.run(PostgresQuery("CREATE TABLE t (n bigint)")) },
                { try await $0.script("CREATE TABLE t (n bigint)") },
            ] as [@Sendable (PostgresConnection) async throws -> Void] {
                let connection = try await PostgresConnection.connect(any)
                let error = try await postgresError { try await run(connection) }
                #expect(error.isReadOnly)
                #expect(error.condition == .away)
                try await eventually { !connection.isUsable }
            }
        }
    }

    @Test("A read-only transaction on a server with writes leaves its connection open")
    func readOnlyTransaction() async throws {
        try await withConnection { connection async throws in
            try await connection.script("BEGIN READ ONLY")
            let error = try await postgresError { try await connection.script("CREATE TABLE never (n bigint)") }
            #expect(error.isReadOnly)
            try await connection.script("ROLLBACK")
            #expect(try await connection.integer("SELECT 1") == 1)
        }
    }

    @Test("An unknown snapshot is named in the error, which other data errors do not do")
    func unknownSnapshot() async throws {
        try await withConnection { connection async throws in
            let error = try await postgresError {
                try await connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT 'none'")
            }
            #expect("\(error)".contains("invalid snapshot identifier"), "\(error)")
            try await connection.script("ROLLBACK")
        }
        let other = PostgresError(.server(sqlState: "22023", message: "hunter2", constraint: nil, table: nil))
        #expect(!"\(other)".contains("hunter2"))
    }

    private func taking(anyServer configuration: PostgresConfiguration) -> PostgresConfiguration {
        var copy = configuration
        copy.takesAnyServer = true
        return copy
    }

    private func makeReadOnly(_ configuration: PostgresConfiguration) async throws {
        let connection = try await PostgresConnection.connect(configuration)
        let name = try #require(try await connection.text("SELECT current_database()"))
        try await connection.script("ALTER DATABASE \(name) SET default_transaction_read_only = on")
        connection.close()
        await connection.closes()
    }
}
