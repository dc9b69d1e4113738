package import Credits
package import Ledger
package import Postgres

/// The entries that a page of an account's entries contains.
package struct EntryFilter: Hashable, Sendable {
    package var type: EntryType?
    package var featureKey: FeatureKey?
    /// Only entries that are effective at or after this instant.
    package var from: Instant?
    /// Only entries that are effective before this instant.
    package var to: Instant?
    package var ascending: Bool
    /// The sequence after which the page begins, in the order of the page.
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

/// An entry with the name of its account.
package struct NamedEntry: Hashable, Sendable {
    package let account: AccountName
    package let entry: Entry
}

/// Reads the entries of the ledger.
package enum EntryStore {
    /// Finds entries by their keys, with their accounts' names. Keys without an entry are missing from the result.
    package static func find(
        _ keys: [EntryKey], on connection: PostgresConnection
    ) async throws -> [EntryKey: NamedEntry] {
        guard !keys.isEmpty else { return [:] }
        let result = try await connection.run(
            PostgresQuery(
                findStatement,
                [
                    .int32s(keys.map(\.environmentID.rawValue)), .int64s(keys.map(\.accountID.rawValue)),
                    .int64s(keys.map(\.sequence)),
                ]))
        let rows = try result.map { try Self.named($0) }
        return Dictionary(rows) { first, _ in first }
    }

    private static let findStatement = PostgresStatement(
        """
        select \(EntryRow.columns(of: "e")), a.end_user_id
        from unnest($1::integer[], $2::bigint[], $3::bigint[]) as k (environment_id, account_id, sequence)
        join entries e using (environment_id, account_id, sequence)
        join accounts a using (environment_id, account_id)
        """)

    /// Reads an entry's row that is followed by the end user's id.
    static func named(_ row: PostgresRow) throws -> (key: EntryKey, entry: NamedEntry) {
        var fields = RowFields(row)
        let entry = try EntryRow(&fields, keeping: nil)
        let account = AccountName(id: entry.accountID, endUserID: try fields.endUserID())
        return (entry.key, NamedEntry(account: account, entry: entry.entry))
    }

    /// One page of an account's entries: newest first, or oldest first if `ascending`.
    package static func list(
        environmentID: EnvironmentID, accountID: AccountID, _ filter: EntryFilter, on connection: PostgresConnection
    ) async throws -> [Entry] {
        let parameters: [PostgresValue] = [
            .id(environmentID), .id(accountID), .optional(filter.type?.rawValue),
            .optional(filter.featureKey?.rawValue), .instant(filter.from), .instant(filter.to),
            .optional(filter.after), .int64(Int64(filter.limit)),
        ]
        let result = try await connection.run(
            PostgresQuery(filter.ascending ? listAscending : listDescending, parameters))
        return try EntryRow.all(result).map(\.entry)
    }

    static let listDescending = list(after: "e.sequence < $7", order: "desc")
    private static let listAscending = list(after: "e.sequence > $7", order: "asc")

    private static func list(after: String, order: String) -> PostgresStatement {
        PostgresStatement(
            """
            select \(EntryRow.columns(of: "e"))
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
