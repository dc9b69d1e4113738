import Credits
import Foundation
import Postgres
import TestBooks
import TestDatabases
import Testing

@testable import Storage

/// The cost of each hot statement is tested: none may read a whole table of the ledger.
@Suite("Query plans")
struct QueryPlanTests {
    @Test(
        "the statements of a batch find their rows by index, whatever the size of the tables, also in the ledger's role"
    )
    func batch() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(1_000), books.use], to: "alice")
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            try await ledger.script(LedgerStore.sessionSettings)
            let keys: [PostgresValue] = [.int32s([books.environmentID.rawValue]), .texts(["alice"])]
            let ids: [PostgresValue] = [.int32s([1]), .int64s([1])]
            let statements: [(PostgresStatement, [PostgresValue])] = [
                (LedgerStore.lockAccounts, keys),
                (LedgerStore.loadBlocks, keys + [.int64(.max)]),
                (CommandStore.findStatement, [.int32s([1]), .uuids([PostgresUUID(high: 1, low: 2)])]),
                (
                    BulkStatement.updateBlocks.statement,
                    ids + [
                        .int32s([1]), .int64s([900]), .int64s([0]), .nullableTimestamps(microseconds: [nil]),
                        .nullableTimestamps(microseconds: [nil]), .bools([false]),
                    ]
                ),
                (LedgerStore.loadActiveReservations, ids), (SubscriptionStore.loadLive, ids),
                (LedgerStore.loadCharges, ids + [.int64s([1])]),
                (LedgerStore.loadSettling, ids + [.int64s([1])]),
                (LedgerStore.loadLandingBlocks, ids + [.timestamp(microseconds: 0)]),
                (LedgerStore.loadNamedBlocks, ids + [.int64s([1])] + ids + [.int64s([1])]),
                (CounterStore.find, ids + [.uuids([PostgresUUID(high: 1, low: 2)])]),
                (CounterStore.reservationsSince, [.int32(1), .int64(1), .timestamp(microseconds: 0), .int32(1)]),
                (
                    CounterStore.usesSince,
                    [.int32(1), .int64(1), .timestamp(microseconds: 0), .int64(2), .text("")]
                ),
                (LedgerStore.findCharges, [.int32s([1]), .int64s([1]), .int32s([1])]),
                (TopUpRequestStore.find, ids + [.int32s([1])]), (TopUpRequestStore.findLatest, ids + [.int64(1_000)]),
                (
                    BulkStatement.updateTopUpRequests.statement,
                    ids + [.int32s([1]), .texts(["paid"]), .nullableTimestamps(microseconds: [0])]
                ),
                (PaymentStore.findStatement, [.int32s([1]), .texts(["pay_1"])]),
                (
                    BulkStatement.updateReservations.statement,
                    ids + [
                        .int32s([1]), .texts(["released"]), .texts(["{}"]), .texts(["{}"]), .int64s([0]), .int64s([0]),
                        .nullableTexts([nil]), .int64s([0]), .nullableTexts([nil]), .timestamps(microseconds: [0]),
                        .nullableTimestamps(microseconds: [0]), .nullableTexts([nil]), .nullableTexts([nil]),
                    ]
                ),
            ]
            for (statement, values) in statements {
                let plan = try await explain(statement, values, ledger)
                #expect(!plan.contains("Seq Scan on"), "\(plan)")
                #expect(plan.contains("Index"), "\(plan)")
                #expect(!plan.contains("current_setting"), "\(plan)")
            }
        }
    }

    @Test("a refund finds its entries in the indexes made for it, not among all entries of the account")
    func past() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(1_000), books.use], to: "alice")
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            try await ledger.script(LedgerStore.sessionSettings)
            let charge: [PostgresValue] = [.int32s([1]), .int64s([1]), .int64s([1])]
            let charges = try await explain(LedgerStore.loadCharges, charge, ledger)
            #expect(charges.contains("entries_reservation"), "\(charges)")
            let settling = try await explain(LedgerStore.loadSettling, charge, ledger)
            #expect(settling.contains("entries_settling"), "\(settling)")
            let active = try await explain(LedgerStore.loadActiveReservations, Array(charge.prefix(2)), ledger)
            #expect(active.contains("reservations_active"), "\(active)")
        }
    }

    @Test("a page of the ledger is read from the end of its index, and the policy is evaluated once for all its rows")
    func ledgerPage() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(1_000), books.use], to: "alice")
            let api = try await PostgresConnection.connect(configuration.acting(as: .api))
            defer { api.close() }
            try await api.script("set enable_seqscan = off; set quotastack.environment = '1'")
            let plan = try await explain(
                EntryStore.listDescending,
                [.int32(1), .int64(1), .null, .null, .null, .null, .int64(0), .int64(.max), .int64(26)], api)
            #expect(plan.contains("Index Scan Backward using entries_pkey"), "\(plan)")
            #expect(!plan.contains("Sort"), "\(plan)")
            #expect(plan.contains("One-Time Filter"), "\(plan)")
            #expect(plan.components(separatedBy: "current_setting").count == 2, "\(plan)")
        }
    }

    @Test("due accounts are read, in order, from an index that has no other accounts")
    func dueAccounts() async throws {
        try await withDatabase { connection, configuration in
            _ = try await TestBooks(connection)
            try await connection.script(
                """
                insert into accounts (environment_id, end_user_id, revision, due_at)
                select 1, 'user-' || n, 1, case when n % 10 = 0 then now() - n * interval '1 second' end
                from generate_series(1, 20000) as n;
                analyze accounts
                """)
            let scheduler = try await PostgresConnection.connect(configuration.acting(as: .scheduler))
            defer { scheduler.close() }
            try await scheduler.script(DueAccounts.sessionSettings)
            let plan = try await explain(
                DueAccounts.find, [.timestamp(microseconds: .min), .int32(.min), .int64(.min), .int64(1_000)], scheduler
            )
            #expect(plan.contains("using accounts_due"), "\(plan)")
            #expect(!plan.contains("Sort") && !plan.contains("Seq Scan"), "\(plan)")

            var seen: [DueAccount] = []
            var last: DueAccount?
            repeat {
                let page = try await DueAccounts.page(after: last, limit: 300, on: scheduler)
                seen += page.accounts
                last = page.end
            } while last != nil
            #expect(seen.count == 2_000 && Set(seen.map(\.accountID)).count == 2_000)
            #expect(seen.map(\.dueAt) == seen.map(\.dueAt).sorted())
        }
    }

    private func explain(
        _ statement: PostgresStatement, _ values: [PostgresValue], _ connection: PostgresConnection
    ) async throws -> String {
        let result = try await connection.run(
            PostgresQuery(PostgresStatement("explain (costs off) \(statement.sql)"), values))
        return try result.map { try $0.text(0) }.joined(separator: "\n")
    }
}
