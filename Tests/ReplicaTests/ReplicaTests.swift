import Catalogue
import Commands
import Credits
import Ledger
import Metering
import Postgres
import Replica
import Runtime
import SeededRandom
import Storage
import TestBooks
import TestDatabases
import Testing

@Suite("Replica")
struct ReplicaTests {
    @Test(
        "a replica holds every account as it was written: settings, counters, blocks and active reservations",
        arguments: 1...4)
    func follows(seed: UInt64) async throws {
        try await follow(seed)
    }

    // PostgreSQL moves the longest values of a wide row out of it, and the WAL repeats only those that change. Beside a
    // wide value that must stay, every value that can be moved is moved.
    @Test("whatever PostgreSQL moves out of a row, the replica holds every account as it was written", arguments: 5...6)
    func movedColumns(seed: UInt64) async throws {
        try await follow(seed) { connection in
            try await connection.script(
                """
                do $$ declare t text; c record; begin
                    for t in select tablename from pg_publication_tables where pubname = 'quotastack' loop
                        execute format('alter table %I add filler text not null default repeat(''x'', 2100)', t);
                        execute format('alter table %I alter filler set storage plain', t);
                    end loop;
                    for c in select attrelid::regclass as name, attname from pg_attribute
                        join pg_class t on t.oid = attrelid and t.relkind = 'r'
                        join pg_publication_tables p on p.pubname = 'quotastack' and p.tablename = t.relname
                        where attnum > 0 and not attisdropped and attlen = -1 and attgenerated = '' and attname <> 'filler'
                    loop
                        execute format('alter table %s set (toast_tuple_target = 128)', c.name);
                        execute format('alter table %s alter column %I set storage external', c.name, c.attname);
                    end loop;
                end $$
                """)
        } after: { connection in
            let moved = try await connection.texts(
                """
                select distinct tablename::text from pg_publication_tables join pg_class c on c.relname = tablename
                where pubname = 'quotastack' and reltoastrelid <> 0 and pg_relation_size(reltoastrelid) > 0
                """)
            #expect(Set(moved).isSuperset(of: ["accounts", "reservations"]), "\(moved)")
        }
    }

    /// Follows random books: first the state of a snapshot is compared, then the state after changes in the WAL.
    private func follow(
        _ seed: UInt64, before: (PostgresConnection) async throws -> Void = { _ in },
        after: (PostgresConnection) async throws -> Void = { _ in }
    ) async throws {
        try await withDatabase { connection, configuration in
            try await before(connection)
            var books = try await RandomBooks(try await TestBooks(connection), seed: seed)
            for _ in 0..<25 { try await books.batch() }
            let replica = Replica(postgres: configuration, metrics: MetricsRegistry(), logger: quietLogger)
            let running = Task { try await replica.run() }
            let followed: Result<Void, any Error>
            do {
                try await expectSame(books, in: replica)
                for _ in 0..<30 {
                    try await books.batch()
                    try await expectSame(books, in: replica)
                }
                followed = .success(())
            } catch {
                followed = .failure(error)
            }
            running.cancel()
            _ = await running.result
            try await slotsAreGone(connection)
            try followed.get()
            try await after(connection)
        }
    }

