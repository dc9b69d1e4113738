package import Credits
package import Ledger
package import Postgres
package import Representations

/// Reading end users and their blocks for the API.
package enum AccountReads {
    package struct EndUser: Hashable, Sendable {
        package let accountID: AccountID
        package let endUserID: EndUserID
        package let profile: EndUserProfile
    }

    package static func endUser(
        _ key: AccountKey, on connection: PostgresConnection
    ) async throws -> EndUser? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, end_user_id, name, metadata, created_at, updated_at
                from accounts
                where environment_id = $1 and end_user_id = $2 and revision > 0
                """,
                [.int32(key.environmentID.rawValue), .text(key.endUserID.rawValue)]))
        return try result.first.map { try decodeEndUser($0) }
    }

    /// The tenant's names of accounts.
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

    /// A page of end users, newest first, beginning before an account.
    package static func endUsers(
        environmentID: EnvironmentID, before: AccountID?, limit: Int, on connection: PostgresConnection
    ) async throws -> [EndUser] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, end_user_id, name, metadata, created_at, updated_at
                from accounts
                where environment_id = $1 and ($2::bigint is null or account_id < $2) and revision > 0
                order by account_id desc
                limit $3
                """,
                [.int32(environmentID.rawValue), .optional(before?.rawValue), .int64(Int64(limit))]))
        return try result.map { try decodeEndUser($0) }
    }

    private static func decodeEndUser(_ row: PostgresRow) throws -> EndUser {
        guard let endUserID = EndUserID(try row.text(1)) else {
            throw StorageError.unknownValue(column: "end_user_id")
        }
        return EndUser(
            accountID: AccountID(try row.int64(0)), endUserID: endUserID,
            profile: EndUserProfile(
                name: try row.textOrNil(2), metadata: try row.textOrNil(3).map { Metadata(canonicalJSON: $0) },
                createdAt: Instant(microseconds: try row.timestamp(4)),
                updatedAt: Instant(microseconds: try row.timestamp(5))))
    }

    /// A block with its state in the database; time may have gone on since.
    package struct StoredBlock: Hashable, Sendable {
        package let granted: GrantedBlock
        package let block: Block
        /// What became of it, as of `now`: a block past its expiry shows as expired even before its entry is written.
        package let status: BlockStatus
    }

    /// Where a page of blocks begins: what the last one before it sorts by.
    package struct BlockCursor: Hashable, Sendable {
        package let open: Bool
        package let priority: Int16
        package let expiresAt: Instant?
        package let isPaid: Bool
        package let number: Int32

        package init(open: Bool, priority: Int16, expiresAt: Instant?, isPaid: Bool, number: Int32) {
            self.open = open
            self.priority = priority
            self.expiresAt = expiresAt
            self.isPaid = isPaid
            self.number = number
        }
    }

    /// A page of an account's blocks: the spendable ones first, in burn order, then the others in the same order.
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
                ]))
        return try result.map { row in
            guard let source = BlockSource(rawValue: try row.text(9)) else {
                throw StorageError.unknownValue(column: "source")
            }
            guard let status = BlockStatus(rawValue: try row.text(13)) else {
                throw StorageError.unknownValue(column: "status")
            }
            let block = try LedgerStore.block(row, from: 0)
            return StoredBlock(
                granted: GrantedBlock(
                    block: block, source: source, reason: try row.textOrNil(10),
                    metadata: try row.textOrNil(11).map { Metadata(canonicalJSON: $0) },
                    createdAt: Instant(microseconds: try row.timestamp(12))),
                block: block, status: status)
        }
    }

    /// Only an expiry leaves a block with nothing at or after its instant, since nothing is spent from it then: a block
    /// whose last entry is an `expire` has expired, every other block without a rest is spent.
    private static let listBlocks: PostgresStatement = """
        select number, original, remaining, held, priority, expires_at, price_paid, feature_keys, open, source, reason,
            metadata, created_at, status, sort_open
        from (
            select b.number, b.original, b.remaining, b.held, b.priority, b.expires_at, b.price_paid, b.feature_keys,
                b.open, b.source, b.reason, b.metadata, b.created_at,
                coalesce(b.expires_at, 'infinity') as sort_expiry, coalesce(b.price_paid, 0) > 0 as paid,
                b.open and coalesce(b.expires_at, 'infinity') > $3 as sort_open,
                case
                    when b.open and coalesce(b.expires_at, 'infinity') > $3 then 'active'
                    when b.open then 'expired'
                    when b.expires_at <= $3 and exists (
                        select from entries e
                        where e.environment_id = b.environment_id and e.account_id = b.account_id
                            and e.type = 'expire' and e.allocation_blocks[1] = b.number) then 'expired'
                    else 'spent'
                end as status
            from blocks b
            where b.environment_id = $1 and b.account_id = $2
        ) as listed
        where ($4::text is null or status = $4)
            and ($5::boolean is null
                or (not sort_open, priority, sort_expiry, paid, number)
                    > (not $5::boolean, $6::smallint, $7::timestamptz, $8::boolean, $9::integer))
        order by not sort_open, priority, sort_expiry, paid, number
        limit $10
        """
}
