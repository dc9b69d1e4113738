import ChildProcesses
import JSON
import Postgres
import RabbitMQ
import Testing

extension Acceptance.Processes {
    /// `quotastack doctor` against real servers, healthy and broken on purpose.
    @Suite struct DoctorTests {
        @Test("A healthy installation has no problem; each later fault is named with its remedy, and exits 1")
        func diagnosis() async throws {
            try await withInstallation { installation in
                // A queue reports its consumers some seconds late.
                try await waitUntil("doctor finds no problem", within: 30) {
                    try await doctor(installation).status == 0
                }
                let healthy = try await doctor(installation)
                for sentence in [
                    "the schema is that of this release", "5 queues with one consumer each",
                    "\(installation.url) is ready",
                    "1 ledger worker running", "a scheduler is running", "no command is parked", "no problems",
                ] {
                    #expect(healthy.output.contains(sentence), "\(sentence): \(healthy.output)")
                }
                #expect(!healthy.output.contains(installation.rootKey))
                #expect(!healthy.output.contains(installation.password))

                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script(
                        """
                        insert into parked_commands (queue, error, message) values ('', 'the pebble is stuck', 'x');
                        delete from schema_migrations where name = '0005_suspects';
                        """)
                    try await connection.script(
                        "select pg_create_logical_replication_slot(current_database()::name, 'pgoutput')")
                }
                let stale = try await doctor(installation)
                #expect(stale.status == 1)
                try expect(
                    stale.output, "problem  the database lacks the migrations 0005_suspects. Run quotastack migrate")
                try expect(stale.output, "warning  slot \(installation.name) retains")
                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script(
                        "insert into schema_migrations (name) values ('0005_suspects'); "
                            + "select pg_drop_replication_slot(current_database()::name)")
                }
                let parked = try await doctor(installation)
                try expect(parked.output, "problem  1 command is parked")
                try expect(parked.output, "the pebble is stuck")
                let json = try JSONParser.parse(Array((try await doctor(installation, "--json")).output.utf8))
                #expect(json[path: "healthy"] == .bool(false))
                #expect(json[path: "findings.0.section"] == .string("configuration"))

                await installation.killServer()
                try await AMQPTopology.delete(["\(installation.name).ledger.2"], configuration: installation.amqp)
                let stopped = try await doctor(installation)
                #expect(stopped.status == 1)
                try expect(
                    stopped.output, "problem  the queue \(installation.name).ledger.2 is missing. Run quotastack")
                try expect(stopped.output, "problem  \(installation.url) does not answer")
                try expect(stopped.output, "warning  no node follows the database")
            }
        }

        @Test("Servers that are down or refuse the login are reported within seconds, without secrets")
        func unreachable() async throws {
            try await withInstallation(serves: false) { installation in
                let start = ContinuousClock.now
                let down = try await installation.run(
                    "doctor",
                    with: [
                        "DATABASE_URL": "postgres://anna:hunter2@127.0.0.1:1/books",
                        "AMQP_URL": "amqp://anna:hunter2@127.0.0.1:1", "QUOTASTACK_URL": "http://127.0.0.1:1",
                    ])
                #expect(ContinuousClock.now - start < .seconds(60))
                #expect(down.status == 1)
                try expect(
                    down.output, "problem  postgres://anna@127.0.0.1:1/books: The connection to PostgreSQL failed")
                try expect(down.output, "problem  amqp://anna:***@127.0.0.1:1")
                try expect(down.output, "problem  http://127.0.0.1:1 does not answer")
                #expect(!down.output.contains("hunter2"))

                let unset = try await installation.run("doctor", with: ["QUOTASTACK_SHARDS": "many"])
                #expect(unset.status == 1)
                try expect(unset.output, "problem  QUOTASTACK_SHARDS must be a whole number")
                let remote = try await installation.run(
                    "doctor", with: ["AMQP_URL": "amqp://anna:hunter2@192.0.2.1:1?connection_timeout=100"])
                try expect(remote.output, "warning  the connection to RabbitMQ at 192.0.2.1 can be intercepted")

                let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 36)
                let logins = [("nobody_\(suffix)", ""), ("onlooker_\(suffix)", "IN ROLE quotastack_api")]
                try await installation.withLogins(logins.map { (name: $0.0, options: $0.1) }) {
                    for (login, sentence) in zip(logins.map(\.0), ["permission denied", "cannot be read"]) {
                        let url = try installation.databaseURL(user: login, password: login)
                        let refused = try await installation.run("doctor", with: ["DATABASE_URL": url])
                        #expect(refused.status == 1)
                        try expect(refused.output, sentence)
                        try expect(refused.output, "a member of quotastack_operator")
                    }
                }
            }
        }

        private func doctor(
            _ installation: Installation, _ arguments: String...
        ) async throws -> (status: Int32, output: String) {
            let extra = ["QUOTASTACK_URL": installation.url]
            guard let argument = arguments.first else { return try await installation.run("doctor", with: extra) }
            return try await installation.run("doctor", argument, with: extra)
        }

        private func expect(
            _ output: String, _ sentence: String, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            #expect(output.contains(sentence), "\(sentence)\n\(output)", sourceLocation: sourceLocation)
        }
    }
}
