import AsyncHTTPClient
import JSON
import NIOSSL
import Postgres
import Testing

extension Acceptance.Processes {
    /// An installation with encrypted connections only.
    @Suite struct TLSTests {
        private let folder: String

        init() throws {
            guard let folder = variable("QUOTASTACK_TEST_TLS_FOLDER") else {
                throw HarnessError("QUOTASTACK_TEST_TLS_FOLDER is not set: ./ops/test makes certificates and sets it")
            }
            self.folder = folder
        }

        @Test("A whole installation works over TLS to both servers, and no connection to the database is in the clear")
        func servers() async throws {
            try await withInstallation(serves: false) { installation in
                let tls = try installation.overTLS()
                for executable in ["quotastack-ledger", "quotastack-api"] {
                    try await installation.node(executable).start(tls)
                }
                let api = try installation.node("quotastack-api")
                try await api.start(tls)
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 1_000_000).expect(201)
                let events = (0..<5_000).map { event("alice", "api", 1, key: "use-\($0)") }
                let batch = try await client.post("/v1/usage/batch", ["events": .array(events)]).expect(200)
                #expect(batch["accepted"] == 5_000)
                #expect(try await client.check("alice", "api")["balance"] == 995_000)
                #expect(try await client.ledger("alice").count == 5_001)
                let clear = try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.run(
                        PostgresQuery(
                            """
                            select a.application_name::text from pg_stat_activity a join pg_stat_ssl s using (pid)
                            where a.datname = current_database() and a.pid <> pg_backend_pid() and not s.ssl
                                and a.backend_type in ('client backend', 'walsender')
                            """)
                    ).map { try $0.text(0) }
                }
                #expect(clear == [])
                #expect(try await installation.run("verify", with: tls).status == 0)
            }
        }

        @Test("A node with a certificate speaks HTTPS, TLS 1.2 at least, and nothing else on its port")
        func https() async throws {
            try await withInstallation(serves: false) { installation in
                try await installation.node("quotastack-ledger").start()
                let api = try installation.node("quotastack-api")
                let https = "https://localhost:\(api.port)"
                try await withClient(url: https) { anonymous in
                    try await api.start(identity("server"), readyAt: anonymous)
                    #expect(api.log.contains("listening on https://127.0.0.1:\(api.port)"))
                    var root = anonymous
                    root.key = installation.rootKey
                    let tenant = try await root.post("/v1/admin/tenants", ["name": "Acme"]).expect(201)
                    var client = anonymous
                    client.key = try tenant.text("api_keys.test")
                    try await client.grant("alice", 5).expect(201)
                    #expect(try await client.balance("alice")["balance"] == 5)
                }
                try await withClient(url: https, newest: .tlsv11) { old in
                    await #expect(throws: (any Error).self) { try await old.get("/healthz") }
                }
                try await withClient(url: https, authorities: "stranger") { distrustful in
                    await #expect(throws: (any Error).self) { try await distrustful.get("/healthz") }
                }
                await #expect(throws: (any Error).self) {
                    try await Client(url: "http://127.0.0.1:\(api.port)", key: nil).get("/healthz")
                }
                #expect(await api.stop() == 0)
            }
        }

        @Test(
            "An unusable certificate is reported in a sentence at the start",
            arguments: [
                (["QUOTASTACK_TLS_CERTIFICATE": "server.pem"], "go together"),
                (["QUOTASTACK_TLS_KEY": "server.key"], "go together"),
                (
                    ["QUOTASTACK_TLS_CERTIFICATE": "none.pem", "QUOTASTACK_TLS_KEY": "server.key"],
                    "not a readable PEM file"
                ),
                (
                    ["QUOTASTACK_TLS_CERTIFICATE": "server.pem", "QUOTASTACK_TLS_KEY": "none.key"],
                    "not a readable PEM file"
                ),
                (
                    ["QUOTASTACK_TLS_CERTIFICATE": "server.key", "QUOTASTACK_TLS_KEY": "server.key"],
                    "not a readable PEM"
                ),
                (
                    ["QUOTASTACK_TLS_CERTIFICATE": "server.pem", "QUOTASTACK_TLS_KEY": "client.key"],
                    "does not belong to the first certificate"
                ),
            ])
        func unusable(_ files: [String: String], _ sentence: String) async throws {
            let installation = try await SharedInstallation.get()
            let refused = try await installation.run("up", with: files.mapValues { "\(folder)/\($0)" })
            #expect(refused.status == 1)
            #expect(refused.output.contains(sentence), "\(refused.output)")
            #expect(!refused.output.contains("PRIVATE KEY"))
        }

        @Test("A node warns once about plain HTTP on a network, and not on loopback or with a certificate")
        func warning() async throws {
            try await withInstallation(serves: false) { installation in
                let ledger = try installation.node("quotastack-ledger")
                try await ledger.start(["QUOTASTACK_HOST": "0.0.0.0"])
                #expect(ledger.log.split(separator: "is plain HTTP").count == 2, "\(ledger.log)")
                let quiet = try installation.node("quotastack-ledger")
                try await quiet.start()
                #expect(!quiet.log.contains("is plain HTTP"))
            }
        }

        private func identity(_ name: String) -> [String: String] {
            ["QUOTASTACK_TLS_CERTIFICATE": "\(folder)/\(name).pem", "QUOTASTACK_TLS_KEY": "\(folder)/\(name).key"]
        }

        private func withClient(
            url: String, authorities: String = "authority", newest: TLSVersion = .tlsv13,
            _ body: (Client) async throws -> Void
        ) async throws {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file("\(folder)/\(authorities).pem")
            tls.minimumTLSVersion = .tlsv1
            tls.maximumTLSVersion = newest
            var configuration = HTTPClient.Configuration(tlsConfiguration: tls)
            configuration.connectionPool.retryConnectionEstablishment = false
            let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            let result: Result<Void, any Error>
            do {
                result = .success(try await body(Client(url: url, key: nil, http: http)))
            } catch {
                result = .failure(error)
            }
            try await http.shutdown()
            try result.get()
        }
    }
}
