package import Commands
import Credits
package import Ledger
package import Postgres

/// The result of a batch: everything that must be written in one transaction.
package struct BatchPlan: Sendable {
    package var accounts: [AccountDraft]
    /// The new accounts that the batch locked and did not load.
    package var unusedAccounts: [AccountKeyByNumber]
    package var payments: [NewPayment]
    package var decided: [DecidedCommand]
    /// The commands in `decided` that have an earlier decision, which is forgotten. Their earlier rows are deleted.
    package var replaced: Set<CommandKey>

    package init(
        accounts: [AccountDraft], unusedAccounts: [AccountKeyByNumber] = [], payments: [NewPayment] = [],
        decided: [DecidedCommand] = [],
        replaced: Set<CommandKey> = []
    ) {
        self.accounts = accounts
        self.unusedAccounts = unusedAccounts
        self.payments = payments
        self.decided = decided
        self.replaced = replaced
    }
}

extension LedgerStore {
    /// Writes a batch's plan and commits: entries, blocks, reservations, events, accounts, payments and the decided
    /// commands in one transaction and one round trip, with one statement per table.
    ///
    /// After an error the caller must roll back. After a lost connection the outcome is unknown, and loading the
    /// commands again shows it.
    package static func write(_ plan: BatchPlan, on connection: PostgresConnection) async throws {
        var rows = BatchRows()
        for draft in plan.accounts where draft.hasWrites { rows.add(draft) }
        var queries = rows.queries
        // Every writer inserts rows in the order of their keys. Of two batches with a common key, one then waits for
        // the other, and never both for each other.
        queries.add(.insertPayments, plan.payments.sorted { $0.key < $1.key })
        if !plan.replaced.isEmpty { queries.append(CommandStore.deleteForgotten(plan.replaced)) }
        queries.add(.insertCommands, plan.decided.sorted { $0.key < $1.key })
        let unused =
            plan.unusedAccounts
            + plan.accounts.map(\.account).filter { $0.revision == 0 }.map {
                AccountKeyByNumber(environmentID: $0.environmentID, id: $0.id)
            }
        if !unused.isEmpty { queries.append(deleteUnused(unused)) }
        queries.append(PostgresQuery("commit"))
        _ = try await connection.run(queries)
    }

    private static func deleteUnused(_ accounts: [AccountKeyByNumber]) -> PostgresQuery {
        PostgresQuery(
            """
            delete from accounts a
            using unnest($1::integer[], $2::bigint[]) as u (environment_id, account_id)
            where a.environment_id = u.environment_id and a.account_id = u.account_id and a.revision = 0
            """,
            [.int32s(accounts.map(\.environmentID.rawValue)), .int64s(accounts.map(\.id.rawValue))])
    }
}

extension [PostgresQuery] {
    /// Adds the statement for some rows, if there are any.
    fileprivate mutating func add<Row>(_ statement: BulkStatement<Row>, _ rows: [Row]) {
        if !rows.isEmpty { append(statement.query(rows)) }
    }
}

/// The rows that the changed accounts of a batch write, by statement.
private struct BatchRows {
    private var accounts: [AccountDraft] = []
    private var entries: [EntryRow] = []
    private var newBlocks: [BlockToWrite] = []
    private var changedBlocks: [BlockChange] = []
    private var newReservations: [ReservationRow] = []
    private var changedReservations: [ReservationRow] = []
    private var newSubscriptions: [SubscriptionRow] = []
    private var changedSubscriptions: [SubscriptionRow] = []
    private var newTopUpRequests: [TopUpRequestRow] = []
    private var changedTopUpRequests: [TopUpRequestRow] = []
    private var events: [EventRow] = []
    private var counters: [CounterToWrite] = []
    private var movedAccounts: [Account] = []
    private var removedCounters: [(account: Account, id: CounterID)] = []
    private var endedGenerations: [(account: Account, generation: Int32)] = []
    private var erased: [AccountDraft] = []
    private var spans: [LedgerFeed.Span] = []
    private var checkpoints: [CheckpointRequest] = []

