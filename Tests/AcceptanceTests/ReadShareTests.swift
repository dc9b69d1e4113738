import ChildProcesses
import Glibc
import JSON
import Postgres
import Synchronization
import Testing

extension Acceptance.Processes {
    /// One tenant's reads, at their most expensive, beside another tenant and the readiness of the node.
    @Suite struct ReadShareTests {
        /// The entries of the account that is explained. 100,000 of them, without a checkpoint, cost the database a
        /// third of a second.
        private static let entries = count("QUOTASTACK_TEST_ENTRIES", inCI: 20_000)
        /// In a full run nothing else has the processors.
        private static let slowest = Duration.milliseconds(entries >= 100_000 ? 100 : 1_000)

        @Test("24 explanations at once of a long account neither slow down another tenant's reads nor the readiness")
        func explanations() async throws {
            try await withInstallation(serves: false) { installation in
                // No scheduler, so that no checkpoint makes the explanations cheap.
                let (api, greedy, modest) = try await Self.nodes(of: installation)
                try await Self.lengthen("alice", of: greedy, in: installation)
                let explain: @Sendable () async throws -> Answer = {
                    try await greedy.get("/v1/ledger/explain", [("end_user_id", "alice")])
                }
                let explained = try await explain().expect(200)
                #expect(explained["version"] == .integer(Int64(Self.entries)))

                let flood = Flood()
                let (reads, readiness) = try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<24 {
                        group.addTask { try await flood.repeat(explain) }
                    }
                    defer { flood.end() }
                    try await waitUntil("the explanations wait for each other") {
                        try await api.metric("quotastack_api_reads_waiting") ?? 0 > 10
                    }
                    var reads: [Duration] = []
                    var readiness: [Duration] = []
                    for round in 0..<300 {
                        reads.append(try await Self.time { try await modest.get("/v1/features").expect(200) })
                        guard round % 5 == 0 else { continue }
                        readiness.append(
                            try await Self.time { try await Client(url: api.url, key: nil).get("/readyz").expect(200) })
                    }
                    #expect(try await api.metric("quotastack_api_read_connections_in_use") ?? 8 <= 3)
                    return (reads.sorted(), readiness.sorted())
                }
                let p99 = reads[reads.count * 99 / 100]
                let line =
                    "\(Self.entries) entries: GET /v1/features p50 \(reads[reads.count / 2]), p99 \(p99), "
                    + "/readyz at most \(readiness.last ?? .zero), explanations \(flood.statuses)"
                #expect(p99 < Self.slowest && readiness.last ?? .zero < .seconds(1), "\(line)")
                #expect(flood.statuses[200] ?? 0 > 0)
                #expect(Set(flood.statuses.keys).isSubset(of: [200, 429, 503]))
                if Self.slowest == .milliseconds(100) { Issue.record("\(line)", severity: .warning) }
            }
        }

        /// The database holds the reads up by locks, so that nothing here depends on the speed of the machine.
        @Test("reads of a tenant that do not end stop neither another's reads and mutations nor the readiness")
        func endlessReads() async throws {
            try await withInstallation(serves: false) { installation in
                let (api, greedy, modest) = try await Self.nodes(of: installation)
                try await greedy.grant("alice", 10).expect(201)
                try await modest.grant("bob", 1_000).expect(201)
                try await PostgresConnection.lent(installation.database) { connection in
                    try await connection.script("begin; lock table api_keys, checkpoints in access exclusive mode")
                    try await withThrowingTaskGroup(of: Answer.self) { group in
                        for _ in 0..<30 {
                            group.addTask { try await greedy.get("/v1/ledger/explain", [("end_user_id", "alice")]) }
                            group.addTask { try await greedy.get("/v1/api-keys") }
                        }
                        try await waitUntil("the tenant has its share") {
                            let inUse = try await api.metric("quotastack_api_read_connections_in_use")
                            let waiting = try await api.metric("quotastack_api_reads_waiting")
                            return inUse == 4 && waiting ?? 0 > 0
                        }
                        for _ in 0..<10 {
                            try await modest.get("/v1/features").expect(200)
                            try await modest.get("/v1/reservations", [("end_user_id", "bob")]).expect(200)
                            try await modest.get("/v1/ledger/export").expect(200)
                            try await modest.use("bob", "api", 1).expect(201)
                            // This mutation looks for the payment in the database first.
                            try await modest.post(
                                "/v1/credits/revoke", ["external_payment_id": "none", "reason": "none"]
                            ).expect(404)
                            try await greedy.use("alice", "api", 1).expect(201)
                            try await greedy.get("/v1/ledger/export").expect(200)
                            try await Client(url: api.url, key: nil).get("/readyz").expect(200)
                        }
                        try await waitUntil("only the tenant's share is in use") {
                            try await api.metric("quotastack_api_read_connections_in_use") ?? 5 <= 4
                        }
                        try await connection.script("rollback")
                        for try await answer in group where answer.status != 200 {
                            answer.expect(503, "unavailable")
                            #expect(answer.headers["retry-after"] == "1")
                        }
                    }
                }
            }
        }

