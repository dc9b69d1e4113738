import Postgres
import Testing

@Suite("Configuration and errors", .timeLimit(.minutes(5)))
struct ConfigurationTests {
    @Test("A password never appears in a description, a dump or an error")
    func passwordStaysSecret() async throws {
        // No server listens on port 1 of the loopback interface.
        let configuration = try PostgresConfiguration(url: "postgres://anna:hunter2@127.0.0.1:1/db")
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(configuration.description == "postgres://anna@127.0.0.1:1/db")
        #expect(configuration.database("other").description == "postgres://anna@127.0.0.1:1/other")
        for text in ["\(configuration)", String(reflecting: configuration), dumped, "\([configuration])"] {
            #expect(!text.contains("hunter2"), "\(text)")
        }
        let error = try await postgresError { _ = try await PostgresConnection.connect(configuration) }
        #expect(error.isConnectionLoss)
        #expect(!error.outcomeIsUnknown)
        #expect(!"\(error)".contains("hunter2"))
    }

    @Test(
        "A URL that cannot be read is refused with a sentence that does not repeat it",
        arguments: [
            "", "hunter2", "mysql://anna:hunter2@h/db", "postgres://anna:hunter2@[::1/db",
            "postgres://anna:hunter2@h:1:2/db", "postgres://anna:hunter2@h:70000/db",
            "postgres://anna:hun@ter2@h/db", "postgres://anna:12/hunter2@h/db", "postgres://anna:hunter2/@h/db",
            "postgres://anna:hunter2@h/db?unknown=1", "postgres://anna:hunter2%ZZ@h/db",
        ])
    func badURL(_ url: String) throws {
        let error = try #require(throws: PostgresError.self) { try PostgresConfiguration(url: url) }
        guard case .invalidRequest = error.kind else { throw error }
        #expect(!"\(error)".contains("hunter2"))
    }

    @Test("An error's description never contains a bound value")
    func valuesStaySecret() async throws {
        try await withConnection { connection async throws in
            try await connection.script("CREATE TEMP TABLE t (name text CONSTRAINT t_name_key UNIQUE)")
            let insert = PostgresQuery("INSERT INTO t VALUES ($1)", [.text("hunter2")])
            let duplicate = try await postgresError { _ = try await connection.run([insert, insert]) }
            let malformed = try await postgresError {
                _ = try await connection.text("SELECT ($1::text)::int::text", [.text("hunter2")])
            }
            #expect(malformed.sqlState == "22P02")
            for error in [duplicate, malformed] {
                #expect(!"\(error)".contains("hunter2"), "\(error)")
            }
            #expect("\(duplicate)".contains("t_name_key"))
        }
    }

    @Test("Deadlocks and serialization failures may be repeated, other errors not")
    func serializationFailures() {
        func error(_ state: String) -> PostgresError {
            PostgresError(.server(sqlState: state, message: "", constraint: nil, table: nil))
        }
        #expect(error("40001").isSerializationFailure)
        #expect(error("40P01").isSerializationFailure)
        #expect(!error("23505").isSerializationFailure)
        #expect(!PostgresError(.poolExhausted).isSerializationFailure)
    }

    @Test(
        "An error says whether the server is away, too busy, or has answered",
        arguments: [
            ("57014", .busy), ("55P03", .busy), ("53200", .busy), ("57P01", .away), ("57P03", .away), ("08006", .away),
            ("22P02", .answering), ("42501", .answering), ("22008", .answering),
        ] as [(String, PostgresError.Condition)])
    func conditions(sqlState: String, condition: PostgresError.Condition) {
        let error = PostgresError(.server(sqlState: sqlState, message: "", constraint: nil, table: nil))
        #expect(error.condition == condition)
    }

    @Test("A wrong database is refused with the server's text")
    func wrongDatabase() async throws {
        let configuration = try testConfiguration().database("no_such_database")
        let error = try await postgresError { _ = try await PostgresConnection.connect(configuration) }
        #expect(error.isConnectionLoss)
        #expect("\(error)".contains("no_such_database"))
    }

    @Test("The server sees the application's name")
    func applicationName() async throws {
        var configuration = try testConfiguration()
        configuration.applicationName = "quotastack-driver-test"
        let connection = try await PostgresConnection.connect(configuration)
        defer { connection.close() }
        #expect(try await connection.text("SELECT current_setting('application_name')") == "quotastack-driver-test")
    }
}
