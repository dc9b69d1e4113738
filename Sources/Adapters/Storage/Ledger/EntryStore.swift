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

    /// The name is read in a subselect: as a join it would let the planner find the entries by their account alone.
    static let findStatement = PostgresStatement(
        """
        select \(EntryRow.columns(of: "e")), (
            select a.end_user_id from accounts a
            where a.environment_id = e.environment_id and a.account_id = e.account_id)
        from unnest($1::integer[], $2::bigint[], $3::bigint[]) as k (environment_id, account_id, sequence)
        join entries e using (environment_id, account_id, sequence)
        """)

    /// Reads an entry's row that is followed by the end user's id.
    static func named(_ row: PostgresRow) throws -> (key: EntryKey, entry: NamedEntry) {
        var fields = RowFields(row)
        let entry = try EntryRow(&fields, keeping: nil)
        let account = AccountName(id: entry.accountID, endUserID: try fields.endUserID())
        return (entry.key, NamedEntry(account: account, entry: entry.entry))
    }

    /// One page of an account's entries: newest first, or oldest first if `ascending`.
    ///
    /// Without a type and a feature it costs the rows of the page, or with `from` and `to` at most those that were
    /// written from 5 minutes before the period until 35 days after it, because uses may be reported late. A type or a
    /// feature costs the entries of others in between.
    package static func list(
        environmentID: EnvironmentID, accountID: AccountID, _ filter: EntryFilter, on connection: PostgresConnection
    ) async throws -> [Entry] {
        var after: Int64 = filter.ascending ? filter.after ?? 0 : 0
        var upTo = filter.ascending ? .max : filter.after.map { max($0, 1) - 1 } ?? .max
        func lastSequence(at instant: Instant) async throws -> Int64 {
            try await LedgerReads.lastSequence(
                environmentID: environmentID, accountID: accountID, at: instant, on: connection)
        }
        if let from = filter.from {
            after = max(after, try await lastSequence(at: from.adding(seconds: -UsageEvent.maximumLeadSeconds - 1)))
        }
        if let to = filter.to {
            upTo = min(upTo, try await lastSequence(at: to.adding(seconds: UsageEvent.maximumAgeSeconds)))
        }
        let parameters: [PostgresValue] = [
            .id(environmentID), .id(accountID), .optional(filter.type?.rawValue),
            .optional(filter.featureKey?.rawValue), .instant(filter.from), .instant(filter.to), .int64(after),
            .int64(upTo), .int64(Int64(filter.limit)),
        ]
        let result = try await connection.run(
            PostgresQuery(filter.ascending ? listAscending : listDescending, parameters))
        return try await named(try EntryRow.all(result).map(\.entry), environmentID: environmentID, on: connection)
    }

    /// The entries with the end users on the other sides of transfers. Makes no round trip when there is no transfer.
    static func named(
        _ entries: [Entry], environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [Entry] {
        let others = Set(entries.compactMap { $0.cause.details.counterpartyEntry?.account })
        guard !others.isEmpty else { return entries }
        let names = try await AccountReads.endUserIDs(
            others.sorted(), environmentID: environmentID, on: connection)
        return entries.map { entry in
            guard let other = entry.cause.details.counterpartyEntry?.account else { return entry }
            return entry.with(counterparty: names[other])
        }
    }

    static let listDescending = list(order: "desc")
    private static let listAscending = list(order: "asc")

    private static func list(order: String) -> PostgresStatement {
        PostgresStatement(
            """
            select \(EntryRow.columns(of: "e"))
            from entries e
            where e.environment_id = $1 and e.account_id = $2 and e.sequence > $7 and e.sequence <= $8
                and ($3::text is null or e.type = $3) and ($4::text is null or e.feature_key = $4)
                and ($5::timestamptz is null or e.effective_at >= $5)
                and ($6::timestamptz is null or e.effective_at < $6)
            order by e.sequence \(order)
            limit $9
            """)
    }
}
