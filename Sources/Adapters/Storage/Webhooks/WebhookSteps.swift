package import Credits
package import Postgres
import Webhooks

/// A delivery that is due, with its event.
package struct DueDelivery: Sendable {
    package let number: Int64
    package let account: AccountID
    package let sequence: Int64
    package let type: String
    /// The number of attempts so far.
    package let attempts: Int
    /// The event; nil for a test event.
    package let event: Event?
    package let createdAt: Instant

    package struct Event: Sendable {
        /// Canonical JSON.
        package let data: String
        package let at: Instant
        package let recordedAt: Instant
        /// Nil for an event of the environment.
        package let endUserID: EndUserID?
    }
}

/// What a step of an endpoint has found.
package struct WebhookStep: Sendable {
    /// Nil when the endpoint is disabled or deleted.
    package let target: WebhookTarget?
    /// Those of one end user follow each other in the order in which they must be sent.
    package let due: [DueDelivery]
    /// True when the feed or a replay may have more events than one step takes.
    package let mayHaveMore: Bool
}

/// The steps of a worker on an endpoint.
///
/// A step turns a page of the feed, and a page of a replay, into deliveries, and reads the deliveries that are due. It is
/// one round trip and one transaction: a crash in between leaves the place of the endpoint and its deliveries as they were
/// before, so that nothing is lost and nothing is there twice.
package enum WebhookSteps {
    /// Takes a step.
    ///
    /// - Parameter busy: The accounts that the worker has in hand. Their deliveries are left out.
    /// - Returns: Nil when the lease has ended.
    package static func next(
        _ lease: WebhookLease, busy: [AccountID], lines: Int, on connection: PostgresConnection
    ) async throws -> WebhookStep? {
        let events = PostgresValue.int64(Int64(WebhookLimits.eventsPerStep))
        let results = try await connection.run([
            WebhookLeases.prolong(lease),
            PostgresQuery(followStatement, lease.parameters + [events]),
            PostgresQuery(replayStatement, lease.parameters + [events]),
            PostgresQuery(targetStatement, lease.parameters),
            PostgresQuery(
                dueStatement,
                lease.parameters + [
                    .int64s(busy.map(\.rawValue)), .int64(Int64(lines)),
                    .int64(Int64(WebhookLimits.deliveriesPerLine)),
                ]),
        ])
        guard results[0].rowCount > 0 else { return nil }
        let pages = try (results[1].first?.int64(0) ?? 0, results[2].first?.int64(0) ?? 0)
        return WebhookStep(
            target: try results[3].first.map(target), due: try results[4].map(due),
            mayHaveMore: pages.0 >= WebhookLimits.eventsPerStep || pages.1 >= WebhookLimits.eventsPerStep)
    }

    private static func target(_ row: PostgresRow) throws -> WebhookTarget {
        guard let url = WebhookURL(try row.text(0)) else { throw StorageError.unknownValue(column: "url") }
        guard let kind = EnvironmentKind(rawValue: try row.text(3)) else {
            throw StorageError.unknownValue(column: "kind")
        }
        return WebhookTarget(
            url: url, secret: try row.bytes(1), previousSecret: try row.bytesOrNil(2), kind: kind)
    }

    private static func due(_ row: PostgresRow) throws -> DueDelivery {
        var event: DueDelivery.Event?
        if let data = try row.textOrNil(5) {
            let endUserID = try row.textOrNil(8)
            event = DueDelivery.Event(
                data: data, at: Instant(microseconds: try row.timestamp(6)),
                recordedAt: Instant(microseconds: try row.timestamp(7)), endUserID: endUserID.flatMap { EndUserID($0) })
        }
        return DueDelivery(
            number: try row.int64(0), account: AccountID(try row.int64(1)), sequence: try row.int64(2),
            type: try row.text(3), attempts: Int(try row.int32(4)), event: event,
            createdAt: Instant(microseconds: try row.timestamp(9)))
    }

    /// Moves the place of the endpoint over a page of the feed, and inserts the deliveries of the events that it wants. The
    /// feed has the events of end users and those of the environment, in the order of `EventReads`.
    ///
    /// $1 environment, $2 endpoint, $3 lease, $4 events.
    static let followStatement: PostgresStatement = """
        with place as (
            select p.seen_transaction, p.seen_account, p.seen_sequence, e.event_types
            from webhook_progress p join webhook_endpoints e using (environment_id, endpoint_id)
            where p.environment_id = $1 and p.endpoint_id = $2 and p.lease = $3
                and e.disabled_at is null and e.deleted_at is null
        ), page as materialized (
            select v.*
            from place cross join lateral (
                (select v.transaction_id, v.account_id, v.sequence, v.type, null::uuid as about
                from events v
                where v.environment_id = $1
                    and (v.transaction_id, v.account_id, v.sequence)
                        > (place.seen_transaction, place.seen_account, place.seen_sequence)
                    and v.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
                order by v.transaction_id, v.account_id, v.sequence limit $4)
                union all
                (select v.transaction_id, 0, v.sequence, v.type, v.endpoint_id
                from environment_events v
                where v.environment_id = $1 and v.transaction_id >= place.seen_transaction
                    and (v.transaction_id, 0::bigint, v.sequence)
                        > (place.seen_transaction, place.seen_account, place.seen_sequence)
                    and v.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
                order by v.transaction_id, v.sequence limit $4)
                order by transaction_id, account_id, sequence limit $4
            ) v
        ), added as (
            insert into webhook_deliveries (environment_id, endpoint_id, account_id, event_sequence, event_type)
            select $1, $2, v.account_id, v.sequence, v.type
            from page v, place
            where (place.event_types is null or v.type = any(place.event_types)) and v.about is distinct from $2
            order by v.transaction_id, v.account_id, v.sequence
            returning account_id
        ), opened as (
            insert into webhook_lines (environment_id, endpoint_id, account_id, due_at)
            select distinct $1::integer, $2::uuid, account_id, clock_timestamp() from added
            on conflict (environment_id, endpoint_id, account_id) do nothing
        ), moved as (
            update webhook_progress p
            set seen_transaction = l.transaction_id, seen_account = l.account_id, seen_sequence = l.sequence
            from (select transaction_id, account_id, sequence from page
                order by transaction_id desc, account_id desc, sequence desc limit 1) l
            where p.environment_id = $1 and p.endpoint_id = $2
        )
        select count(*) from page
        """

    /// Moves the replay of the endpoint over a page of the feed, and ends it behind the last event of its span.
    static let replayStatement: PostgresStatement = """
        with place as (
            select r.*, e.event_types, n.kind = 'live' as is_live,
                least(r.until_transaction, pg_snapshot_xmin(pg_current_snapshot())) as horizon,
                r.until_transaction <= pg_snapshot_xmin(pg_current_snapshot()) as is_complete
            from webhook_replays r
            join environments n using (environment_id)
            join webhook_progress p using (environment_id, endpoint_id)
            join webhook_endpoints e using (environment_id, endpoint_id)
            where r.environment_id = $1 and r.endpoint_id = $2 and p.lease = $3
                and e.disabled_at is null and e.deleted_at is null
        ), page as materialized (
            select v.*
            from place cross join lateral (
                (select v.transaction_id, v.account_id, v.sequence, v.type, v.recorded_at, null::uuid as about
                from events v
                where v.environment_id = $1
                    and (v.transaction_id, v.account_id, v.sequence)
                        > (place.seen_transaction, place.seen_account, place.seen_sequence)
                    and v.transaction_id < place.horizon
                order by v.transaction_id, v.account_id, v.sequence limit $4)
                union all
                (select v.transaction_id, 0, v.sequence, v.type, v.recorded_at, v.endpoint_id
                from environment_events v
                where v.environment_id = $1 and v.transaction_id >= place.seen_transaction
                    and (v.transaction_id, 0::bigint, v.sequence)
                        > (place.seen_transaction, place.seen_account, place.seen_sequence)
                    and v.transaction_id < place.horizon
                order by v.transaction_id, v.sequence limit $4)
                order by transaction_id, account_id, sequence limit $4
            ) v
        ), added as (
            insert into webhook_deliveries (environment_id, endpoint_id, account_id, event_sequence, event_type)
            select $1, $2, v.account_id, v.sequence, v.type
            from page v, place
            where v.recorded_at >= place.from_at and v.recorded_at < place.to_at
                and (place.event_types is null or v.type = any(place.event_types)) and v.about is distinct from $2
            order by v.transaction_id, v.account_id, v.sequence
            returning account_id
        ), opened as (
            insert into webhook_lines (environment_id, endpoint_id, account_id, due_at)
            select distinct $1::integer, $2::uuid, account_id, clock_timestamp() from added
            on conflict (environment_id, endpoint_id, account_id) do nothing
        ), verdict as (
            select place.is_complete and (select count(*) from page) < $4
                or place.is_live and (select min(recorded_at) from page) >= place.to_at + interval '10 minutes' as is_over
            from place
        ), moved as (
            update webhook_replays r
            set seen_transaction = l.transaction_id, seen_account = l.account_id, seen_sequence = l.sequence
            from verdict, (select transaction_id, account_id, sequence from page
                order by transaction_id desc, account_id desc, sequence desc limit 1) l
            where r.environment_id = $1 and r.endpoint_id = $2 and verdict.is_over is not true
        ), ended as (
            delete from webhook_replays r using verdict
            where r.environment_id = $1 and r.endpoint_id = $2 and verdict.is_over
        )
        select count(*) from page
        """

    static let targetStatement: PostgresStatement = """
        select e.url, e.secret, case when e.previous_secret_until > clock_timestamp() then e.previous_secret end, n.kind
        from webhook_endpoints e join environments n using (environment_id)
        where e.environment_id = $1 and e.endpoint_id = $2 and e.disabled_at is null and e.deleted_at is null
            and exists (select from webhook_progress p
                where p.environment_id = $1 and p.endpoint_id = $2 and p.lease = $3)
        """

    /// $4 busy accounts, $5 lines, $6 deliveries of a line.
    static let dueStatement: PostgresStatement = """
        select d.delivery_id, d.account_id, d.event_sequence, d.event_type, d.attempt_count,
            coalesce(v.data, n.data), coalesce(v.at, n.at), coalesce(v.recorded_at, n.recorded_at), a.end_user_id,
            d.created_at
        from (
            select l.account_id, l.due_at from webhook_lines l
            where l.environment_id = $1 and l.endpoint_id = $2 and l.due_at <= clock_timestamp()
                and l.account_id <> all($4::bigint[])
                and exists (select from webhook_progress p
                    where p.environment_id = $1 and p.endpoint_id = $2 and p.lease = $3)
            order by l.due_at limit $5
        ) l
        cross join lateral (
            select d.* from webhook_deliveries d
            where d.environment_id = $1 and d.endpoint_id = $2 and d.account_id = l.account_id
                and d.finished_at is null
            order by d.delivery_id limit $6
        ) d
        left join events v on v.environment_id = $1 and v.account_id = d.account_id
            and v.sequence = d.event_sequence and d.account_id <> 0
        left join accounts a on a.environment_id = $1 and a.account_id = d.account_id and d.account_id <> 0
        left join environment_events n on n.environment_id = $1 and n.sequence = d.event_sequence
            and d.account_id = 0
        order by l.due_at, l.account_id, d.delivery_id
        """
}
