import Foundation
import Postgres
import TLSEndpoint
import Testing

/// The server of the tests has a certificate for localhost from a private authority.
@Suite("PostgreSQL over TLS", .timeLimit(.minutes(5)))
struct TLSTests {
    private let url: String
    private let folder: String

    init() throws {
        let sentence: Comment =
            "the variables for TLS are not set: ./ops/test starts servers with TLS and sets them"
        let environment = ProcessInfo.processInfo.environment
        url = try #require(environment["QUOTASTACK_TEST_DATABASE_TLS_URL"], sentence)
        folder = try #require(environment["QUOTASTACK_TEST_TLS_FOLDER"], sentence)
    }

    @Test("a verified connection is encrypted, also where large answers come in many pieces")
    func verified() async throws {
        let connection = try await PostgresConnection.connect(try PostgresConfiguration(url: url))
        defer { connection.close() }
        let version = try await connection.text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        #expect(version == "TLSv1.3")
        #expect(try await connection.text("SELECT repeat('x', 10000000)")?.utf8.count == 10_000_000)
        let echoed = String(repeating: "y", count: 3_000_000)
        #expect(try await connection.text("SELECT $1::text", [.text(echoed)]) == echoed)
        let many = try await connection.run((0..<500).map { PostgresQuery("SELECT $1::int", [.int32(Int32($0))]) })
        #expect(try many.map { try $0.row(0).int32(0) } == Array(0..<500))
    }

    @Test("the write-ahead log is followed over TLS")
    func replication() async throws {
        let replication = try await PostgresReplication.connect(try PostgresConfiguration(url: url))
        defer { replication.close() }
        _ = try await replication.createTemporarySlot(named: "tls_\(UInt64.random(in: 0...UInt64.max))")
    }

    @Test("a server whose certificate is not from a trusted authority is refused")
    func wrongAuthority() async throws {
        let text = try await refusal(url.replacingOccurrences(of: "authority.pem", with: "stranger.pem"))
        #expect(text.contains("certificate verify failed"), "\(text)")
    }

    @Test("a server with a certificate for another name is refused")
    func wrongName() async throws {
        let text = try await refusal(url.replacingOccurrences(of: "localhost", with: "127.0.0.1"))
        #expect(text.contains("does not match host name \"127.0.0.1\""), "\(text)")
    }

    @Test("a server with an expired certificate is refused")
    func expired() async throws {
        let text = try await TLSEndpoint.serving("expired", in: folder, .agreement) { try await refusal(url(port: $0)) }
        #expect(text.contains("certificate has expired") || text.contains("certificate verify failed"), "\(text)")
    }

    @Test("a server that speaks nothing newer than TLS 1.1 is refused")
    func oldVersion() async throws {
        let text = try await TLSEndpoint.serving("server", in: folder, .agreement, isOld: true) {
            try await refusal(url(port: $0))
        }
        #expect(text.contains("version"), "\(text)")
    }

    @Test("a server that does not speak TLS is refused")
    func plainText() async throws {
        let text = try await TLSEndpoint.serving("server", in: folder, .refusal) { try await refusal(url(port: $0)) }
        #expect(text.contains("server does not support SSL"), "\(text)")
    }

    @Test("a user who needs a client certificate can connect with it and not without it")
    func clientCertificate() async throws {
        let administration = try await PostgresConnection.connect(try PostgresConfiguration(url: url))
        defer { administration.close() }
        try await administration.script("DROP ROLE IF EXISTS certified; CREATE ROLE certified LOGIN PASSWORD 'x'")
        var components = try #require(URLComponents(string: url))
        (components.user, components.password) = ("certified", "x")
        let without = try #require(components.string)
        let text = try await refusal(without)
        #expect(text.contains("connection requires a valid client certificate"), "\(text)")
        let connection = try await PostgresConnection.connect(
            try PostgresConfiguration(url: "\(without)&sslcert=\(folder)/client.pem&sslkey=\(folder)/client.key"))
        #expect(try await connection.text("SELECT current_user::text") == "certified")
        connection.close()
        await connection.closes()
        try await administration.script("DROP ROLE certified")
    }

    private func url(port: Int) throws -> String {
        var components = try #require(URLComponents(string: url))
        components.port = port
        return try #require(components.string)
    }

    /// The error of a connection that must fail.
    private func refusal(_ url: String) async throws -> String {
        let error = try await postgresError {
            _ = try await PostgresConnection.connect(try PostgresConfiguration(url: url))
        }
        return "\(error)"
    }
}
