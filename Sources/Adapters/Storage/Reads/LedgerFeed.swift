package import Credits
package import Ledger
package import Postgres

/// Reads the entries of an environment in the order of their transactions.
///
/// An entry is read once no older transaction can add one before it. A reader that continues from its last place therefore
/// misses none and gets none twice, however long a transaction took.
package enum LedgerFeed {
    /// An entry with its place and its owner.
    package struct PlacedEntry: Sendable {
        package let place: FeedPlace
        package let entry: Entry
        package let account: AccountName
    }

    /// Entries behind a place.
    package struct Page: Sendable {
        package let entries: [PlacedEntry]
        /// The place from which the next page continues.
        package let end: FeedPlace
        /// Whether nothing followed when the page was read.
        package let isComplete: Bool
        package let horizon: Horizon
    }

    /// The transactions that a reader can and cannot see.
    package struct Horizon: Sendable {
        /// The oldest transaction that may still be under way. All older ones are read.
        package let oldest: Int64
        /// A number above every transaction that had ended.
        package let next: Int64
    }

    /// The number of entries in a page, and the bytes that they may take, estimated. A page has at least one entry.
    static let pageEntries: Int64 = 200
    static let pageBytes: Int64 = 256 << 10
    /// The transactions of which a page reads the rows.
    static let pageTransactions: Int64 = 64

    package static func horizon(on connection: PostgresConnection) async throws -> Horizon {
        try horizon(try await connection.run(PostgresQuery(horizonStatement)))
    }

    private static func horizon(_ rows: PostgresResult) throws -> Horizon {
        guard let row = rows.first else { throw StorageError.missingRow("the snapshot") }
        return Horizon(oldest: try row.int64(0), next: try row.int64(1))
    }

    private static let horizonStatement: PostgresStatement = """
        select pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint from pg_current_snapshot() as s
        """

    /// A page behind a place, of all accounts or of one. It costs `pageTransactions` rows and those of its entries.
    package static func page(
        environmentID: EnvironmentID, accountID: AccountID? = nil, after place: FeedPlace,
        on connection: PostgresConnection, entries limit: Int64 = pageEntries
    ) async throws -> Page {
        let results = try await connection.run([
            PostgresQuery(horizonStatement),
            PostgresQuery(
                transactionsStatement,
                [.id(environmentID), .text("\(place.transaction)"), .int64(pageTransactions)]),
        ])
        let horizon = try horizon(results[0])
        let found = try results[1].map { row in
            FeedRow(
                transaction: try row.int64(0), accounts: try row.int64s(1), first: try row.int64s(2),
                last: try row.int64s(3))
        }
        var ranges: [Range] = []
        var left = limit
        for row in found {
            for range in row.ranges(of: accountID, after: place) where left > 0 {
                ranges.append(range.prefix(left))
                left -= ranges[ranges.count - 1].count
            }
        }
        let rows = try await read(ranges, environmentID: environmentID, on: connection)
        let wanted = ranges.reduce(0) { $0 + $1.count }
        if left == 0 || rows.count < wanted, let last = rows.last {
            return Page(entries: rows, end: last.place, isComplete: false, horizon: horizon)
        }
        let lastRow = found.last.map {
            FeedPlace(transaction: $0.transaction, account: AccountID(.max), sequence: .max)
        }
        let isComplete = found.count < Int(pageTransactions)
        let ends = [place, lastRow, isComplete ? FeedPlace(before: horizon.oldest) : nil].compactMap { $0 }
        return Page(entries: rows, end: ends.max() ?? place, isComplete: isComplete, horizon: horizon)
    }

    static let transactionsStatement = PostgresStatement(
        """
        select transaction_id::text::bigint, account_ids, first_sequences, last_sequences
        from ledger_feed
        where environment_id = $1 and transaction_id >= $2::text::xid8
            and transaction_id < pg_snapshot_xmin(pg_current_snapshot())
        order by transaction_id
        limit $3
        """)

    private static func read(
        _ ranges: [Range], environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [PlacedEntry] {
        guard !ranges.isEmpty else { return [] }
        let result = try await connection.run(
            PostgresQuery(
                entriesStatement,
                [
                    .id(environmentID), .int64s(ranges.map(\.account.rawValue)), .int64s(ranges.map(\.first)),
                    .int64s(ranges.map(\.last)), .int64(pageBytes),
                ]))
        var places: [FeedPlace] = []
        var owners: [AccountName] = []
        var entries: [Entry] = []
        for row in result {
            var fields = RowFields(row)
            let range = ranges[Int(try fields.int64()) - 1]
            let read = try EntryRow(&fields, keeping: nil)
            places.append(
                FeedPlace(transaction: range.transaction, account: range.account, sequence: read.entry.sequence))
            owners.append(AccountName(id: range.account, endUserID: try fields.endUserID()))
            entries.append(read.entry)
        }
        let named = try await EntryStore.named(entries, environmentID: environmentID, on: connection)
        return named.indices.map { PlacedEntry(place: places[$0], entry: named[$0], account: owners[$0]) }
    }

    static let entriesStatement = PostgresStatement(
        """
        select e.n, \(EntryRow.columns(of: "e")), a.end_user_id
        from (
            select p.*, row_number() over w as place,
                sum(
                    800 + 60 * (cardinality(p.allocation_blocks) + coalesce(cardinality(p.hold_blocks), 0))
                    + coalesce(octet_length(p.metadata), 0) + coalesce(octet_length(p.details), 0)) over w as bytes
            from (
                select k.n, e.*
                from unnest($2::bigint[], $3::bigint[], $4::bigint[]) with ordinality as k (account_id, first, last, n)
                join entries e on e.environment_id = $1 and e.account_id = k.account_id
                    and e.sequence between k.first and k.last
            ) p
            window w as (order by p.n, p.sequence)
        ) e
        join accounts a on a.environment_id = e.environment_id and a.account_id = e.account_id
        where e.place = 1 or e.bytes <= $5
        order by e.n, e.sequence
        """)

    /// Entries of one account in one transaction.
    private struct Range {
        let transaction: Int64
        let account: AccountID
        let first: Int64
        let last: Int64

        var count: Int64 { last - first + 1 }

        func prefix(_ count: Int64) -> Range {
            Range(transaction: transaction, account: account, first: first, last: min(last, first + count - 1))
        }
    }

    /// The accounts of one transaction, by number.
    private struct FeedRow {
        let transaction: Int64
        let accounts: [Int64]
        let first: [Int64]
        let last: [Int64]

        /// The entries behind a place.
        func ranges(of only: AccountID?, after place: FeedPlace) -> [Range] {
            accounts.indices.compactMap { index in
                let account = AccountID(accounts[index])
                guard only == nil || only == account else { return nil }
                var first = first[index]
                if transaction == place.transaction {
                    if account < place.account { return nil }
                    if account == place.account, place.sequence >= first {
                        guard place.sequence < last[index] else { return nil }
                        first = place.sequence + 1
                    }
                }
                return Range(transaction: transaction, account: account, first: first, last: last[index])
            }
        }
    }

    /// The entries that a transaction has added to an account.
    struct Span {
        let environmentID: EnvironmentID
        let accountID: AccountID
        /// The sequence numbers of the first and the last one.
        let first: Int64
        let last: Int64
    }

    /// The rows of the feed for the entries of a transaction, one for each environment. The database adds the number of the
    /// transaction.
    static func insert(_ spans: [Span]) -> [PostgresQuery] {
        Dictionary(grouping: spans, by: \.environmentID).sorted { $0.key < $1.key }.map { environmentID, spans in
            let spans = spans.sorted { $0.accountID < $1.accountID }
            return PostgresQuery(
                insertStatement,
                [
                    .id(environmentID), .int64s(spans.map(\.accountID.rawValue)), .int64s(spans.map(\.first)),
                    .int64s(spans.map(\.last)),
                ])
        }
    }

    private static let insertStatement: PostgresStatement = """
        insert into ledger_feed (environment_id, account_ids, first_sequences, last_sequences)
        values ($1, $2::bigint[], $3::bigint[], $4::bigint[])
        """
}
