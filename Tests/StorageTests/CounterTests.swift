import Catalogue
import Commands
import Credits
import Ledger
import Metering
import Postgres
import TestBooks
import TestDatabases
import Testing

@testable import Storage

@Suite("Counters")
struct CounterTests {
    private func use(by member: String, _ books: TestBooks) -> AccountAction {
        .use(
            UsageEvent(
                featureKey: books.feature, measure: .units(1), attributes: Attributes(["member": .string(member)])))
    }

    @Test("an account has at most 10,000 counters; those of ended windows make place for others")
    func most() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let limit = Limit(unit: .units, amount: 2, window: .day, per: "member")
            let key = try #require(LimitKey("member"))
            try await books.apply([try books.grant(1_000), .setLimit(key, limit)], to: "alice")
            try await books.apply([use(by: "ann", books)], to: "alice")
            try await connection.script(
                """
                insert into counters (environment_id, account_id, counter_id, window_start, window_end, used)
                select 1, account_id, gen_random_uuid(), now(), now() + interval '1 hour', 1
                from accounts, generate_series(1, 9999);
                update accounts set counter_count = 10000, counters_end_at = now() + interval '1 hour'
                """)
            let full = try await books.apply([use(by: "ben", books), use(by: "ann", books)], to: "alice")
            #expect(full.first == .refused(.tooMany(.counters)))
            guard case .used? = full.last else {
                Issue.record("a counter that is there cannot be used: \(full)")
                return
            }
            let loaded = try await LedgerStore.load([try books.key("alice")], on: connection)
            try await connection.script("rollback")
            let decision = try Entitlement.decide(
                account: loaded.accounts[0].account, catalogue: books.catalogue,
                request: EntitlementRequest(
                    feature: books.feature,
                    demand: .measured(.units(1), Attributes(["member": .string("ben")]))), now: loaded.now)
            #expect(decision.denial == .quotaExceeded && decision.affordableUnits == 0)
            try await connection.script(
                """
                update counters set window_end = now() - interval '1 second', window_start = now() - interval '1 day'
                where counter_id in (select counter_id from counters where window_end < now() + interval '1 hour' limit 4000);
                update accounts set counters_end_at = now() - interval '1 second'
                """)
            let outcomes = try await books.apply([use(by: "ben", books)], to: "alice")
            guard case .used? = outcomes.first else {
                Issue.record("\(outcomes)")
                return
            }
            let rows = try await connection.texts("select count(*)::text from counters")
            #expect(rows == ["6001"])
            #expect(try await connection.texts("select counter_count::text from accounts") == rows)
        }
    }

    @Test(
        "counters that the sweeper has deleted make place, and the new count is written also when nothing else changes")
    func swept() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            for key in ["a", "b"] {
                let limit = Limit(unit: .units, amount: 1, window: .day, per: "member")
                try await books.apply([.setLimit(try #require(LimitKey(key)), limit)], to: "alice")
            }
            try await connection.script(
                "update accounts set counter_count = 9999, counters_end_at = now() - interval '1 hour'")
            // The use is refused for its credits, and the account is recounted all the same.
            let poor = try await books.apply([use(by: "ann", books)], to: "alice")
            guard case .refused(.insufficientCredits)? = poor.first else {
                Issue.record("\(poor)")
                return
            }
            #expect(try await connection.texts("select counter_count::text from accounts") == ["0"])
            try await books.apply([try books.grant(1_000), use(by: "ann", books)], to: "alice")
            #expect(try await connection.texts("select counter_count::text from accounts") == ["2"])
        }
    }

    @Test("a counter of jobs is gone when no job counts in it, and a text with NUL does not stop a limit")
    func jobs() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let limit = Limit(unit: .concurrent, amount: 1, window: nil, per: "member")
            let job = ReservationRequest(
                featureKey: books.feature, estimate: .measured(.units(1), Attributes(["member": .string("ann")])))
            try await books.apply(
                [try books.grant(1_000), .setLimit(try #require(LimitKey("jobs")), limit), .reserve(job)], to: "alice")
            #expect(try await connection.texts("select used::text from counters") == ["1"])
            let outcomes = try await books.apply(
                [.reserve(job), .reservation(1, .release), .reserve(job), .reservation(2, .release)], to: "alice")
            guard case .refused(.limitReached)? = outcomes.first else {
                Issue.record("\(outcomes)")
                return
            }
            #expect(try await connection.texts("select count(*)::text from counters") == ["0"])
            #expect(try await connection.texts("select counter_count::text from accounts") == ["0"])
            try await books.apply([use(by: "a\u{0}b", books)], to: "alice")
            let units = Limit(unit: .units, amount: 5, window: .day, per: "member")
            guard
                case .limitSet? = try await books.apply(
                    [.setLimit(try #require(LimitKey("units")), units)], to: "alice"
                ).first
            else {
                Issue.record("the limit is refused")
                return
            }
        }
    }

    @Test("the counters of a limit go with its definition, those of jobs under it too")
    func definitions() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let member = try #require(LimitKey("member"))
            let jobs = try #require(LimitKey("jobs"))
            let limit = Limit(unit: .units, amount: 100, window: .day, per: "member")
            let job = ReservationRequest(
                featureKey: books.feature, estimate: .measured(.units(1), Attributes(["member": .string("ann")])))
            try await books.apply(
                [
                    try books.grant(1_000), .setLimit(member, limit),
                    .setLimit(jobs, Limit(unit: .concurrent, amount: 5, window: nil, per: "member")), .reserve(job),
                    use(by: "ann", books), use(by: "ben", books),
                ], to: "alice")
            let counters =
                "select coalesce(string_agg(generation || ' ' || used, ', ' order by generation, used), '') from counters"
            let count = "select counter_count::text from accounts"
            #expect(try await connection.texts(counters) == ["1 1, 1 2, 2 1"])
            #expect(try await connection.texts(count) == ["3"])
            // Another amount keeps the counters. Another definition counts its window anew.
            try await books.apply([.setLimit(member, limit.with(amount: 90))], to: "alice")
            #expect(try await connection.texts(counters) == ["1 1, 1 2, 2 1"])
            let other = Limit(unit: .units, amount: 100, window: .month, per: "member")
            try await books.apply([.setLimit(member, other)], to: "alice")
            #expect(try await connection.texts(counters) == ["2 1, 3 1, 3 2"])
            #expect(try await connection.texts(count) == ["3"])
            try await books.apply([.deleteLimit(jobs)], to: "alice")
            #expect(try await connection.texts(counters) == ["3 1, 3 2"])
            try await books.apply([.setLimit(member, nil)], to: "alice")
            #expect(try await connection.texts(count) == ["0"])
            try await books.apply([.reservation(1, .release)], to: "alice")
            #expect(try await connection.texts(counters) == [""])
            // Ten thousand counters of a definition leave place for the next one.
            try await books.apply([.setLimit(member, limit)], to: "alice")
            try await connection.script(
                """
                insert into counters (environment_id, account_id, counter_id, window_start, window_end, used, generation)
                select 1, account_id, gen_random_uuid(), now(), now() + interval '1 hour', 1, 5
                from accounts, generate_series(1, 9998);
                update accounts set counter_count = 10000
                """)
            let outcomes = try await books.apply([.setLimit(member, other)], to: "alice")
            guard case .limitSet? = outcomes.first else {
                Issue.record("\(outcomes)")
                return
            }
            #expect(try await connection.texts(count) == ["2"])
            // Counters that are deleted because their windows have ended are not subtracted a second time.
            try await connection.script(
                """
                update counters set window_start = now() - interval '2 days', window_end = now() - interval '1 second';
                update accounts set counter_count = 10000, counters_end_at = now() - interval '1 second'
                """)
            try await books.apply([.setLimit(member, limit)], to: "alice")
            #expect(
                try await connection.texts(count)
                    == connection.texts("select count(*)::text from counters where window_end > now()"))
        }
    }

    @Test("values of per are told apart by their bytes, also when a limit counts what was before")
    func bytes() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let key = try #require(LimitKey("member"))
            try await books.apply([try books.grant(1_000)], to: "alice")
            try await books.apply([use(by: "\u{e9}", books), use(by: "e\u{301}", books)], to: "alice")
            try await books.apply(
                [.setLimit(key, Limit(unit: .units, amount: 9, window: .day, per: "member"))], to: "alice")
            #expect(try await connection.texts("select used::text from counters") == ["1", "1"])
        }
    }

    @Test("a limit counts what its window held before it was set, as the database and as the account say it")
    func before() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            func job(_ number: Int64) -> AccountAction {
                .reserve(
                    ReservationRequest(
                        featureKey: books.feature,
                        estimate: .measured(.units(number), Attributes(["member": .string("ben")]))))
            }
            try await books.apply([try books.grant(10_000)], to: "alice")
            try await books.apply(
                (0..<40).map { _ in use(by: "ann", books) } + [books.use, job(3), job(5), job(7)], to: "alice")
            try await books.apply(
                [.reservation(1, .commit(.measured(.units(2), .none), shortfall: nil)), .reservation(2, .release)],
                to: "alice")
            try await connection.script("alter table entries disable trigger all")
            try await connection.script(
                "update entries set recorded_at = recorded_at - interval '2 days' where sequence <= 21")
            let key = try #require(LimitKey("member"))
            let limit = Limit(unit: .units, amount: 100, window: .day, per: "member")
            try await books.apply([.setLimit(key, limit)], to: "alice")
            let alice = try books.key("alice")
            var loaded = try await LedgerStore.load([alice], on: connection)
            let applied = try #require(loaded.accounts[0].account.applied(key, books.catalogue))
            let values: [String?] = ["ann", "ben", nil, "eve"]
            var needs = CounterNeeds()
            for value in values {
                needs.counters.insert(
                    loaded.accounts[0].account.state(of: applied, value: value, books.catalogue, now: loaded.now)
                        .counter)
            }
            try await CounterStore.load([0: needs], into: &loaded.accounts, now: loaded.now, on: connection)
            let used = values.map { value in
                loaded.accounts[0].account.state(of: applied, value: value, books.catalogue, now: loaded.now).used
            }
            // 20 of the 40 uses are of another day. The reservations came to 2 units and 0, and one is active with 7.
            #expect(used == [20, 9, 1, 0])
            try await connection.script("rollback")
        }
    }

    @Test("counters of ended windows are deleted, except those of accounts on a test clock")
    func sweep() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(1)], to: "alice")
            try await connection.script(
                """
                insert into counters (environment_id, account_id, counter_id, window_start, window_end, used,
                    is_on_test_clock)
                select 1, account_id, gen_random_uuid(), '-infinity', now() + n * interval '1 minute' + interval '30 seconds', 1,
                    n = -5
                from accounts, generate_series(-5, 2) n
                """)
            let scheduler = try await PostgresConnection.connect(configuration.acting(as: .scheduler))
            defer { scheduler.close() }
            try await scheduler.script(EndedCounters.sessionSettings)
            #expect(try await EndedCounters.delete(upTo: 2, on: scheduler) == 2)
            #expect(try await EndedCounters.delete(upTo: 2, on: scheduler) == 1)
            #expect(try await EndedCounters.delete(upTo: 2, on: scheduler) == 0)
            #expect(try await connection.texts("select count(*)::text from counters") == ["5"])
        }
    }
}
