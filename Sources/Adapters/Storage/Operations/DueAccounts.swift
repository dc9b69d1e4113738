package import Commands
package import Credits
package import Postgres

/// An account, and the instant at which its next change is due.
package struct DueAccount: Hashable, Sendable {
    package let key: AccountKey
    package let accountID: AccountID
    package let dueAt: Instant

    package init(key: AccountKey, accountID: AccountID, dueAt: Instant) {
        self.key = key
        self.accountID = accountID
        self.dueAt = dueAt
    }

    /// The id of the command that advances the account past this instant. Every scheduler makes the same id every time.
    package var commandID: Bits128 {
        Bits128(high: UInt64(bitPattern: accountID.rawValue), low: UInt64(bitPattern: dueAt.microseconds))
    }
}

/// The scheduler's queries.
package enum DueAccounts {
    /// The settings of a scheduler's session. A frozen scheduler must not keep the others from working: the server ends
    /// a session that is silent, and the lock ends with it.
    package static let sessionSettings = """
        set enable_seqscan = off; set jit = off; set idle_session_timeout = '5s'; set tcp_user_timeout = '10s'
        """

    /// "quotasch" as a number: the advisory lock of the active scheduler.
    static let lockNumber: Int64 = 0x7175_6F74_6173_6368

    /// Tries to become the active scheduler, which the session stays as long as it lasts.
    package static func tryToLead(on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery("select pg_try_advisory_lock($1)", [.int64(lockNumber)]))
        guard let row = result.first else { throw StorageError.missingRow("a lock") }
        return try row.bool(0)
    }

    /// A page of accounts that are due, and where to continue.
    package struct Page: Sendable {
        /// The accounts that are due, the longest due first. Accounts whose command is parked are left out.
        package var accounts: [DueAccount]
        /// The account after which the next page begins; nil on the last page.
        package var end: DueAccount?
        /// The database's clock.
        package var now: Instant
        /// On the last page, the instant at which the next account will be due; nil when there is none.
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

    /// The accounts whose advance command is parked. Another attempt would fail in the same way.
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