        @Test(
            "a client that stops reading an export keeps no connection to the database, and one that hangs up frees its share"
        )
        func stalledExports() async throws {
            try await withInstallation(serves: false) { installation in
                let (api, greedy, modest) = try await Self.nodes(of: installation)
                try await Self.lengthen("alice", of: greedy, in: installation)
                var stalled: [StalledExport] = []
                for _ in 0..<4 { stalled.append(try StalledExport(greedy)) }
                try await waitUntil("the exports wait for their clients") {
                    try await api.metric("quotastack_api_read_connections_in_use") == 0
                }
                let refused = try await greedy.get("/v1/ledger/export").expect(429, "rate_limited")
                #expect(refused.headers["retry-after"] == "1")
                try await modest.get("/v1/ledger/export").expect(200)
                try await greedy.get("/v1/credits/blocks", [("end_user_id", "alice")]).expect(200)
                try await waitUntil("the connections are returned") {
                    try await api.metric("quotastack_api_read_connections_in_use") == 0
                }
                stalled.removeFirst().hangUp()
                try await waitUntil("a share is free") {
                    try await greedy.get("/v1/ledger/export", [("end_user_id", "alice")]).status == 200
                }
                for export in stalled { export.hangUp() }
            }
        }

        /// Two tenants with a feature, behind one API node and one ledger worker.
        private static func nodes(of installation: Installation) async throws -> (api: Node, Client, Client) {
            let api = try installation.node("quotastack-api")
            try await api.start()
            _ = try await installation.startNodes("quotastack-ledger", 1)
            let clients = (
                try await installation.makeTenant(through: api).test,
                try await installation.makeTenant(through: api).test
            )
            for client in [clients.0, clients.1] { try await client.sell("api", unitCost: 1) }
            return (api, clients.0, clients.1)
        }

        /// Gives an end user `entries` entries: a grant, and uses that pass by the ledger.
        private static func lengthen(_ endUser: String, of client: Client, in installation: Installation) async throws {
            try await client.grant(endUser, 1_000_000_000).expect(201)
            try await PostgresConnection.lent(installation.database) { connection in
                try await connection.script(
                    """
                    insert into entries (environment_id, account_id, sequence, type, amount, reserved_delta,
                        overage_delta, balance_after, reserved_after, allocation_blocks, allocation_amounts, feature_key,
                        units, effective_at, recorded_at, hash)
                    select e.environment_id, e.account_id, n, 'use', -1, 0, 0, e.balance_after - n + 1, 0, '{1}', '{-1}',
                        'api', 1, e.effective_at, e.recorded_at, e.hash
                    from entries e cross join generate_series(2, \(entries)) n;
                    update accounts set version = \(entries), balance = balance - \(entries) + 1;
                    update blocks set remaining = remaining - \(entries) + 1
                    """)
            }
        }

        private static func time(_ body: () async throws -> Answer) async throws -> Duration {
            let start = ContinuousClock.now
            _ = try await body()
            return ContinuousClock.now - start
        }
    }
}

/// A request that is sent again and again, with the statuses of its answers counted.
private final class Flood: Sendable {
    private let isOver = Mutex(false)
    private let counts = Mutex<[Int: Int]>([:])

    var statuses: [Int: Int] { counts.withLock { $0 } }

    /// Sends a request until `end` is called.
    func `repeat`(_ request: @Sendable () async throws -> Answer) async throws {
        while !isOver.withLock({ $0 }) {
            let status = try await request().status
            counts.withLock { $0[status, default: 0] += 1 }
        }
    }

    func end() {
        isOver.withLock { $0 = true }
    }
}

/// A client that asks for the export of an environment and reads only the beginning of the answer.
private struct StalledExport {
    private let descriptor: Int32

    init(_ client: Client) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        // A small window: the rest of the answer must wait in the server.
        var size: Int32 = 4_096
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        let port = Int(client.url.split(separator: ":").last ?? "") ?? 0
        let request = Array(
            "GET /v1/ledger/export HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(client.key ?? "")\r\n\r\n"
                .utf8)
        let isConnected = LoopbackPorts.withSocket(port: port) { _, address in
            connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
        var first = [UInt8](repeating: 0, count: 512)
        guard isConnected, write(descriptor, request, request.count) == request.count,
            read(descriptor, &first, first.count) > 0,
            String(decoding: first, as: UTF8.self).hasPrefix("HTTP/1.1 200")
        else { throw HarnessError("the export does not begin") }
    }

    func hangUp() {
        close(descriptor)
    }
}
