import Credits
package import Ledger
package import Postgres

/// Checks all books of a database against their own entries, in one snapshot, while other work goes on.
package struct BookVerifier {
    /// The numbers of checked rows, and the violations.
    package struct Report: Sendable {
        package var accounts = 0
        package var entries = 0
        package var violations: [Violation] = []
        /// The entries of before version 2 whose clear text an erasure has removed. Nothing proves their hash any more; the
        /// chain of hashes and all sums are checked.
        package var unprovable = 0
        /// Violations that concern no single account, one sentence each.
        package var findings: [String] = []
        /// The number of parked commands. They do not violate the books, but an operator must look at them.
        package var parkedCommands = 0

        package var isClean: Bool { violations.isEmpty && findings.isEmpty }
    }

    private static let accountsPerPage = 500
    private static let entriesPerPage = 20_000

    private let connection: PostgresConnection
    private let onProgress: @Sendable (Report) -> Void
    private var report = Report()

    private init(_ connection: PostgresConnection, onProgress: @escaping @Sendable (Report) -> Void) {
        self.connection = connection
        self.onProgress = onProgress
    }

    /// Verifies everything. Nobody else may use the connection meanwhile.
    ///
    /// - Parameter onProgress: Called from time to time with the report so far.
    package static func verify(
        on connection: PostgresConnection, onProgress: @escaping @Sendable (Report) -> Void
    ) async throws -> Report {
        var verifier = BookVerifier(connection, onProgress: onProgress)
        try await connection.script(
            "begin isolation level repeatable read read only; set enable_hashjoin = off; set enable_mergejoin = off")
        try await verifier.verifyAccounts()
        try await verifier.verifyCheckpoints()
        try await verifier.verifyReferences()
        try await connection.script("commit")
        return verifier.report
    }

    // MARK: - Accounts

    private mutating func verifyAccounts() async throws {
        var last: (EnvironmentID, AccountID) = (EnvironmentID(.min), AccountID(.min))
        while true {
            let page = try await accounts(after: last)
            guard let final = page.last?.account else { return }
            let blocks = try await blocks(of: page)
            var audits = Dictionary(
                uniqueKeysWithValues: page.map { stored in
                    let account = stored.account
                    return (
                        account.id,
                        AccountAudit(
                            account: account, salt: stored.book.salt, owner: stored.ownerBefore,
                            blocks: blocks[account.id] ?? [])
                    )
                })
            try await eachEntry(of: page) { entry in
                audits[entry.accountID]?.take(entry.entry)
            }
            for stored in page {
                let account = stored.account
                audits[account.id]?.finish(
                    account: account, book: stored.book, blocks: blocks[account.id] ?? [])
                if let violation = audits[account.id]?.violation { report.violations.append(violation) }
                report.unprovable += audits[account.id]?.unprovable ?? 0
            }
            report.accounts += page.count
            last = (final.environmentID, final.id)
            onProgress(report)
        }
    }

    /// An account with its book.
    private struct StoredAccount {
        let account: Account
        let book: AccountBook
        /// The owner of the entries before an erasure whose text is still being removed.
        let ownerBefore: EntryOwner?
    }

    private func accounts(after last: (EnvironmentID, AccountID)) async throws -> [StoredAccount] {
        let result = try await connection.run(
            PostgresQuery(Self.pageOfAccounts, [.id(last.0), .id(last.1), .int64(Int64(Self.accountsPerPage))]),
            within: .seconds(600))
        let rows = try result.map { row in
            var fields = RowFields(row)
            let (row, book) = (try AccountRow(&fields, keeping: nil), try AccountBookRow(&fields))
            let before = try fields.textOrNil().flatMap { EndUserID($0) }
            let salt = try fields.salt()
            return (row, book, before.map { EntryOwner(account: row.id, endUserID: $0, salt: salt) })
        }
        let reservations = try await activeReservations(rows.map(\.0))
        let subscriptions = try await liveSubscriptions(rows.map(\.0))
        return rows.map { row, book, ownerBefore in
            StoredAccount(
                account: row.account(
                    advancedTo: book.advancedTo, blocks: BlockList(), scheduled: ScheduledBlocks(),
                    reservations: OrderedList(reservations[row.id] ?? []),
                    subscriptions: OrderedList(subscriptions[row.id] ?? []), counters: .none),
                book: book.book, ownerBefore: ownerBefore)
        }
    }

    private static let pageOfAccounts = PostgresStatement(
        """
        select \(AccountRow.columns(of: "a")), \(AccountBookRow.columns(of: "a")), x.end_user_id, x.salt
        from accounts a
        left join erasures x using (environment_id, account_id)
        where (a.environment_id, a.account_id) > ($1, $2)
        order by a.environment_id, a.account_id limit $3
        """)

    private func liveSubscriptions(_ rows: [AccountRow]) async throws -> [AccountID: [Subscription]] {
        let result = try await connection.run(
            PostgresQuery(
                SubscriptionStore.loadLive,
                [.int32s(rows.map(\.environmentID.rawValue)), .int64s(rows.map(\.id.rawValue))]),
            within: .seconds(600))
        return Dictionary(grouping: try SubscriptionRow.all(result), by: \.accountID).mapValues {
            $0.map(\.subscription)
        }
    }

    private func activeReservations(_ rows: [AccountRow]) async throws -> [AccountID: [Reservation]] {
        let result = try await connection.run(
            PostgresQuery(
                LedgerStore.loadActiveReservations,
                [.int32s(rows.map(\.environmentID.rawValue)), .int64s(rows.map(\.id.rawValue))]),
            within: .seconds(600))
        return Dictionary(grouping: try ReservationRow.all(result), by: \.accountID).mapValues {
            $0.map(\.reservation)
        }
    }

    private func blocks(of page: [StoredAccount]) async throws -> [AccountID: [Block]] {
        let result = try await connection.run(
            PostgresQuery(
                Self.blocksOfAccounts,
                [
                    .int32s(page.map(\.account.environmentID.rawValue)), .int64s(page.map(\.account.id.rawValue)),
                ]),
            within: .seconds(600))
        return Dictionary(grouping: try BlockRow.all(result), by: \.accountID).mapValues { $0.map(\.block) }
    }

    private static let blocksOfAccounts = PostgresStatement(
        """
        select \(BlockRow.columns(of: "b"))
        from unnest($1::integer[], $2::bigint[]) as k (environment_id, account_id)
        join blocks b using (environment_id, account_id)
        """)

    /// Passes the entries of a page of accounts to the body, ordered by account and sequence.
    private mutating func eachEntry(of page: [StoredAccount], _ body: (EntryRow) -> Void) async throws {
        guard let first = page.first?.account, let final = page.last?.account else { return }
        var last: (EnvironmentID, AccountID, Int64) = (first.environmentID, first.id, .min)
        while true {
            let result = try await connection.run(
                PostgresQuery(
                    Self.pageOfEntries,
                    [
                        .int32(last.0.rawValue), .int64(last.1.rawValue), .int64(last.2),
                        .int32(final.environmentID.rawValue), .int64(final.id.rawValue),
                        .int64(Int64(Self.entriesPerPage)),
                    ]),
                within: .seconds(600))
            for row in result {
                let entry = try EntryRow(row)
                body(entry)
                last = (entry.environmentID, entry.accountID, entry.entry.sequence)
            }
            report.entries += result.rowCount
            if result.rowCount < Self.entriesPerPage { return }
            onProgress(report)
        }
    }

    private static let pageOfEntries = PostgresStatement(
        """
        select \(EntryRow.columns(of: "e"))
        from entries e
        where (e.environment_id, e.account_id, e.sequence) > ($1, $2, $3) and (e.environment_id, e.account_id) <= ($4, $5)
        order by e.environment_id, e.account_id, e.sequence limit $6
        """)

    // MARK: - Checkpoints

    private mutating func verifyCheckpoints() async throws {
        var last: [PostgresValue] = [.int32(.min), .int64(.min)]
        while true {
            let result = try await connection.run(
                PostgresQuery(Self.pageOfCheckpointed, last + [.int64(Int64(Self.accountsPerPage))]),
                within: .seconds(600))
            for row in result {
                var fields = RowFields(row)
                let (environmentID, accountID) = (try fields.environmentID(), try fields.accountID())
                let account = AccountName(id: accountID, endUserID: try fields.endUserID())
                let violation = try await CheckpointVerifier.violation(of: account, in: environmentID, on: connection)
                if let violation { report.violations.append(violation) }
                last = [.id(environmentID), .id(accountID)]
            }
            if result.rowCount < Self.accountsPerPage { return }
            onProgress(report)
        }
    }

    /// Accounts with checkpoints. Each has one that follows no other.
    private static let pageOfCheckpointed: PostgresStatement = """
        select c.environment_id, c.account_id, a.end_user_id
        from checkpoints c
        join accounts a using (environment_id, account_id)
        where c.previous is null and (c.environment_id, c.account_id) > ($1, $2)
        order by c.environment_id, c.account_id limit $3
        """

    // MARK: - References

    private mutating func verifyReferences() async throws {
        let queries: [(String, PostgresStatement)] = [
            (
                "I12: entries without an account",
                """
                select count(*) from entries e where not exists (
                    select from accounts a where a.environment_id = e.environment_id and a.account_id = e.account_id)
                """
            ),
            (
                "I24: checkpoints without an account",
                """
                select count(*) from checkpoints c where not exists (
                    select from accounts a where a.environment_id = c.environment_id and a.account_id = c.account_id)
                """
            ),
            (
                "I12: decided uses without an entry",
                """
                select count(*) from commands c where c.sequence is not null and not exists (
                    select from entries e where e.environment_id = c.environment_id and e.account_id = c.account_id
                        and e.sequence = c.sequence)
                """
            ),
            (
                "I15: accounts with a wrong number of reservations",
                """
                select count(*) from accounts a
                where a.reservation_count <> coalesce((
                    select max(r.number) from reservations r
                    where r.environment_id = a.environment_id and r.account_id = a.account_id), 0)
                """
            ),
            (
                "I15: reservations whose held credits are not the sum of their holds",
                """
                select count(*) from reservations r
                where r.held <> coalesce((select sum(amount) from unnest(r.hold_amounts) as amount), 0)
                """
            ),
            (
                "I20: accounts whose events are not numbered from 1 without gaps",
                """
                select count(*) from accounts a
                cross join lateral (
                    select count(*) as total, coalesce(max(e.sequence), 0) as last from events e
                    where e.environment_id = a.environment_id and e.account_id = a.account_id) as e
                where a.event_count <> e.total or a.event_count <> e.last
                """
            ),
            (
                "I28: accounts with more than one open request for a top-up",
                """
                select count(*) from (
                    select from topup_requests where status = 'open'
                    group by environment_id, account_id having count(*) > 1) as twice
                """
            ),
            (
                "I26: accounts with scheduled grants that are due later than the first of them",
                """
                select count(*) from accounts a
                where a.test_clock_id is null and coalesce(a.due_at, 'infinity') > (
                    select min(b.starts_at) from blocks b
                    where b.environment_id = a.environment_id and b.account_id = a.account_id and b.open and b.scheduled)
                """
            ),
            (
                "I11: payments whose block does not name them",
                """
                select count(*) from payments p where not exists (
                    select from blocks b where b.environment_id = p.environment_id and b.account_id = p.account_id
                        and b.number = p.block_number and b.external_payment_id = p.external_payment_id)
                """
            ),
            (
                "I11: blocks whose payment is not recorded and could be applied again",
                """
                select count(*) from blocks b where b.external_payment_id is not null and not exists (
                    select from payments p where p.environment_id = b.environment_id
                        and p.external_payment_id = b.external_payment_id)
                """
            ),
            (
                "I11: entries that more than one command claims",
                """
                select count(*) from (
                    select from commands where sequence is not null
                    group by environment_id, account_id, sequence having count(*) > 1) as claimed
                """
            ),
        ]
        for (sentence, statement) in queries {
            let count = try await count(statement)
            if count > 0 { report.findings.append("\(sentence): \(count)") }
        }
        report.parkedCommands = Int(try await count("select count(*) from parked_commands"))
    }

    private func count(_ statement: PostgresStatement) async throws -> Int64 {
        let result = try await connection.run(PostgresQuery(statement), within: .seconds(3_600))
        guard let row = result.first else { throw StorageError.missingRow("a count") }
        return try row.int64(0)
    }
}
