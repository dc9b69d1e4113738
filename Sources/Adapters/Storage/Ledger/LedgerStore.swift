package import Commands
package import Credits
package import Ledger
package import Postgres

/// The rows that a batch must read in addition to its accounts.
package struct BatchNeeds: Sendable {
    package var commands: [CommandKey] = []
    package var payments: Set<PaymentKey> = []
    /// The needs of the actions of each account.
    package var accounts: [AccountKey: AccountNeeds] = [:]

    package init() {}
}

/// The primary key of an account.
package struct AccountKeyByNumber: Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let id: AccountID
}

/// Everything that a batch reads before it decides, under the locks of its accounts.
package struct LoadedBatch: Sendable {
    /// The accounts of the first keys, in the order of the keys. A new end user has an account with revision 0 and no
    /// profile.
    package var accounts: [AccountDraft]
    /// The new end users' accounts that were locked and not loaded.
    package var unusedAccounts: [AccountKeyByNumber]
    package var decided: [CommandKey: DecidedCommand]
    /// The given payments that were applied before.
    package var payments: [PaymentKey: AppliedPayment]
    /// The version of the catalogue of each environment in the batch.
    package var catalogueVersions: [EnvironmentID: Int64]
    /// The database's clock, read after the locks.
    package var now: Instant
}

