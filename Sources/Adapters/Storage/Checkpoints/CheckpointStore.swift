package import Credits
import Ledger
package import Postgres

/// The distance between two checkpoints of an account: both bounds hold.
///
/// A read adds up at most one such distance, and so many entries as have been written since the duty last ran. A
/// checkpoint costs one row, one for each block and each unfinished reservation that changed, one for each feature with
/// usage, and one for each value of an attribute that the feature reports, but at most one value for
/// `CheckpointStore.entriesPerValue` entries: fewer rows than the entries have allocations.
package struct CheckpointSpacing: Sendable {
    /// Entries.
    package let entries: Int64
    /// Entries, and their allocations and holds. A checkpoint has at least one entry.
    package let weight: Int64

    package init(entries: Int64, weight: Int64) {
        self.entries = entries
        self.weight = weight
    }

    package static let standard = CheckpointSpacing(entries: 4_096, weight: 65_536)

    /// Whether a batch has taken an account past a multiple of `entries`.
    func isPassed(by draft: AccountDraft) -> Bool {
        let version = draft.account.version
        return version / entries > (version - Int64(draft.entries.count)) / entries
    }
}

/// An account that needs checkpoints up to an entry.
package struct CheckpointRequest: Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let sequence: Int64
}

/// Makes the checkpoints of accounts: the sums of their entries at some sequences.
///
/// `LedgerStore.write` inserts a request when an account passes a multiple of `CheckpointSpacing.entries`; the migration
/// has inserted those of older accounts. `Checkpointer` serves them.
///
/// Invariants:
/// - A checkpoint is the sum of the one before and the entries since. The sums of entries never change, so neither does a
///   checkpoint. An erasure deletes its sums by the values of attributes.
/// - Each checkpoint has one successor, which a key of the table ensures. Any number of processes may work at once.
/// - Nothing here locks an account, and no reader needs a checkpoint: it only costs time when one is missing.
package enum CheckpointStore {
    /// The settings of a session that makes checkpoints. A process that is frozen in a transaction loses its session,
    /// and with it the request that it had locked, after 5 seconds.
    package static let sessionSettings = """
        set enable_seqscan = off; set jit = off; set statement_timeout = '60s'; set idle_session_timeout = '60s';
        set idle_in_transaction_session_timeout = '5s'; set tcp_user_timeout = '10s'
        """

    // MARK: - Requests

    /// The first request of the next account, in the order of environments and accounts; nil behind the last one.
    ///
    /// - Parameter last: The request that was served last; nil begins with the first account.
    package static func nextRequest(
        after last: CheckpointRequest?, on connection: PostgresConnection
    ) async throws -> CheckpointRequest? {
        let result = try await connection.run(
            PostgresQuery(
                findRequest,
                [.int32(last?.environmentID.rawValue ?? .min), .int64(last?.accountID.rawValue ?? .min)]))
        return try result.first.map { row in
            var fields = RowFields(row)
            return CheckpointRequest(
                environmentID: try fields.environmentID(), accountID: try fields.accountID(),
                sequence: try fields.int64())
        }
    }

    private static let findRequest: PostgresStatement = """
        select environment_id, account_id, sequence
        from checkpoint_requests
        where (environment_id, account_id) > ($1, $2)
        order by environment_id, account_id, sequence
        limit 1
        """

    /// Makes the next checkpoint of an account, in a transaction of its own. The request is deleted with its last one.
    ///
    /// - Returns: The number of entries that were added up; 0 when another process serves the request or has served it.
    package static func serve(
        _ request: CheckpointRequest, spacing: CheckpointSpacing = .standard, on connection: PostgresConnection
    ) async throws -> Int {
        try await connection.withTransaction { connection in
            let key: [PostgresValue] = [.id(request.environmentID), .id(request.accountID)]
            let locked = try await connection.run(PostgresQuery(lockRequest, key + [.int64(request.sequence)]))
            guard locked.rowCount > 0 else { return 0 }
            let added = try await extend(
                request.accountID, of: request.environmentID, upTo: request.sequence, spacing: spacing, on: connection)
            let end = added?.upperBound ?? request.sequence
            _ = try await connection.run(PostgresQuery(deleteServed, key + [.int64(end)]))
            return added?.count ?? 0
        }
    }

    private static let lockRequest: PostgresStatement = """
        select from checkpoint_requests
        where environment_id = $1 and account_id = $2 and sequence = $3
        for update skip locked
        """

    private static let deleteServed: PostgresStatement = """
        delete from checkpoint_requests where environment_id = $1 and account_id = $2 and sequence <= $3
        """

    // MARK: - Making a checkpoint

    /// Makes the next checkpoint of an account, unless it has reached a sequence. Costs one distance between checkpoints.
    ///
    /// The connection must be in a transaction.
    ///
    /// - Returns: The entries that the account's last checkpoint has added up; nil when there were none to add. Another
    ///   process may have been faster; then this one has changed nothing.
    package static func extend(
        _ accountID: AccountID, of environmentID: EnvironmentID, upTo sequence: Int64, spacing: CheckpointSpacing,
        on connection: PostgresConnection
    ) async throws -> ClosedRange<Int64>? {
        let account: [PostgresValue] = [.id(environmentID), .id(accountID)]
        _ = try await connection.run(PostgresQuery(lock, account))
        let found = try await connection.run(
            PostgresQuery(
                findRange, account + [.int64(sequence), .int64(spacing.entries), .int64(spacing.weight)]))
        guard let row = found.first else { throw StorageError.missingRow("a range of entries") }
        let (before, end) = (try row.int64(0), try row.int64OrNil(1))
        guard let end else { return nil }
        _ = try await connection.run(PostgresQuery(make, account + [.int64(before), .int64(end)]))
        return before + 1...end
    }

    /// Excludes an erasure that deletes the account's sums by attribute, until the end of the transaction.
    private static let lock = PostgresStatement("select pg_advisory_xact_lock(\(lockNumber))")

    /// Whether no checkpoint of the account is being made; then none begins before the end of the transaction.
    static let tryLock = PostgresStatement("select pg_try_advisory_xact_lock(\(lockNumber))")

    private static let lockNumber = "hashtextextended('checkpoints ' || $1::integer || ' ' || $2::bigint, 0)"

    /// The account's last checkpoint, and the last entry of the next one: null when there is none up to $3.
    static let findRange: PostgresStatement = """
        select b.sequence, (
            select max(w.sequence)
            from (
                select p.sequence, row_number() over (order by p.sequence) as place,
                    sum(1 + cardinality(p.allocation_blocks) + coalesce(cardinality(p.hold_blocks), 0))
                        over (order by p.sequence) as weight
                from (
                    select e.sequence, e.allocation_blocks, e.hold_blocks
                    from entries e
                    where e.environment_id = $1 and e.account_id = $2 and e.sequence > b.sequence and e.sequence <= $3
                    order by e.sequence
                    limit $4
                ) p
            ) w
            where w.place = 1 or w.weight <= $5
        )
        from (
            select coalesce(max(c.sequence), 0) as sequence
            from checkpoints c
            where c.environment_id = $1 and c.account_id = $2
        ) b
        """

    /// The number of entries for which a checkpoint stores at most one value of an attribute. The attributes with the
    /// fewest values come first. An attribute with a value of its own in nearly every entry, such as the id of a request,
    /// is left out: its sums would be larger than the entries, so reads add up the entries.
    static let entriesPerValue = 4

    /// Adds the entries after $3 and up to $4 to the checkpoint at $3.
    ///
    /// 1. `made` inserts the checkpoint. When another process has done so, it is empty, and nothing else is inserted.
    /// 2. `reported` are the attributes that the features declare now; none while the end user is being erased. `kept` are
    ///    those of them that are summed.
    /// 3. A reservation that is over, and has no entry behind this checkpoint, never changes again and needs no row. With
    ///    `offset 0` PostgreSQL looks for the entries of one reservation after another, instead of hashing all entries
    ///    behind this checkpoint.
    static let make = PostgresStatement(
        """
        with base as (
            select c.lifetime_granted, c.open_blocks, c.held_reservations
            from checkpoints c
            where c.environment_id = $1 and c.account_id = $2 and c.sequence = $3
        ), spans as (
            select $3::bigint as after, $4::bigint as up_to
        ),
        \(LedgerSums.charges(columns: ", e.details")),
        reported as materialized (
            select d.feature_key, a.name
            from (select distinct feature_key from charges) d
            join features f on f.environment_id = $1 and f.feature_key = d.feature_key
            cross join lateral unnest(f.report_by) as a (name)
            where not exists (select from erasures x where x.environment_id = $1 and x.account_id = $2)
        ), usage_quarters as materialized (
            select '' as name, c.feature_key, null::text as value, \(LedgerSums.quarter("c.effective_at")) as quarter,
                sum(c.counted)::bigint as charges, sum(c.units) as units, sum(c.cost) as cost
            from charges c
            group by c.feature_key, quarter
            union all
            select r.name, c.feature_key, \(LedgerSums.attribute("r.name", of: "c.details")) as value,
                \(LedgerSums.quarter("c.effective_at")) as quarter, sum(c.counted)::bigint, sum(c.units), sum(c.cost)
            from charges c
            join reported r on r.feature_key = c.feature_key
            group by 1, 2, 3, 4
        ), usage_sums as materialized (
            select q.name, q.feature_key, q.value,
                row_number() over (partition by q.name, q.feature_key order by q.value) as number,
                sum(q.charges) as charges, sum(q.units) as units, sum(q.cost) as cost,
                min(q.quarter) as first_quarter, max(q.quarter) as last_quarter,
                array_agg(q.quarter order by q.quarter) as quarters,
                array_agg(q.charges order by q.quarter) as quarter_charges,
                array_agg(q.units order by q.quarter) as quarter_units,
                array_agg(q.cost order by q.quarter) as quarter_costs
            from usage_quarters q
            group by q.name, q.feature_key, q.value
        ), kept as materialized (
            select v.name, v.feature_key
            from (
                select name, feature_key, sum(count(*)) over (order by count(*), name, feature_key) as total
                from usage_sums
                where name <> ''
                group by name, feature_key
            ) v
            where v.total <= ($4 - $3 + \(entriesPerValue - 1)) / \(entriesPerValue)
        ),
        \(LedgerSums.blocks(after: "$3", upTo: "$4", further: "")),
        \(LedgerSums.holds(
            after: "$3", upTo: "$4",
            further: " union select reservation from charges where reservation is not null")),
        made as (
            insert into checkpoints (environment_id, account_id, sequence, previous, lifetime_granted, open_blocks,
                held_reservations)
            select $1, $2, $4, nullif($3, 0),
                coalesce((select lifetime_granted from base), 0) + \(LedgerSums.granted(after: "$3", upTo: "$4")),
                array(
                    select unnest(open_blocks) as number from base
                    except select block from block_changes
                    union select block from block_sums group by block having sum(amount) > 0
                    order by number),
                array(
                    select unnest(held_reservations) as number from base
                    except select reservation from hold_changes
                    union select reservation from hold_sums where held > 0
                    order by number)
            on conflict do nothing
            returning sequence
        ), made_blocks as (
            insert into checkpoint_blocks (environment_id, account_id, block, sequence, types, amounts, holds, counts,
                firsts, lasts)
            select $1, $2, s.block, made.sequence, array_agg(s.type order by s.first),
                array_agg(s.amount order by s.first), array_agg(s.held order by s.first),
                array_agg(s.count order by s.first), array_agg(s.first order by s.first),
                array_agg(s.last order by s.first)
            from made
            cross join block_sums s
            group by s.block, made.sequence
        ), made_reservations as (
            insert into checkpoint_reservations (environment_id, account_id, reservation, sequence, feature_key, units,
                blocks, holds, firsts, lasts)
            select $1, $2, s.reservation, made.sequence, max(s.feature_key), max(s.units),
                coalesce(array_agg(s.block order by s.block) filter (where s.block is not null), '{}'),
                coalesce(array_agg(s.held order by s.block) filter (where s.block is not null), '{}'),
                coalesce(array_agg(s.first order by s.block) filter (where s.block is not null), '{}'),
                coalesce(array_agg(s.last order by s.block) filter (where s.block is not null), '{}')
            from made
            cross join (
                select reservation, block, feature_key, held, first, last, null::numeric as units from hold_sums
                union all
                select reservation, null, null, null, null, null, measured from charges where reservation is not null
                union all
                select n.reservation, null, k.feature_key, null, null, null, k.units
                from named_reservations n
                cross join lateral (\(LedgerSums.reservation("n.reservation", at: "$3"))) k
            ) s
            group by s.reservation, made.sequence
            having exists (
                    select from reservations r
                    where r.environment_id = $1 and r.account_id = $2 and r.number = s.reservation
                        and r.status = 'active')
                or exists (
                    select from entries e
                    where -e.account_id = -$2::bigint and e.reservation = s.reservation
                        and e.sequence > $4 and e.type in ('reserve', 'commit', 'release')
                    offset 0)
        )
        insert into checkpoint_usage (environment_id, account_id, attribute, feature_key, sequence, number, value,
            charges, units, cost, first_quarter, last_quarter, quarters, quarter_charges, quarter_units, quarter_costs)
        select $1, $2, u.name, coalesce(u.feature_key, ''), made.sequence, u.number, u.value, u.charges, u.units, u.cost,
            u.first_quarter, u.last_quarter, u.quarters, u.quarter_charges, u.quarter_units, u.quarter_costs
        from made
        cross join usage_sums u
        where u.name = '' or (u.name, u.feature_key) in (select name, feature_key from kept)
        """)
}
