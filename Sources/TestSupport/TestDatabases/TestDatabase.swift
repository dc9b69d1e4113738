import Foundation
package import Logging
import Migrations
package import Postgres
package import Storage
import Turns

/// Creates and migrates a database for one test, and drops it when the body returns.
///
/// At most four tests of a process have a database at a time. The others wait, in order, before they connect: all at
/// once they would wait for the machine with their requests' deadlines running.
///
/// - Parameter migrations: The migrations to apply.
package func withDatabase<Value>(
    _ migrations: [Migration] = SchemaMigrations.all,
    _ body: (PostgresConnection, PostgresConfiguration) async throws -> Value
) async throws -> Value {
    let url = ProcessInfo.processInfo.environment["QUOTASTACK_TEST_DATABASE_URL"]
    guard let url else { throw NoServer() }
    let server = try PostgresConfiguration(url: url)
    return try await turns.take { try await withOwnDatabase(on: server, migrations, body) }
}

private func withOwnDatabase<Value>(
    on server: PostgresConfiguration, _ migrations: [Migration],
    _ body: (PostgresConnection, PostgresConfiguration) async throws -> Value
) async throws -> Value {
    let name = "test_\(UInt64.random(in: 0...UInt64.max))"
    let administration = try await PostgresConnection.connect(server)
    defer { administration.close() }
    try await administration.script("create database \(name)")
    let configuration = server.database(name)
    let result: Result<Value, any Error>
    do {
        _ = try await Migrator(migrations: migrations, logger: quietLogger)
            .migrate(try await PostgresConnection.connect(configuration))
        let connection = try await PostgresConnection.connect(configuration)
        defer { connection.close() }
        result = .success(try await body(connection, configuration))
    } catch {
        result = .failure(error)
    }
    try await administration.script("drop database \(name) with (force)")
    return try result.get()
}

private let turns = Turns(places: 4)

/// A logger that shows only critical messages.
package var quietLogger: Logger {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}

private struct NoServer: Error, CustomStringConvertible {
    var description: String {
        "QUOTASTACK_TEST_DATABASE_URL is not set: ./ops/test starts a PostgreSQL and sets it"
    }
}

extension PostgresConnection {
    /// The first column of every row, as text.
    package func texts(_ sql: String, _ parameters: [PostgresValue] = []) async throws -> [String] {
        try await run(PostgresQuery(PostgresStatement(sql), parameters)).map { try $0.text(0) }
    }
}
