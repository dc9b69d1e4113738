package import Credits
package import Ledger
import Metering
package import Postgres

/// Reads the usage of end users, summed up.
package enum UsageReads {
    /// The largest number of totals in one answer: more than the hours of a year.
    package static let maximumTotals = 10_000

    /// The usage of one end user, by the time at which it occurred. The commits of a reservation state its units so
    /// far, so each counts only the units that it added.
    ///
    /// It costs a row for each checkpoint with usage in the period, and for each feature or value of the attribute in it;
    /// the sums by quarter of an hour of those that reach beyond the period, or into another hour, day or month; the entries
    /// that no checkpoint has added up yet; and those of the checkpoints that have usage of a quarter in which the period, or
    /// a local hour, begins or ends. By an attribute it also costs the entries of the checkpoints that do not sum by it,
    /// because the feature did not declare it or because it had too many values.
    ///
    /// - Parameters:
    ///   - account: An erased end user's usage has no attributes, also while the entries still have them.
    ///   - featureKey: Required to group by an attribute.
    /// - Returns: In ascending order. There is one more than `maximumTotals` when there are more than these.
    package static func totals(
        environmentID: EnvironmentID, account: AccountName, featureKey: FeatureKey?, from: Instant?, to: Instant?,
        groupBy grouping: UsageGrouping?, on connection: PostgresConnection
    ) async throws -> [UsageTotal] {
        let period: [PostgresValue] = [
            .id(environmentID), .id(account.id), .optional(featureKey?.rawValue),
            .instant(from ?? Instant(microseconds: .min)), .instant(to ?? Instant(microseconds: .max)),
        ]
        let limit = PostgresValue.int64(Int64(maximumTotals) + 1)
        if case .attribute(let name) = grouping, !account.endUserID.isErased {
            let rows = try await connection.run(
                PostgresQuery(attributeTotalsStatement, period + [.text(name), limit]))
            return try rows.map { row in
                let value = try row.textOrNil(0).map { text in
                    guard let value = AttributeValue(canonicalJSON: text) else {
                        throw StorageError.unknownValue(column: "value")
                    }
                    return value
                }
                return try total(.attribute(name, value), row, from: 1)
            }
        }
        let rows = try await connection.run(
            PostgresQuery(totalsStatement, period + [.optional(grouping?.column), limit]))
        return try rows.map { row in try total(try group(grouping, row), row, from: 2) }
    }

    private static func total(
        _ group: UsageTotal.Group, _ row: PostgresRow, from column: Int
    ) throws -> UsageTotal {
        UsageTotal(
            group, charges: try row.int64(column), units: try row.int64(column + 1), cost: try row.int64(column + 2))
    }

    private static func group(_ grouping: UsageGrouping?, _ row: PostgresRow) throws -> UsageTotal.Group {
        switch grouping {
        case nil: return .all
        case .attribute(let name): return .attribute(name, nil)
        case .feature: return .feature(try row.textOrNil(1).flatMap { FeatureKey($0) })
        case .hour: return .hour(Instant(microseconds: try row.timestamp(0)))
        // The beginning of the local day, as if the clocks were those of UTC.
        case .day: return .day(String(Instant(microseconds: try row.timestamp(0)).description.prefix(10)))
        case .month: return .month(String(Instant(microseconds: try row.timestamp(0)).description.prefix(7)))
        }
    }

    // MARK: - Totals by time or by feature

    /// The hour, day or month of an instant, by the text of $6; null for another text. An hour is the instant at which it
    /// begins. A day and a month are the instants at which they begin as if the clocks were those of UTC, so that these
    /// have one value wherever the clocks are changed.
    ///
    /// - Parameters:
    ///   - shift: The offset of the clocks, as an interval.
    ///   - since: The instant at which the clocks got that offset, or null.
    private static func period(of instant: String, shift: String, since: String) -> String {
        let local = "(\(instant) + \(shift))"
        return """
            case $6::text
                when 'hour' then greatest(\(since), date_bin('1 hour', \(local), \(origin)) - \(shift))
                when 'day' then least(date_bin('1 day', \(local), \(origin)), timestamptz '9999-12-31 00:00Z')
                when 'month' then least(
                    date_trunc('month', \(local) at time zone 'UTC') at time zone 'UTC', timestamptz '9999-12-01 00:00Z')
            end
            """
    }

    /// A midnight before every instant, because versions of PostgreSQL differ in what precedes the origin.
    private static let origin = "timestamptz '4000-01-01 00:00:00+00 BC'"

    /// 1. `sums` are the rows of checkpoints with usage in the period.
    /// 2. `segments` are the periods in which the environment's clocks have one offset; one without end unless hours, days
    ///    or months are asked for. `aligned` are those whose hours begin with a quarter of an hour.
    /// 3. `parts` are the sums in each segment. A sum that is `whole` is in the period, in one segment, and in one hour, day
    ///    or month.
    /// 4. `quarters` are the quarters of the sums that are not whole. A quarter that reaches beyond the period or into
    ///    another hour or segment has the `sequence` of its checkpoint. `cut` are these quarters. They are kept by feature,
    ///    because the sum of another feature with usage in such a quarter may be whole.
    /// 5. `charges` are the entries behind the last checkpoint, and those of the checkpoints with a quarter in `cut`. Of the
    ///    latter, the entries of the feature in these quarters count.
    static let totalsStatement = PostgresStatement(
        """
        with zone as materialized (
            select case when l.is_local then coalesce(e.zone_starts, '{}') else '{}' end as starts,
                case when l.is_local then coalesce(e.zone_offsets, '{0}') else '{0}' end as offsets
            from environments e
            cross join (select coalesce($6::text in ('hour', 'day', 'month'), false) as is_local) l
            where e.environment_id = $1
        ), sums as materialized (
            select u.feature_key, u.sequence, u.charges, u.units, u.cost, u.first_quarter,
                u.last_quarter + interval '15 minutes' as end_quarter, u.quarters, u.quarter_charges, u.quarter_units,
                u.quarter_costs
            from checkpoint_usage u
            where u.environment_id = $1 and u.account_id = $2 and u.attribute = ''
                and ($3::text is null or u.feature_key = $3)
                and u.last_quarter > $4::timestamptz - interval '15 minutes' and u.first_quarter < $5
        ), segments as materialized (
            select s.*
            from (
                select s.starts, coalesce(lead(s.starts) over (order by s.number), 'infinity') as ends,
                    make_interval(secs => s.seconds) as shift, s.seconds % 900 = 0 as aligned
                from zone z
                cross join lateral unnest('{-infinity}'::timestamptz[] || z.starts, z.offsets)
                    with ordinality as s (starts, seconds, number)
            ) s
            where s.starts < (select max(end_quarter) from sums) and s.ends > (select min(first_quarter) from sums)
        ), parts as materialized (
            select u.*, s.*, \(period(of: "u.first_quarter", shift: "s.shift", since: "s.starts")) as period,
                u.first_quarter >= greatest($4, s.starts) and u.end_quarter <= least($5, s.ends)
                    and \(period(of: "u.first_quarter", shift: "s.shift", since: "s.starts"))
                        is not distinct from \(period(
                            of: "u.end_quarter - interval '1 microsecond'", shift: "s.shift", since: "s.starts")) as whole
            from sums u
            join segments s on u.first_quarter < s.ends and u.end_quarter > s.starts
        ), quarters as materialized (
            select \(period(of: "q.quarter", shift: "p.shift", since: "p.starts")) as period, p.feature_key, q.charges,
                q.units, q.cost, q.quarter,
                case when not (
                    q.quarter >= $4 and q.quarter + interval '15 minutes' <= least($5, p.ends)
                    and (p.aligned or date_bin('1 hour', q.quarter + p.shift, \(origin)) = date_bin('1 hour',
                        q.quarter + p.shift + interval '15 minutes' - interval '1 microsecond', \(origin)))
                ) then p.sequence end as sequence
            from parts p
            cross join lateral unnest(p.quarters, p.quarter_charges, p.quarter_units, p.quarter_costs)
                as q (quarter, charges, units, cost)
            where not p.whole and q.quarter >= p.starts and q.quarter > $4::timestamptz - interval '15 minutes'
                and q.quarter < least(p.ends, $5)
        ), cut as materialized (
            select distinct feature_key, sequence, quarter from quarters where sequence is not null
        ), \(spans("select distinct sequence from cut")),
        \(LedgerSums.charges(" and ($3::text is null or e.feature_key = $3)"))
        select t.period, case when $6::text = 'feature' then nullif(t.feature_key, '') end, sum(t.charges)::bigint,
            least(sum(t.units), 9223372036854775807)::bigint, least(sum(t.cost), 9223372036854775807)::bigint
        from (
            select period, feature_key, charges, units, cost from parts where whole
            union all
            select period, feature_key, charges, units, cost from quarters where sequence is null
            union all
            select \(period(of: "c.effective_at", shift: "o.shift", since: "z.starts[o.number]")), c.feature_key,
                c.counted, c.units, c.cost
            from charges c
            cross join zone z
            cross join lateral (
                select w.number, make_interval(secs => z.offsets[w.number + 1]) as shift
                from (select width_bucket(c.effective_at, z.starts) as number) w
            ) o
            where c.effective_at >= $4 and c.effective_at < $5
                and (c.up_to = 9223372036854775807 or exists (
                    select from cut
                    where cut.feature_key = coalesce(c.feature_key, '') and cut.sequence = c.up_to
                        and cut.quarter = \(LedgerSums.quarter("c.effective_at"))))
        ) t
        group by 1, 2
        order by 1, 2
        limit $7
        """)

    /// The ranges of entries that a statement reads: those behind the last checkpoint, and those that the given checkpoints
    /// have summed.
    ///
    /// - Parameter checkpoints: A query for their sequences, each once.
    private static func spans(_ checkpoints: String) -> String {
        """
        spans as materialized (
            select coalesce(max(c.sequence), 0) as after, 9223372036854775807 as up_to
            from checkpoints c
            where c.environment_id = $1 and c.account_id = $2
            union all
            select coalesce(c.previous, 0), c.sequence
            from (\(checkpoints)) q
            join checkpoints c on c.environment_id = $1 and c.account_id = $2 and c.sequence = q.sequence
        )
        """
    }

    // MARK: - Totals by attribute

    /// 1. `sums` are the rows of checkpoints with usage of the feature in the period, by value of the attribute. One that is
    ///    `whole` is in the period.
    /// 2. `others` are the checkpoints that have usage of the feature in the period but do not sum by the attribute.
    /// 3. `quarters` are the quarters of the sums that are not whole. A quarter that reaches beyond the period has the
    ///    `sequence` of its checkpoint. `cut` are these quarters.
    /// 4. `charges` are the entries behind the last checkpoint, those of the other checkpoints, and those of the checkpoints
    ///    with a quarter in `cut`. Of the last, the entries in these quarters count.
    static let attributeTotalsStatement = PostgresStatement(
        """
        with sums as materialized (
            select u.value, u.sequence, u.charges, u.units, u.cost, u.quarters, u.quarter_charges, u.quarter_units,
                u.quarter_costs, u.first_quarter >= $4 and u.last_quarter + interval '15 minutes' <= $5 as whole
            from checkpoint_usage u
            where u.environment_id = $1 and u.account_id = $2 and u.attribute = $6 and u.feature_key = $3
                and u.last_quarter > $4::timestamptz - interval '15 minutes' and u.first_quarter < $5
        ), others as materialized (
            select f.sequence
            from checkpoint_usage f
            where f.environment_id = $1 and f.account_id = $2 and f.attribute = '' and f.feature_key = $3
                and f.last_quarter > $4::timestamptz - interval '15 minutes' and f.first_quarter < $5
                and not exists (
                    select from checkpoint_usage u
                    where u.environment_id = $1 and u.account_id = $2 and u.attribute = $6 and u.feature_key = $3
                        and u.sequence = f.sequence)
        ), quarters as materialized (
            select u.value, q.charges, q.units, q.cost, q.quarter,
                case when q.quarter < $4 or q.quarter + interval '15 minutes' > $5 then u.sequence end as sequence
            from sums u
            cross join lateral unnest(u.quarters, u.quarter_charges, u.quarter_units, u.quarter_costs)
                as q (quarter, charges, units, cost)
            where not u.whole and q.quarter > $4::timestamptz - interval '15 minutes' and q.quarter < $5
        ), cut as materialized (
            select distinct sequence, quarter from quarters where sequence is not null
        ), \(spans("select sequence from others union select sequence from cut")),
        \(LedgerSums.charges(
            " and e.feature_key = $3",
            columns: ", \(LedgerSums.attribute("$6::text", of: "e.details")) as value"))
        select t.value, sum(t.charges)::bigint, least(sum(t.units), 9223372036854775807)::bigint,
            least(sum(t.cost), 9223372036854775807)::bigint
        from (
            select value, charges, units, cost from sums where whole
            union all
            select value, charges, units, cost from quarters where sequence is null
            union all
            select c.value, c.counted, c.units, c.cost
            from charges c
            where c.effective_at >= $4 and c.effective_at < $5
                and (
                    not exists (select from cut where cut.sequence = c.up_to)
                    or exists (
                        select from cut
                        where cut.sequence = c.up_to and cut.quarter = \(LedgerSums.quarter("c.effective_at"))))
        ) t
        group by 1
        order by 1
        limit $7
        """)
}

extension UsageGrouping {
    /// The text of the grouping in `totalsStatement`; nil for an attribute, which has a statement of its own.
    fileprivate var column: String? {
        switch self {
        case .hour: "hour"
        case .day: "day"
        case .month: "month"
        case .feature: "feature"
        case .attribute: nil
        }
    }
}