/// The ledger worker's access to the books: `load` reads a batch under locks, `write` stores its plan and commits.
///
/// Caller: `AccountBatch` of the ledger worker, once per transaction, on a connection with `sessionSettings`. Between
/// the two calls it decides with pure code. This is the scheme "read, decide, write".
///
/// Data flow: `load` opens a transaction and locks the rows of the accounts. In the same round trip it reads their open
/// blocks, the decided commands and payments that the batch names, the versions of the catalogues, and the database's
/// clock. The result holds one `AccountDraft` for each account. `AccountBatch` applies the commands to the drafts and
/// makes a `BatchPlan`. `write` stores its entries, blocks, reservations, events, accounts, payments and decided commands,
/// with one statement per table, and commits, in one round trip.
///
/// Invariants:
/// - The accounts stay locked from `load` to the commit, so no other worker changes them in between. Any number of
///   workers may run, whatever queues they consume.
/// - Accounts are locked in the order of their numbers, and payments and decided commands are inserted in the order of
///   their keys. New accounts are inserted before any account is locked. Batches therefore do not deadlock each other
///   on these rows.
/// - The effects of a command and its decision are committed together. The keys of `commands` and `payments` refuse a
///   second decision of a command and a second use of a payment.
///
/// Failure: an error leaves the transaction open, with nothing committed, and the caller must roll it back. When the
/// connection is lost during `write`, the outcome is unknown: the caller runs the whole batch again, and `load` finds
/// the decisions if they were committed. The caller also repeats a batch that lost a race with another one. A worker
/// that is frozen in a transaction loses its session, and thereby its locks, after 5 seconds.
package enum LedgerStore {
    /// The settings of a worker's session. The joins of a batch connect short lists with large tables, and a plan that
    /// was made while the tables were small must not be kept. A worker that is frozen in a transaction must not keep
    /// the locks of its accounts from the workers that have taken over. A statement that waits for a lock must not
    /// outlive its worker, and the wait must end before the statement's time: the time is the commands' fault, the lock is not.
    package static let sessionSettings = """
        set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off; set jit = off;
        set idle_in_transaction_session_timeout = '\(idleLimit.components.seconds)s'; set statement_timeout = '10s';
        set lock_timeout = '3s';
        set client_connection_check_interval = '2s'
        """

    /// The server ends a transaction in which the worker sends nothing for this long.
    package static let idleLimit = Duration.seconds(5)

    /// Opens a transaction, locks the accounts in one order, and loads them.
    ///
    /// The transaction stays open. Rows of end users that do not exist yet are inserted, so that two first commands of
    /// one end user wait for each other. `write` deletes the rows that stayed unused. Takes one round trip, one more
    /// for new end users, one more when a use is repeated, one more when an account has had a reservation, needs history,
    /// or may have a grant that lands, and one more for requests for top-ups.
    ///
    /// - Parameters:
    ///   - keys: Without repetitions.
    ///   - limit: The number of open and scheduled blocks and of active reservations to load. The accounts from the first
    ///     one on that would exceed it are locked and not loaded; the first two accounts are always loaded.
    package static func load(
        _ keys: [AccountKey], needs: BatchNeeds = BatchNeeds(), upTo limit: Int = .max,
        on connection: PostgresConnection
    ) async throws -> LoadedBatch {
        let accounts: [PostgresValue] = [
            .int32s(keys.map(\.environmentID.rawValue)), .texts(keys.map(\.endUserID.rawValue)),
        ]
        let environments = Set(keys.map(\.environmentID.rawValue)).sorted()
        var group = QueryGroup()
        let locked = group.add(PostgresQuery(lockAccounts, accounts)) { rows in
            try rows.map { try LockedAccount($0, keys: keys) }
        }
        let blocks = group.add(PostgresQuery(loadBlocks, accounts + [.int64(Int64(limit))])) { rows in
            Dictionary(grouping: try BlockRow.all(rows), by: \.accountID).mapValues { $0.map(\.block) }
        }
        let decided = group.add(CommandStore.find(needs.commands), CommandStore.decode)
        let versions = group.add(PostgresQuery(loadCatalogueVersions, [.int32s(environments)])) { rows in
            Dictionary(uniqueKeysWithValues: try rows.map { (EnvironmentID(try $0.int32(0)), try $0.int64(1)) })
        }
        let payments = group.add(PaymentStore.find(needs.payments), PaymentStore.decode)
        let clock = group.add(PostgresQuery("select clock_timestamp()")) { rows in
            guard let row = rows.first else { throw StorageError.missingRow("the clock") }
            return Instant(microseconds: try row.timestamp(0))
        }

        let begin = PostgresQuery("begin")
        var results = try await group.run(after: [begin], on: connection)
        if results[locked].count < keys.count {
            // Starts again without a lock: a transaction that waits for another one's new row must hold no account that
            // the other one may wait for.
            let insert = PostgresQuery(insertMissingAccounts, accounts)
            results = try await group.run(after: [PostgresQuery("rollback"), begin, insert], on: connection)
        }
        let inOrder = try self.inOrder(results[locked], count: keys.count)
        let loaded = inOrder.prefix(LockedAccount.loadedCount(of: inOrder, upTo: limit))
        return LoadedBatch(
            accounts: try await drafts(
                Array(loaded), blocks: results[blocks], needs: needs.accounts, now: results[clock], on: connection),
            unusedAccounts: inOrder.dropFirst(loaded.count).filter { $0.row.revision == 0 }.map {
                AccountKeyByNumber(environmentID: $0.row.environmentID, id: $0.row.id)
            },
            decided: try await CommandStore.withEntries(results[decided], on: connection),
            payments: results[payments], catalogueVersions: results[versions], now: results[clock])
    }

    /// The locked accounts in the order of their keys.
    private static func inOrder(_ locked: [LockedAccount], count: Int) throws -> [LockedAccount] {
        guard locked.count == count else { throw StorageError.missingRow("an account that was just inserted") }
        return locked.sorted { $0.index < $1.index }
    }

    private static func drafts(
        _ locked: [LockedAccount], blocks: [AccountID: [Block]], needs: [AccountKey: AccountNeeds], now: Instant,
        on connection: PostgresConnection
    ) async throws -> [AccountDraft] {
        let histories = try await histories(of: locked, needs, blocks: blocks, now: now, on: connection)
        let requests = try await TopUpRequestStore.requests(of: locked, needs, on: connection)
        return locked.map { account in
            let past = histories[account.row.id]
            let blocks = blocks[account.row.id] ?? []
            let state = account.row.account(
                advancedTo: account.book.advancedTo,
                blocks: BlockList(blocks.filter { !$0.isScheduled }),
                scheduled: ScheduledBlocks(blocks.filter(\.isScheduled)),
                reservations: OrderedList(past?.reservations ?? []),
                subscriptions: OrderedList(past?.subscriptions ?? []),
                counters: UsageCounters(
                    storedCount: Int(account.book.counterCount), endsAt: account.book.countersEndAt),
                exhausted: account.book.exhausted)
            var draft = AccountDraft(
                account: state, book: account.book.book, profile: state.revision == 0 ? nil : account.book.profile)
            if let past { draft.history = past.history }
            draft.history.topUpRequests = requests[account.row.id] ?? [:]
            return draft
        }
    }

    static let lockAccounts = PostgresStatement(
        """
        select k.n, \(AccountRow.columns(of: "a")), \(AccountBookRow.columns(of: "a"))
        from unnest($1::integer[], $2::text[]) with ordinality as k (environment_id, end_user_id, n)
        join accounts a using (environment_id, end_user_id)
        order by a.account_id
        for update of a
        """)

    private static let insertMissingAccounts: PostgresStatement = """
        insert into accounts (environment_id, end_user_id)
        select k.environment_id, k.end_user_id
        from unnest($1::integer[], $2::text[]) as k (environment_id, end_user_id)
        order by k.environment_id, k.end_user_id
        on conflict (environment_id, end_user_id) do nothing
        """

    /// The open and the scheduled blocks of the accounts that `LockedAccount.loadedCount` counts.
    static let loadBlocks = PostgresStatement(
        """
        select \(BlockRow.columns(of: "b"))
        from (
            select environment_id, a.account_id, k.n, sum(a.open_rows) over (order by k.n) as total
            from unnest($1::integer[], $2::text[]) with ordinality as k (environment_id, end_user_id, n)
            join accounts a using (environment_id, end_user_id)
        ) as a
        cross join lateral (
            select * from blocks t
            where t.environment_id = a.environment_id and t.account_id = a.account_id and t.open
            offset 0
        ) b
        where a.total <= $3 or a.n <= 2
        """)

    private static let loadCatalogueVersions: PostgresStatement = """
        select environment_id, catalogue_version from environments where environment_id = any ($1::integer[])
        """
}

/// A row of an account that a batch has locked.
struct LockedAccount {
    /// The index of its key among the given keys.
    let index: Int
    let key: AccountKey
    let row: AccountRow
    let book: AccountBookRow

    /// How many of the accounts are loaded: as many as have no more than `limit` open rows, and at least two.
    static func loadedCount(of accounts: [LockedAccount], upTo limit: Int) -> Int {
        var rows: Int64 = 0
        for (index, account) in accounts.enumerated() {
            rows += Int64(account.book.openRows)
            guard rows <= Int64(limit) || index < 2 else { return index }
        }
        return accounts.count
    }

    init(_ result: PostgresRow, keys: [AccountKey]) throws {
        var fields = RowFields(result)
        index = Int(try fields.int64()) - 1
        key = keys[index]
        row = try AccountRow(&fields, keeping: nil)
        book = try AccountBookRow(&fields)
    }
}
