import Credits
import Foundation
import Postgres
import TestBooks
import TestDatabases
import Testing

@testable import Storage

/// The rows that reads of a long account take, as PostgreSQL counts them: a bound that does not grow with the account.
@Suite("Costs of reads")
struct ReadCostTests {
    /// The entries of the account: a grant, and for every minute from the first day of 2026 on a use, a reservation or
    /// its commit.
    private static let entries = 20_000
    private static let spacing = CheckpointSpacing(entries: 1_000, weight: 1_000_000)
    /// The rows of a table that a read may take: twice the entries behind a checkpoint, once for allocations and once for
    /// holds, and some for bisection and pages.
    private static let bound = 2_100

    /// A statement with the texts of its parameters, and the entries that it may read.
    private struct Read {
        let name: String
        let statement: PostgresStatement
        let parameters: String
        var entries = bound
    }

    private static let reads = [
        Read(name: "a balance now", statement: LedgerReads.standingStatement, parameters: "1, 1, 'infinity'"),
        Read(
            name: "a balance long ago", statement: LedgerReads.standingStatement,
            parameters: "1, 1, '2026-01-03 04:05:06Z'"),
        Read(
            name: "the blocks of an explanation", statement: LedgerReads.blockHistoriesStatement,
            parameters: "1, 1, 19999"),
        Read(
            name: "the blocks of an explanation long ago", statement: LedgerReads.blockHistoriesStatement,
            parameters: "1, 1, 1999"),
        Read(
            name: "the holds of an explanation", statement: LedgerReads.holdHistoriesStatement,
            parameters: "1, 1, 19999"),
        Read(
            name: "all usage", statement: UsageReads.totalsStatement,
            parameters: "1, 1, null, '-infinity', 'infinity', null, 10001"),
        Read(
            name: "usage by day", statement: UsageReads.totalsStatement,
            parameters: "1, 1, null, '-infinity', 'infinity', 'day', 10001"),
        Read(
            name: "usage by hour", statement: UsageReads.totalsStatement,
            parameters: "1, 1, null, '-infinity', 'infinity', 'hour', 10001"),
        Read(
            name: "usage by month", statement: UsageReads.totalsStatement,
            parameters: "1, 1, null, '-infinity', 'infinity', 'month', 10001"),
        Read(
            name: "usage by attribute", statement: UsageReads.attributeTotalsStatement,
            parameters: "1, 1, 'calls', '-infinity', 'infinity', 'model', 10001"),
        Read(
            name: "usage by attribute in whole hours", statement: UsageReads.attributeTotalsStatement,
            parameters: "1, 1, 'calls', '2026-01-03 04:00Z', '2026-01-08 05:00Z', 'model', 10001"),
        Read(
            name: "usage by attribute that begins and ends within a quarter",
            statement: UsageReads.attributeTotalsStatement,
            parameters: "1, 1, 'calls', '2026-01-03 04:05:06Z', '2026-01-08 05:06:07Z', 'model', 10001",
            entries: 3 * 1_000),
        Read(
            name: "usage by feature", statement: UsageReads.totalsStatement,
            parameters: "1, 1, null, '-infinity', 'infinity', 'feature', 10001"),
        Read(
            name: "usage of whole hours", statement: UsageReads.totalsStatement,
            parameters: "1, 1, 'calls', '2026-01-03 04:00Z', '2026-01-08 05:00Z', null, 10001"),
        // Behind the last checkpoint, and two checkpoints with an end of the period.
        Read(
            name: "usage that begins and ends within a quarter", statement: UsageReads.totalsStatement,
            parameters: "1, 1, null, '2026-01-03 04:05:06Z', '2026-01-08 05:06:07Z', null, 10001", entries: 3 * 1_000),
        Read(
            name: "the first page of an export", statement: LedgerReads.exportStatement,
            parameters: "1, 9223372036854775807, 0, 0, 500, 262144"),
        Read(
            name: "a later page of an export", statement: LedgerReads.exportStatement,
            parameters: "1, 1, 1, 15000, 500, 262144"),
        Read(
            name: "a page of a stream of the ledger", statement: LedgerFeed.entriesStatement,
            parameters: "1, '{1}', '{15000}', '{15199}', 262144"),
        Read(
            name: "a page of the ledger", statement: EntryStore.listDescending,
            parameters: "1, 1, null, null, null, null, 0, 15000, 101"),
        Read(
            name: "a page of blocks", statement: AccountReads.listBlocks,
            parameters: "1, 1, now(), null, null, null, null, null, null, 101, null, null"),
        Read(
            name: "active reservations", statement: ReservationStore.listActive,
            parameters: "1, 1, 'active', 2147483647, 101"),
    ]

