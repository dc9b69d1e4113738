package import Commands
package import Credits
import Ledger
package import Postgres

/// The account whose text an erasure removes.
package struct ErasureKey: Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
}

/// The erasures whose clear text is still to be removed.
///
/// `LedgerStore.write` begins an erasure in the transaction of its command: the account has its opaque id from then on,
/// and the row of `erasures` has the only copy of the old id and of the salt. `Eraser` removes the text, one slice after
/// another, and the row with the last one.
///
/// Invariants:
/// - A slice is a transaction of at most `rowsPerSlice` rows. It locks the erasure, so that of several processes one works
///   on it, and then the account, as the ledger does.
/// - A slice that failed is done again, after the other erasures of its environment.
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

    /// Whether an erasure of an end user with this id still has text to remove.
    package static func isRunning(_ key: AccountKey, on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery(
                "select 1 from erasures where environment_id = $1 and end_user_id = $2 limit 1",
                [.id(key.environmentID), .text(key.endUserID.rawValue)]))
        return result.rowCount > 0
    }

    // MARK: - Removing

    /// The erasure whose turn it is in the next environment, without those on which another process works; nil behind the
    /// last environment. Costs one look into an index.
    ///
    /// - Parameter environment: The environment that had its turn last; nil begins with the first one.
    package static func next(
        after environment: EnvironmentID?, on connection: PostgresConnection
    ) async throws -> ErasureKey? {
        let result = try await connection.run(
            PostgresQuery(findNext, [.int32(environment?.rawValue ?? .min)]))
        return try result.first.map { row in
            var fields = RowFields(row)
            return ErasureKey(environmentID: try fields.environmentID(), accountID: try fields.accountID())
        }
    }

    private static let findNext: PostgresStatement = """
        select environment_id, account_id
        from erasures
        where environment_id > $1
        order by environment_id, turn_at
        limit 1
        for update skip locked
        """

    /// Removes the next slice of an erasure, in a transaction of its own. An erasure whose slice fails gets its next turn
    /// after the others of its environment.
    ///
    /// - Returns: The rows that lost their text; nil when another process works on the erasure, or has ended it.
    package static func removeSlice(
        of erasure: ErasureKey, upTo limit: Int64 = rowsPerSlice, on connection: PostgresConnection
    ) async throws -> Int? {
        let key: [PostgresValue] = [.id(erasure.environmentID), .id(erasure.accountID)]
        do {
            return try await connection.withTransaction { connection in
                let found = try await connection.run(PostgresQuery(lockErasure, key))
                guard let row = found.first else { return nil }
                var slice = try ErasureSlice(row, limit: limit, on: connection)
                return try await slice.remove()
            }
        } catch {
            // The error of the slice says more than one of this statement, which fails when the connection is lost.
            _ = try? await connection.run(PostgresQuery(postpone, key))
            throw error
        }
    }

    private static let lockErasure: PostgresStatement = """
        select environment_id, account_id, end_user_id, salt, up_to, stage, done
        from erasures
        where environment_id = $1 and account_id = $2
        for update skip locked
        """

    private static let postpone: PostgresStatement = """
        update erasures set turn_at = clock_timestamp() where environment_id = $1 and account_id = $2
        """
}
