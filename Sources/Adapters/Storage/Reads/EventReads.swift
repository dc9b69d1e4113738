package import Credits
package import Postgres

/// An event as the feed shows it.
package struct StoredEvent: Sendable {
    /// The place of the event in the feed.
    package let place: FeedPlace
    /// Nil for an event of the environment, whose account is 0.
    package let endUserID: EndUserID?
    package let type: String
    /// Canonical JSON.
    package let data: String
    /// The instant at which it was due.
    package let at: Instant
    package let recordedAt: Instant
}

/// Reads the events of an environment in the order of their transactions: those of end users, and those of the environment
/// itself, which have the account 0.
///
/// An event is shown once no older transaction can add one before it. A reader that continues from the last event that it
/// has seen therefore misses none, however long a transaction took.
package enum EventReads {
    /// A page of events behind a place. Costs the rows of the page.
    package static func page(
        environmentID: EnvironmentID, after place: FeedPlace, limit: Int, on connection: PostgresConnection
    ) async throws -> [StoredEvent] {
        let rows = try await connection.run(
            PostgresQuery(
                pageStatement,
                [
                    .id(environmentID), .text("\(place.transaction)"), .id(place.account), .int64(place.sequence),
                    .int64(Int64(limit)),
                ]))
        return try rows.map { row in
            let endUserID = try row.textOrNil(2).flatMap { EndUserID($0) }
            return StoredEvent(
                place: FeedPlace(
                    transaction: try row.int64(0), account: AccountID(try row.int64(1)), sequence: try row.int64(3)),
                endUserID: endUserID, type: try row.text(4), data: try row.text(5),
                at: Instant(microseconds: try row.timestamp(6)),
                recordedAt: Instant(microseconds: try row.timestamp(7)))
        }
    }

    static let pageStatement = PostgresStatement(
        """
        select transaction_id::text::bigint, account_id, end_user_id, sequence, type, data, at, recorded_at
        from (
            (select e.transaction_id, e.account_id, a.end_user_id, e.sequence, e.type, e.data, e.at, e.recorded_at
            from events e
            join accounts a using (environment_id, account_id)
            where e.environment_id = $1 and (e.transaction_id, e.account_id, e.sequence) > ($2::text::xid8, $3, $4)
                and e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            order by e.transaction_id, e.account_id, e.sequence
            limit $5)
            union all
            (select e.transaction_id, 0, null, e.sequence, e.type, e.data, e.at, e.recorded_at
            from environment_events e
            where e.environment_id = $1 and e.transaction_id >= $2::text::xid8
                and (e.transaction_id, 0::bigint, e.sequence) > ($2::text::xid8, $3, $4)
                and e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            order by e.transaction_id, e.sequence
            limit $5)
        ) feed
        order by transaction_id, account_id, sequence
        limit $5
        """)

    /// The place of an event; nil if there is none with the number.
    package static func place(
        of sequence: Int64, account: AccountID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> FeedPlace? {
        let rows = try await connection.run(
            PostgresQuery(placeStatement, [.id(environmentID), .id(account), .int64(sequence)]))
        return try rows.first.map {
            FeedPlace(transaction: try $0.int64(0), account: account, sequence: sequence)
        }
    }

    private static let placeStatement: PostgresStatement = """
        select transaction_id::text::bigint from events
        where environment_id = $1 and account_id = $2 and sequence = $3
        union all
        select transaction_id::text::bigint from environment_events
        where environment_id = $1 and $2 = 0 and sequence = $3
        """
}
