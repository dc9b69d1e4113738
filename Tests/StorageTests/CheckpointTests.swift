import Credits
import Ledger
import Metering
import Postgres
import SeededRandom
import TestBooks
import TestDatabases
import Testing

@testable import Storage

/// The sums that are stored for reads of the past.
@Suite("Checkpoints")
struct CheckpointTests {
    @Test(
        "reads with checkpoints give what the whole history gives, to the bit, wherever the checkpoints are",
        arguments: 1...6)
    func sameSums(seed: UInt64) async throws {
        try await withDatabase { connection, configuration in
            var random = SeededGenerator(seed: seed &* 7_919)
            let zones = [nil, "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "odd", "odd"]
            let zone = zones[Int(seed) % zones.count]
            var books = try await RandomBooks(try await TestBooks(connection), seed: seed)
            if let zone { try await setZone(zone, on: connection) }
            try await declare([], by: ["calls", "tokens", "tiers", "export"], on: connection)
            let scheduler = try await PostgresConnection.connect(configuration.acting(as: .scheduler))
            defer { scheduler.close() }
            try await scheduler.script(CheckpointStore.sessionSettings)
            let spacing = CheckpointSpacing(
                entries: random.pick([1, 3, 8, 20]), weight: random.pick([1, 12, 1_000]))
            for _ in 0..<80 {
                try await books.batch()
                // Checkpoints know only the attributes that are declared when they are made.
                if random.chance(10) {
                    let attributes = random.pick([[], ["model"], ["member", "model"], ["none", "model"]])
                    try await declare(attributes, by: [random.pick(["calls", "tokens", "tiers"])], on: connection)
                }
                // Some accounts get their checkpoints early and some late.
                for known in books.remembered.values where random.chance(15) {
                    try await add(spacing, upTo: known.account.version, of: known.account, on: scheduler)
                }
            }
            let count = try await connection.texts("select count(*)::text from checkpoints")
            #expect(count != ["0"])
            for known in books.remembered.values {
                try await expectSame(known, in: books, random: &random)
            }
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.isClean, "\(report.violations) \(report.findings)")
        }
    }

    private func expectSame(
        _ known: RandomBooks.Remembered, in books: RandomBooks, random: inout SeededGenerator
    ) async throws {
        let (account, connection) = (known.account, books.connection)
        for version in 0...account.version {
            let blocks = try await LedgerReads.blockHistories(
                environmentID: books.environmentID, accountID: account.id, version: version, on: connection)
            let plain = try await WholeHistory.blocks(account.id, upTo: version, on: connection)
            #expect(WholeHistory.text(blocks) == plain, "version \(version)")
            let holds = try await LedgerReads.holdHistories(
                environmentID: books.environmentID, accountID: account.id, version: version, on: connection)
            let rows = try await WholeHistory.holds(account.id, upTo: version, on: connection)
            #expect(holds.flatMap(\.allocations) == rows.map(\.allocation), "version \(version)")
            for hold in holds {
                let own = rows.filter { $0.reservation == hold.reservation }
                #expect(hold.first == own.map(\.first).min() && hold.last == own.map(\.last).max())
                #expect(hold.featureKey?.rawValue == own.last.flatMap(\.feature))
            }
        }
        for entry in known.entries {
            let standing = try await LedgerReads.standing(
                environmentID: books.environmentID, accountID: account.id, at: entry.recordedAt, on: connection)
            let granted = try await WholeHistory.lifetimeGranted(
                account.id, upTo: standing.version, on: connection)
            #expect(standing.lifetimeGranted == granted)
        }
        try await expectSameUsage(known, in: books, random: &random)
        for now in [account.advancedTo, account.advancedTo.adding(seconds: -90_000)] {
            for status in [nil] + BlockStatus.allCases.map(Optional.some) {
                let plain = try await WholeHistory.blockList(account.id, at: now, on: connection)
                let found = try await blockList(account, status: status, at: now, in: books)
                #expect(found == plain.filter { line in status.map { line.hasSuffix(" \($0.rawValue)") } ?? true })
            }
        }
    }

