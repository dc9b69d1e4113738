import Catalogue
import Commands
import Credits
import Ledger
import Postgres
import TestBooks
import TestDatabases
import Testing

@testable import Storage

/// The rows of jobs that move subscriptions, and the pages that they find.
@Suite("Variant migrations")
struct VariantMigrationTests {
    private static let pro = PublicID(.planVariant, Bits128(high: 0, low: 1))
    private static let max = PublicID(.planVariant, Bits128(high: 0, low: 2))

    @Test("pages find the live subscriptions of all versions in order, each once, and a stored page is found again")
    func pages() async throws {
        try await withJobs { connection, environmentID in
            let made = try await insert(1, to: Self.max, connection, environmentID)
            #expect(made.total == 90)
            #expect(try await VariantMigrationStore.find(made.id, environmentID: environmentID, on: connection) == made)
            var seen: [SubscriptionPlace] = []
            while true {
                let job = try #require(try await VariantMigrationStore.next(after: nil, on: connection))
                #expect(job.migration.id == made.id)
                let page = try await VariantMigrationStore.nextPage(of: job, upTo: 40, on: connection)
                guard !page.isEmpty else {
                    try await VariantMigrationStore.finish(job, on: connection)
                    break
                }
                // A crash here, after some commands were applied, finds the same page again.
                try await connection.script(
                    "update subscriptions set variant_id = '\(Self.uuid(2))' where account_id = \(page[0].accountID.rawValue)"
                )
                let again = try #require(try await VariantMigrationStore.next(after: nil, on: connection))
                #expect(try await VariantMigrationStore.nextPage(of: again, upTo: 40, on: connection) == page)
                let endUsers = try await VariantMigrationStore.endUsers(
                    of: page, environmentID: environmentID, on: connection)
                #expect(endUsers.map(\.place).sorted() == page)
                seen += page
                let outcomes = VariantMigration.Progress(moved: Int64(page.count) - 1, skipped: 1, failed: 0)
                try await VariantMigrationStore.finishPage(page, of: again, outcomes, on: connection)
            }
            #expect(seen.count == 90 && seen == Set(seen).sorted())
            #expect(Set(seen.map { made.commandID(for: $0) }).count == 90)
            let found = try await VariantMigrationStore.find(made.id, environmentID: environmentID, on: connection)
            let done = try #require(found)
            #expect(done.total == 90 && done.progress == VariantMigration.Progress(moved: 87, skipped: 3))
            #expect(done.finishedAt != nil)
            #expect(try await VariantMigrationStore.next(after: nil, on: connection) == nil)
        }
    }

    @Test("a job from a variant to itself leaves out the target's version and later ones")
    func itself() async throws {
        try await withJobs { connection, environmentID in
            let made = try await insert(1, to: Self.pro, version: 2, connection, environmentID)
            #expect(made.total == 30)
            let job = try #require(try await VariantMigrationStore.next(after: nil, on: connection))
            let page = try await VariantMigrationStore.nextPage(of: job, on: connection)
            #expect(page.allSatisfy { $0.accountID.rawValue % 3 == 0 } && page.count == 30)
            let inUse = try await VariantMigrationStore.inUse(
                Self.pro, movingTo: made.target, environmentID: environmentID, on: connection)
            #expect(inUse == [SubscriptionsInUse(version: 1, status: .active, count: 30)])
            let all = try await VariantMigrationStore.inUse(
                Self.pro, movingTo: VariantReference(id: Self.max, version: 1), environmentID: environmentID,
                on: connection)
            #expect(all.reduce(0) { $0 + $1.count } == 90 && Set(all.map(\.version)) == [1, 2, 3])
            let versions = try await VariantStore.versions(
                [1, 3, 9], of: Self.pro, environmentID: environmentID, on: connection)
            #expect(Set(versions.map(\.version)) == [1, 3])
        }
    }