    @Test("a read of an account takes a bounded number of rows, with any plan that the server makes")
    func bounded() async throws {
        try await withLongAccount { _, configuration in
            let reads = TenantReads(postgres: configuration, connections: 1)
            for plan in ["force_custom_plan", "force_generic_plan"] {
                for read in Self.reads {
                    let rows = try await reads.read(of: EnvironmentID(1)) { connection in
                        try await connection.script("set local plan_cache_mode = \(plan)")
                        return try await Self.rowsTaken(by: read, on: connection)
                    }
                    #expect(rows["entries", default: 0] <= read.entries, "\(read.name), \(plan): \(rows)")
                    // One for each checkpoint and value of the attribute, and three for each checkpoint.
                    #expect(rows["checkpoint_usage", default: 0] <= (4 + 3) * 20, "\(read.name): \(rows)")
                    let others = rows.filter { $0.key != "entries" }
                    #expect(others.values.allSatisfy { $0 <= Self.bound }, "\(read.name), \(plan): \(rows)")
                    #expect(!rows.isEmpty)
                }
            }
            await reads.close()
        }
    }

    @Test("the first checkpoint of an old account takes the entries of one spacing, and without any a read takes all")
    func without() async throws {
        try await withLongAccount { connection, configuration in
            try await connection.script("delete from checkpoints")
            let reads = TenantReads(postgres: configuration, connections: 1)
            // The counts measure something: without checkpoints the same statement takes the whole account.
            let usage = try #require(Self.reads.first { $0.name == "all usage" })
            let rows = try await reads.read(of: EnvironmentID(1)) { try await Self.rowsTaken(by: usage, on: $0) }
            await reads.close()
            #expect(rows["entries", default: 0] > Self.entries / 2, "\(rows)")

            let scheduler = try await PostgresConnection.connect(configuration.acting(as: .scheduler))
            defer { scheduler.close() }
            try await scheduler.script(CheckpointStore.sessionSettings)
            for read in [
                Read(name: "", statement: CheckpointStore.findRange, parameters: "1, 1, 20000, 1000, 1000000"),
                Read(name: "", statement: CheckpointStore.make, parameters: "1, 1, 0, 1000"),
            ] {
                let rows = try await Self.rowsTaken(by: read, on: scheduler)
                // Each entry is read for allocations, holds of blocks, holds of reservations, usage, and credits granted.
                // The entries of a reservation are read once more, to see whether it changes again.
                #expect(rows.values.allSatisfy { $0 <= 6 * 1_000 }, "\(rows)")
            }
        }
    }

    @Test("the ledger finds what it needs of a long account by whole keys, with any plan that the server makes")
    func ledgerBatch() async throws {
        try await withLongAccount { connection, configuration in
            // Beside many short accounts the planner takes the long one for a short one too.
            try await connection.script(
                """
                insert into accounts (environment_id, end_user_id, revision, version, balance)
                select 1, 'short_' || n, 1, 1, 0 from generate_series(1, 20000) n;
                insert into entries (environment_id, account_id, sequence, type, amount, reserved_delta, overage_delta,
                    balance_after, reserved_after, allocation_blocks, allocation_amounts, effective_at, recorded_at, hash)
                select 1, account_id, 1, 'grant', 0, 0, 0, 0, 0, '{1}', '{0}', now(), now(), sha256('')
                from accounts where end_user_id like 'short%';
                analyze
                """)
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            try await ledger.script(LedgerStore.sessionSettings)
            let sequences = (1...1_000).map { "\($0 * 10)" }.joined(separator: ", ")
            let keys = "array_fill(1, array[1000]), array_fill(1::bigint, array[1000]), array[\(sequences)]::bigint[]"
            // Every fourth entry from the fifth on commits a reservation.
            let commits = (1...1_000).map { "\($0 * 4 + 1)" }.joined(separator: ", ")
            let charges = "array_fill(1, array[1000]), array_fill(1::bigint, array[1000]), array[\(commits)]::bigint[]"
            let none = "array[]::integer[], array[]::bigint[], array[]::bigint[]"
            let use = Read(name: "repeated uses", statement: EntryStore.findStatement, parameters: keys)
            // A charge is read as it is named, with the hold as the entries of its reservation, and for the result.
            let named = Read(name: "refunds of commits", statement: LedgerStore.loadCharges, parameters: charges)
            let blocks = Read(
                name: "their blocks", statement: LedgerStore.loadNamedBlocks, parameters: "\(charges), \(none)")
            for plan in ["force_custom_plan", "force_generic_plan"] {
                try await ledger.script("set plan_cache_mode = \(plan)")
                let uses = try await Self.rowsTaken(by: use, on: ledger)
                #expect(uses == ["entries": 1_000, "accounts": 1_000], "\(plan)")
                let charges = try await Self.rowsTaken(by: named, on: ledger)
                #expect(charges == ["entries": 4_000], "\(plan)")
                let takenFrom = try await Self.rowsTaken(by: blocks, on: ledger)
                #expect(takenFrom == ["entries": 4_000, "blocks": 1], "\(plan)")
            }
        }
    }

