import Ledger

/// The sums of an account's entries, as parts of SQL statements. A checkpoint stores the sums up to its entry, and a read
/// adds those of the entries behind it: both are made of these parts, so that each sum is defined once.
///
/// In every statement $1 is the environment and $2 the account. `after` and `upTo` are the bounds of a range of sequences,
/// the first of them outside the range. Each is a parameter, a column of a materialized expression or `(select …)`. With
/// another expression, such as `coalesce`, PostgreSQL would evaluate the bound after the policy of row-level security, and
/// so for every entry of the account.
enum LedgerSums {
    /// The range of entries, as a condition on the alias `e`.
    private static func range(after: String, upTo: String) -> String {
        "e.environment_id = $1 and e.account_id = $2 and e.sequence > \(after) and e.sequence <= \(upTo)"
    }

    // MARK: - Credits received

    /// The credits that entries have granted: the part of `lifetime_granted` that a range adds.
    static func granted(after: String, upTo: String) -> String {
        """
        (
            select coalesce(sum(e.amount), 0)::bigint
            from entries e
            where \(range(after: after, upTo: upTo)) and e.amount > 0 and e.type in ('grant', 'adjust', 'transfer')
        )
        """
    }

    // MARK: - Blocks

    /// Two common table expressions. `block_changes` are the sums over the range by block and type. `block_sums` are the
    /// sums up to the end of the range, for the blocks that changed in it and for further ones.
    ///
    /// - Parameter further: ` union select …` of further blocks, or nothing.
    static func blocks(after: String, upTo: String, further: String) -> String {
        """
        block_changes as materialized (
            select c.block, c.type, sum(c.amount) as amount, sum(c.held) as held, count(distinct c.sequence) as count,
                min(c.sequence) as first, max(c.sequence) as last
            from (
                select e.sequence, e.type, a.block, a.amount, 0::bigint as held
                from entries e
                cross join lateral unnest(e.allocation_blocks, e.allocation_amounts) as a (block, amount)
                where \(range(after: after, upTo: upTo))
                union all
                select e.sequence, e.type, h.block, 0, h.held
                from entries e
                cross join lateral unnest(e.hold_blocks, e.hold_amounts) as h (block, held)
                where \(range(after: after, upTo: upTo))
            ) c
            group by c.block, c.type
        ), block_sums as materialized (
            select s.block, s.type, sum(s.amount) as amount, sum(s.held) as held, sum(s.count)::bigint as count,
                min(s.first) as first, max(s.last) as last
            from (
                select * from block_changes
                union all
                select n.block, p.*
                from (select block from block_changes\(further.isEmpty ? " group by block" : further)) n
                cross join lateral (
                    select c.types, c.amounts, c.holds, c.counts, c.firsts, c.lasts
                    from checkpoint_blocks c
                    where c.environment_id = $1 and c.account_id = $2 and c.block = n.block and c.sequence <= \(after)
                    order by c.sequence desc
                    limit 1
                ) k
                cross join lateral unnest(k.types, k.amounts, k.holds, k.counts, k.firsts, k.lasts)
                    as p (type, amount, held, count, first, last)
            ) s
            group by s.block, s.type
        )
        """
    }

    // MARK: - Reservations

    /// Two common table expressions. `hold_changes` are the sums over the range by reservation and block. `hold_sums` are
    /// the sums up to the end of the range, for the reservations that changed in it and for further ones. A reservation over
    /// several features has none here.
    ///
    /// - Parameter further: ` union select …` of further reservations.
    static func holds(after: String, upTo: String, further: String) -> String {
        """
        hold_changes as materialized (
            select e.reservation, h.block, max(e.feature_key) filter (where e.type = 'reserve') as feature_key,
                sum(h.held) as held, min(e.sequence) as first, max(e.sequence) as last
            from entries e
            cross join lateral unnest(e.hold_blocks, e.hold_amounts) as h (block, held)
            where \(range(after: after, upTo: upTo)) and e.reservation is not null
            group by e.reservation, h.block
        ), named_reservations as materialized (
            select reservation from hold_changes\(further)
        ), hold_sums as materialized (
            select s.reservation, s.block, max(s.feature_key) as feature_key, sum(s.held)::bigint as held,
                min(s.first) as first, max(s.last) as last
            from (
                select * from hold_changes
                union all
                select n.reservation, p.block, k.feature_key, p.held, p.first, p.last
                from named_reservations n
                cross join lateral (\(reservation("n.reservation", at: after))) k
                cross join lateral unnest(k.blocks, k.holds, k.firsts, k.lasts) as p (block, held, first, last)
            ) s
            group by s.reservation, s.block
        )
        """
    }

    /// The stored sums of a reservation at a checkpoint.
    static func reservation(_ number: String, at sequence: String) -> String {
        """
        select r.feature_key, r.units, r.blocks, r.holds, r.firsts, r.lasts
        from checkpoint_reservations r
        where r.environment_id = $1 and r.account_id = $2 and r.reservation = \(number) and r.sequence <= \(sequence)
        order by r.sequence desc
        limit 1
        """
    }

    // MARK: - Usage

    /// A common table expression: the uses and commits of some ranges, which the preceding expression `spans` lists by
    /// `after` and `up_to`, and what jobs got back because their total costs less, with which a job costs the price of its
    /// total. Only the former are `counted`. Each range begins behind a checkpoint.
    ///
    /// `measured` are the units that an entry states. The commits of a reservation state its units so far, so `units` are
    /// those that the entry added: none for a commit in credits after progress in units. A commit of a reservation over several
    /// features states the units that it added.
    ///
    /// - Parameters:
    ///   - condition: A further condition on the entries, ` and …`, or nothing.
    ///   - columns: Further columns of the entries, `, …`, or nothing.
    static func charges(_ condition: String = "", columns: String = "") -> String {
        """
        charges as materialized (
            select s.up_to, e.reservation, e.effective_at, e.feature_key, u.units as measured,
                case e.type when 'refund' then 0 else 1 end as counted,
                -e.amount - case e.type
                    when 'refund' then coalesce((e.details::json ->> 'forfeited')::bigint, 0) else 0 end as cost,
                case when e.reservation is null then u.units
                    else coalesce((e.details::json ->> 'added_units')::numeric, greatest(0, u.units - coalesce(greatest(
                        k.units,
                        max(u.units) over (
                            partition by s.up_to, e.reservation order by e.sequence
                            rows between unbounded preceding and 1 preceding)), 0))) end as units\(columns)
            from spans s
            join entries e on \(range(after: "s.after", upTo: "s.up_to"))
            cross join lateral (
                select coalesce(e.units::numeric, (
                    select sum(q.value::numeric) from json_each_text(e.details::json -> 'quantities') q), 0)
            ) u (units)
            left join lateral (\(reservation("e.reservation", at: "s.after"))) k on true
            where (e.type in ('use', 'commit') or e.type = 'refund' and e.details::json ->> 'trigger' = 'settlement')\(
                condition)
        )
        """
    }

    /// The quarter of an hour to which an instant belongs: the unit in which checkpoints sum usage. The days of every
    /// time zone of today begin with one.
    static func quarter(_ instant: String) -> String {
        // The origin is before every instant, because versions of PostgreSQL differ in what precedes the origin.
        "date_bin('15 minutes', \(instant), timestamptz '4000-01-01 00:00:00+00 BC')"
    }

    /// The value of an attribute in an entry's details, as its text in canonical JSON; null without the attribute.
    static func attribute(_ name: String, of details: String) -> String {
        "(\(details)::json #> array['attributes', \(name)])::text"
    }
}
