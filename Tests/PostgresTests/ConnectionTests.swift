import Glibc
import Postgres
import Testing

@Suite("A connection", .timeLimit(.minutes(5)))
struct ConnectionTests {
    @Test("A group is all or nothing, and its error names the query that failed")
    func groupIsAtomic() async throws {
        try await withConnection { connection async throws in
            try await connection.script("CREATE TEMP TABLE t (n bigint CONSTRAINT t_n_key UNIQUE)")
            let insert: PostgresStatement = "INSERT INTO t VALUES ($1)"
            let error = try await postgresError {
                _ = try await connection.run([1, 2, 1, 3].map { PostgresQuery(insert, [.int64($0)]) })
            }
            #expect(error.sqlState == "23505")
            #expect(error.constraint == "t_n_key")
            #expect(error.queryIndex == 2)
            #expect(!error.isConnectionLoss)
            #expect(try await connection.integer("SELECT count(*) FROM t") == 0)
        }
    }

    @Test("Of many groups in flight on one connection only the failing ones fail")
    func errorStaysInItsGroup() async throws {
        try await withConnection { connection async throws in
            try await connection.script("CREATE TEMP TABLE t (n bigint UNIQUE); INSERT INTO t VALUES (-1)")
            let failures = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in Int64(0)..<200 {
                    group.addTask {
                        let second = number % 5 == 0 ? -1 : number + 1000
                        do {
                            _ = try await connection.run([
                                PostgresQuery("INSERT INTO t VALUES ($1)", [.int64(number)]),
                                PostgresQuery("INSERT INTO t VALUES ($1) RETURNING n", [.int64(second)]),
                            ])
                            return false
                        } catch let error as PostgresError where error.sqlState == "23505" {
                            #expect(error.queryIndex == 1)
                            return true
                        }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(failures == 40)
            #expect(try await connection.integer("SELECT count(*) FROM t") == 321)
        }
    }

    @Test("Results come in the order of the queries")
    func resultsInOrder() async throws {
        try await withConnection { connection async throws in
            let results = try await connection.run(
                (0..<100).map { PostgresQuery("SELECT $1", [.int64($0)]) })
            #expect(try results.map { try $0.row(0).int64(0) } == Array(0..<100))
            #expect(try await connection.run([]).isEmpty)
        }
    }

    @Test("A group that sends and receives more than the sockets hold does not block itself")
    func largeGroup() async throws {
        try await withConnection { connection async throws in
            let text = String(repeating: "0123456789", count: 100_000)
            let query = PostgresQuery("SELECT $1 || 'x'", [.text(text)])
            for result in try await connection.run([PostgresQuery](repeating: query, count: 60)) {
                #expect(try result.row(0).text(0).utf8.count == 1_000_001)
            }
        }
    }

    @Test("A script runs many statements as one transaction, between other requests")
    func script() async throws {
        try await withConnection { connection async throws in
            #expect(try await connection.integer("SELECT 1") == 1)
            let error = try await postgresError {
                try await connection.script("CREATE TEMP TABLE s (n int); SELECT 1/0; SELECT 2")
            }
            #expect(error.sqlState == "22012")
            #expect(try await connection.text("SELECT to_regclass('s')::text") == nil)
            try await connection.script("CREATE TEMP TABLE s (n int); INSERT INTO s VALUES (1), (2)")
            #expect(try await connection.integer("SELECT count(*) FROM s") == 2)
        }
    }

    @Test("A COPY hands over every row, an empty one none, and a failing one its error")
    func copyOut() async throws {
        try await withConnection { connection async throws in
            let sum = Shared((rows: 0, total: Int64(0), nulls: 0))
            try await connection.copyRows(
                "COPY (SELECT n::bigint, nullif(n % 2, 0), 'skipped' FROM generate_series(1, 20000) n) "
                    + "TO STDOUT (FORMAT binary)"
            ) { row in
                let number = try row.nextField().int64()
                let isNull = try row.nextFieldOrNil() == nil
                sum.withLock { $0 = ($0.rows + 1, $0.total + number, $0.nulls + (isNull ? 1 : 0)) }
            }
            #expect(sum.withLock { $0 } == (20_000, 200_010_000, 10_000))
            try await connection.copyRows("COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT binary)") { _ in
                Issue.record("an empty COPY has no row")
            }
            let error = try await postgresError {
                let sql = "COPY (SELECT 1 / (3 - n) FROM generate_series(1, 9) n) TO STDOUT (FORMAT binary)"
                try await connection.copyRows(sql) { _ in }
            }
            #expect(error.sqlState == "22012")
            #expect(try await connection.integer("SELECT 1") == 1)
        }
    }

    @Test("A receiver of a COPY that throws ends the connection with its own error")
    func copyReceiverThrows() async throws {
        struct Enough: Error {}
        try await withConnection { connection async throws in
            await #expect(throws: Enough.self) {
                try await connection.copyRows(
                    "COPY (SELECT n FROM generate_series(1, 1000000) n) TO STDOUT (FORMAT binary)"
                ) { _ in throw Enough() }
            }
            #expect(!connection.isUsable)
        }
    }

    @Test("COPY FROM STDIN ends the connection, since it is not supported, and not the thread")
    func copyInIsRefused() async throws {
        try await withConnection { connection async throws in
            try await connection.script("CREATE TEMP TABLE t (n int)")
            let error = try await postgresError { try await connection.script("COPY t FROM STDIN") }
            guard case .invalidRequest = error.kind else { throw error }
            #expect(!connection.isUsable)
        }
    }

    /// Starts a request that sleeps on the server, and returns once the server sleeps.
    private func asleep(_ connection: PostgresConnection, seconds: Double) async throws -> Task<Void, any Error> {
        let backend = try await connection.integer("SELECT pg_backend_pid()")
        let sleeping = Task { try await connection.script("SELECT pg_sleep(\(seconds))") }
        try await withConnection { other async throws in
            try await eventually {
                try await other.integer(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'",
                    [.int64(backend)]) == 1
            }
        }
        return sleeping
    }

    @Test("A request whose deadline passes while it runs has an unknown outcome and costs the connection")
    func deadlineWhileRunning() async throws {
        try await withConnection { connection async throws in
            let error = try await postgresError {
                _ = try await connection.run(PostgresQuery("SELECT pg_sleep(60)"), within: .milliseconds(100))
            }
            #expect(error.kind == .timeout(outcomeUnknown: true))
            #expect(error.isConnectionLoss)
            let later = try await postgresError { _ = try await connection.run(PostgresQuery("SELECT 1")) }
            #expect(later.isConnectionLoss)
            #expect(!later.outcomeIsUnknown)
        }
    }

    @Test("A request whose deadline passes before it is sent costs nothing")
    func deadlineWhileWaiting() async throws {
        try await withConnection { connection async throws in
            let sleeping = try await asleep(connection, seconds: 5)
            let error = try await postgresError {
                try await connection.script("SELECT 1", within: .milliseconds(50))
            }
            #expect(error.kind == .timeout(outcomeUnknown: false))
            try await sleeping.value
            #expect(try await connection.integer("SELECT 1") == 1)
        }
    }

    @Test("A connection that the administrator ends fails sent requests as unknown and later ones as not sent")
    func terminated() async throws {
        try await withConnection { connection async throws in
            let backend = try await connection.integer("SELECT pg_backend_pid()")
            let running = try await asleep(connection, seconds: 60)
            try await withConnection { other async throws in
                #expect(try await other.integer("SELECT pg_terminate_backend($1::int)::int", [.int64(backend)]) == 1)
            }
            let error = try await postgresError { try await running.value }
            #expect(error.isConnectionLoss)
            #expect(error.outcomeIsUnknown)
            #expect(error.description.contains("57P01"))
            #expect(!connection.isUsable)
            let later = try await postgresError { _ = try await connection.run(PostgresQuery("SELECT 1")) }
            #expect(later.isConnectionLoss)
            #expect(!later.outcomeIsUnknown)
        }
    }

    @Test("Closing fails the requests in flight and refuses later ones")
    func closing() async throws {
        let connection = try await PostgresConnection.connect(testConfiguration())
        let running = try await asleep(connection, seconds: 60)
        connection.close()
        connection.close()
        _ = try await postgresError { try await running.value }
        await connection.closes()
        let later = try await postgresError { _ = try await connection.run(PostgresQuery("SELECT 1")) }
        #expect(later.kind == .closed)
    }

    @Test("A server that accepts and stays silent is given up at the connect limit, or when the task is cancelled")
    func silentServer() async throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { _ = Glibc.close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> UInt16? in
                guard bind(listener, address, length) == 0, listen(listener, 5) == 0,
                    getsockname(listener, address, &length) == 0
                else { return nil }
                return pointer.pointee.sin_port.bigEndian
            }
        }
        var configuration = try PostgresConfiguration(
            url: "postgres://user:hunter2@127.0.0.1:\(try #require(port))/db?sslmode=disable")
        configuration.connectLimit = .milliseconds(100)
        let error = try await postgresError { [configuration] in
            _ = try await PostgresConnection.connect(configuration)
        }
        #expect(error.kind == .timeout(outcomeUnknown: false))
        configuration.connectLimit = .seconds(3600)
        let patient = Task { [configuration] in try await PostgresConnection.connect(configuration) }
        patient.cancel()
        await #expect(throws: PostgresError.self) { try await patient.value }
    }

    @Test("A transaction commits, rolls back when its body throws, and does not mistake a rollback for a commit")
    func transactions() async throws {
        struct Refused: Error {}
        try await withConnection { connection async throws in
            try await connection.script("CREATE TEMP TABLE t (n bigint)")
            try await connection.withTransaction { _ = try await $0.run(PostgresQuery("INSERT INTO t VALUES (1)")) }
            await #expect(throws: Refused.self) {
                try await connection.withTransaction { connection in
                    _ = try await connection.run(PostgresQuery("INSERT INTO t VALUES (2)"))
                    throw Refused()
                }
            }
            let error = try await postgresError {
                try await connection.withTransaction { connection in
                    _ = try await connection.run(PostgresQuery("INSERT INTO t VALUES (3)"))
                    _ = try? await connection.run(PostgresQuery("SELECT 1/0"))
                }
            }
            #expect(error.sqlState == "25P02")
            #expect(try await connection.integer("SELECT sum(n)::bigint FROM t") == 1)
        }
    }
}
