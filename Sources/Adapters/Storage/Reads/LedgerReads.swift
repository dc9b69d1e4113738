package import Credits
package import Ledger
package import Postgres

/// Reads how an account stood in the past, sums over its entries, and whole ledgers for the export.
package enum LedgerReads {
    /// How an account stood at an instant: after the last entry that counted by then. A use counts from its
    /// `recorded_at`, every other entry from its `effective_at`. Along an account these instants never decrease, so the
    /// entry is found by bisection.
    package static func standing(
        environmentID: EnvironmentID, accountID: AccountID, at instant: Instant, on connection: PostgresConnection
    ) async throws -> PastStanding {
        let result = try await connection.run(
            PostgresQuery(
                standingStatement,
                [
                    .int32(environmentID.rawValue), .int64(accountID.rawValue),
                    .timestamp(microseconds: instant.microseconds),
                ]))
        guard let row = result.first else {
            return PastStanding(
                version: 0, balances: Balances(balance: 0, reserved: 0, frozen: 0, effective: 0), overage: 0,
                lifetimeGranted: 0)
        }
        let (balance, reserved) = (try row.int64(1), try row.int64(2))
        return PastStanding(
            version: try row.int64(0),
            balances: Balances(balance: balance, reserved: reserved, frozen: 0, effective: balance - reserved),
            overage: try row.int64(3), lifetimeGranted: try row.int64(4))
    }

    private static let standingStatement: PostgresStatement = """
        with recursive halving (low, high) as (
            select 0::bigint, version from accounts where environment_id = $1 and account_id = $2
            union all
            select case when m.counts then m.middle else h.low end, case when m.counts then h.high else m.middle - 1 end
            from halving h
            cross join lateral (
                select e.sequence as middle,
                    case when e.type = 'use' then e.recorded_at else e.effective_at end <= $3 as counts
                from entries e
                where e.environment_id = $1 and e.account_id = $2 and e.sequence = (h.low + h.high + 1) / 2
            ) m
            where h.low < h.high
        )
        select e.sequence, e.balance_after, e.reserved_after, e.overage_after,
            (
                select coalesce(sum(i.amount), 0)::bigint
                from entries i
                where i.environment_id = $1 and i.account_id = $2 and i.sequence <= e.sequence
                    and i.amount > 0 and i.type in ('grant', 'adjust', 'transfer')
            )
        from halving h
        join entries e on e.environment_id = $1 and e.account_id = $2 and e.sequence = h.low
        where h.low = h.high
        """

    // MARK: - Sums per block and per reservation

    /// The sums of the entries up to a sequence, for each block that they touched and each type of entry, by block.
    package static func blockHistories(
        environmentID: EnvironmentID, accountID: AccountID, version: Int64, on connection: PostgresConnection
    ) async throws -> [BlockHistory] {
        let result = try await connection.run(
            PostgresQuery(
                blockHistoriesStatement,
                [.int32(environmentID.rawValue), .int64(accountID.rawValue), .int64(version)]))
        var histories: [BlockHistory] = []
        for row in result {
            var fields = RowFields(row)
            let granted = try GrantedBlockRow(&fields, keeping: nil).granted
            let part = BlockHistory.Part(
                type: try fields.parsed("type") { EntryType(rawValue: $0) }, amount: try fields.int64(),
                held: try fields.int64(), count: try fields.int64(), first: try fields.int64(),
                last: try fields.int64())
            if let last = histories.last, last.granted.block.number == granted.block.number {
                histories[histories.count - 1] = BlockHistory(granted: last.granted, parts: last.parts + [part])
            } else {
                histories.append(BlockHistory(granted: granted, parts: [part]))
            }
        }
        return histories
    }

    private static let blockHistoriesStatement = PostgresStatement(
        """
        select \(GrantedBlockRow.columns(of: "b")), f.type,
            greatest(-9223372036854775807, least(f.amount, 9223372036854775807))::bigint,
            greatest(-9223372036854775807, least(f.held, 9223372036854775807))::bigint, f.entries, f.first, f.last
        from (
            select p.block, p.type, sum(p.amount) as amount, sum(p.held) as held, count(distinct p.sequence) as entries,
                min(p.sequence) as first, max(p.sequence) as last
            from (
                select e.sequence, e.type, a.block, a.amount, 0::bigint as held
                from entries e
                cross join lateral unnest(e.allocation_blocks, e.allocation_amounts) as a (block, amount)
                where e.environment_id = $1 and e.account_id = $2 and e.sequence <= $3
                union all
                select e.sequence, e.type, h.block, 0, h.held
                from entries e
                cross join lateral unnest(e.hold_blocks, e.hold_amounts) as h (block, held)
                where e.environment_id = $1 and e.account_id = $2 and e.sequence <= $3
            ) p
            group by p.block, p.type
        ) f
        join blocks b on b.environment_id = $1 and b.account_id = $2 and b.number = f.block
        order by b.number, f.first
        """)

    /// The credits that each reservation holds after the entries up to a sequence, by reservation.
    package static func holdHistories(
        environmentID: EnvironmentID, accountID: AccountID, version: Int64, on connection: PostgresConnection
    ) async throws -> [HoldHistory] {
        let result = try await connection.run(
            PostgresQuery(
                holdHistoriesStatement,
                [.int32(environmentID.rawValue), .int64(accountID.rawValue), .int64(version)]))
        var histories: [HoldHistory] = []
        for row in result {
            let number = try row.int32(0)
            let earlier = histories.last?.reservation == number ? histories.popLast() : nil
            let allocation = Allocation(block: try row.int32(2), amount: try row.int64(3))
            histories.append(
                HoldHistory(
                    reservation: number, featureKey: try row.textOrNil(1).flatMap { FeatureKey($0) },
                    allocations: (earlier?.allocations ?? []) + [allocation],
                    first: min(earlier?.first ?? .max, try row.int64(4)),
                    last: max(earlier?.last ?? 0, try row.int64(5))))
        }
        return histories
    }

    private static let holdHistoriesStatement: PostgresStatement = """
        select e.reservation, max(e.feature_key), h.block, sum(h.held)::bigint, min(e.sequence), max(e.sequence)
        from entries e
        cross join lateral unnest(e.hold_blocks, e.hold_amounts) as h (block, held)
        where e.environment_id = $1 and e.account_id = $2 and e.sequence <= $3 and e.reservation is not null
        group by e.reservation, h.block
        having sum(h.held) > 0
        order by e.reservation, h.block
        """

    // MARK: - Export

    /// A page of the entries of an environment, or of one account, by account and sequence, beginning after a given
    /// entry.
    package static func export(
        environmentID: EnvironmentID, accountID: AccountID?, after: (accountID: AccountID, sequence: Int64)?,
        limit: Int, on connection: PostgresConnection
    ) async throws -> [NamedEntry] {
        let first = accountID?.rawValue ?? .min
        let result = try await connection.run(
            PostgresQuery(
                exportStatement,
                [
                    .int32(environmentID.rawValue), .int64(first), .int64(accountID?.rawValue ?? .max),
                    .int64(after?.accountID.rawValue ?? first), .int64(after?.sequence ?? 0), .int64(Int64(limit)),
                ]))
        return try result.map { try EntryStore.named($0).entry }
    }

    private static let exportStatement = PostgresStatement(
        """
        select \(EntryRow.columns(of: "e")), a.end_user_id
        from entries e
        join accounts a using (environment_id, account_id)
        where e.environment_id = $1 and e.account_id between $2 and $3 and (e.account_id, e.sequence) > ($4, $5)
        order by e.account_id, e.sequence
        limit $6
        """)

    // MARK: - Totals

    /// The usage of one end user, by the time at which it occurred. The commits of a reservation state its units so
    /// far, so each counts only the units that it added.
    package static func usageTotals(
        environmentID: EnvironmentID, accountID: AccountID, featureKey: FeatureKey?, from: Instant?, to: Instant?,
        groupBy grouping: UsageGrouping?, on connection: PostgresConnection
    ) async throws -> [UsageTotal] {
        let result = try await connection.run(
            PostgresQuery(
                usageTotalsStatement,
                [
                    .int32(environmentID.rawValue), .int64(accountID.rawValue), .optional(featureKey?.rawValue),
                    .optionalTimestamp(microseconds: from?.microseconds),
                    .optionalTimestamp(microseconds: to?.microseconds), .optional(grouping?.rawValue),
                ]))
        return try result.map { row in
            UsageTotal(
                day: try row.textOrNil(0), featureKey: try row.textOrNil(1).flatMap { FeatureKey($0) },
                charges: try row.int64(2), units: try row.int64(3), cost: try row.int64(4))
        }
    }

    private static let usageTotalsStatement: PostgresStatement = """
        select t.day, t.feature, count(*), least(coalesce(sum(t.units), 0), 9223372036854775807)::bigint,
            least(coalesce(sum(t.cost), 0), 9223372036854775807)::bigint
        from (
            select
                case when $6::text = 'day' then to_char(
                    least(
                        timestamp '9999-12-31',
                        c.effective_at at time zone 'UTC' + make_interval(
                            secs => coalesce(z.zone_offsets[width_bucket(c.effective_at, z.zone_starts) + 1], 0))),
                    'YYYY-MM-DD') end as day,
                case when $6::text = 'feature' then c.feature_key end as feature, c.cost, c.units
            from (
                select e.effective_at, e.feature_key, -e.amount as cost,
                    u.units - case when e.reservation is null then 0 else coalesce(
                        max(u.units) over (
                            partition by e.reservation order by e.sequence
                            rows between unbounded preceding and 1 preceding), 0) end as units
                from entries e
                cross join lateral (
                    select coalesce(e.units, (
                        select sum(q.value::numeric) from json_each_text(e.details::json -> 'quantities') q), 0)
                ) u (units)
                where e.environment_id = $1 and e.account_id = $2 and e.type in ('use', 'commit')
                    and ($3::text is null or e.feature_key = $3)
            ) c
            join environments z on z.environment_id = $1
            where ($4::timestamptz is null or c.effective_at >= $4)
                and ($5::timestamptz is null or c.effective_at < $5)
        ) t
        group by t.day, t.feature
        order by t.day, t.feature
        """
}
