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
        let changed = plan.accounts.filter(\.hasWrites)
        var queries: [PostgresQuery] = []
        func add<Row>(_ statement: BulkStatement<Row>, _ rows: [Row]) {
            if !rows.isEmpty { queries.append(statement.query(rows)) }
        }
        add(
            .insertEntries,
            changed.flatMap { draft in draft.entries.map { EntryRow(account: draft.account, entry: $0) } })
        add(
            .insertBlocks,
            changed.flatMap { draft in
                draft.grantedBlocks.map {
                    BlockToWrite(account: draft.account, granted: $0, state: draft.current($0))
                }
            })
        add(
            .updateBlocks,
            changed.flatMap { draft in draft.olderChangedBlocks.map { (account: draft.account, block: $0) } })
        add(.insertReservations, changed.flatMap { draft in draft.newReservations.map { draft.row(of: $0) } })
        add(.updateReservations, changed.flatMap { draft in draft.olderChangedReservations.map { draft.row(of: $0) } })
        // A fallback takes the slot of the subscription that has ended, so the old one is closed first.
        add(
            .updateSubscriptions, changed.flatMap { draft in draft.olderChangedSubscriptions.map { draft.row(of: $0) } }
        )
        add(.insertSubscriptions, changed.flatMap { draft in draft.newSubscriptions.map { draft.row(of: $0) } })
        func rows(_ requests: (AccountDraft) -> [TopUpRequest]) -> [TopUpRequestRow] {
            changed.flatMap { draft in
                requests(draft).map { TopUpRequestRow(account: draft.account, request: $0) }
            }
        }
        // An account has at most one open request, so the old one is closed before the new one is inserted.
        add(.updateTopUpRequests, rows(\.olderChangedTopUpRequests))
        add(.insertTopUpRequests, rows(\.newTopUpRequests))
        add(
            .insertEvents,
            changed.flatMap { draft in draft.events.map { EventRow(account: draft.account, event: $0) } })
        add(
            .upsertCounters,
            changed.flatMap { draft in
                draft.changedCounters.map {
                    CounterToWrite(account: draft.account, id: $0.id, counter: $0.counter)
                }
            })
        let moved = changed.filter(\.hasNewClock).map(\.account)
        if !moved.isEmpty { queries.append(keepCounters(of: moved)) }
        let removed = changed.flatMap { draft in draft.removedCounters.map { (draft.account, $0) } }
        if !removed.isEmpty { queries.append(deleteCounters(removed)) }
        let ended = changed.flatMap { draft in draft.removedGenerations.sorted().map { (draft.account, $0) } }
        if !ended.isEmpty { queries.append(deleteCounters(ofGenerations: ended)) }
        let erased = changed.filter { $0.erasure != nil }
        if !erased.isEmpty { queries += ErasureStore.begin(erased) }
        add(.updateAccounts, changed)
        queries += LedgerFeed.insert(changed)
        add(.insertCheckpointRequests, changed.filter { CheckpointSpacing.standard.isPassed(by: $0) })
        // Every writer inserts rows in the order of their keys. Of two batches with a common key, one then waits for
        // the other, and never both for each other.
        add(.insertPayments, plan.payments.sorted { $0.key < $1.key })
        if !plan.replaced.isEmpty { queries.append(CommandStore.deleteForgotten(plan.replaced)) }
        add(.insertCommands, plan.decided.sorted { $0.key < $1.key })
        let unused =
            plan.unusedAccounts
            + plan.accounts.map(\.account).filter { $0.revision == 0 }.map {
                AccountKeyByNumber(environmentID: $0.environmentID, id: $0.id)
            }
        if !unused.isEmpty { queries.append(deleteUnused(unused)) }
        queries.append(PostgresQuery("commit"))
        _ = try await connection.run(queries)
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

extension BulkStatement<AccountDraft> {
    /// The accounts whose past is due to be summed up.
    fileprivate static let insertCheckpointRequests = BulkStatement.insert(
        into: "checkpoint_requests",
        [
            .int32("environment_id") { $0.account.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.account.id.rawValue as Int64 },
            .int64("sequence") { $0.account.version as Int64 },
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
