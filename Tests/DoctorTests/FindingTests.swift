import Doctor
import JSON
import Storage
import Testing

/// Findings about given facts: a table of cases, without a server.
@Suite("Findings of the doctor")
struct FindingTests {
    private static let healthyServer = ServerFacts(
        versionNumber: 150_004, login: "billing", isStandby: false,
        settings: [
            "wal_level": "logical", "max_slot_wal_keep_size": "4GB", "max_connections": "100", "fsync": "on",
            "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on",
        ],
        connections: 12, roles: DatabaseRole.allCases.map { .init(role: $0, exists: true, isGranted: true) },
        slots: [
            .init(name: "quotastack_1", isActive: true, keptBytes: 1_536, lagBytes: 96, walStatus: "reserved")
        ])

    private static let healthyOperation = OperationFacts(
        longTransactions: [], seesAllTransactions: true, workers: 2, hasScheduler: true, parked: nil)

    @Test("a server in order has no warning and no problem")
    func healthy() {
        let findings =
            Finding.about(Self.healthyServer, missingMigrations: [])
            + Finding.about(Self.healthyOperation, overdueAccounts: 0)
            + Finding.about(
                BrokerFacts(queues: [.init(name: "ledger.0", state: .there(ready: 3, consumers: 1))], alarm: nil))
        #expect(findings.filter { $0.level != .ok } == [])
        #expect(findings.allSatisfy { $0.remedy == nil })
        #expect(findings.map(\.text).contains("slot quotastack_1 retains 1.5 kB of WAL, is 96 B behind"))
    }

    private struct ServerCase: CustomTestStringConvertible {
        let testDescription: String
        let level: Finding.Level
        let text: String
        let remedy: String
        var missing: [String] = []
        let change: @Sendable (inout ServerFacts) -> Void
    }

    private static let serverCases: [ServerCase] = [
        ServerCase(testDescription: "old", level: .problem, text: "version 14.11", remedy: "PostgreSQL 15") {
            $0.versionNumber = 140_011
        },
        ServerCase(testDescription: "standby", level: .problem, text: "a standby", remedy: "the primary") {
            $0.isStandby = true
        },
        ServerCase(testDescription: "no log", level: .problem, text: "wal_level=replica", remedy: "restart") {
            $0.settings["wal_level"] = "replica"
        },
        ServerCase(testDescription: "unlimited", level: .warning, text: "is unlimited", remedy: "10GB") {
            $0.settings["max_slot_wal_keep_size"] = "-1"
        },
        ServerCase(testDescription: "fsync", level: .problem, text: "fsync=off", remedy: "Turn it on") {
            $0.settings["fsync"] = "off"
        },
        ServerCase(testDescription: "commit", level: .problem, text: "synchronous_commit=off", remedy: "Turn it on") {
            $0.settings["synchronous_commit"] = "off"
        },
        ServerCase(testDescription: "checksums", level: .warning, text: "data_checksums=off", remedy: "pg_checksums") {
            $0.settings["data_checksums"] = "off"
        },
        ServerCase(
            testDescription: "migration", level: .problem, text: "lacks the migrations 0003_roles, 0004_more",
            remedy: "quotastack migrate",
            missing: ["0003_roles", "0004_more"]
        ) { _ in },
        ServerCase(testDescription: "roles", level: .problem, text: "lacks the roles quotastack_api", remedy: "migrate")
        {
            $0.roles[1].exists = false
        },
        ServerCase(testDescription: "no member", level: .warning, text: "billing is a member of none", remedy: "grant")
        {
            for index in $0.roles.indices { $0.roles[index].isGranted = false }
        },
        ServerCase(testDescription: "full", level: .warning, text: "80 of 100 connections", remedy: "max_connections") {
            $0.connections = 80
        },
        ServerCase(
            testDescription: "lost", level: .problem, text: "slot other is lost",
            remedy: "pg_drop_replication_slot('other')"
        ) {
            $0.slots.append(
                .init(name: "other", isActive: false, keptBytes: nil, lagBytes: 9, walStatus: "lost"))
        },
        ServerCase(
            testDescription: "about to be lost", level: .warning, text: "retains 5.0 GB", remedy: "raise max_slot"
        ) {
            $0.slots[0].keptBytes = 5 << 30
            $0.slots[0].walStatus = "unreserved"
        },
        ServerCase(testDescription: "left", level: .warning, text: "has no reader", remedy: "drop_replication_slot") {
            $0.slots.append(
                .init(name: "other", isActive: false, keptBytes: 9, lagBytes: 9, walStatus: "reserved"))
        },
        ServerCase(testDescription: "behind", level: .warning, text: "is 300 MB behind", remedy: "load") {
            $0.slots[0].lagBytes = 300 << 20
        },
        ServerCase(
            testDescription: "no standby", level: .problem, text: "none is connected", remedy: "patronictl list"
        ) {
            $0.settings["synchronous_standby_names"] = "pg2"
            $0.synchronousStandbys = 0
        },
        ServerCase(
            testDescription: "patient with its standby", level: .warning, text: "wal_sender_timeout=1min", remedy: "10s"
        ) {
            $0.settings["synchronous_standby_names"] = "pg2"
            $0.settings["wal_sender_timeout"] = "1min"
            $0.synchronousStandbys = 1
        },
        ServerCase(testDescription: "no node", level: .warning, text: "no node follows", remedy: "Start quotastack-api")
        {
            $0.slots = []
        },
    ]

