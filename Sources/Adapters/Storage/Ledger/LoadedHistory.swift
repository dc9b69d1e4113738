import Commands
import Credits
package import Ledger
package import Postgres

/// The rows of an account that a batch needs beside its own row and its open blocks: the active reservations and the live
/// subscriptions of an account that has had any, and the history for refunds, revocations and landings.
struct LoadedHistory {
    var reservations: [Reservation] = []
    var subscriptions: [Subscription] = []
    var history = AccountHistory()
}

extension LedgerStore {
    /// Loads these rows in one round trip, and makes none when no account needs any.
    ///
    /// - Parameters:
    ///   - blocks: The open and the scheduled blocks.
    ///   - now: The database's clock.
    static func histories(
        of accounts: [LockedAccount], _ needs: [AccountKey: AccountNeeds], blocks: [AccountID: [Block]], now: Instant,
        on connection: PostgresConnection
    ) async throws -> [AccountID: LoadedHistory] {
        // After a step back of the clock a transfer advances the receiver to the latest instant that the sender has seen.
        let seen = accounts.filter { $0.row.settings.testClock == nil }.map(\.book.advancedTo)
        let now = seen.reduce(now, max)
        // An account on a test clock, or one that this batch puts on a clock, can be advanced beyond that.
        let landing = accounts.filter { account in
            let mayLeaveRealTime = account.row.settings.testClock != nil || needs[account.key]?.testClock != nil
            return (blocks[account.row.id] ?? []).contains { $0.isScheduled && ($0.since <= now || mayLeaveRealTime) }
        }.map(\.row)
        let reserving = accounts.filter { $0.book.book.reservationCount > 0 }.map(\.row)
        let subscribed = accounts.filter { $0.book.book.subscriptionCount > 0 }.map(\.row)
        let asked = accounts.compactMap { account in needs[account.key].map { (account.row, $0) } }
        let charges = asked.flatMap { row, needs in needs.charges.sorted().map { (row, $0) } }
        let revoked = asked.flatMap { row, needs in needs.blocks.sorted().map { (row, Int64($0)) } }
        guard !reserving.isEmpty || !subscribed.isEmpty || !charges.isEmpty || !revoked.isEmpty || !landing.isEmpty
        else { return [:] }
        var group = QueryGroup()
        let reservations = group.add(
            PostgresQuery(
                loadActiveReservations,
                [.int32s(reserving.map(\.environmentID.rawValue)), .int64s(reserving.map(\.id.rawValue))]),
            ReservationRow.all)
        let subscriptions = group.add(
            PostgresQuery(
                SubscriptionStore.loadLive,
                [.int32s(subscribed.map(\.environmentID.rawValue)), .int64s(subscribed.map(\.id.rawValue))]),
            SubscriptionRow.all)
        let chargeEntries = group.add(PostgresQuery(loadCharges, numbered(charges)), EntryRow.all)
        let settlingEntries = group.add(PostgresQuery(loadSettling, numbered(charges)), EntryRow.all)
        let namedBlocks = group.add(
            PostgresQuery(loadNamedBlocks, numbered(charges) + numbered(revoked)), GrantedBlockRow.all)
        let landingBlocks = group.add(
            PostgresQuery(
                loadLandingBlocks,
                [
                    .int32s(landing.map(\.environmentID.rawValue)), .int64s(landing.map(\.id.rawValue)),
                    .instant(now),
                ]),
            GrantedBlockRow.all)
        let results = try await group.run(on: connection)

        var histories: [AccountID: LoadedHistory] = [:]
        for row in results[reservations] {
            histories[row.accountID, default: LoadedHistory()].reservations.append(row.reservation)
        }
        for row in results[subscriptions] {
            histories[row.accountID, default: LoadedHistory()].subscriptions.append(row.subscription)
        }
        // A refund's own id may be named as a charge. Its entry is then in both results.
        for row in Set(results[chargeEntries] + results[settlingEntries]) {
            histories[row.accountID, default: LoadedHistory()].history.entries.append(row.entry)
        }
        for row in results[namedBlocks] + results[landingBlocks] {
            histories[row.accountID, default: LoadedHistory()].history.blocks[row.granted.block.number] = row.granted
        }
        return histories
    }

