package import Credits
package import Ledger
package import Postgres

/// Reads how an account stood in the past, sums over its entries, and whole ledgers for the export.
///
/// A sum is that of the nearest checkpoint, and of the entries behind it: at most `CheckpointSpacing` of them, and those
/// that no checkpoint has added up yet.
package enum LedgerReads {
    /// How an account stood at an instant: after the last entry that counted by then. A use counts from its
    /// `recorded_at`, every other entry from its `effective_at`. Along an account these instants never decrease, so the
    /// entry is found by bisection.
    ///
    /// It costs one row for each bisection, some 20 for a million entries, and the entries behind a checkpoint. Frozen
    /// credits are left out: `balances` has them.
    package static func standing(
        environmentID: EnvironmentID, accountID: AccountID, at instant: Instant, on connection: PostgresConnection
    ) async throws -> PastStanding {
        let result = try await connection.run(
            PostgresQuery(standingStatement, [.id(environmentID), .id(accountID), .instant(instant)]))
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

    /// The sequence of the last entry that counted at an instant; 0 when there is none.
    static func lastSequence(
        environmentID: EnvironmentID, accountID: AccountID, at instant: Instant, on connection: PostgresConnection
    ) async throws -> Int64 {
        let result = try await connection.run(
            PostgresQuery(lastSequenceStatement, [.id(environmentID), .id(accountID), .instant(instant)]))
        return try result.first?.int64(0) ?? 0
    }

    /// Bisects the entries of the account $2 at the instant $3. The last row of `halving` has `low = high`: the sequence
    /// of the entry.
    ///
    /// `middle` is a column because of row-level security: a condition with a division is evaluated after the policy, and
    /// so for every entry of the account, while a comparison with a column uses the index.
    private static let halving = """
        with recursive halving (low, high, middle) as (
            select 0::bigint, version, (version + 1) / 2
            from accounts
            where environment_id = $1 and account_id = $2
            union all
            select n.low, n.high, (n.low + n.high + 1) / 2
            from halving h
            join entries e on e.environment_id = $1 and e.account_id = $2 and e.sequence = h.middle
            cross join lateral (
                select case when c.counts then h.middle else h.low end as low,
                    case when c.counts then h.high else h.middle - 1 end as high
                from (
                    select case when e.type = 'use' then e.recorded_at else e.effective_at end <= $3::timestamptz as counts
                ) c
            ) n
            where h.low < h.high
        )
        """

    private static let lastSequenceStatement = PostgresStatement(
        "\(halving) select h.low from halving h where h.low = h.high")

    static let standingStatement = PostgresStatement(
        """
        \(halving), place as materialized (
            select h.low as sequence from halving h where h.low = h.high
        ), base as materialized (
            select coalesce(k.sequence, 0) as sequence, coalesce(k.lifetime_granted, 0) as lifetime_granted
            from place p
            left join lateral (
                select c.sequence, c.lifetime_granted
                from checkpoints c
                where c.environment_id = $1 and c.account_id = $2 and c.sequence <= p.sequence
                order by c.sequence desc
                limit 1
            ) k on true
        )
        select e.sequence, e.balance_after, e.reserved_after, e.overage_after,
            b.lifetime_granted + \(LedgerSums.granted(after: "b.sequence", upTo: "p.sequence"))
        from place p
        cross join base b
        join entries e on e.environment_id = $1 and e.account_id = $2 and e.sequence = p.sequence
        """)

    // MARK: - Sums per block and per reservation

    /// The sums of the entries up to a sequence, for each block that then had remaining credits and each type of entry,
    /// by block.
    ///
    /// It costs a row for each of these blocks, at most 10,000, and the entries behind a checkpoint.
    package static func blockHistories(
        environmentID: EnvironmentID, accountID: AccountID, version: Int64, on connection: PostgresConnection
    ) async throws -> [BlockHistory] {
        let result = try await connection.run(
            PostgresQuery(blockHistoriesStatement, [.id(environmentID), .id(accountID), .int64(version)]))
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

    /// One row: the nearest checkpoint at or before the sequence $3, or the empty sums.
    private static let base = """
        base as materialized (
            select coalesce(k.sequence, 0) as sequence, coalesce(k.open_blocks, '{}') as open_blocks,
                coalesce(k.held_reservations, '{}') as held_reservations
            from (select $3::bigint as sequence) p
            left join lateral (
                select c.sequence, c.open_blocks, c.held_reservations
                from checkpoints c
                where c.environment_id = $1 and c.account_id = $2 and c.sequence <= p.sequence
                order by c.sequence desc
                limit 1
            ) k on true
        )
        """
    private static let baseSequence = "(select sequence from base)"

    static let blockHistoriesStatement = PostgresStatement(
        """
        with \(base),
        \(LedgerSums.blocks(
            after: baseSequence, upTo: "$3", further: " union select unnest(open_blocks) from base"))
        select \(GrantedBlockRow.columns(of: "b")), s.type,
            greatest(-9223372036854775807, least(s.amount, 9223372036854775807))::bigint,
            greatest(-9223372036854775807, least(s.held, 9223372036854775807))::bigint, s.count, s.first, s.last
        from (
            select *, sum(amount) over (partition by block) as remaining from block_sums
        ) s
        join blocks b on b.environment_id = $1 and b.account_id = $2 and b.number = s.block
        where s.remaining > 0
        order by b.number, s.first
        """)

    /// The credits that each reservation holds after the entries up to a sequence, by reservation.
    ///
    /// It costs a row for each of these reservations, at most 10,000, and the entries behind a checkpoint.
    package static func holdHistories(
        environmentID: EnvironmentID, accountID: AccountID, version: Int64, on connection: PostgresConnection
    ) async throws -> [HoldHistory] {
        let result = try await connection.run(
            PostgresQuery(holdHistoriesStatement, [.id(environmentID), .id(accountID), .int64(version)]))
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

    static let holdHistoriesStatement = PostgresStatement(
        """
        with \(base),
        \(LedgerSums.holds(
            after: baseSequence, upTo: "$3", further: " union select unnest(held_reservations) from base"))
        select s.reservation, s.feature_key, s.block, s.held, s.first, s.last
        from hold_sums s
        where s.held > 0
        order by s.reservation, s.block
        """)

    // MARK: - Export

    /// The number of entries in a page of an export.
    static let exportEntries: Int64 = 500
    /// The bytes of a page's entries as JSON, estimated. A page has at least one entry, and an entry that changes the
    /// 10,000 blocks that an account can have takes about 1 MiB.
    static let exportBytes: Int64 = 256 << 10

    /// An entry with what its line of an export says of its account.
    package struct ExportedEntry: Hashable, Sendable {
        package let entry: Entry
        /// The owner's id and salt at the time of the entry. They stay available until the erasure has removed the text.
        package let owner: EntryOwner
        package let isErased: Bool

        package var line: [UInt8] { entry.exportLine(of: owner, isErased: isErased) }
    }

    /// A page of the entries of an environment, or of one account, by account and sequence, beginning after a given
    /// entry. The page after the last one is empty.
    ///
    /// It costs the rows of the page, `exportEntries` at most, wherever the page begins. Its entries take about
    /// `exportBytes` of memory.
    package static func export(
        environmentID: EnvironmentID, accountID: AccountID?, after: (accountID: AccountID, sequence: Int64)?,
        on connection: PostgresConnection, entries: Int64 = exportEntries, bytes: Int64 = exportBytes
    ) async throws -> [ExportedEntry] {
        let first = accountID?.rawValue ?? .min
        let result = try await connection.run(
            PostgresQuery(
                exportStatement,
                [
                    .id(environmentID), .int64(accountID?.rawValue ?? .max),
                    .int64(after?.accountID.rawValue ?? first), .int64(after?.sequence ?? 0), .int64(entries),
                    .int64(bytes),
                ]))
        return try result.map { row in
            var fields = RowFields(row)
            let entry = try EntryRow(&fields, keeping: nil)
            let owner = EntryOwner(
                account: entry.accountID, endUserID: try fields.endUserID(), salt: try fields.salt())
            return ExportedEntry(entry: entry.entry, owner: owner, isErased: try fields.bool())
        }
    }

    /// The personal part of a line is there twice, once as members and once as a text.
    static let exportStatement = PostgresStatement(
        """
        select \(EntryRow.columns(of: "e")), coalesce(x.end_user_id, a.end_user_id), coalesce(x.salt, a.salt),
            a.erased_at is not null
        from (
            select p.*, row_number() over w as place,
                sum(
                    800 + 60 * (cardinality(p.allocation_blocks) + coalesce(cardinality(p.hold_blocks), 0))
                    + 2 * (coalesce(octet_length(p.metadata), 0) + coalesce(octet_length(p.details), 0)
                    + coalesce(octet_length(p.reason), 0) + coalesce(octet_length(p.idempotency_key), 0))) over w as bytes
            from (
                select e.*
                from entries e
                where e.environment_id = $1 and e.account_id <= $2 and (e.account_id, e.sequence) > ($3, $4)
                order by e.account_id, e.sequence
                limit $5
            ) p
            window w as (order by p.account_id, p.sequence)
        ) e
        join accounts a using (environment_id, account_id)
        left join erasures x using (environment_id, account_id)
        where e.place = 1 or e.bytes <= $6
        order by e.account_id, e.sequence
        """)
}
