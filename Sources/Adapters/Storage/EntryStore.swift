package import Credits
package import Ledger
package import Postgres

/// Where an entry stands.
package struct EntryKey: Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let sequence: Int64

    package init(environmentID: EnvironmentID, accountID: AccountID, sequence: Int64) {
        self.environmentID = environmentID
        self.accountID = accountID
        self.sequence = sequence
    }
}

/// An entry with the account that it belongs to.
package struct AccountEntry: Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let entry: Entry

    package var key: EntryKey {
        EntryKey(environmentID: environmentID, accountID: accountID, sequence: entry.sequence)
    }
}

/// Which entries of an account to list, and how far.
package struct EntryFilter: Hashable, Sendable {
    package var type: EntryType?
    package var featureKey: FeatureKey?
    /// Effective at or after.
    package var from: Instant?
    /// Effective before.
    package var to: Instant?
    package var ascending: Bool
    /// The sequence after which the page begins, in the direction of the order.
    package var after: Int64?
    package var limit: Int

    package init(
        type: EntryType? = nil, featureKey: FeatureKey? = nil, from: Instant? = nil, to: Instant? = nil,
        ascending: Bool = false, after: Int64? = nil, limit: Int
    ) {
        self.type = type
        self.featureKey = featureKey
        self.from = from
        self.to = to
        self.ascending = ascending
        self.after = after
        self.limit = limit
    }
}

/// Reading the ledger.
package enum EntryStore {
    /// What `decode` reads, in its order.
    static func columns(of alias: String) -> String {
        [
            "environment_id", "account_id", "sequence", "type", "amount", "reserved_delta", "overage_delta",
            "balance_after", "reserved_after", "allocation_blocks", "allocation_amounts", "feature_key", "units",
            "rule_id", "idempotency_key", "reason", "metadata", "effective_at", "recorded_at", "hash", "reservation",
            "refunds", "hold_blocks", "hold_amounts", "overage_after", "details",
        ].map { "\(alias).\($0)" }.joined(separator: ", ")
    }

    /// How many columns that is.
    static let columnCount = 26

    /// Entries by account and sequence, in no order.
    package static func find(
        _ keys: [EntryKey], on connection: PostgresConnection
    ) async throws -> [AccountEntry] {
        let result = try await connection.run(
            PostgresQuery(
                findStatement,
                [
                    .int32s(keys.map(\.environmentID.rawValue)), .int64s(keys.map(\.accountID.rawValue)),
                    .int64s(keys.map(\.sequence)),
                ]))
        return try result.map { try decode($0) }
    }

    private static let findStatement = PostgresStatement(
        """
        select \(columns(of: "e"))
        from unnest($1::integer[], $2::bigint[], $3::bigint[]) as k (environment_id, account_id, sequence)
        join entries e using (environment_id, account_id, sequence)
        """)

    /// One page of an account's entries: newest first, or oldest first.
    package static func list(
        environmentID: EnvironmentID, accountID: AccountID, _ filter: EntryFilter, on connection: PostgresConnection
    ) async throws -> [AccountEntry] {
        let parameters: [PostgresValue] = [
            .int32(environmentID.rawValue), .int64(accountID.rawValue), .optional(filter.type?.rawValue),
            .optional(filter.featureKey?.rawValue), .optionalTimestamp(microseconds: filter.from?.microseconds),
            .optionalTimestamp(microseconds: filter.to?.microseconds), .optional(filter.after),
            .int64(Int64(filter.limit)),
        ]
        let result = try await connection.run(
            PostgresQuery(filter.ascending ? listAscending : listDescending, parameters))
        return try result.map { try decode($0) }
    }

    static func decode(_ row: PostgresRow) throws -> AccountEntry {
        guard let type = EntryType(rawValue: try row.text(3)) else { throw StorageError.unknownValue(column: "type") }
        guard let hash = EntryHash(bytes: try row.bytes(19)) else { throw StorageError.unknownValue(column: "hash") }
        let allocations = zip(try row.int32s(9), try row.int64s(10)).map { Allocation(block: $0, amount: $1) }
        let cause = EntryCause(
            featureKey: try row.textOrNil(11).flatMap { FeatureKey($0) }, units: try row.int64OrNil(12),
            ruleID: try row.uuidOrNil(13).map { PublicID(.rule, Bits128($0)) }, reservation: try row.int32OrNil(20),
            refunds: try row.int64OrNil(21), idempotencyKey: try row.textOrNil(14), reason: try row.textOrNil(15),
            metadata: try row.textOrNil(16).map { Metadata(canonicalJSON: $0) },
            details: try row.textOrNil(25).map { try EntryDetails(storedJSON: $0) } ?? .none)
        let holds =
            row.isNull(22) ? [] : zip(try row.int32s(22), try row.int64s(23)).map { Allocation(block: $0, amount: $1) }
        let entry = Entry(
            sequence: try row.int64(2), type: type, amount: try row.int64(4), reservedDelta: try row.int64(5),
            overageDelta: try row.int64(6), balanceAfter: try row.int64(7), reservedAfter: try row.int64(8),
            overageAfter: try row.int64(24), allocations: allocations, holds: holds, cause: cause,
            effectiveAt: Instant(microseconds: try row.timestamp(17)),
            recordedAt: Instant(microseconds: try row.timestamp(18)), hash: hash)
        return AccountEntry(
            environmentID: EnvironmentID(try row.int32(0)), accountID: AccountID(try row.int64(1)), entry: entry)
    }

    static let listDescending = list(after: "e.sequence < $7", order: "desc")
    private static let listAscending = list(after: "e.sequence > $7", order: "asc")

    private static func list(after: String, order: String) -> PostgresStatement {
        PostgresStatement(
            """
            select \(columns(of: "e"))
            from entries e
            where e.environment_id = $1 and e.account_id = $2
                and ($3::text is null or e.type = $3) and ($4::text is null or e.feature_key = $4)
                and ($5::timestamptz is null or e.effective_at >= $5)
                and ($6::timestamptz is null or e.effective_at < $6)
                and ($7::bigint is null or \(after))
            order by e.sequence \(order)
            limit $8
            """)
    }
}
