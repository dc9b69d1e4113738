@testable import Postgres
import Testing

@Suite("Prepared statements", .timeLimit(.minutes(5)))
struct PreparedStatementTests {
    @Test("A statement is prepared once and used by its name afterwards")
    func preparedOnce() async throws {
        try await withConnection { connection async throws in
            for number in Int64(0)..<5 {
                #expect(try await connection.integer("SELECT $1 + 0", [.int64(number)]) == number)
            }
            let count = "SELECT count(*) FROM pg_prepared_statements WHERE statement = $1"
            #expect(try await connection.integer(count, [.text("SELECT $1 + 0")]) == 1)
        }
    }

    @Test("A statement whose preparation was skipped by an aborted group is prepared again")
    func abortedPreparation() async throws {
        try await withConnection { connection async throws in
            let query = PostgresQuery("SELECT $1 * 2", [.int64(21)])
            for _ in 0..<2 {
                let error = try await postgresError {
                    _ = try await connection.run([PostgresQuery("SELECT 1/0"), query])
                }
                #expect(error.queryIndex == 0)
            }
            #expect(try await connection.run(query).row(0).int64(0) == 42)
        }
    }

    @Test("Groups do not rely on a preparation that another group has in flight")
    func concurrentPreparation() async throws {
        try await withConnection { connection async throws in
            let query = PostgresQuery("SELECT $1 * 2", [.int64(21)])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 {
                    group.addTask { () async throws in
                        if number % 2 == 0 {
                            _ = try? await connection.run([PostgresQuery("SELECT 1/0"), query])
                        } else {
                            #expect(try await connection.run(query).row(0).int64(0) == 42)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("A statement that was deallocated by other means fails once and is then prepared again")
    func deallocated() async throws {
        try await withConnection { connection async throws in
            #expect(try await connection.integer("SELECT 7::bigint") == 7)
            try await connection.script("DEALLOCATE ALL")
            let error = try await postgresError { _ = try await connection.integer("SELECT 7::bigint") }
            #expect(error.sqlState == "26000")
            #expect(try await connection.integer("SELECT 7::bigint") == 7)
        }
    }

    @Test("A statement whose table has changed its shape fails once and is then prepared again")
    func tableChanged() async throws {
        try await withConnection { connection async throws in
            try await connection.script("CREATE TEMP TABLE t (n bigint)")
            let query = PostgresQuery("SELECT * FROM t")
            #expect(try await connection.run(query).columnCount == 1)
            try await connection.script("ALTER TABLE t ADD COLUMN m bigint")
            let error = try await postgresError { _ = try await connection.run(query) }
            #expect(error.sqlState == "0A000")
            #expect(try await connection.run(query).columnCount == 2)
        }
    }

    @Test("The same text may be used with nulls and with parameters of different types")
    func changingTypes() async throws {
        try await withConnection { connection async throws in
            let sql = "SELECT ($1)::text"
            #expect(try await connection.text(sql, [.null]) == nil)
            #expect(try await connection.text(sql, [.int64(5)]) == "5")
            #expect(try await connection.text(sql, [.text("five")]) == "five")
            #expect(try await connection.text(sql, [.null]) == nil)
            #expect(try await connection.text(sql, [.int16(6)]) == "6")
        }
    }

    @Test("The number of prepared statements is bounded: further texts are sent whole")
    func bounded() {
        var statements = PreparedStatements(limit: 1)
        #expect(statements.choose("a", types: [], group: 1) == .prepare(name: "s1", types: []))
        #expect(statements.choose("b", types: [], group: 1) == .unnamed)
        #expect(statements.choose("a", types: [], group: 1) == .use(name: "s1"))
        #expect(statements.choose("a", types: [], group: 2) == .unnamed)
        statements.preparationSucceeded("a", name: "s1")
        #expect(statements.choose("a", types: [], group: 2) == .use(name: "s1"))
        statements.forget("a")
        #expect(statements.choose("b", types: [20], group: 3) == .prepare(name: "s2", types: [20]))
    }

    @Test("A parameter that was null shows its type later, and the statement is prepared anew with it")
    func widening() {
        var statements = PreparedStatements()
        #expect(statements.choose("a", types: [0, 20], group: 1) == .prepare(name: "s1", types: [0, 20]))
        statements.preparationSucceeded("a", name: "s1")
        #expect(statements.choose("a", types: [0, 0], group: 2) == .use(name: "s1"))
        #expect(statements.choose("a", types: [25, 20], group: 2) == .prepare(name: "s2", types: [25, 20]))
        statements.preparationFailed("a", name: "s1")
        statements.preparationSucceeded("a", name: "s2")
        #expect(statements.choose("a", types: [25, 0], group: 3) == .use(name: "s2"))
        #expect(statements.choose("a", types: [23, 20], group: 3) == .unnamed)
    }
}