    // MARK: - Measuring

    /// The rows that the scans of each table have taken, also those that a condition then left out.
    private static func rowsTaken(by read: Read, on connection: PostgresConnection) async throws -> [String: Int] {
        try await connection.script("prepare measured as \(read.statement.sql)")
        let result = try await connection.run(
            PostgresQuery(
                PostgresStatement("explain (analyze, timing off, format json) execute measured(\(read.parameters))")))
        try await connection.script("deallocate measured")
        let text = try #require(try result.first?.text(0))
        let plans = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        var rows: [String: Int] = [:]
        var nodes = plans.compactMap { $0["Plan"] as? [String: Any] }
        while let node = nodes.popLast() {
            nodes += node["Plans"] as? [[String: Any]] ?? []
            guard let table = node["Relation Name"] as? String else { continue }
            let numbers = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"].map {
                node[$0] as? Double ?? 0
            }
            let loops = node["Actual Loops"] as? Double ?? 0
            rows[table, default: 0] += Int(numbers.reduce(0, +) * loops)
        }
        return rows
    }

    /// Lends a database with one account that has `entries` entries, checkpoints up to the last 1,000 of them, 3,000
    /// closed blocks and 3,000 reservations that are over.
    private func withLongAccount(
        _ body: (PostgresConnection, PostgresConfiguration) async throws -> Void
    ) async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            try await declare(["model"], by: ["calls"], on: connection)
            try await connection.script(
                """
                insert into accounts (environment_id, end_user_id, revision, version, balance)
                values (1, 'alice', 1, \(Self.entries), 1000000000);
                insert into blocks (environment_id, account_id, number, original, remaining, held, priority, feature_keys,
                    open, source, created_at)
                select 1, 1, n, 1000000000, case when n = 1 then 1000000000 else 0 end, 0, 50, '{}', n = 1,
                    'promotional', now()
                from generate_series(1, 3000) n;
                insert into reservations (environment_id, account_id, number, feature_key, status, estimate,
                    estimated_cost, hold_blocks, hold_amounts, held, uncovered, charged, expires_at, created_at,
                    finished_at)
                select 1, 1, n, 'calls', 'released', '{}', 0, '{}', '{}', 0, 0, 0, now(), now(), now()
                from generate_series(1, 3000) n;
                insert into entries (environment_id, account_id, sequence, type, amount, reserved_delta, overage_delta,
                    balance_after, reserved_after, allocation_blocks, allocation_amounts, hold_blocks, hold_amounts,
                    reservation, feature_key, units, details, effective_at, recorded_at, hash)
                select 1, 1, n, k.type, k.amount, k.hold, 0, 1000000000, 0, '{1}', array[k.amount],
                    case when k.hold <> 0 then '{1}'::integer[] end, case when k.hold <> 0 then array[k.hold] end,
                    case when k.hold <> 0 then n / 4 end, 'calls', abs(k.amount),
                    '{"attributes":{"model":' || n % 3 || '}}', t, t, sha256('')
                from generate_series(1, \(Self.entries)) n
                join (values (0, 'reserve', 0::bigint, 5::bigint), (1, 'commit', -1, -5), (2, 'use', -1, 0),
                    (3, 'use', -1, 0), (4, 'grant', 1000000000, 0)) k (rest, type, amount, hold)
                    on k.rest = case when n = 1 then 4 else n % 4 end
                cross join lateral (select timestamptz '2026-01-01 00:00Z' + n * interval '1 minute') i (t);
                """)
            while try await CheckpointStore.extend(
                AccountID(1), of: books.environmentID, upTo: Int64(Self.entries) - Self.spacing.entries,
                spacing: Self.spacing, on: connection) != nil
            {}
            try await connection.script("analyze")
            try await body(connection, configuration)
        }
    }
}
