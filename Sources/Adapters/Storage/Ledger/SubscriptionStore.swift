package import Credits
package import Ledger
package import Postgres

/// Reads the subscriptions of accounts, live or ended, as they were last written. What time has done since may not be
/// applied yet.
package enum SubscriptionStore {
    package static func find(
        _ number: Int32, accountID: AccountID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Subscription? {
        let result = try await connection.run(
            PostgresQuery(findStatement, [.id(environmentID), .id(accountID), .int32(number)]))
        return try SubscriptionRow.all(result).first?.subscription
    }

    private static let findStatement = SubscriptionRow.select(
        where: "t.environment_id = $1 and t.account_id = $2 and t.number = $3")

    /// A page of an account's subscriptions, newest first, with numbers below `before`. It costs the rows of the page; with
    /// a status also the rows of other statuses in between.
    package static func list(
        environmentID: EnvironmentID, accountID: AccountID, status: SubscriptionStatus?, before: Int32?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [Subscription] {
        let result = try await connection.run(
            PostgresQuery(
                listStatement,
                [
                    .id(environmentID), .id(accountID), .optional(status?.rawValue), .int32(before ?? .max),
                    .int64(Int64(limit)),
                ]))
        return try SubscriptionRow.all(result).map(\.subscription)
    }

    private static let listStatement = SubscriptionRow.select(
        where: """
            t.environment_id = $1 and t.account_id = $2 and ($3::text is null or t.status = $3) and t.number < $4
            order by t.number desc
            limit $5
            """)

    /// The subscriptions of an account that were made by an instant and had not ended before it. It costs the account's
    /// subscriptions.
    static func begun(
        by instant: Instant, environmentID: EnvironmentID, accountID: AccountID, on connection: PostgresConnection
    ) async throws -> [Subscription] {
        let result = try await connection.run(
            PostgresQuery(begunStatement, [.id(environmentID), .id(accountID), .instant(instant)]))
        return try SubscriptionRow.all(result).map(\.subscription)
    }

    private static let begunStatement = SubscriptionRow.select(
        where: """
            t.environment_id = $1 and t.account_id = $2 and t.created_at <= $3::timestamptz
                and (t.ended_at is null or t.ended_at > $3)
            order by t.number
            """)

    /// The live subscriptions of some accounts. The subselect is asked once for each account: in a join a planner that
    /// takes the table for a small one reads all of it for each. Its order leads to the index `subscriptions_live`.
    static let loadLive = PostgresStatement(
        """
        select \(SubscriptionRow.columns(of: "s"))
        from unnest($1::integer[], $2::bigint[]) as k (environment_id, account_id)
        cross join lateral (
            select * from subscriptions t
            where t.environment_id = k.environment_id and t.account_id = k.account_id and t.ended_at is null
            order by t.slot
        ) s
        """)
}
