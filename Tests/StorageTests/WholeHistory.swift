import Credits
import Ledger
import Metering
import Postgres

@testable import Storage

/// The sums of an account from all its entries, in the plainest SQL: what reads with checkpoints must give too.
enum WholeHistory {
    /// Block, type, amount, held, number of entries, first and last sequence, of the blocks with remaining credits.
    static func blocks(_ account: AccountID, upTo version: Int64, on connection: PostgresConnection) async throws
        -> [String]
    {
        try await lines(
            """
            with sums as (
                select p.block, p.type, sum(p.amount) as amount, sum(p.held) as held,
                    count(distinct p.sequence) as entries, min(p.sequence) as first, max(p.sequence) as last
                from (
                    select e.sequence, e.type, a.block, a.amount, 0::bigint as held
                    from entries e
                    cross join lateral unnest(e.allocation_blocks, e.allocation_amounts) as a (block, amount)
                    where e.account_id = $1 and e.sequence <= $2
                    union all
                    select e.sequence, e.type, h.block, 0, h.held
                    from entries e
                    cross join lateral unnest(e.hold_blocks, e.hold_amounts) as h (block, held)
                    where e.account_id = $1 and e.sequence <= $2
                ) p
                group by p.block, p.type
            )
            select concat_ws(' ', block, type, amount, held, entries, first, last)
            from sums
            where block in (select block from sums group by block having sum(amount) > 0)
            order by block, first
            """, [.int64(account.rawValue), .int64(version)], on: connection)
    }

    static func text(_ histories: [BlockHistory]) -> [String] {
        histories.flatMap { history in
            history.parts.map { part in
                "\(history.granted.block.number) \(part.type.rawValue) \(part.amount) \(part.held) \(part.count) "
                    + "\(part.first) \(part.last)"
            }
        }
    }

    /// Reservation, feature, block, held credits, first and last sequence.
    static func holds(_ account: AccountID, upTo version: Int64, on connection: PostgresConnection) async throws
        -> [(reservation: Int32, feature: String?, allocation: Allocation, first: Int64, last: Int64)]
    {
        try await connection.run(
            PostgresQuery(
                """
                select e.reservation, (
                        select r.feature_key from entries r
                        where r.account_id = $1 and r.reservation = e.reservation and r.type = 'reserve'
                        limit 1),
                    h.block, sum(h.held)::bigint, min(e.sequence), max(e.sequence)
                from entries e
                cross join lateral unnest(e.hold_blocks, e.hold_amounts) as h (block, held)
                where e.account_id = $1 and e.sequence <= $2 and e.reservation is not null
                group by e.reservation, h.block
                having sum(h.held) > 0
                order by e.reservation, h.block
                """, [.int64(account.rawValue), .int64(version)])
        ).map { row in
            (
                try row.int32(0), try row.textOrNil(1), Allocation(block: try row.int32(2), amount: try row.int64(3)),
                try row.int64(4), try row.int64(5)
            )
        }
    }

    static func lifetimeGranted(
        _ account: AccountID, upTo version: Int64, on connection: PostgresConnection
    ) async throws -> Int64 {
        let found = try await connection.run(
            PostgresQuery(
                """
                select coalesce(sum(amount), 0)::bigint from entries
                where account_id = $1 and sequence <= $2 and amount > 0 and type in ('grant', 'adjust', 'transfer')
                """, [.int64(account.rawValue), .int64(version)]))
        return try found.first?.int64(0) ?? 0
    }

