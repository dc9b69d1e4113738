import Foundation
import Postgres
import TestDatabases
import Testing

@testable import Storage

/// The plans of the ledger's statements on tables that were never analysed. A session keeps the plan of a statement, so
/// that one made on an empty table serves until the server has analysed the table: a new installation that imports its
/// end users must not read all of them for each.
@Suite("Plans on fresh tables")
struct FreshPlanTests {
    /// The statements of a transaction of the ledger that find rows by the keys of accounts or commands.
    private static let statements: [(name: String, statement: PostgresStatement)] = [
        ("lock accounts", LedgerStore.lockAccounts), ("load blocks", LedgerStore.loadBlocks),
        ("load subscriptions", SubscriptionStore.loadLive),
        ("load reservations", LedgerStore.loadActiveReservations),
        ("load landing blocks", LedgerStore.loadLandingBlocks), ("find counters", CounterStore.find),
        ("find entries", EntryStore.findStatement), ("find commands", CommandStore.findStatement),
        ("find payments", PaymentStore.findStatement), ("find top-up requests", TopUpRequestStore.find),
        ("find the latest top-up requests", TopUpRequestStore.findLatest),
        ("find charges of jobs", LedgerStore.findCharges),
        ("update accounts", BulkStatement.updateAccounts.statement),
        ("update blocks", BulkStatement.updateBlocks.statement),
        ("update subscriptions", BulkStatement.updateSubscriptions.statement),
        ("update reservations", BulkStatement.updateReservations.statement),
        ("update top-up requests", BulkStatement.updateTopUpRequests.statement),
    ]

    /// The tables that stay small, so that a walk over the rows of an environment is no harm.
    private static let smallTables: Set<String> = ["environments", "test_clocks", "erasures"]

    @Test("every row is found by the key of its account or command, also with plans made on empty tables")
    func byKey() async throws {
        try await withDatabase { _, configuration in
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            try await ledger.script(LedgerStore.sessionSettings)
            try await ledger.script("set plan_cache_mode = force_generic_plan")
            for (name, statement) in Self.statements {
                for scan in try await Self.scans(of: statement, on: ledger)
                where !Self.smallTables.contains(scan.table) {
                    #expect(scan.isByKey, "\(name) reads \(scan.table) by \(scan.condition ?? "no condition")")
                }
            }
        }
    }

    private struct Scan {
        let table: String
        let condition: String?
        /// The first column of its index.
        let lead: String?

        /// Whether the index leads to the rows of one key, and not through those of all keys.
        var isByKey: Bool {
            guard let condition, let lead, condition.contains(lead) else { return false }
            let keys = ["account_id", "(- account_id)", "end_user_id", "command_id", "external_payment_id"]
            return keys.contains { condition.contains("\($0) = ") }
        }
    }

    private static func scans(
        of statement: PostgresStatement, on connection: PostgresConnection
    ) async throws -> [Scan] {
        let highest = (1...64).last { statement.sql.contains("$\($0)") } ?? 0
        let parameters = Array(repeating: "null", count: highest).joined(separator: ", ")
        try await connection.script("prepare fresh as \(statement.sql)")
        let result = try await connection.run(
            PostgresQuery(PostgresStatement("explain (format json) execute fresh(\(parameters))")))
        try await connection.script("deallocate fresh")
        let text = try #require(try result.first?.text(0))
        let plans = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        var scans: [Scan] = []
        var nodes = plans.compactMap { $0["Plan"] as? [String: Any] }
        while let node = nodes.popLast() {
            let children = node["Plans"] as? [[String: Any]] ?? []
            nodes += children
            guard let table = node["Relation Name"] as? String, node["Node Type"] as? String != "ModifyTable" else {
                continue
            }
            // A bitmap scan has its condition in the scan of the index.
            let index = ([node] + children).first { $0["Index Name"] != nil }
            scans.append(
                Scan(
                    table: table, condition: index?["Index Cond"] as? String,
                    lead: try await lead(of: index?["Index Name"] as? String, on: connection)))
        }
        return scans
    }

    private static func lead(of index: String?, on connection: PostgresConnection) async throws -> String? {
        let result = try await connection.run(
            PostgresQuery("select pg_get_indexdef(to_regclass($1), 1, false)", [.optional(index)]))
        return try result.first.flatMap { try $0.textOrNil(0) }
            .map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "()")) }
    }
}