    private func expectSameUsage(
        _ known: RandomBooks.Remembered, in books: RandomBooks, random: inout SeededGenerator
    ) async throws {
        let stamps = known.entries.map(\.effectiveAt)
        func instant() -> Instant? {
            guard random.chance(80), !stamps.isEmpty else { return nil }
            let quarter: Int64 = 900_000_000
            let stamp = random.pick(stamps).microseconds
            return Instant(
                microseconds: random.pick([
                    stamp, stamp / quarter * quarter, stamp / quarter * quarter + quarter, stamp + 1,
                ]))
        }
        for _ in 0..<25 {
            let (from, to) = (instant(), instant())
            let reported = try #require(FeatureKey(random.pick(["calls", "tokens", "tiers"])))
            let filter = random.chance(30) ? reported : nil
            let attribute = random.pick(["model", "member", "none"])
            for grouping in [nil, UsageGrouping.hour, .day, .month, .feature, .attribute(attribute)] {
                let feature = grouping == .attribute(attribute) ? reported : filter
                let totals = try await UsageReads.totals(
                    environmentID: books.environmentID, account: known.account.name, featureKey: feature, from: from,
                    to: to, groupBy: grouping, on: books.connection)
                let plain = try await WholeHistory.usage(
                    known.account.id, featureKey: feature, from: from, to: to, groupBy: grouping, on: books.connection)
                #expect(
                    WholeHistory.text(totals) == plain,
                    "\(String(describing: grouping)) from \(String(describing: from)) to \(String(describing: to))")
            }
        }
    }

    @Test("a quarter of an hour that belongs to two hours is added up once, also where one feature needs its entries")
    func cutQuarters() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(1_000)], to: "alice")
            // Hours begin 44 minutes and 30 seconds after those of UTC.
            try await connection.script(
                """
                update environments set timezone = 'Africa/Monrovia', zone_starts = '{}', zone_offsets = '{-2670}';
                insert into entries (environment_id, account_id, sequence, type, amount, reserved_delta, overage_delta,
                    balance_after, reserved_after, allocation_blocks, allocation_amounts, feature_key, units, effective_at,
                    recorded_at, hash)
                select 1, 1, n, 'use', 0, 0, 0, 0, 0, '{}', '{}', feature, units, at, now(), sha256('')
                from (values (2, 'calls', 1, timestamptz '2030-01-15 10:40Z'), (3, 'jobs', 2, '2030-01-15 10:41Z'),
                    (4, 'jobs', 4, '2030-01-15 10:50Z'), (5, 'calls', 8, '2030-01-15 12:00Z')) e (n, feature, units, at)
                """)
            _ = try await CheckpointStore.extend(
                AccountID(1), of: books.environmentID, upTo: 5,
                spacing: CheckpointSpacing(entries: 10, weight: 1_000), on: connection)
            let to = Instant(rfc3339: "2030-01-15T11:00:00Z")
            for (grouping, expected) in [
                (.month, ["2030-01 3 7 0"]), (.day, ["2030-01-15 3 7 0"]),
                (.hour, ["2030-01-15T09:44:30.000Z 2 3 0", "2030-01-15T10:44:30.000Z 1 4 0"]),
            ] as [(UsageGrouping, [String])] {
                let totals = try await UsageReads.totals(
                    environmentID: books.environmentID, account: .alice(1), featureKey: nil, from: nil, to: to,
                    groupBy: grouping, on: connection)
                #expect(WholeHistory.text(totals) == expected)
            }
        }
    }

    /// All blocks, by pages of three.
    private func blockList(
        _ account: Account, status: BlockStatus?, at now: Instant, in books: RandomBooks
    ) async throws -> [String] {
        var found: [String] = []
        var after: AccountReads.BlockCursor?
        while true {
            let page = try await AccountReads.blocks(
                environmentID: books.environmentID, accountID: account.id, status: status, now: now, after: after,
                limit: 3, on: books.connection)
            found += page.map { "\($0.block.number) \($0.status.rawValue)" }
            guard let last = page.last else { return found }
            after = AccountReads.BlockCursor(
                open: last.status == .active, priority: last.block.priority, expiresAt: last.block.expiresAt,
                isPaid: last.block.isPaid, since: last.block.since, startsLater: last.block.startsLater,
                number: last.block.number)
        }
    }

    // MARK: - Making them

    @Test("the ledger requests a checkpoint when an account passes a multiple of the spacing, and the duty serves it")
    func requests() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            let scheduler = try await PostgresConnection.connect(configuration.acting(as: .scheduler))
            defer { scheduler.close() }
            try await scheduler.script(CheckpointStore.sessionSettings)
            let requested = "select sequence::text from checkpoint_requests order by 1"
            try await books.apply([try books.grant(1_000_000)] + Array(repeating: books.use, count: 4_094), to: "alice")
            #expect(try await connection.texts(requested) == [])
            var loaded = try await LedgerStore.load([try books.key("alice")], on: ledger)
            _ = loaded.accounts[0].apply(
                books.use, idempotencyKey: nil, catalogue: books.catalogue, now: loaded.now)
            try await LedgerStore.write(BatchPlan(accounts: loaded.accounts), on: ledger)
            #expect(try await connection.texts(requested) == ["4096"])
            let request = try #require(try await CheckpointStore.nextRequest(after: nil, on: scheduler))
            #expect(request.sequence == 4_096)
            #expect(try await CheckpointStore.nextRequest(after: request, on: scheduler) == nil)
            // Another process has the request.
            try await connection.script("begin; select from checkpoint_requests for update")
            #expect(try await CheckpointStore.serve(request, on: scheduler) == 0)
            try await connection.script("rollback")
            #expect(try await CheckpointStore.serve(request, on: scheduler) == 4_096)
            #expect(try await CheckpointStore.serve(request, on: scheduler) == 0)
            #expect(try await connection.texts(requested) == [])
            #expect(try await connection.texts("select sequence::text from checkpoints") == ["4096"])
        }
    }

    @Test("an old account is added up in pieces, and a request is not served before its last piece")
    func pieces() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            for name in ["alice", "bob"] {
                try await books.apply([try books.grant(1_000)] + Array(repeating: books.use, count: 22), to: name)
            }
            try await connection.script(
                "insert into checkpoint_requests select environment_id, account_id, version from accounts")
            var served: [String] = []
            for _ in 0..<3 {
                var last: CheckpointRequest?
                while let request = try await CheckpointStore.nextRequest(after: last, on: connection) {
                    let added = try await CheckpointStore.serve(
                        request, spacing: CheckpointSpacing(entries: 10, weight: 1_000), on: connection)
                    served.append("\(request.accountID.rawValue): \(added)")
                    last = request
                }
            }
            #expect(served == ["1: 10", "2: 10", "1: 10", "2: 10", "1: 3", "2: 3"])
            #expect(try await connection.texts("select count(*)::text from checkpoint_requests") == ["0"])
            let chain =
                "select concat_ws(' ', previous, sequence) from checkpoints where account_id = 1 order by sequence"
            #expect(try await connection.texts(chain) == ["10", "10 20", "20 23"])
        }
    }

    @Test("processes that make checkpoints at the same time make the same ones as one alone")
    func twice() async throws {
        try await withDatabase { connection, configuration in
            var books = try await RandomBooks(try await TestBooks(connection), seed: 5)
            for _ in 0..<60 { try await books.batch() }
            let accounts = books.remembered.values.map(\.account)
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Different spacings, so that the processes disagree where the next checkpoint is.
                for entries in Int64(3)...6 {
                    group.addTask {
                        let scheduler = try await PostgresConnection.connect(configuration.acting(as: .scheduler))
                        defer { scheduler.close() }
                        for account in accounts {
                            try await add(
                                CheckpointSpacing(entries: entries, weight: 1_000), upTo: account.version, of: account,
                                on: scheduler)
                        }
                    }
                }
                try await group.waitForAll()
            }
            for account in accounts {
                let last = try await connection.texts(
                    "select max(sequence)::text from checkpoints where account_id = $1", [.int64(account.id.rawValue)])
                #expect(last == ["\(account.version)"])
            }
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.isClean, "\(report.violations) \(report.findings)")
        }
    }

    @Test("no row of an account, a block or a reservation is locked while a checkpoint is made")
    func locksNothing() async throws {
        try await withDatabase { connection, configuration in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(1_000), books.use], to: "alice")
            let scheduler = try await PostgresConnection.connect(configuration.acting(as: .scheduler))
            defer { scheduler.close() }
            try await connection.script("begin; select * from accounts for update; select * from blocks for update")
            let spacing = CheckpointSpacing(entries: 10, weight: 1_000)
            #expect(
                try await CheckpointStore.extend(
                    AccountID(1), of: books.environmentID, upTo: 2, spacing: spacing, on: scheduler) == 1...2)
            try await connection.script("rollback")
            try await scheduler.script("begin")
            try await books.apply([books.use], to: "alice")
            _ = try await CheckpointStore.extend(
                AccountID(1), of: books.environmentID, upTo: 3, spacing: spacing, on: scheduler)
            // The ledger goes on while that transaction is open.
            try await connection.script("set lock_timeout = '1s'")
            try await books.apply([books.use], to: "alice")
            try await scheduler.script("commit")
        }
    }

    @Test("whoever deletes a checkpoint deletes the later ones and all their rows, so that reads stay right")
    func deletion() async throws {
        try await withDatabase { connection, _ in
            var books = try await RandomBooks(try await TestBooks(connection), seed: 9)
            try await declare(["none"], by: ["calls", "tokens", "tiers"], on: connection)
            for _ in 0..<60 { try await books.batch() }
            var random = SeededGenerator(seed: 9)
            for known in books.remembered.values {
                try await add(
                    CheckpointSpacing(entries: 5, weight: 1_000), upTo: known.account.version, of: known.account,
                    on: connection)
            }
            let tables = ["checkpoints", "checkpoint_blocks", "checkpoint_reservations", "checkpoint_usage"]
            func later(_ table: String) async throws -> Bool {
                try await connection.texts("select 'a row' from \(table) where sequence > 5 limit 1") != []
            }
            for table in tables { #expect(try await later(table), "\(table)") }
            let attributes = "select distinct attribute from checkpoint_usage where sequence > 5 and attribute <> ''"
            #expect(try await connection.texts(attributes) == ["none"])
            try await connection.script("delete from checkpoints where sequence = 10")
            for table in tables { #expect(try await later(table) == false, "\(table)") }
            for known in books.remembered.values { try await expectSame(known, in: books, random: &random) }
        }
    }

    @Test(
        "a checkpoint that differs from the entries is found, and named",
        arguments: [
            ("update checkpoints set lifetime_granted = lifetime_granted + 1 where sequence = 10", "granted in all"),
            ("update checkpoints set open_blocks = '{}' where sequence = 10", "open blocks"),
            ("update checkpoints set held_reservations = '{9}' where sequence = 10", "reservations that hold credits"),
            ("update checkpoint_blocks set amounts[1] = amounts[1] + 1 where sequence = 10", "block"),
            ("delete from checkpoint_blocks where sequence = 10", "lacks block"),
            ("update checkpoint_usage set units = units + 1 where sequence = 10", "usage"),
            ("update checkpoint_usage set quarter_costs[1] = 7 where sequence = 10", "usage"),
            (
                "update checkpoint_usage set last_quarter = quarters[1] + interval '1 hour' where sequence = 10 and attribute = ''",
                "usage"
            ),
            ("delete from checkpoint_usage where sequence = 10", "lacks usage"),
            ("delete from checkpoint_usage where sequence = 10 and attribute = ''", "lacks usage"),
            ("update checkpoint_usage set cost = 7 where sequence = 10 and attribute = 'model'", "usage calls model"),
            (
                "update checkpoint_usage set value = '5' where sequence = 10 and attribute = 'model'",
                "usage calls model"
            ),
            ("delete from checkpoint_usage where sequence = 10 and value = '1'", "lacks usage calls model 1"),
            ("update checkpoint_reservations set units = 77 where sequence = 10", "of reservation"),
            ("delete from checkpoint_reservations where sequence = 10", "reservation"),
        ])
    func tampering(statement: String, detail: String) async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            try await declare(["model"], by: ["calls"], on: connection)
            let job = ReservationRequest(featureKey: books.feature, estimate: .measured(.units(5), .none))
            let use = AccountAction.use(
                UsageEvent(
                    featureKey: books.feature, measure: .units(1), attributes: Attributes(["model": .integer(1)])))
            try await books.apply(
                [try books.grant(1_000), try books.grant(50)] + Array(repeating: use, count: 3)
                    + Array(repeating: books.use, count: 3)
                    + [.reserve(job), books.use, books.use, .reservation(1, .progress(.measured(.units(2), .none)))],
                to: "alice")
            for _ in 0..<2 {
                _ = try await CheckpointStore.extend(
                    AccountID(1), of: books.environmentID, upTo: 20,
                    spacing: CheckpointSpacing(entries: 10, weight: 1_000), on: connection)
            }
            let clean = try await BookVerifier.verify(on: connection) { _ in }
            #expect(clean.isClean, "\(clean.violations)")
            try await connection.script(statement)
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.violations.map(\.invariant) == ["I24"])
            #expect(report.violations.first?.detail.contains(detail) == true, "\(report.violations)")
        }
    }
}