    @Test("each fault of a server is one finding with its remedy", arguments: serverCases)
    private func server(_ trouble: ServerCase) throws {
        var facts = Self.healthyServer
        trouble.change(&facts)
        let findings = Finding.about(facts, missingMigrations: trouble.missing).filter { $0.level != .ok }
        try expect(findings, trouble.level, trouble.text, trouble.remedy)
    }

    @Test("each fault of the operation is one finding with its remedy")
    func operation() throws {
        var facts = Self.healthyOperation
        facts.workers = 0
        try expect(troubles(facts), .problem, "no ledger worker", "quotastack-ledger")
        facts = Self.healthyOperation
        facts.hasScheduler = false
        try expect(troubles(facts), .warning, "no scheduler", "quotastack-scheduler")
        facts = Self.healthyOperation
        facts.parked = .init(count: 3, newestError: "it\nbroke", newestID: 9)
        try expect(
            troubles(facts), .problem, "3 commands are parked, the newest (parked_id 9) with: it broke", "parked")
        facts = Self.healthyOperation
        facts.longTransactions = [.init(processID: 77, application: "psql", seconds: 61)]
        try expect(troubles(facts), .warning, "process 77 (psql)", "pg_terminate_backend(77)")
        facts = Self.healthyOperation
        facts.seesAllTransactions = false
        try expect(troubles(facts), .warning, "cannot be seen", "grant pg_read_all_stats to quotastack_operator")
        try expect(troubles(Self.healthyOperation, overdue: 5), .warning, "5 accounts", "Check the scheduler")
        try expect(
            troubles(Self.healthyOperation, overdue: 10_000), .warning, "10000 or more accounts", "the scheduler")
        try expect(troubles(Self.healthyOperation, overdue: nil), .warning, "could not be counted", "again")
    }

    @Test("of several hosts, those that do not answer are warnings, and two that take writes are a problem")
    func hosts() throws {
        #expect(Finding.about([HostFacts(host: "a", answer: .silent("x"))], of: .postgresql) == [])
        let whole = [HostFacts(host: "a", answer: .primary), HostFacts(host: "b", answer: .standby)]
        #expect(Finding.about(whole, of: .postgresql).allSatisfy { $0.level == .ok })
        let one = [HostFacts(host: "a", answer: .broker), HostFacts(host: "b", answer: .silent("no\nroute"))]
        try expect(
            Finding.about(one, of: .rabbitmq).filter { $0.level != .ok }, .warning, "b does not answer: no route",
            "Start it")
        let split = [HostFacts(host: "a", answer: .primary), HostFacts(host: "b", answer: .primary)]
        try expect(
            Finding.about(split, of: .postgresql).filter { $0.level != .ok }, .problem, "2 servers take writes",
            "Stop all")
    }