    mutating func add(_ draft: AccountDraft) {
        let account = draft.account
        accounts.append(draft)
        if let first = draft.entries.first, let last = draft.entries.last {
            spans.append(
                LedgerFeed.Span(
                    environmentID: account.environmentID, accountID: account.id, first: first.sequence,
                    last: last.sequence))
        }
        for entry in draft.entries { entries.append(EntryRow(account: account, entry: entry)) }
        for block in draft.grantedBlocks {
            newBlocks.append(BlockToWrite(account: account, granted: block, state: draft.current(block)))
        }
        for block in draft.olderChangedBlocks { changedBlocks.append(BlockChange(account: account, block: block)) }
        newReservations += draft.newReservations.map { draft.row(of: $0) }
        changedReservations += draft.olderChangedReservations.map { draft.row(of: $0) }
        newSubscriptions += draft.newSubscriptions.map { draft.row(of: $0) }
        changedSubscriptions += draft.olderChangedSubscriptions.map { draft.row(of: $0) }
        newTopUpRequests += draft.newTopUpRequests.map { TopUpRequestRow(account: account, request: $0) }
        changedTopUpRequests += draft.olderChangedTopUpRequests.map { TopUpRequestRow(account: account, request: $0) }
        for event in draft.events { events.append(EventRow(account: account, event: event)) }
        for changed in draft.changedCounters {
            counters.append(CounterToWrite(account: account, id: changed.id, counter: changed.counter))
        }
        if draft.hasNewClock { movedAccounts.append(account) }
        for id in draft.removedCounters { removedCounters.append((account, id)) }
        for generation in draft.removedGenerations.sorted() { endedGenerations.append((account, generation)) }
        if draft.erasure != nil { erased.append(draft) }
        if CheckpointSpacing.standard.isPassed(by: draft) {
            checkpoints.append(
                CheckpointRequest(
                    environmentID: account.environmentID, accountID: account.id, sequence: account.version))
        }
    }

    /// The statements in the order in which they run: one for each table and kind of change.
    var queries: [PostgresQuery] {
        var queries: [PostgresQuery] = []
        queries.add(.insertEntries, entries)
        queries.add(.insertBlocks, newBlocks)
        queries.add(.updateBlocks, changedBlocks)
        queries.add(.insertReservations, newReservations)
        queries.add(.updateReservations, changedReservations)
        // A fallback takes the slot of the subscription that has ended, so the old one is closed first.
        queries.add(.updateSubscriptions, changedSubscriptions)
        queries.add(.insertSubscriptions, newSubscriptions)
        // An account has at most one open request, so the old one is closed before the new one is inserted.
        queries.add(.updateTopUpRequests, changedTopUpRequests)
        queries.add(.insertTopUpRequests, newTopUpRequests)
        queries.add(.insertEvents, events)
        queries.add(.upsertCounters, counters)
        if !movedAccounts.isEmpty { queries.append(Self.keepCounters(of: movedAccounts)) }
        if !removedCounters.isEmpty { queries.append(Self.deleteCounters(removedCounters)) }
        if !endedGenerations.isEmpty { queries.append(Self.deleteCounters(ofGenerations: endedGenerations)) }
        if !erased.isEmpty { queries += ErasureStore.begin(erased) }
        queries.add(.updateAccounts, accounts)
        queries += LedgerFeed.insert(spans)
        queries.add(.insertCheckpointRequests, checkpoints)
        return queries
    }

    /// Keeps the counters of accounts that were attached to a test clock: their windows end by another time now.
    private static func keepCounters(of accounts: [Account]) -> PostgresQuery {
        PostgresQuery(
            """
            update counters c set is_on_test_clock = true
            from unnest($1::integer[], $2::bigint[]) as k (environment_id, account_id)
            where c.environment_id = k.environment_id and c.account_id = k.account_id
            """,
            [.int32s(accounts.map(\.environmentID.rawValue)), .int64s(accounts.map(\.id.rawValue))])
    }

    /// Deletes the counters of definitions of limits that have ended.
    private static func deleteCounters(ofGenerations ended: [(account: Account, generation: Int32)]) -> PostgresQuery {
        PostgresQuery(
            """
            delete from counters c
            using unnest($1::integer[], $2::bigint[], $3::integer[]) as k (environment_id, account_id, generation)
            where c.environment_id = k.environment_id and c.account_id = k.account_id and c.generation = k.generation
            """,
            [
                .int32s(ended.map(\.account.environmentID.rawValue)), .int64s(ended.map(\.account.id.rawValue)),
                .int32s(ended.map(\.generation)),
            ])
    }

    private static func deleteCounters(_ counters: [(account: Account, id: CounterID)]) -> PostgresQuery {
        PostgresQuery(
            """
            delete from counters c
            using unnest($1::integer[], $2::bigint[], $3::uuid[]) as k (environment_id, account_id, counter_id)
            where c.environment_id = k.environment_id and c.account_id = k.account_id and c.counter_id = k.counter_id
            """,
            [
                .int32s(counters.map(\.account.environmentID.rawValue)),
                .int64s(counters.map(\.account.id.rawValue)),
                .uuids(counters.map { PostgresUUID($0.id.bits) }),
            ])
    }
}

extension BulkStatement<CheckpointRequest> {
    /// The accounts whose past is due to be summed up.
    fileprivate static let insertCheckpointRequests = BulkStatement.insert(
        into: "checkpoint_requests",
        [
            .int32("environment_id") { $0.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.accountID.rawValue as Int64 },
            .int64("sequence") { $0.sequence as Int64 },
        ])
}

extension AccountDraft {
    fileprivate func row(of reservation: Reservation) -> ReservationRow {
        ReservationRow(environmentID: account.environmentID, accountID: account.id, reservation: reservation)
    }

    fileprivate func row(of subscription: Subscription) -> SubscriptionRow {
        SubscriptionRow(environmentID: account.environmentID, accountID: account.id, subscription: subscription)
    }
}