/// Makes checkpoints until an account's last one is at a sequence.
private func add(
    _ spacing: CheckpointSpacing, upTo sequence: Int64, of account: Account, on connection: PostgresConnection
) async throws {
    while try await CheckpointStore.extend(
        account.id, of: account.environmentID, upTo: sequence, spacing: spacing, on: connection) != nil
    {}
}

extension AccountName {
    /// The account with a number, of an end user who was not erased.
    static func alice(_ number: some BinaryInteger) throws -> AccountName {
        AccountName(id: AccountID(Int64(number)), endUserID: try #require(EndUserID("alice")))
    }
}

/// Creates features that report usage by attributes, or changes them.
func declare(_ attributes: [String], by features: [String], on connection: PostgresConnection) async throws {
    let names = "{" + attributes.joined(separator: ",") + "}"
    for feature in features {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into features (environment_id, feature_key, name, type, report_by, created_at, updated_at)
                values (1, $1, $1, 'metered', $2::text::text[], now(), now())
                on conflict (environment_id, feature_key) do update set report_by = excluded.report_by
                """, [.text(feature), .text(names)]))
    }
}

/// Sets the time zone of all environments. `odd` is a zone whose days and hours begin with no quarter of an hour.
private func setZone(_ name: String, on connection: PostgresConnection) async throws {
    guard name != "odd" else {
        return try await connection.script(
            """
            update environments set timezone = 'Africa/Monrovia',
                zone_starts = '{2020-02-20 03:07:13Z,2020-04-01 00:00:00Z}', zone_offsets = '{-2670,3601,7200}'
            """)
    }
    _ = try await connection.run(
        PostgresQuery(
            """
            update environments set timezone = $1, zone_starts = z.starts, zone_offsets = z.offsets
            from zone_transitions($1) z
            """, [.text(name)]))
}