    @Test(
        "each fault of a queue is one finding with its remedy",
        arguments: [
            (BrokerFacts.Queue.State.missing, Finding.Level.problem, "the queue q is missing", "quotastack migrate"),
            (.refused("ACCESS_REFUSED"), .problem, "ACCESS_REFUSED", "list_permissions"),
            (.there(ready: 0, consumers: 0), .problem, "no ledger worker applies", "quotastack-ledger"),
            (.there(ready: 0, consumers: 2), .warning, "2 consumers", "One is enough"),
            (.there(ready: 10_001, consumers: 1), .warning, "10001 messages wait", "applied slowly"),
            (.there(ready: 80_000, consumers: 1), .problem, "nearly full", "more ledger workers"),
        ])
    func queues(_ state: BrokerFacts.Queue.State, _ level: Finding.Level, _ text: String, _ remedy: String) throws {
        let facts = BrokerFacts(
            queues: [.init(name: "q", state: state), .init(name: "r", state: .there(ready: 0, consumers: 1))],
            alarm: nil)
        try expect(Finding.about(facts).filter { $0.level != .ok }, level, text, remedy)
    }

    @Test("a broker with an alarm is a problem, and a node that is not ready names what it lacks")
    func others() throws {
        let queue = BrokerFacts.Queue(name: "q", state: .there(ready: 0, consumers: 1))
        let broker = Finding.about(BrokerFacts(queues: [queue], alarm: "blocked, low on disk"))
        try expect(broker.filter { $0.level != .ok }, .problem, "blocked, low on disk", "disk")
        let lacking: JSONValue = .object([
            "ready": .bool(false), "postgresql": .string("not reachable"), "replica": .string("ok"),
        ])
        try expect(Finding.about(node: "http://a", readiness: lacking), .problem, "postgresql not reachable", "log")
        try expect(
            Finding.about(node: "http://a", readiness: .null), .problem, "is not a QuotaStack node", "QUOTASTACK_URL")
        let ready = Finding.about(node: "http://a", readiness: .object(["ready": .bool(true)]))
        #expect(ready == [.ok(.nodes, "http://a is ready")])
    }

    @Test("the text has a line per finding, by section, and the verdict; JSON has the same")
    func rendering() throws {
        let diagnosis = Diagnosis([
            .problem(.rabbitmq, "the queue q is missing", remedy: "Run quotastack migrate."),
            .ok(.postgresql, "version 15.4"),
            .warning(.postgresql, "fsync sleeps", remedy: "Wake it."),
        ])
        #expect(
            diagnosis.text == """
                PostgreSQL
                  ok       version 15.4
                  warning  fsync sleeps. Wake it.
                RabbitMQ
                  problem  the queue q is missing. Run quotastack migrate.
                1 problem, 1 warning
                """)
        #expect(!diagnosis.isHealthy)
        #expect(Diagnosis([.warning(.nodes, "a", remedy: "b")]).isHealthy)
        #expect(Diagnosis([]).text == "no problems, no warnings")
        let json = try JSONParser.parse(Diagnosis([.ok(.nodes, "a \"b\"")]).json)
        let finding: JSONValue = .object([
            "section": .string("nodes"), "level": .string("ok"), "text": .string("a \"b\""), "remedy": .null,
        ])
        #expect(json == .object(["healthy": .bool(true), "findings": .array([finding])]))
    }

    private func troubles(_ facts: OperationFacts, overdue: Int64? = 0) -> [Finding] {
        Finding.about(facts, overdueAccounts: overdue).filter { $0.level != .ok }
    }

    private func expect(
        _ findings: [Finding], _ level: Finding.Level, _ text: String, _ remedy: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(findings.count == 1, "\(findings)", sourceLocation: sourceLocation)
        let finding = try #require(findings.first, sourceLocation: sourceLocation)
        #expect(finding.level == level, "\(finding)", sourceLocation: sourceLocation)
        #expect(finding.text.contains(text), "\(finding)", sourceLocation: sourceLocation)
        let sentence = try #require(finding.remedy, sourceLocation: sourceLocation)
        #expect(sentence.contains(remedy), "\(finding)", sourceLocation: sourceLocation)
        #expect(sentence.hasSuffix("."), "\(finding)", sourceLocation: sourceLocation)
        #expect(!finding.text.hasSuffix(".") && !finding.text.contains("\n"), sourceLocation: sourceLocation)
    }
}
