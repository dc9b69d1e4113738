import Catalogue
import Commands
import Credits
import Foundation
import Ledger
import Logging
import Metering
import Migrations
import Postgres
import Storage
import TestDatabases
import Testing

@Suite("Migrator")
struct MigratorTests {
    @Test("a second run applies nothing")
    func repetition() async throws {
        try await withDatabase { connection, configuration in
            let migrator = Migrator(migrations: SchemaMigrations.all, logger: quietLogger)
            #expect(try await migrator.missing(connection).isEmpty)
            let second = try await PostgresConnection.connect(configuration)
            #expect(try await migrator.migrate(second).isEmpty)
        }
    }

    @Test("two migrators at once apply each step once")
    func concurrency() async throws {
        try await withDatabase { connection, configuration in
            let step = Migration(name: "9001_more", sql: "create table more (id integer)", assertion: nil)
            let migrator = Migrator(migrations: SchemaMigrations.all + [step], logger: quietLogger)
            async let first = migrator.migrate(try await PostgresConnection.connect(configuration))
            async let second = migrator.migrate(try await PostgresConnection.connect(configuration))
            #expect(try await first + second == ["9001_more"])
        }
    }

    @Test("a step whose assertion fails leaves nothing behind")
    func failingAssertion() async throws {
        try await withDatabase { connection, configuration in
            let step = Migration(
                name: "9001_more", sql: "create table more (id integer)", assertion: "select 1 / 0")
            let migrator = Migrator(migrations: SchemaMigrations.all + [step], logger: quietLogger)
            await #expect(throws: PostgresError.self) {
                try await migrator.migrate(try await PostgresConnection.connect(configuration))
            }
            let missing = try await migrator.missing(connection)
            #expect(missing == ["9001_more"])
            await #expect(throws: PostgresError.self) { try await connection.script("select from more") }
        }
    }

    @Test("a database of a newer release is left alone")
    func newerDatabase() async throws {
        try await withDatabase { connection, configuration in
            try await connection.script("insert into schema_migrations (name) values ('9999_future')")
            let migrator = Migrator(migrations: SchemaMigrations.all, logger: quietLogger)
            await #expect(throws: Migrator.MigrationError.self) {
                try await migrator.migrate(try await PostgresConnection.connect(configuration))
            }
        }
    }

    @Test("metering rules of earlier releases keep their price, stored as one text")
    func pricesOfBefore() async throws {
        try await withDatabase(SchemaMigrations.all.filter { $0.name < "0007" }) { connection, configuration in
            let id = "00000000-0000-0000-0000-00000000000"
            try await connection.script(
                """
                insert into tenants values ('\(id)1', 'Acme', now());
                insert into environments (tenant_id, kind) values ('\(id)1', 'live');
                insert into features (environment_id, feature_key, name, created_at, updated_at)
                    values (1, 'calls', 'Calls', now(), now());
                insert into metering_rules values
                    (1, '\(id)1', 'calls', 1, 'flat', 9007199254740991, null, null, now(), now()),
                    (1, '\(id)2', 'calls', 2, 'per_unit', null, 3, 1000, now(), now());
                """)
            let migrator = Migrator(migrations: SchemaMigrations.all, logger: quietLogger)
            _ = try await migrator.migrate(try await PostgresConnection.connect(configuration))
            let prices = try await connection.texts("select price from metering_rules order by version")
            #expect(
                prices == [
                    Price(.flat(amount: .max)).canonicalJSON,
                    Price(.perUnit(unitCost: try Millicredits(Int64(3)), perUnits: 1_000)).canonicalJSON,
                ])
        }
    }

    @Test("what quotas, caps and tiers of earlier releases have counted counts on, also for active reservations")
    func countersOfBefore() async throws {
        try await withDatabase(SchemaMigrations.all.filter { $0.name < "0020" }) { connection, configuration in
            let id = "00000000-0000-0000-0000-00000000000"
            let (start, end) = (
                Instant(microseconds: 1_790_000_000_000_000), Instant(microseconds: 4_000_000_000_000_000)
            )
            let window = #"{"end":\#(end.microseconds),"start":\#(start.microseconds),"used":"#
            try await connection.script(
                """
                insert into tenants values ('\(id)1', 'Acme', now());
                insert into environments (tenant_id, kind) values ('\(id)1', 'live');
                insert into features (environment_id, feature_key, name, type, quota, created_at, updated_at)
                    values (1, 'calls', 'Calls', 'metered', '{"anchor":"first_use","limit":9,"window":"PT1H"}', now(), now());
                insert into accounts (environment_id, end_user_id, revision, settings, counters) values (1, 'alice', 1,
                    '{"cap_count":2,"caps":[{"created_at":5,"credits":70,"number":2,"window":"day"}]}',
                    '{"caps":{"2":\(window)31}},"periods":{"calls":{"":\(window)8}}},"quotas":{"calls":\(window)4}}}');
                insert into reservations (environment_id, account_id, number, feature_key, status, estimate,
                    estimated_cost, hold_blocks, hold_amounts, held, uncovered, charged, expires_at, created_at, windows)
                select 1, account_id, 1, 'calls', 'active', '{"units":2}', 20, '{}', '{}', 0, 20, 0, 'infinity', now(),
                    '{"caps":{"2":\(start.microseconds)},"quota":\(start.microseconds)}' from accounts;
                update accounts set reservation_count = 1
                """)
            let migrator = Migrator(migrations: SchemaMigrations.all, logger: quietLogger)
            _ = try await migrator.migrate(try await PostgresConnection.connect(configuration))
            let calls = try #require(FeatureKey("calls"))
            let hour = try #require(CalendarDuration(iso8601: "PT1H"))
            var catalogue = Catalogue()
            catalogue.features[calls] = Feature(
                key: calls, quota: Quota(limit: 9, window: .duration(hour), anchor: .firstUse))
            let alice = AccountKey(environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice")))
            var loaded = try await LedgerStore.load([alice], on: connection)
            let account = loaded.accounts[0].account
            #expect(account.counters.storedCount == 3 && account.counters.endsAt == end)
            let limits = account.limits(catalogue)
            var needs = CounterNeeds()
            needs.counters = Set(limits.map { account.state(of: $0, value: nil, catalogue, now: start).counter })
            #expect(Set(account.reservations.first?.counts.map(\.counter) ?? []) == needs.counters)
            try await CounterStore.load([0: needs], into: &loaded.accounts, now: loaded.now, on: connection)
            let states = limits.map {
                loaded.accounts[0].account.state(of: $0, value: nil, catalogue, now: start)
            }
            #expect(states.map(\.used) == [4, 31])
            #expect(states.allSatisfy { $0.window == TimeWindow(start: start, end: end) })
            try await connection.script("rollback")
        }
    }

    @Test("the usage that checkpoints of earlier releases have added up is kept, and sums by no attribute")
    func usageOfBefore() async throws {
        try await withDatabase(SchemaMigrations.all.filter { $0.name < "0030" }) { connection, configuration in
            try await connection.script(
                """
                insert into checkpoints (environment_id, account_id, sequence, previous, lifetime_granted, open_blocks,
                    held_reservations) values (1, 7, 10, null, 0, '{}', '{}'), (1, 7, 20, 10, 0, '{}', '{}');
                insert into checkpoint_usage values
                    (1, 7, '2026-01-01 00:15Z', 'calls', 10, 1, 2, 3), (1, 7, '2026-01-01 00:45Z', 'calls', 10, 4, 5, 6),
                    (1, 7, '2026-01-01 00:30Z', 'calls', 10, 7, 8, 9), (1, 7, '2026-01-01 00:00Z', null, 10, 1, 1, 1),
                    (1, 7, '2026-01-01 00:45Z', 'calls', 20, 1, 1, 1), (1, 7, '2026-01-01 01:00Z', 'jobs', 20, 1, 1, 1);
                """)
            let migrator = Migrator(migrations: SchemaMigrations.all, logger: quietLogger)
            _ = try await migrator.migrate(try await PostgresConnection.connect(configuration))
            try await connection.script("set timezone = 'UTC'")
            let usage = try await connection.texts(
                """
                select concat_ws(' ', sequence, feature_key, attribute, coalesce(value, '-'), charges, units, cost,
                    to_char(first_quarter, 'HH24:MI'), to_char(last_quarter, 'HH24:MI'),
                    (select string_agg(to_char(q, 'HH24:MI'), '/') from unnest(quarters) q), quarter_charges,
                    quarter_units, quarter_costs)
                from checkpoint_usage order by sequence, feature_key
                """)
            #expect(
                usage == [
                    "10   - 1 1 1 00:00 00:00 00:00 {1} {1} {1}",
                    "10 calls  - 12 15 18 00:15 00:45 00:15/00:30/00:45 {1,7,4} {2,8,5} {3,9,6}",
                    "20 calls  - 1 1 1 00:45 00:45 00:45 {1} {1} {1}",
                    "20 jobs  - 1 1 1 01:00 01:00 01:00 {1} {1} {1}",
                ])
        }
    }

    @Test("every SQL file of the folder is a migration")
    func completeness() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Migrations")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".sql") }
        let steps = files.filter { !$0.hasSuffix(".after.sql") }.map { String($0.dropLast(4)) }.sorted()
        #expect(SchemaMigrations.all.map(\.name) == steps)
        let asserted = files.filter { $0.hasSuffix(".after.sql") }.map { String($0.dropLast(10)) }.sorted()
        #expect(SchemaMigrations.all.filter { $0.assertion != nil }.map(\.name) == asserted)
    }
}
