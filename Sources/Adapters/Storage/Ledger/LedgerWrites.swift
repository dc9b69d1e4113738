package import Commands
import Credits
package import Ledger
package import Postgres

/// Everything that a batch has decided and that must be written together.
package struct BatchPlan: Sendable {
    package var accounts: [AccountDraft]
    package var payments: [NewPayment]
    package var decided: [DecidedCommand]
    /// The commands whose earlier decision, a malformed request, makes room for the one in `decided`.
    package var replaced: Set<CommandKey>

    package init(
        accounts: [AccountDraft], payments: [NewPayment] = [], decided: [DecidedCommand] = [],
        replaced: Set<CommandKey> = []
    ) {
        self.accounts = accounts
        self.payments = payments
        self.decided = decided
        self.replaced = replaced
    }
}

extension LedgerStore {
    /// Writes a batch's plan and commits: entries, blocks, reservations, accounts, payments and the decided commands in one
    /// transaction and one round trip, with one statement per table.
    ///
    /// An error leaves the transaction to be rolled back; a lost connection leaves the outcome unknown, and loading the
    /// commands again tells.
    package static func write(_ plan: BatchPlan, on connection: PostgresConnection) async throws {
        let changed = plan.accounts.filter(\.isChanged)
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
        add(.updateAccounts, changed)
        // Rows go in by key, the order in which every writer takes them, so that two batches that share a key wait for each
        // other and never both ways.
        add(.insertPayments, plan.payments.sorted { $0.key < $1.key })
        if !plan.replaced.isEmpty { queries.append(CommandStore.deleteMalformed(plan.replaced)) }
        add(.insertCommands, plan.decided.sorted { $0.key < $1.key })
        let unused = plan.accounts.filter { $0.account.revision == 0 }
        if !unused.isEmpty { queries.append(deleteUnused(unused)) }
        queries.append(PostgresQuery("commit"))
        _ = try await connection.run(queries)
    }

    private static func deleteUnused(_ drafts: [AccountDraft]) -> PostgresQuery {
        PostgresQuery(
            """
            delete from accounts a
            using unnest($1::integer[], $2::bigint[]) as u (environment_id, account_id)
            where a.environment_id = u.environment_id and a.account_id = u.account_id and a.revision = 0
            """,
            [
                .int32s(drafts.map(\.account.environmentID.rawValue)), .int64s(drafts.map(\.account.id.rawValue)),
            ])
    }
}

extension AccountDraft {
    fileprivate func row(of reservation: Reservation) -> ReservationRow {
        ReservationRow(environmentID: account.environmentID, accountID: account.id, reservation: reservation)
    }
}
