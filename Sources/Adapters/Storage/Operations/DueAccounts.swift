package import Commands
package import Credits
package import Postgres

/// An account of which something is due, and since when.
package struct DueAccount: Hashable, Sendable {
    package let key: AccountKey
    package let accountID: AccountID
    package let dueAt: Instant

    package init(key: AccountKey, accountID: AccountID, dueAt: Instant) {
        self.key = key
        self.accountID = accountID
        self.dueAt = dueAt
    }

    /// The id of the command that brings the account past this instant: the same from every scheduler and every time.
    package var commandID: Bits128 {
        Bits128(high: UInt64(bitPattern: accountID.rawValue), low: UInt64(bitPattern: dueAt.microseconds))
    }
}

/// What the scheduler asks of the database.
package enum DueAccounts {
    /// A scheduler that is frozen must not keep the others from its work: the server ends a session that is silent, and with
    /// it the lock.
    package static let sessionSettings = """
        set enable_seqscan = off; set jit = off; set idle_session_timeout = '5s'; set tcp_user_timeout = '10s'
        """

    /// "quotasch" as a number: the advisory lock of the scheduler that is at work.
    static let lockNumber: Int64 = 0x7175_6F74_6173_6368

    /// Tries to be the one that works. It lasts as long as the session.
    package static func tryToLead(on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery("select pg_try_advisory_lock($1)", [.int64(lockNumber)]))
        guard let row = result.first else { throw StorageError.missingRow("a lock") }
        return try row.bool(0)
    }

    /// What a look at the accounts has found.
    package struct Page: Sendable {
        /// Those that are due, the longest due first, without those whose command is parked.
        package var accounts: [DueAccount]
        /// Where the next page begins; nil when this is the last.
        package var end: DueAccount?
        /// The database's clock.
        package var now: Instant
        /// When the next account will be due, on the last page.
        package var nextDueAt: Instant?
    }

    /// A page of the accounts that are due, the longest due first.
    package static func page(
        after last: DueAccount?, limit: Int, on connection: PostgresConnection
    ) async throws -> Page {
        let results = try await connection.run([
            PostgresQuery("select statement_timestamp()"),
            PostgresQuery(
                find,
                [
                    .timestamp(microseconds: last?.dueAt.microseconds ?? .min),
                    .int32(last?.key.environmentID.rawValue ?? .min), .int64(last?.accountID.rawValue ?? .min),
                    .int64(Int64(limit)),
                ]),
        ])
        guard let clock = results[0].first else { throw StorageError.missingRow("the clock") }
        let now = Instant(microseconds: try clock.timestamp(0))
        let found = try results[1].map { try decode($0) }
        let due = found.prefix { $0.dueAt <= now }
        let isLast = due.count < limit
        let parked = try await parked(Array(due), on: connection)
        return Page(
            accounts: due.filter { !parked.contains($0.accountID) }, end: isLast ? nil : due.last, now: now,
            nextDueAt: isLast && found.count > due.count ? found[due.count].dueAt : nil)
    }

    private static func decode(_ row: PostgresRow) throws -> DueAccount {
        guard let endUserID = EndUserID(try row.text(2)) else { throw StorageError.unknownValue(column: "end_user_id") }
        return DueAccount(
            key: AccountKey(environmentID: EnvironmentID(try row.int32(0)), endUserID: endUserID),
            accountID: AccountID(try row.int64(1)), dueAt: Instant(microseconds: try row.timestamp(3)))
    }

    /// A command that was put aside because it cannot be applied would only be put aside again.
    private static func parked(
        _ accounts: [DueAccount], on connection: PostgresConnection
    ) async throws -> Set<AccountID> {
        guard !accounts.isEmpty else { return [] }
        let result = try await connection.run(
            PostgresQuery(
                """
                select k.account_id
                from unnest($1::integer[], $2::bigint[], $3::uuid[]) as k (environment_id, account_id, command_id)
                join parked_commands p using (environment_id, command_id)
                """,
                [
                    .int32s(accounts.map(\.key.environmentID.rawValue)), .int64s(accounts.map(\.accountID.rawValue)),
                    .uuids(accounts.map { PostgresUUID($0.commandID) }),
                ]))
        return Set(try result.map { AccountID(try $0.int64(0)) })
    }

    static let find: PostgresStatement = """
        select environment_id, account_id, end_user_id, due_at
        from accounts
        where due_at is not null and (due_at, environment_id, account_id) > ($1, $2, $3)
        order by due_at, environment_id, account_id
        limit $4
        """
}
