import Commands
import Credits
import Ledger
import Postgres

/// The requests for top-ups that a batch reads: those that are answered, and those that a new rule may have to count.
enum TopUpRequestStore {
    /// Loads them in one round trip, and makes none when no account needs any.
    static func requests(
        of accounts: [LockedAccount], _ needs: [AccountKey: AccountNeeds], on connection: PostgresConnection
    ) async throws -> [AccountID: [Int32: TopUpRequest]] {
        let asked = accounts.compactMap { account in needs[account.key].map { (account.row, $0) } }
        let named = asked.flatMap { row, needs in needs.topUpRequests.sorted().map { (row, $0) } }
        let counting = asked.filter { $0.1.latestTopUpRequests }.map(\.0)
        guard !named.isEmpty || !counting.isEmpty else { return [:] }
        var group = QueryGroup()
        let found = group.add(
            PostgresQuery(
                find,
                [
                    .int32s(named.map(\.0.environmentID.rawValue)), .int64s(named.map(\.0.id.rawValue)),
                    .int32s(named.map(\.1)),
                ]),
            TopUpRequestRow.all)
        let latest = group.add(
            PostgresQuery(
                findLatest,
                [
                    .int32s(counting.map(\.environmentID.rawValue)), .int64s(counting.map(\.id.rawValue)),
                    .int64(AutoTopUpCeiling.counts.upperBound),
                ]),
            TopUpRequestRow.all)
        let results = try await group.run(on: connection)
        var requests: [AccountID: [Int32: TopUpRequest]] = [:]
        for row in results[found] + results[latest] {
            requests[row.accountID, default: [:]][row.request.number] = row.request
        }
        return requests
    }

    static let find = PostgresStatement(
        """
        select \(TopUpRequestRow.columns(of: "r"))
        from unnest($1::integer[], $2::bigint[], $3::integer[]) as k (environment_id, account_id, number)
        join topup_requests r using (environment_id, account_id, number)
        """)

    /// The latest requests of each account, as many as a ceiling can allow.
    static let findLatest = PostgresStatement(
        """
        select \(TopUpRequestRow.columns(of: "r"))
        from unnest($1::integer[], $2::bigint[]) as k (environment_id, account_id)
        cross join lateral (
            select * from topup_requests t
            where t.environment_id = k.environment_id and t.account_id = k.account_id
            order by t.number desc
            limit $3
        ) as r
        """)
}
