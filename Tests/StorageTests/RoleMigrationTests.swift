import Foundation
import Logging
import Migrations
import Postgres
import Storage
import TestDatabases
import Testing

/// The migration of the roles. Roles belong to the server, which other tests use at the same time, so each test uses
/// its own names for them.
@Suite("Roles of the database")
struct RoleMigrationTests {
    @Test(
        "installations that migrate at the same time create the roles without conflict",
        arguments: ["by a superuser", "by one owner with CREATEROLE"])
    func race(migrator: String) async throws {
        try await withServer { server in
            let isOwner = migrator != "by a superuser"
            if isOwner { try await server.makeOwner("createrole") }
            let names = (0..<6).map { "\(server.prefix)\($0)" }
            for name in names { try await server.makeDatabase(name, owner: isOwner ? server.owner : "postgres") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names {
                    let configuration =
                        isOwner
                        ? try server.ownerConfiguration(database: name) : try server.configuration(name)
                    group.addTask { try await server.migrate(configuration) }
                }
                try await group.waitForAll()
            }
            #expect(try await server.roles().count == DatabaseRole.allCases.count)
        }
    }

    @Test("an owner with CREATEROLE makes the roles, becomes a member, and each session can take its own")
    func owner() async throws {
        try await withServer { server in
            try await server.makeOwner("createrole")
            let owner = try server.ownerConfiguration()
            try await server.migrate(owner)
            // The second installation uses the roles that the first one created, without a change.
            try await server.makeDatabase("\(server.prefix)second", owner: server.owner)
            try await server.migrate(try server.ownerConfiguration(database: "\(server.prefix)second"))
            for role in try await server.roles() {
                var configuration = owner
                configuration.role = role
                let connection = try await PostgresConnection.connect(configuration)
                #expect(try await connection.texts("select current_user::text") == [role])
                connection.close()
            }
        }
    }

    @Test("without CREATEROLE the roles must exist and be granted; an error names what is missing, with the remedy")
    func administrator() async throws {
        try await withServer { server in
            try await server.makeOwner("nocreaterole")
            let owner = try server.ownerConfiguration()
            let missing = await #expect(throws: PostgresError.self) { try await server.migrate(owner) }
            #expect("\(try #require(missing))".contains("\(server.prefix)ledger is missing"))
            try await server.script(DatabaseRole.allCases.map { "create role \(server.name($0))" })
            let unrelated = await #expect(throws: PostgresError.self) { try await server.migrate(owner) }
            #expect("\(try #require(unrelated))".contains("is not a member of the role \(server.prefix)ledger"))
            try await server.script(DatabaseRole.allCases.map { "grant \(server.name($0)) to \(server.owner)" })
            try await server.migrate(owner)
        }
    }

    @Test("a role that bypasses row-level security is refused")
    func powerfulRole() async throws {
        try await withServer { server in
            try await server.makeOwner("createrole")
            try await server.script(["create role \(server.name(.api)) bypassrls"])
            let error = await #expect(throws: PostgresError.self) {
                try await server.migrate(try server.ownerConfiguration())
            }
            #expect("\(try #require(error))".contains("bypasses row-level security"))
        }
    }

    @Test("a login that is not a member of a role cannot connect in it")
    func stranger() async throws {
        try await withServer { server in
            try await server.makeOwner("createrole")
            try await server.migrate(try server.ownerConfiguration())
            try await server.script([
                "create role \(server.prefix)login login password 'x' in role \(server.name(.api))"
            ])
            var login = try server.ownerConfiguration(user: "\(server.prefix)login")
            login.role = server.name(.api)
            let connection = try await PostgresConnection.connect(login)
            #expect(try await connection.refusal(of: "set role \(server.name(.ledger))") == "42501")
            connection.close()
            login.role = server.name(.ledger)
            let error = await #expect(throws: PostgresError.self) { try await PostgresConnection.connect(login) }
            #expect("\(try #require(error))".contains("permission denied to set role"))
        }
    }
}

/// The server of the tests, with roles and databases under a separate prefix.
private struct Server {
    let prefix: String
    private let url: String
    private let administration: PostgresConnection

    init() async throws {
        url = try #require(
            ProcessInfo.processInfo.environment["QUOTASTACK_TEST_DATABASE_URL"],
            "QUOTASTACK_TEST_DATABASE_URL is not set: ./ops/test starts a PostgreSQL and sets it")
        prefix = "roles_\(UInt64.random(in: 0...UInt64.max))_"
        administration = try await PostgresConnection.connect(try PostgresConfiguration(url: url))
    }

    var owner: String { "\(prefix)owner" }

    func name(_ role: DatabaseRole) -> String {
        role.rawValue.replacingOccurrences(of: "quotastack_", with: prefix)
    }

    func script(_ statements: [String]) async throws {
        for statement in statements { try await administration.script(statement) }
    }

    func configuration(_ database: String) throws -> PostgresConfiguration {
        try PostgresConfiguration(url: url).database(database)
    }

    func makeDatabase(_ name: String, owner: String = "postgres") async throws {
        try await administration.script("create database \(name) owner \(owner)")
    }

    func makeOwner(_ attribute: String) async throws {
        try await administration.script("create role \(owner) login password 'x' \(attribute)")
        try await makeDatabase("\(prefix)first", owner: owner)
    }

    func ownerConfiguration(database: String? = nil, user: String? = nil) throws -> PostgresConfiguration {
        var components = try #require(URLComponents(string: url))
        components.user = user ?? owner
        components.password = "x"
        return try PostgresConfiguration(url: try #require(components.string)).database(database ?? "\(prefix)first")
    }

    /// Migrates with the roles under this server's names.
    func migrate(_ configuration: PostgresConfiguration) async throws {
        let migrations = SchemaMigrations.all.map { migration in
            Migration(
                name: migration.name, sql: renamed(migration.sql), assertion: migration.assertion.map(renamed))
        }
        _ = try await Migrator(migrations: migrations, logger: quietLogger)
            .migrate(try await PostgresConnection.connect(configuration))
    }

    private func renamed(_ sql: String) -> String {
        DatabaseRole.allCases.reduce(sql) { $0.replacingOccurrences(of: $1.rawValue, with: name($1)) }
    }

    /// The group roles that exist.
    func roles() async throws -> [String] {
        try await administration.texts(
            "select rolname::text from pg_roles where rolname = any ($1) and not rolcanlogin",
            [.texts(DatabaseRole.allCases.map(name))])
    }

    func remove() async throws {
        let databases = try await administration.texts(
            "select datname::text from pg_database where datname like $1", [.text("\(prefix)%")])
        for database in databases { try await administration.script("drop database \(database) with (force)") }
        let roles = try await administration.texts(
            "select rolname::text from pg_roles where rolname like $1", [.text("\(prefix)%")])
        for role in roles { try await administration.script("drop role \(role)") }
        administration.close()
    }
}

private func withServer(_ body: (Server) async throws -> Void) async throws {
    let server = try await Server()
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(server))
    } catch {
        result = .failure(error)
    }
    try await server.remove()
    try result.get()
}
