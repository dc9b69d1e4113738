package import Commands
package import Credits
package import Ledger
package import Postgres

/// Reads end users and their blocks for the API.
package enum AccountReads {
    package struct EndUser: Hashable, Sendable {
        package let accountID: AccountID
        package let endUserID: EndUserID
        package let settings: AccountSettings
        package let profile: EndUserProfile
    }

    package static func endUser(
        _ key: AccountKey, on connection: PostgresConnection
    ) async throws -> EndUser? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, end_user_id, settings, name, metadata, created_at, updated_at, erased_at
                from accounts
                where environment_id = $1 and end_user_id = $2 and revision > 0
                """,
                [.int32(key.environmentID.rawValue), .text(key.endUserID.rawValue)]))
        return try result.first.map { try decodeEndUser($0) }
    }

    /// The end user ids of accounts. Unknown accounts are missing from the result.
    package static func endUserIDs(
        _ ids: [AccountID], environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [AccountID: EndUserID] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select a.account_id, a.end_user_id
                from unnest($2::bigint[]) as k (account_id)
                join accounts a on a.environment_id = $1 and a.account_id = k.account_id
                """,
                [.int32(environmentID.rawValue), .int64s(ids.map(\.rawValue))]))
        var names: [AccountID: EndUserID] = [:]
        for row in result { names[AccountID(try row.int64(0))] = EndUserID(try row.text(1)) }
        return names
    }

    /// A page of end users, newest first, with accounts below `before`.
    package static func endUsers(
        environmentID: EnvironmentID, before: AccountID?, limit: Int, on connection: PostgresConnection
    ) async throws -> [EndUser] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, end_user_id, settings, name, metadata, created_at, updated_at, erased_at
                from accounts
                where environment_id = $1 and ($2::bigint is null or account_id < $2) and revision > 0
                order by account_id desc
                limit $3
                """,
                [.int32(environmentID.rawValue), .optional(before?.rawValue), .int64(Int64(limit))]))
        return try result.map { try decodeEndUser($0) }
    }

    private static func decodeEndUser(_ row: PostgresRow) throws -> EndUser {
        var fields = RowFields(row)
        return EndUser(
            accountID: try fields.accountID(), endUserID: try fields.endUserID(),
            settings: try fields.parsedOrNil("settings") { try AccountSettings(storedJSON: $0) } ?? .none,
            profile: try EndUserProfile(&fields))
    }

    /// A block as the database stores it. An expiry that has passed since may not be applied yet.
    package struct StoredBlock: Hashable, Sendable {
        package let granted: GrantedBlock
        package var block: Block { granted.block }
        /// The status as of `now`: a block past its expiry is shown as expired even before its entry is written.
        package let status: BlockStatus
    }

    /// The values by which the last block of the previous page was sorted.
    package struct BlockCursor: Hashable, Sendable {
        package let open: Bool
        package let priority: Int16
        package let expiresAt: Instant?
        package let isPaid: Bool
        package let since: Instant
        package let startsLater: Bool
        package let number: Int32

        package init(
            open: Bool, priority: Int16, expiresAt: Instant?, isPaid: Bool, since: Instant, startsLater: Bool,
            number: Int32
        ) {
            self.open = open
            self.priority = priority
            self.expiresAt = expiresAt
            self.isPaid = isPaid
            self.since = since
            self.startsLater = startsLater
            self.number = number
        }
    }

    /// A page of an account's blocks: the spendable ones first, in burn order, then the others in the same order.
    ///
    /// It costs the account's blocks with remaining credits and its scheduled blocks, at most 10,000, the entries behind the last checkpoint, the
    /// rows of the page, and for a closed block past its expiry a look at its sums. A page that begins behind a closed
    /// block costs the closed blocks before it too, and the status `spent`, `expired` or `revoked` those with other
    /// statuses in between.
    package static func blocks(
        environmentID: EnvironmentID, accountID: AccountID, status: BlockStatus?, now: Instant, after: BlockCursor?,
        limit: Int, on connection: PostgresConnection
    ) async throws -> [StoredBlock] {
        let result = try await connection.run(
            PostgresQuery(
                listBlocks,
                [
                    .int32(environmentID.rawValue), .int64(accountID.rawValue),
                    .timestamp(microseconds: now.microseconds), .optional(status?.rawValue), .optional(after?.open),
                    .optional(after?.priority),
                    .timestamp(microseconds: after?.expiresAt?.microseconds ?? Int64.max),
                    .optional(after?.isPaid), .optional(after?.number), .int64(Int64(limit)),
                    .optionalTimestamp(microseconds: after?.since.microseconds), .optional(after?.startsLater),
                ]))
        return try result.map { row in
            var fields = RowFields(row)
            let status = try fields.parsed("status") { BlockStatus(rawValue: $0) }
            return StoredBlock(granted: try GrantedBlockRow(&fields, keeping: nil).granted, status: status)
        }
    }

    /// Nothing is spent from a block after its expiry. A closed block past its expiry has therefore expired if an
    /// `expire` entry took its rest, and every other closed block is spent. Checkpoints and the entries behind the last
    /// one know which types of entries changed a block.
    ///
    /// 1. `open_blocks` are the blocks with remaining credits and the scheduled blocks, in any order.
    /// 2. `closed_blocks` are read in the order of their index.
    ///
    /// A block whose grant starts later counts from its start, and comes before those that were granted at that instant.
    /// `promptly` is true for all other blocks.
    static let listBlocks = PostgresStatement(
        """
        with base as materialized (
            select coalesce(max(c.sequence), 0) as sequence
            from checkpoints c
            where c.environment_id = $1 and c.account_id = $2
        ), expired_lately as materialized (
            select e.allocation_blocks[1] as number
            from base s
            join entries e on e.environment_id = $1 and e.account_id = $2 and e.sequence > s.sequence
            where e.type = 'expire'
        ), open_blocks as materialized (
            select b.*, coalesce(b.expires_at, 'infinity') as sort_expiry, coalesce(b.price_paid, 0) > 0 as paid,
                greatest(b.created_at, b.starts_at) as since,
                coalesce(b.starts_at <= b.created_at, true) as promptly,
                not b.scheduled and b.revoked_at is null and coalesce(b.expires_at, 'infinity') > $3 as sort_open,
                case
                    when b.scheduled then 'scheduled'
                    when b.revoked_at is not null then 'revoked'
                    when coalesce(b.expires_at, 'infinity') > $3 then 'active'
                    else 'expired'
                end as status
            from blocks b
            where b.environment_id = $1 and b.account_id = $2 and b.open
        ), closed_blocks as materialized (
            select b.*, coalesce(b.expires_at, 'infinity') as sort_expiry, coalesce(b.price_paid, 0) > 0 as paid,
                greatest(b.created_at, b.starts_at) as since,
                coalesce(b.starts_at <= b.created_at, true) as promptly, false as sort_open, s.status
            from blocks b
            cross join lateral (
                select case
                    when b.revoked_at is not null then 'revoked'
                    when b.expires_at <= $3 and (b.number in (select number from expired_lately) or exists (
                        select from (
                            select c.types
                            from checkpoint_blocks c
                            where c.environment_id = $1 and c.account_id = $2 and c.block = b.number
                            order by c.sequence desc
                            limit 1
                        ) k where 'expire' = any (k.types))) then 'expired'
                    else 'spent'
                end as status
            ) s
            where b.environment_id = $1 and b.account_id = $2 and not b.open
                and ($4::text is null or $4 not in ('active', 'scheduled'))
                and (b.priority, coalesce(b.expires_at, 'infinity'), coalesce(b.price_paid, 0) > 0,
                    greatest(b.created_at, b.starts_at), coalesce(b.starts_at <= b.created_at, true), b.number) > (
                    case when not $5::boolean then $6::smallint else '-32768'::smallint end,
                    case when not $5 then $7::timestamptz else '-infinity' end,
                    case when not $5 then $8::boolean else false end,
                    case when not $5 then $11::timestamptz else '-infinity' end,
                    case when not $5 then not $12::boolean else false end,
                    case when not $5 then $9::integer else '-2147483648'::integer end)
                and ($4 is null or s.status = $4)
            order by b.priority, coalesce(b.expires_at, 'infinity'), coalesce(b.price_paid, 0) > 0,
                greatest(b.created_at, b.starts_at), coalesce(b.starts_at <= b.created_at, true), b.number
            limit $10
        )
        select status, \(GrantedBlockRow.columns(of: "listed"))
        from (select * from open_blocks union all select * from closed_blocks) as listed
        where ($4 is null or status = $4)
            and ($5 is null
                or (not sort_open, priority, sort_expiry, paid, since, promptly, number)
                    > (not $5, $6, $7, $8, $11, not $12, $9))
        order by not sort_open, priority, sort_expiry, paid, since, promptly, number
        limit $10
        """)
}