    /// The group, charges, units, cost.
    static func usage(
        _ account: AccountID, featureKey: FeatureKey?, from: Instant?, to: Instant?, groupBy grouping: UsageGrouping?,
        on connection: PostgresConnection
    ) async throws -> [String] {
        try await lines(
            """
            select concat_ws(' ', coalesce(t.slot, '-'), count(*) filter (where t.type <> 'refund'), sum(t.units), sum(t.cost))
            from (
                select
                    case $5::text
                        when 'hour' then to_char(
                            greatest(l.since, (date_trunc('hour', l.time) - l.shift) at time zone 'UTC') at time zone 'UTC',
                            'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                        when 'day' then to_char(l.time, 'YYYY-MM-DD')
                        when 'month' then to_char(l.time, 'YYYY-MM')
                        when 'feature' then c.feature_key
                        when 'attribute' then c.value
                    end as slot, c.type, c.cost, c.units
                from (
                    select e.environment_id, e.effective_at, e.feature_key, e.type,
                        -e.amount - coalesce((e.details::jsonb ->> 'forfeited')::bigint, 0) as cost,
                        (e.details::jsonb -> 'attributes' -> $6)::text as value,
                        case when e.reservation is null then u.units else greatest(0, u.units - coalesce(
                            max(u.units) over (
                                partition by e.reservation, e.feature_key order by e.sequence
                                rows between unbounded preceding and 1 preceding), 0)) end as units
                    from entries e
                    cross join lateral (
                        select coalesce(e.units, (
                            select sum(q.value::numeric) from json_each_text(e.details::json -> 'quantities') q), 0)
                    ) u (units)
                    where e.account_id = $1
                        and (e.type in ('use', 'commit') or e.details::jsonb ->> 'trigger' = 'settlement')
                        and ($2::text is null or e.feature_key = $2)
                ) c
                join environments z using (environment_id)
                cross join lateral (select coalesce(width_bucket(c.effective_at, z.zone_starts), 0) as number) n
                cross join lateral (
                    select z.zone_starts[n.number] as since,
                        make_interval(secs => coalesce(z.zone_offsets[n.number + 1], 0)) as shift
                ) o
                cross join lateral (select o.*, c.effective_at at time zone 'UTC' + o.shift as time) l
                where ($3::timestamptz is null or c.effective_at >= $3)
                    and ($4::timestamptz is null or c.effective_at < $4)
            ) t
            group by t.slot
            order by t.slot
            """,
            [
                .int64(account.rawValue), .optional(featureKey?.rawValue),
                .optionalTimestamp(microseconds: from?.microseconds),
                .optionalTimestamp(microseconds: to?.microseconds), .optional(grouping?.name),
                .optional(grouping?.attribute),
            ], on: connection)
    }

    static func text(_ totals: [UsageTotal]) -> [String] {
        totals.map { total in
            "\(text(total.group) ?? "-") \(total.charges) \(total.units) \(total.cost)"
        }
    }

    private static func text(_ group: UsageTotal.Group) -> String? {
        switch group {
        case .all: nil
        case .hour(let start): "\(start)"
        case .day(let text), .month(let text): text
        case .feature(let key): key?.rawValue
        case .attribute(_, let value): value?.canonicalJSON
        }
    }

    /// Number and status of every block, in the order of the list.
    static func blockList(_ account: AccountID, at now: Instant, on connection: PostgresConnection) async throws
        -> [String]
    {
        try await lines(
            """
            select concat_ws(' ', number, status)
            from (
                select b.*, coalesce(b.expires_at, 'infinity') as sort_expiry, coalesce(b.price_paid, 0) > 0 as paid,
                    greatest(b.created_at, b.starts_at) as since, b.starts_at > b.created_at as later,
                    b.remaining > 0 and b.revoked_at is null and coalesce(b.expires_at, 'infinity') > $2 as sort_open,
                    case
                        when b.scheduled then 'scheduled'
                        when b.revoked_at is not null then 'revoked'
                        when b.open and coalesce(b.expires_at, 'infinity') > $2 then 'active'
                        when b.open then 'expired'
                        when b.expires_at <= $2 and b.number in (
                            select e.allocation_blocks[1] from entries e
                            where e.account_id = $1 and e.type = 'expire') then 'expired'
                        else 'spent'
                    end as status
                from blocks b
                where b.account_id = $1
            ) as listed
            order by not sort_open, priority, sort_expiry, paid, since, not coalesce(later, false), number
            """, [.int64(account.rawValue), .timestamp(microseconds: now.microseconds)], on: connection)
    }

    private static func lines(
        _ sql: String, _ parameters: [PostgresValue], on connection: PostgresConnection
    ) async throws -> [String] {
        try await connection.run(PostgresQuery(PostgresStatement(sql), parameters)).map { try $0.text(0) }
    }
}

extension UsageGrouping {
    fileprivate var name: String {
        switch self {
        case .hour: "hour"
        case .day: "day"
        case .month: "month"
        case .feature: "feature"
        case .attribute: "attribute"
        }
    }

    fileprivate var attribute: String? {
        if case .attribute(let name) = self { name } else { nil }
    }
}
