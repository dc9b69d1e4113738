import Credits
import Ledger
import Postgres

/// What a batch needs of an account beside its row and its open blocks: the active reservations of an account that has
/// had any, and the history that refunds and revocations go back to.
struct Past {
    var reservations: [Reservation] = []
    var history = AccountHistory()
}

extension LedgerStore {
    /// Loads what is needed in one round trip, and nothing where nothing is.
    static func past(
        of accounts: [LockedAccount], _ requests: [AccountKey: HistoryRequest], on connection: PostgresConnection
    ) async throws -> [AccountID: Past] {
        let reserving = accounts.filter(\.hasReserved)
        let asked = accounts.compactMap { account in requests[account.key].map { (account, $0) } }
        let charges = asked.flatMap { account, request in request.charges.sorted().map { (account, $0) } }
        let blocks = asked.flatMap { account, request in request.blocks.sorted().map { (account, $0) } }
        guard !reserving.isEmpty || !charges.isEmpty || !blocks.isEmpty else { return [:] }
        let results = try await connection.run([
            PostgresQuery(
                loadActiveReservations,
                [.int32s(reserving.map(\.key.environmentID.rawValue)), .int64s(reserving.map(\.id.rawValue))]),
            PostgresQuery(loadCharges, numbered(charges.map { ($0.0, $0.1) })),
            PostgresQuery(loadSettling, numbered(charges.map { ($0.0, $0.1) })),
            PostgresQuery(loadNamedBlocks, numbered(charges) + numbered(blocks.map { ($0.0, Int64($0.1)) })),
        ])
        var pasts: [AccountID: Past] = [:]
        for row in results[0] {
            let reservation = try ReservationStore.decode(row)
            pasts[reservation.accountID, default: Past()].reservations.append(reservation.reservation)
        }
        // A refund's own id may be named as a charge: then it is in both.
        for found in Set(try (Array(results[1]) + Array(results[2])).map { try EntryStore.decode($0) }) {
            pasts[found.accountID, default: Past()].history.entries.append(found.entry)
        }
        for row in results[3] {
            let granted = try GrantedBlock(row, from: 1)
            pasts[AccountID(try row.int64(0)), default: Past()].history.blocks[granted.block.number] = granted
        }
        return pasts
    }

    private static func numbered(_ rows: [(LockedAccount, Int64)]) -> [PostgresValue] {
        [
            .int32s(rows.map(\.0.key.environmentID.rawValue)), .int64s(rows.map(\.0.id.rawValue)),
            .int64s(rows.map(\.1)),
        ]
    }

    static let loadActiveReservations = PostgresStatement(
        """
        select \(ReservationStore.columns(of: "r"))
        from unnest($1::integer[], $2::bigint[]) as k (environment_id, account_id)
        join reservations r using (environment_id, account_id)
        where r.status = 'active'
        """)

    /// The charges that are named, and where one is a reservation's, all of that reservation's. Each once.
    private static let chargeKeys = """
        select k.environment_id, k.account_id, k.sequence
        from unnest($1::integer[], $2::bigint[], $3::bigint[]) as k (environment_id, account_id, sequence)
        union
        select o.environment_id, o.account_id, o.sequence
        from unnest($1::integer[], $2::bigint[], $3::bigint[]) as k (environment_id, account_id, sequence)
        join entries c using (environment_id, account_id, sequence)
        join entries o on o.environment_id = c.environment_id and o.account_id = c.account_id
            and o.reservation = c.reservation
        where o.type = 'commit'
        """

    static let loadCharges = PostgresStatement(
        """
        select \(EntryStore.columns(of: "e"))
        from (\(chargeKeys)) as n
        join entries e using (environment_id, account_id, sequence)
        """)

    /// What has reduced overage, or refunded one of the charges, since the first of them.
    static let loadSettling = PostgresStatement(
        """
        select \(EntryStore.columns(of: "e"))
        from (
            select environment_id, account_id, min(sequence) as first
            from (\(chargeKeys)) as c group by environment_id, account_id
        ) as n
        join entries e on e.environment_id = n.environment_id and e.account_id = n.account_id and e.sequence > n.first
        where (e.overage_delta < 0 or e.refunds is not null)
            and (e.overage_delta < 0 or (e.environment_id, e.account_id, e.refunds) in (
                select environment_id, account_id, sequence from (\(chargeKeys)) as r))
        """)

    /// The blocks that the charges took from, and those that are named by number.
    static let loadNamedBlocks = PostgresStatement(
        """
        select b.account_id, \(GrantedBlock.columns(of: "b"))
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
}