    @Test("a variant has one running job, jobs take turns, and one process at a time works on them")
    func turns() async throws {
        try await withJobs { connection, environmentID in
            let first = try await insert(1, to: Self.max, connection, environmentID)
            await #expect(throws: PostgresError.self) {
                try await insert(2, to: Self.max, connection, environmentID)
            }
            let running = try await VariantMigrationStore.running(
                of: Self.pro, environmentID: environmentID, on: connection)
            #expect(running == first)
            let second = try await insert(3, of: Self.max, to: Self.pro, version: 3, connection, environmentID)
            #expect(second.total == 0)
            let job = try #require(try await VariantMigrationStore.next(after: nil, on: connection))
            #expect(job.migration == first)
            try await VariantMigrationStore.postpone(job, on: connection)
            #expect(try await VariantMigrationStore.next(after: nil, on: connection)?.migration == second)
            #expect(try await VariantMigrationStore.next(after: environmentID, on: connection) == nil)
        }
    }

    @Test("many subscriptions are counted later, and the lock has one holder")
    func countedLater() async throws {
        try await withDatabase { connection, configuration in
            let environmentID = try await Self.furnish(connection, accounts: 12_000)
            let made = try await insert(1, to: Self.max, connection, environmentID)
            #expect(made.total == nil)
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            try await ledger.script(VariantMigrationStore.sessionSettings)
            let job = try #require(try await VariantMigrationStore.next(after: nil, on: ledger))
            try await VariantMigrationStore.count(job, on: ledger)
            let counted = try await VariantMigrationStore.find(made.id, environmentID: environmentID, on: ledger)
            #expect(counted?.total == 10_800)
            #expect(try await VariantMigrationStore.tryToLead(on: ledger))
            #expect(try await !VariantMigrationStore.tryToLead(on: connection))

            // A variant with few subscribers is not found among all of the environment.
            try await connection.script(
                "update subscriptions set variant_id = '\(Self.uuid(2))' where account_id % 100 = 1; analyze")
            let page: [PostgresValue] = [
                .int32(1), .uuid(high: 0, low: 2), .uuid(high: 0, low: 1), .int32(1), .int64(5), .int32(1), .int64(200),
            ]
            let statements = [
                (VariantMigrationStore.findPage, page, "subscriptions_of_variant"),
                (VariantMigrationStore.countStatement, Array(page.prefix(4)) + [.int64(9)], "subscriptions_of_variant"),
                (VariantMigrationStore.findNext, [.int32(0)], "variant_migrations_turns"),
            ]
            for (statement, values, index) in statements {
                let plan = try await ledger.run(
                    PostgresQuery(PostgresStatement("explain (costs off) \(statement.sql)"), values)
                ).map { try $0.text(0) }.joined(separator: "\n")
                #expect(plan.contains(index) && !plan.contains("Seq Scan"), "\(plan)")
                #expect(!plan.contains("Sort"), "\(plan)")
            }
        }
    }

    // MARK: - Rows

    private func withJobs(_ body: (PostgresConnection, EnvironmentID) async throws -> Void) async throws {
        try await withDatabase { connection, _ in
            try await body(connection, try await Self.furnish(connection, accounts: 100))
        }
    }

    private static func uuid(_ number: Int) -> String { "00000000-0000-0000-0000-00000000000\(number)" }

    /// Makes accounts with a subscription each. Nine of ten subscribe to `pro`, in three versions in turn; every tenth
    /// subscription has ended.
    private static func furnish(_ connection: PostgresConnection, accounts: Int) async throws -> EnvironmentID {
        let books = try await TestBooks(connection)
        let number = books.environmentID.rawValue
        try await connection.script(
            """
            insert into plans (environment_id, plan_id, plan_key, name, slot, created_at, updated_at)
            values (\(number), '\(uuid(1))', 'pro', 'Pro', 'base', now(), now());
            insert into plan_variants (environment_id, variant_id, version, plan_id, name, terms, created_at, updated_at)
            select \(number), v::uuid, n, '\(uuid(1))', 'V', '{"billing_interval":{"unit":"month"}}', now(), now()
            from unnest(array['\(uuid(1))', '\(uuid(2))']) as v, generate_series(1, 3) as n;
            insert into accounts (environment_id, account_id, end_user_id, subscription_count) overriding system value
            select \(number), n, 'user-' || n, 1 from generate_series(1, \(accounts)) as n;
            insert into subscriptions (environment_id, account_id, number, status, slot, plan_id, variant_id,
                variant_version, quantity, state, created_at, ended_at)
            select \(number), n, 1, case when n % 10 = 0 then 'canceled' else 'active' end, 'base', '\(uuid(1))',
                '\(uuid(1))', n % 3 + 1, 1, '{}', now(), case when n % 10 = 0 then now() end
            from generate_series(1, \(accounts)) as n;
            """)
        return books.environmentID
    }

    @discardableResult
    private func insert(
        _ number: UInt64, of variantID: PublicID = pro, to target: PublicID, version: Int32 = 1,
        _ connection: PostgresConnection, _ environmentID: EnvironmentID
    ) async throws -> VariantMigration {
        try await VariantMigrationStore.insert(
            VariantMigration(
                id: PublicID(.variantMigration, Bits128(high: 7, low: number)), variantID: variantID,
                target: VariantReference(id: target, version: version), timing: .periodEnd, proration: .restart,
                createdAt: Instant(microseconds: 1_775_995_200_123_456)),
            environmentID: environmentID, on: connection)
    }
}
