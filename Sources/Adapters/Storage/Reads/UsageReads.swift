package import Credits
package import Ledger
package import Postgres

/// Reads the usage of end users, summed up.
package enum UsageReads {
    /// The usage of one end user, by the time at which it occurred. The commits of a reservation state its units so
    /// far, so each counts only the units that it added.
    ///
    /// It costs a row for each feature and quarter of an hour with usage in the period, the entries that no checkpoint
    /// has added up yet, and those of the checkpoints that have usage of a quarter in which the period, or a local day,
    /// begins or ends.
    package static func totals(
        environmentID: EnvironmentID, accountID: AccountID, featureKey: FeatureKey?, from: Instant?, to: Instant?,
        groupBy grouping: UsageGrouping?, on connection: PostgresConnection
    ) async throws -> [UsageTotal] {
        let result = try await connection.run(
            PostgresQuery(
                totalsStatement,
                [
                    .id(environmentID), .id(accountID), .optional(featureKey?.rawValue),
                    .instant(from ?? Instant(microseconds: .min)), .instant(to ?? Instant(microseconds: .max)),
                    .optional(grouping?.rawValue),
                ]))
        return try result.map { row in
            UsageTotal(
                day: try row.textOrNil(0), featureKey: try row.textOrNil(1).flatMap { FeatureKey($0) },
                charges: try row.int64(2), units: try row.int64(3), cost: try row.int64(4))
        }
    }

    /// 1. `segments` are the periods in which the environment's clocks have one offset; one without end unless days are
    ///    asked for.
    /// 2. `quarters` sums the rows of checkpoints. A quarter that is not `whole`, because it reaches beyond the period or
    ///    into another day or segment, keeps its own row.
    /// 3. `charges` are the entries behind the last checkpoint, and those of the checkpoints with a quarter that is not
    ///    whole. Of the latter, the entries in these quarters count.
    static let totalsStatement = PostgresStatement(
        """
        with zone as materialized (
            select case when $6::text = 'day' then coalesce(zone_starts, '{}') else '{}' end as starts,
                case when $6::text = 'day' then coalesce(zone_offsets, '{0}') else '{0}' end as offsets
            from environments
            where environment_id = $1
        ), segments as materialized (
            select s.number, s.starts, coalesce(lead(s.starts) over (order by s.number), 'infinity') as ends,
                make_interval(secs => s.seconds) as shift
            from zone z
            cross join lateral unnest('{-infinity}'::timestamptz[] || z.starts, z.offsets)
                with ordinality as s (starts, seconds, number)
        ), quarters as materialized (
            select case when $6::text = 'day' then q.day end as day,
                case when $6::text = 'feature' then q.feature_key end as feature,
                case when not q.whole then q.sequence end as sequence, case when not q.whole then q.quarter end as quarter,
                sum(q.charges) as charges, sum(q.units) as units, sum(q.cost) as cost
            from (
                select u.*, least((u.quarter at time zone 'UTC' + s.shift)::date, date '9999-12-31') as day,
                    u.quarter >= $4 and u.quarter + interval '15 minutes' <= least($5, s.ends)
                        and (u.quarter at time zone 'UTC' + s.shift)::date = (
                            u.quarter at time zone 'UTC' + s.shift + interval '15 minutes' - interval '1 microsecond'
                        )::date as whole
                from segments s
                join checkpoint_usage u on u.environment_id = $1 and u.account_id = $2
                    and u.quarter >= s.starts and u.quarter > $4::timestamptz - interval '15 minutes'
                    and u.quarter < least(s.ends, $5)
                where $3::text is null or u.feature_key = $3
            ) q
            group by 1, 2, 3, 4
        ), spans as materialized (
            select coalesce(max(c.sequence), 0) as after, 9223372036854775807 as up_to
            from checkpoints c
            where c.environment_id = $1 and c.account_id = $2
            union all
            select coalesce(c.previous, 0), c.sequence
            from (select distinct sequence from quarters where sequence is not null) q
            join checkpoints c on c.environment_id = $1 and c.account_id = $2 and c.sequence = q.sequence
        ),
        \(LedgerSums.charges(" and ($3::text is null or e.feature_key = $3)"))
        select to_char(t.day, 'YYYY-MM-DD'), t.feature, sum(t.charges)::bigint,
            least(sum(t.units), 9223372036854775807)::bigint, least(sum(t.cost), 9223372036854775807)::bigint
        from (
            select day, feature, charges, units, cost from quarters where sequence is null
            union all
            select
                case when $6::text = 'day' then least(
                    (c.effective_at at time zone 'UTC'
                        + make_interval(secs => z.offsets[width_bucket(c.effective_at, z.starts) + 1]))::date,
                    date '9999-12-31') end,
                case when $6::text = 'feature' then c.feature_key end, 1, c.units, c.cost
            from charges c
            cross join zone z
            where c.effective_at >= $4 and c.effective_at < $5
                and (c.up_to = 9223372036854775807 or exists (
                    select from quarters q
                    where q.sequence = c.up_to and q.quarter = \(LedgerSums.quarter("c.effective_at"))))
        ) t
        group by 1, 2
        order by 1, 2
        """)
}
