package import Commands
import Credits
import Ledger
package import Postgres

/// The erasures whose clear text is still to be removed.
///
/// `LedgerStore.write` begins an erasure in the transaction of its command: the account has its opaque id from then on,
/// and the row of `erasures` has the only copy of the old id and of the salt. `Eraser` removes the text, one slice after
/// another, and the row with the last one.
///
/// Invariants:
/// - A slice is a transaction of at most `rowsPerSlice` rows. It locks the erasure, so that of several processes one works
///   on it, and then the account, as the ledger does.
/// - A slice that failed is done again: it leaves what it was to remove, or nothing.
/// - The database lets an entry lose its text only while its account has a row here.
package enum ErasureStore {
    /// The settings of a session that removes text. A process that is frozen in a transaction loses its session, and with
    /// it the lock of the account, after 5 seconds.
    package static let sessionSettings = """
        set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off; set jit = off;
        set statement_timeout = '10s'; set idle_session_timeout = '60s';
        set idle_in_transaction_session_timeout = '5s'; set tcp_user_timeout = '10s'
        """

    /// The rows that one transaction changes at most.
    package static let rowsPerSlice: Int64 = 2_000

    // MARK: - Beginning

    /// Gives the accounts their opaque ids, and keeps what the removal of the past needs.
    static func begin(_ drafts: [AccountDraft]) -> [PostgresQuery] {
        let erased = drafts.compactMap { draft in draft.erasure.map { (draft.account, $0) } }
        let key: [PostgresValue] = [
            .int32s(erased.map(\.0.environmentID.rawValue)), .int64s(erased.map(\.0.id.rawValue)),
        ]
        return [
            PostgresQuery(
                """
                insert into erasures (environment_id, account_id, end_user_id, salt, up_to, revision)
                select n.environment_id, n.account_id, a.end_user_id, a.salt, n.up_to, n.revision
                from unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[])
                    as n (environment_id, account_id, up_to, revision)
                join accounts a using (environment_id, account_id)
                """,
                key + [.int64s(erased.map(\.1.upTo)), .int64s(erased.map(\.0.revision))]),
            PostgresQuery(
                """
                update accounts a set end_user_id = n.end_user_id, salt = null, erased_at = n.erased_at
                from unnest($1::integer[], $2::bigint[], $3::text[], $4::timestamptz[])
                    as n (environment_id, account_id, end_user_id, erased_at)
                where a.environment_id = n.environment_id and a.account_id = n.account_id
                """,
                key + [
                    .texts(erased.map(\.0.endUserID.rawValue)),
                    .timestamps(microseconds: erased.map(\.1.at.microseconds)),
                ]),
        ]
    }

    /// Whether text of an end user who had an id is still to be removed.
    package static func isRunning(_ key: AccountKey, on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery(
                "select 1 from erasures where environment_id = $1 and end_user_id = $2 limit 1",
                [.id(key.environmentID), .text(key.endUserID.rawValue)]))
        return result.rowCount > 0
    }

    // MARK: - Removing

    /// Removes the next slice of the erasure that was begun first.
    ///
    /// - Returns: The rows that lost their text; nil when there is no erasure that another process is not working on.
    package static func removeSlice(
        upTo limit: Int64 = rowsPerSlice, on connection: PostgresConnection
    ) async throws -> Int? {
        try await connection.withTransaction { connection in
            let found = try await connection.run(PostgresQuery(lockErasure))
            guard let row = found.first else { return nil }
            let slice = try ErasureSlice(row, limit: limit, on: connection)
            return try await slice.remove()
        }
    }

    private static let lockErasure: PostgresStatement = """
        select environment_id, account_id, end_user_id, salt, up_to, stage, done
        from erasures
        order by begun_at
        limit 1
        for update skip locked
        """
}
