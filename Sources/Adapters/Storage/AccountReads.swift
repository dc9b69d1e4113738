package import Credits
package import Ledger
package import Postgres
package import Answers

/// Reading end users and their blocks for the API.
package enum AccountReads {
    package struct EndUser: Hashable, Sendable {
        package let accountID: AccountID
        package let endUserID: EndUserID
        package let profile: EndUserProfile
        package let settings: AccountSettings
    }

    package static func endUser(
        _ key: AccountKey, on connection: PostgresConnection
    ) async throws -> EndUser? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, end_user_id, name, metadata, created_at, updated_at, settings
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
                select account_id, end_user_id, name, metadata, created_at, updated_at, settings
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
                updatedAt: Instant(microseconds: try row.timestamp(5))),
            settings: try row.textOrNil(6).map { try AccountSettings(storedJSON: $0) } ?? .none)
    }

    /// A block with its state in the database; time may have gone on since.
    package struct StoredBlock: Hashable, Sendable {
        package let granted: GrantedBlock
        package var block: Block { granted.block }
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
            guard let status = BlockStatus(rawValue: try row.text(0)) else {
                throw StorageError.unknownValue(column: "status")
            }
            let granted = try GrantedBlock(row, from: 1)
            return StoredBlock(granted: granted, status: status)
        }
    }

    /// Only an expiry leaves a block with nothing at or after its instant, since nothing is spent from it then: a block
    /// whose last entry is an `expire` has expired, every other block without a rest is spent.
    private static let listBlocks = PostgresStatement(
        """
        select status, \(GrantedBlock.columns(of: "listed"))
        from (
            select b.*, coalesce(b.expires_at, 'infinity') as sort_expiry, coalesce(b.price_paid, 0) > 0 as paid,
                b.open and b.revoked_at is null and coalesce(b.expires_at, 'infinity') > $3 as sort_open,
                case
                    when b.revoked_at is not null then 'revoked'
                    when b.open and coalesce(b.expires_at, 'infinity') > $3 then 'active'
                    when b.open then 'expired'
                    when b.expires_at <= $3 and b.number in (
                        select e.allocation_blocks[1] from entries e
                        where e.environment_id = $1 and e.account_id = $2 and e.type = 'expire') then 'expired'
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
        """)
}

extension GrantedBlock {
    /// What `init(_:from:)` reads, in its order.
    static func columns(of alias: String) -> String {
        [
            "number", "original", "remaining", "held", "priority", "expires_at", "price_paid", "feature_keys",
            "revoked_at", "source", "reason", "metadata", "created_at", "currency", "external_payment_id",
        ].map { "\(alias).\($0)" }.joined(separator: ", ")
    }

    /// A block as the database has it.
    init(_ row: PostgresRow, from column: Int) throws {
        guard let source = BlockSource(rawValue: try row.text(column + 9)) else {
            throw StorageError.unknownValue(column: "source")
        }
        let payment = Payment(
            price: try row.int64OrNil(column + 6), currency: try row.textOrNil(column + 13),
            externalID: try row.textOrNil(column + 14))
        self.init(
            block: try LedgerStore.block(row, from: column), source: source, payment: payment.isEmpty ? nil : payment,
            reason: try row.textOrNil(column + 10),
            metadata: try row.textOrNil(column + 11).map { Metadata(canonicalJSON: $0) },
            createdAt: Instant(microseconds: try row.timestamp(column + 12)))
    }
}