    /// Loads the charges of reservations whose total may cost less than they do, by the numbers of the reservations, with
    /// the entries and the blocks that giving them back needs. Makes no round trip when there are none, and two otherwise.
    package static func loadCharges(
        of reservations: [Int: Set<Int32>], into drafts: inout [AccountDraft], on connection: PostgresConnection
    ) async throws {
        let missing = reservations.compactMapValues { $0.isEmpty ? nil : $0.sorted() }
        guard !missing.isEmpty else { return }
        var keys: [(account: Account, number: Int32)] = []
        for (index, numbers) in missing { keys += numbers.map { (drafts[index].account, $0) } }
        let found = try await connection.run(
            PostgresQuery(
                findCharges,
                [
                    .int32s(keys.map(\.account.environmentID.rawValue)), .int64s(keys.map(\.account.id.rawValue)),
                    .int32s(keys.map(\.number)),
                ]))
        var charges: [[Int64]] = [[], [], []]
        for row in found {
            charges[0].append(Int64(try row.int32(0)))
            charges[1].append(try row.int64(1))
            charges[2].append(try row.int64(2))
        }
        let named: [PostgresValue] = [.int32s(charges[0].map { Int32($0) }), .int64s(charges[1]), .int64s(charges[2])]
        var group = QueryGroup()
        let chargeEntries = group.add(PostgresQuery(loadCharges, named), EntryRow.all)
        let settlingEntries = group.add(PostgresQuery(loadSettling, named), EntryRow.all)
        let blocks = group.add(
            PostgresQuery(loadNamedBlocks, named + [.int32s([]), .int64s([]), .int64s([])]), GrantedBlockRow.all)
        let results = try await group.run(on: connection)
        let indices = Dictionary(uniqueKeysWithValues: missing.keys.map { (drafts[$0].account.id, $0) })
        let loaded = missing.keys.reduce(into: [:]) { known, index in
            known[index] = Set(drafts[index].history.entries.map(\.sequence))
        }
        for row in Set(results[chargeEntries] + results[settlingEntries]) {
            guard let index = indices[row.accountID], loaded[index]?.contains(row.entry.sequence) == false else {
                continue
            }
            drafts[index].history.entries.append(row.entry)
        }
        for row in results[blocks] {
            guard let index = indices[row.accountID] else { continue }
            drafts[index].history.blocks[row.granted.block.number] = row.granted
        }
        for (index, numbers) in missing { drafts[index].history.reservations.formUnion(numbers) }
    }

    /// One charge of each reservation. The negated id is that of the index `entries_reservation`.
    static let findCharges = PostgresStatement(
        """
        select k.environment_id, k.account_id, c.sequence
        from unnest($1::integer[], $2::bigint[], $3::integer[]) as k (environment_id, account_id, number)
        cross join lateral (
            select e.sequence from entries e
            where -e.account_id = -k.account_id and e.reservation = k.number and e.type = 'commit'
            order by e.sequence desc
            limit 1
        ) c
        """)

    private static func numbered(_ rows: [(AccountRow, Int64)]) -> [PostgresValue] {
        [
            .int32s(rows.map(\.0.environmentID.rawValue)), .int64s(rows.map(\.0.id.rawValue)), .int64s(rows.map(\.1)),
        ]
    }

    static let loadActiveReservations = PostgresStatement(
        """
        select \(ReservationRow.columns(of: "r"))
        from unnest($1::integer[], $2::bigint[]) as k (environment_id, account_id)
        cross join lateral (
            select * from reservations t
            where t.environment_id = k.environment_id and t.account_id = k.account_id and t.status = 'active'
            offset 0
        ) r
        """)

    /// The named charges and, for a charge of a reservation, all charges of that reservation. Each is listed once. The
    /// negated id is that of the index `entries_reservation`.
    private static let chargeKeys = """
        select k.environment_id, k.account_id, k.sequence
        from unnest($1::integer[], $2::bigint[], $3::bigint[]) as k (environment_id, account_id, sequence)
        union
        select o.environment_id, o.account_id, o.sequence
        from unnest($1::integer[], $2::bigint[], $3::bigint[]) as k (environment_id, account_id, sequence)
        join entries c using (environment_id, account_id, sequence)
        join entries o on -o.account_id = -c.account_id and o.reservation = c.reservation
        where o.type = 'commit'
        """

    static let loadCharges = PostgresStatement(
        """
        select \(EntryRow.columns(of: "e"))
        from (\(chargeKeys)) as n
        join entries e using (environment_id, account_id, sequence)
        """)

    /// The entries after the first of the charges that have reduced overage or refunded one of the charges.
    static let loadSettling = PostgresStatement(
        """
        select \(EntryRow.columns(of: "e"))
        from (
            select environment_id, account_id, min(sequence) as first
            from (\(chargeKeys)) as c group by environment_id, account_id
        ) as n
        join entries e on e.environment_id = n.environment_id and e.account_id = n.account_id and e.sequence > n.first
        where (e.overage_delta < 0 or e.refunds is not null)
            and (e.overage_delta < 0 or (e.environment_id, e.account_id, e.refunds) in (
                select environment_id, account_id, sequence from (\(chargeKeys)) as r))
        """)

    /// The blocks that the charges took from, and the blocks that are named by number.
    static let loadNamedBlocks = PostgresStatement(
        """
        select \(GrantedBlockRow.columns(of: "b"))
        from (
            select c.environment_id, c.account_id, unnest(e.allocation_blocks) as number
            from (\(chargeKeys)) as c
            join entries e using (environment_id, account_id, sequence)
            union
            select k.environment_id, k.account_id, k.number::integer
            from unnest($4::integer[], $5::bigint[], $6::bigint[]) as k (environment_id, account_id, number)
        ) as n
        join blocks b using (environment_id, account_id, number)
        """)

    /// The scheduled blocks that land by `now`, or by the latest instant that a test clock of the environment shows. The
    /// clocks of the batch's catalogue show no later one, because a clock never goes back.
    static let loadLandingBlocks = PostgresStatement(
        """
        select \(GrantedBlockRow.columns(of: "b"))
        from unnest($1::integer[], $2::bigint[]) as k (environment_id, account_id)
        cross join lateral (
            select * from blocks t
            where t.environment_id = k.environment_id and t.account_id = k.account_id and t.open
            offset 0
        ) b
        where b.scheduled and b.starts_at <= greatest(
            $3::timestamptz,
            (select max(c.shows) from test_clocks c where c.environment_id = k.environment_id))
        """)
}
