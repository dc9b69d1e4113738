import ChildProcesses
import Glibc
import JSON
import Postgres
import Testing

extension Acceptance.Processes {
    /// PostgreSQL is stopped or silent: commands wait, and checks continue and state their age.
    @Suite struct OutageTests {
        @Test(
            "While the database is away, commands are queued and answered 202; all apply when it is back")
        func databaseAway() async throws {
            try await withInstallation(serves: false) { installation in
                let worker = try await installation.startNodes("quotastack-ledger", 1)[0]
                let api = try installation.node("quotastack-api")
                try await api.start(["QUOTASTACK_COMMAND_WAIT_MS": "1000"])
                let entitlements = try await installation.startNodes("quotastack-entitlements", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 1_000).expect(201)
                let checker = Client(url: entitlements.url, key: client.key)
                try await waitUntil("the entitlement node has seen it") {
                    try await checker.check("alice", "api")["balance"] == 1_000
                }

                try await installation.admitConnections(false)
                var operations: [String] = []
                for number in 0..<20 {
                    let answer = try await client.post(
                        "/v1/usage", event("alice", "api", 1), key: "k\(number)",
                        headers: number < 18 ? ["Prefer": "respond-async"] : [:])
                    operations.append(try answer.expect(202).text("operation.id"))
                }
                for node in [client, checker] {
                    try await waitUntil("\(node.url) says how old its answers are") {
                        let check = try await node.check("alice", "api").expect(200)
                        #expect(check["allowed"] == true && check["balance"] == 1_000)
                        return (check["replica_age_ms"]?.integer ?? 0) > 0
                    }
                    try await node.get("/readyz").expect(503)
                    // A balancer that sends checks must not leave the node.
                    #expect(try await node.get("/readyz?for=checks").expect(200)["replica"] == "ok")
                }
                try await client.get("/readyz?for=mutations").expect(503)
                try await client.get("/readyz?for=coffee").expect(400)
                let ofWorker = try await Client(url: worker.url, key: nil).get("/readyz?for=checks").expect(503)
                #expect(ofWorker["checks"] == "not answered by this process")

                try await installation.admitConnections(true)
                for operation in operations {
                    try await waitUntil("\(operation) is decided") {
                        try await client.get("/v1/operations/\(operation)")["operation.status"] == "succeeded"
                    }
                }
                for node in [client, checker] {
                    try await waitUntil("\(node.url) follows again") {
                        let check = try await node.check("alice", "api").expect(200)
                        return check["balance"] == 980 && check["replica_age_ms"] == 0
                    }
                }
                for node in [worker, api, entitlements] { #expect(!node.hasEnded) }
            }
        }

        @Test("A server that takes no writes is no command's fault: commands wait, and none is parked")
        func databaseWithoutWrites() async throws {
            try await withInstallation(serves: false) { installation in
                // This worker takes the server for the primary, as behind a proxy that has not noticed a failover yet.
                let worker = try installation.node("quotastack-ledger")
                try await worker.start(["DATABASE_URL": installation.anyServerURL])
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 1_000).expect(201)

                try await installation.takeWrites(false)
                var operations: [String] = []
                for number in 0..<20 {
                    let answer = try await client.post(
                        "/v1/usage", event("alice", "api", 1), key: "k\(number)",
                        headers: ["Prefer": "respond-async"])
                    operations.append(try answer.expect(202).text("operation.id"))
                }
                try await waitUntil("the worker meets the server without writes") {
                    worker.log.contains("a transaction failed and is run again") && worker.log.contains("25006")
                }
                try await installation.takeWrites(true)
                for operation in operations {
                    try await waitUntil("\(operation) is decided") {
                        try await client.get("/v1/operations/\(operation)")["operation.status"] == "succeeded"
                    }
                }
                #expect(try await installation.parkedCommands() == 0)
            }
        }

        @Test("A lock that another transaction holds is no command's fault, however long it is held")
        func lockedAccounts() async throws {
            try await withInstallation(serves: false) { installation in
                let worker = try await installation.startNodes("quotastack-ledger", 1)[0]
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 1_000).expect(201)

                // As a transaction whose client is gone and whose commit waits for a standby.
                let operation = try await PostgresConnection.lent(installation.database) { holder in
                    try await holder.script("begin; select from accounts for update")
                    let answer = try await client.post(
                        "/v1/usage", event("alice", "api", 1), key: "k", headers: ["Prefer": "respond-async"])
                    try await waitUntil("the worker gives the lock up") { worker.log.contains("SQLSTATE 55P03") }
                    try await holder.script("rollback")
                    return try answer.expect(202).text("operation.id")
                }
                try await waitUntil("\(operation) is decided") {
                    try await client.get("/v1/operations/\(operation)")["operation.status"] == "succeeded"
                }
                #expect(try await installation.parkedCommands() == 0)
            }
        }

        @Test("A process that is started while the database is away waits, and works when it is back")
        func startedDuringOutage() async throws {
            try await withInstallation(serves: false) { installation in
                try await installation.admitConnections(false)
                let api = try installation.node("quotastack-api")
                let process = try await api.begin()
                try await waitUntil("the process says what it waits for") {
                    process.log.contains("PostgreSQL cannot be reached; this process starts when it can")
                }
                try await installation.admitConnections(true)
                try await waitUntil("the process is ready") {
                    (try? await Client(url: api.url, key: nil).get("/readyz"))?.status == 200
                }
            }
        }

        @Test("A node whose database is silent states the age of its answers")
        func databaseSilent() async throws {
            try await withInstallation(serves: false) { installation in
                _ = try await installation.startNodes("quotastack-ledger", 1)
                let api = try await installation.startNodes("quotastack-api", 1)[0]
                let client = try await installation.makeTenant(through: api).test
                try await client.sell("api", unitCost: 1)
                try await client.grant("alice", 10).expect(201)
                let sender = try await installation.logSender()
                #expect(kill(sender, SIGSTOP) == 0)
                defer { kill(sender, SIGCONT) }
                try await waitUntil("the node notices") {
                    (try await client.check("alice", "api").expect(200)["replica_age_ms"]?.integer ?? 0) > 3_000
                }
                #expect(try await client.get("/readyz").expect(503).text("replica").contains("has not heard"))
                #expect(try await api.metric("quotastack_replica_age_seconds") ?? 0 > 3)
                kill(sender, SIGCONT)
                try await waitUntil("the node follows again") {
                    try await client.check("alice", "api")["replica_age_ms"] == 0
                }
            }
        }
    }
}