    @Test("a replica holds plans, all versions of variants, their prices and the variants of the configuration")
    func plans() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            let environmentID = books.environmentID
            // Metadata of this size is moved out of its row, and an update of another column does not repeat it.
            try await connection.script(
                """
                alter table plans alter column metadata set storage external;
                alter table plans set (toast_tuple_target = 128);
                insert into features (environment_id, feature_key, name, type, created_at, updated_at)
                values (\(environmentID.rawValue), 'calls', 'Calls', 'metered', now(), now())
                """)
            let now = Instant(microseconds: 5)
            let metadata = Metadata(canonicalJSON: #"{"a":"\#(String(repeating: "x", count: 4_000))"}"#)
            let plan = Plan(
                id: PublicID(.plan, Bits128(high: 0, low: 1)), key: PlanKey("pro"), name: "Pro", metadata: metadata,
                createdAt: now)
            let first = PlanVariant(
                id: PublicID(.planVariant, Bits128(high: 0, low: 2)), planID: plan.id, key: VariantKey("monthly"),
                name: "Monthly", terms: .defaults, createdAt: now)
            try await PlanStore.insert(plan, environmentID: environmentID, on: connection)
            try await VariantStore.insert(first, environmentID: environmentID, on: connection)
            let replica = Replica(postgres: configuration, metrics: MetricsRegistry(), logger: quietLogger)
            let running = Task { try await replica.run() }
            func reaches(_ version: Int64) async throws -> Bool {
                await replica.reaches(.catalogue(environmentID, version: version), by: .now + .seconds(60))
            }
            #expect(try await reaches(0))
            #expect(replica.catalogue(environmentID)?.plans == [plan.id: plan])
            #expect(replica.catalogue(environmentID)?.variant(first.reference) == first)

            _ = try await connection.run(PostgresQuery("begin"))
            let renamed = plan.applying(PlanChange(name: "P"), at: now.adding(seconds: 1))
            try await PlanStore.update(renamed, environmentID: environmentID, on: connection)
            let change = VariantChange(
                terms: try VariantTermsChange(
                    canonicalJSON: #"{"features":[{"enabled":true,"feature_key":"calls"}]}"#))
            let second = try first.applying(change, fallbackID: nil, at: now.adding(seconds: 1))
            try await VariantStore.insert(second, environmentID: environmentID, on: connection)
            let rule = MeteringRule(
                id: PublicID(.rule, Bits128(high: 0, low: 3)), featureKey: books.feature, variantID: first.id,
                version: 1, price: Price(.flat(amount: .zero)), effectiveFrom: now)
            try await RuleStore.insert(rule, environmentID: environmentID, on: connection)
            let config = try await CatalogueStore.updateConfig(
                ConfigChange(), defaultVariant: .set(first.id), fallbackVariant: .set(first.id),
                environmentID: environmentID, on: connection)
            try await CatalogueStore.finish([], raising: environmentID, on: connection)
            #expect(try await reaches(1))
            let catalogue = try #require(replica.catalogue(environmentID))
            #expect(catalogue.plans == [plan.id: renamed])
            #expect(catalogue.variant(first.reference) == first && catalogue.latestVariant(first.id) == second)
            #expect(catalogue.listedFeatures == [books.feature])
            #expect(catalogue.rule(for: books.feature, at: now, variant: first.id) == rule)
            #expect(catalogue.rule(for: books.feature, at: now) == nil)
            #expect(catalogue.config == config)
            running.cancel()
            _ = await running.result
            try await slotsAreGone(connection)
        }
    }

    @Test("a table of a newer release that is published is skipped, and the tables after it are followed")
    func newerTable() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            try await connection.script(
                """
                create table newer (id int primary key, t text);
                alter publication quotastack add table newer
                """)
            let replica = Replica(postgres: configuration, metrics: MetricsRegistry(), logger: quietLogger)
            let running = Task { try await replica.run() }
            for number in 1...3 {
                try await connection.script(
                    """
                    insert into newer values (\(number), 'a'); update newer set t = 'b'; delete from newer where id = 1;
                    truncate newer
                    """)
                try await books.apply([try books.grant(100)], to: "alice")
                let isThere = await replica.reaches(
                    .account(AccountID(1), revision: Int64(number)), by: .now + .seconds(60))
                #expect(isThere)
            }
            #expect(replica.account(try books.key("alice"))?.balance.rawValue == 300)
            running.cancel()
            _ = await running.result
            try await slotsAreGone(connection)
        }
    }

    @Test("the old id of an erased end user leads to nothing at once, and the opaque one to the account")
    func erased() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            let replica = Replica(postgres: configuration, metrics: MetricsRegistry(), logger: quietLogger)
            let running = Task { try await replica.run() }
            // Twenty accounts, so that the two ids of most of them belong to different locks.
            for number in 1...20 {
                let name = "user-\(number)"
                let (id, key) = (AccountID(Int64(2 * number - 1)), try books.key(name))
                let job = ReservationRequest(featureKey: books.feature, estimate: .measured(.units(1), .none))
                try await books.apply([try books.grant(100), .reserve(job), books.use], to: name)
                let before = await replica.reaches(.account(id, revision: 3), by: .now + .seconds(60))
                #expect(before && replica.account(key)?.balance.rawValue == 90)
                try await books.apply([.eraseEndUser], to: name)
                let after = await replica.reaches(.account(id, revision: 4), by: .now + .seconds(60))
                #expect(after)
                let opaque = AccountKey(environmentID: key.environmentID, endUserID: EndUserID(erased: id))
                #expect(replica.account(key) == nil)
                let account = try #require(replica.account(opaque))
                #expect(account.balance.rawValue == 90 && account.blocks.count == 1 && account.reservations.isEmpty)
                #expect(replica.endUserID(of: id, in: key.environmentID) == opaque.endUserID)
                // The removal of the text changes nothing of it, and the id belongs to a new account.
                while let erasure = try await ErasureStore.next(after: nil, on: connection) {
                    _ = try await ErasureStore.removeSlice(of: erasure, on: connection)
                }
                try await books.apply([try books.grant(7)], to: name)
                let again = await replica.reaches(
                    .account(AccountID(id.rawValue + 1), revision: 1), by: .now + .seconds(60))
                #expect(again && replica.account(key)?.balance.rawValue == 7)
                #expect(replica.account(opaque)?.balance.rawValue == 90)
            }
            running.cancel()
            _ = await running.result
            let later = Replica(postgres: configuration, metrics: MetricsRegistry(), logger: quietLogger)
            let loading = Task { try await later.run() }
            let loaded = await later.reaches(.account(AccountID(1), revision: 4), by: .now + .seconds(60))
            #expect(loaded)
            let opaque = AccountKey(
                environmentID: books.environmentID, endUserID: EndUserID(erased: AccountID(1)))
            #expect(later.account(opaque)?.balance.rawValue == 90)
            loading.cancel()
            _ = await loading.result
            try await slotsAreGone(connection)
        }
    }

    @Test("an account that is full of counters has place for as many as have ended, also after changes of these")
    func endedCounters() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            let key = try books.key("alice")
            let replica = Replica(postgres: configuration, metrics: MetricsRegistry(), logger: quietLogger)
            let running = Task { try await replica.run() }
            try await books.apply([try books.grant(1)], to: "alice")
            var revision: Int64 = 1
            func open(after change: String) async throws -> Int? {
                try await connection.script(change)
                revision += 1
                try await books.apply([try books.grant(1)], to: "alice")
                let isThere = await replica.reaches(
                    .account(AccountID(1), revision: revision), by: .now + .seconds(60))
                #expect(isThere)
                return replica.account(key)?.counters.storedCount
            }
            let made = try await open(
                after: """
                    insert into counters (environment_id, account_id, counter_id, window_start, window_end, used)
                    select 1, 1, ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, '-infinity',
                        now() + case when n <= 9000 then interval '1 hour' else interval '-1 second' end, 1
                    from generate_series(1, 10000) n
                    """)
            #expect(made == 9_000)
            let reopened = try await open(
                after: "update counters set window_end = now() + interval '1 hour' where counter_id::text like '%95__'")
            #expect(reopened == 9_100)
            let ended = try await open(
                after: "update counters set window_end = now() - interval '1 second' where counter_id::text like '%01_'"
            )
            #expect(ended == 9_010)
            let deleted = try await open(after: "delete from counters where counter_id::text like '%999_'")
            #expect(deleted == 9_010)
            running.cancel()
            _ = await running.result
            try await slotsAreGone(connection)
        }
    }

    @Test("a value too long for the WAL to repeat stays in memory while the rest of its row changes")
    func longValues() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            var random = SeededGenerator(seed: 9)
            // Random text, which cannot be compressed to fit into the row.
            func noise() -> String { (0..<15).map { _ in String(random.next(), radix: 36) }.joined() }
            let attributes = Attributes(
                Dictionary(uniqueKeysWithValues: (0..<16).map { ("a\($0)", AttributeValue.string(noise())) }))
            var catalogue = books.catalogue
            var overrides: [FeatureKey: FeatureGrant] = [:]
            for _ in 0..<120 {
                let key = try #require(FeatureKey(String(noise().prefix(64))))
                catalogue.features[key] = Feature(key: key, type: .limit)
                overrides[key] = .limit(1)
            }
            let job = ReservationRequest(
                featureKey: books.feature, estimate: .measured(.units(1), attributes), ttlSeconds: 60)
            let replica = Replica(postgres: configuration, metrics: MetricsRegistry(), logger: quietLogger)
            let running = Task { try await replica.run() }
            for action in [
                .createEndUser(EndUserChange(overrides: .set(overrides))), try books.grant(100), .reserve(job),
                .reservation(1, .extend(ttlSeconds: 600)), books.use,
            ] as [AccountAction] {
                var loaded = try await LedgerStore.load([try books.key("alice")], on: connection)
                _ = loaded.accounts[0].apply(action, idempotencyKey: nil, catalogue: catalogue, now: loaded.now)
                try await LedgerStore.write(BatchPlan(accounts: loaded.accounts), on: connection)
                let account = loaded.accounts[0].account
                let isThere = await replica.reaches(
                    .account(account.id, revision: account.revision), by: .now + .seconds(60))
                #expect(isThere)
                let held = replica.account(try books.key("alice"))
                #expect(held?.settings == account.settings)
                #expect(held?.reservations == account.reservations)
            }
            let external = try await connection.texts(
                """
                select count(*)::text from pg_class
                where relname in ('accounts', 'reservations') and pg_relation_size(reltoastrelid) > 0
                """)
            #expect(external == ["2"], "both are stored beside their rows")
            running.cancel()
            _ = await running.result
            try await slotsAreGone(connection)
        }
    }

    /// A database cannot be dropped before the server has noticed that its slots have no reader any more.
    private func slotsAreGone(_ connection: PostgresConnection) async throws {
        for _ in 0..<600 {
            let slots = try await connection.texts(
                "select slot_name::text from pg_replication_slots where database = current_database()")
            if slots.isEmpty { return }
            try await connection.script("select pg_sleep(0.05)")
        }
    }

    private func expectSame(_ books: RandomBooks, in replica: Replica) async throws {
        for (name, known) in books.remembered {
            let account = known.account
            let isThere = await replica.reaches(
                .account(account.id, revision: account.revision), by: .now + .seconds(60))
            try #require(isThere)
            let counters = account.counters.counters
            let held = try #require(replica.account(books.key(name)) { _ in Array(counters.keys) })
            // The percentages that a tenant was told of a limit are not replicated.
            #expect(
                held.counters.counters
                    == counters.mapValues {
                        WindowCounter(window: $0.window, used: $0.used, generation: $0.generation)
                    })
            let expected = Account(
                id: account.id, environmentID: account.environmentID, endUserID: name, version: account.version,
                revision: account.revision,
                sums: AccountSums(
                    balance: account.balance, reserved: account.reserved, overage: account.overage,
                    lifetimeGranted: account.lifetimeGranted), blocks: account.blocks,
                scheduled: account.scheduled,
                reservations: OrderedList(account.reservations.map(\.withoutMetadata)), settings: account.settings,
                counters: held.counters, autoTopUp: account.autoTopUp)
            #expect(held == expected)
        }
    }
}

extension Reservation {
    fileprivate var withoutMetadata: Reservation {
        // The parts of a reservation over several features are replicated as one text.
        let held =
            parts.count > 1
            ? parts
            : parts.map { part in
                JobPart(
                    featureKey: part.featureKey, ruleID: part.ruleID, watermark: part.watermark, charged: part.charged)
            }
        return Reservation(
            number: number, parts: held, estimate: estimate, estimatedCost: estimatedCost, status: status,
            holds: holds, uncovered: uncovered, expiresAt: expiresAt, createdAt: createdAt, finishedAt: finishedAt,
            counts: counts, metadata: nil)
    }
}
