import Credits
package import Postgres

/// Rows of webhooks that nobody needs any more.
package enum WebhookRemains {
    /// Deletes some deliveries that were finished before the retention, the earliest first.
    ///
    /// - Returns: The number of deleted deliveries, at most `limit`.
    package static func deleteFinished(
        olderThanDays days: Int, upTo limit: Int, on connection: PostgresConnection
    ) async throws -> Int {
        let result = try await connection.run(
            PostgresQuery(deleteFinishedStatement, [.int64(Int64(days)), .int64(Int64(limit))]))
        return Int(try result.first?.int64(0) ?? 0)
    }

    static let deleteFinishedStatement: PostgresStatement = """
        with old as (
            select environment_id, delivery_id from webhook_deliveries
            where finished_at < clock_timestamp() - make_interval(days => $1::integer)
            order by finished_at limit $2
            for update skip locked
        ), deleted as (
            delete from webhook_deliveries d using old o
            where d.environment_id = o.environment_id and d.delivery_id = o.delivery_id
            returning 1
        )
        select count(*) from deleted
        """

    /// Deletes some rows of one deleted endpoint: deliveries, then lines, then the endpoint itself.
    ///
    /// - Returns: The number of deleted rows, at most a little more than `limit`; 0 when no deleted endpoint is left.
    package static func deleteRemoved(upTo limit: Int, on connection: PostgresConnection) async throws -> Int {
        let found = try await connection.run(PostgresQuery(removedStatement))
        guard let row = found.first else { return 0 }
        let endpoint: [PostgresValue] = [.int32(try row.int32(0)), .bits(Bits128(try row.uuid(1)))]
        for statement in [removeDeliveries, removeLines] {
            let result = try await connection.run(PostgresQuery(statement, endpoint + [.int64(Int64(limit))]))
            if let count = try result.first?.int64(0), count > 0 { return Int(count) }
        }
        let counts = try await connection.run([
            PostgresQuery(
                "delete from webhook_replays where environment_id = $1 and endpoint_id = $2", endpoint),
            PostgresQuery(
                "delete from webhook_progress where environment_id = $1 and endpoint_id = $2", endpoint),
            PostgresQuery(
                "delete from webhook_endpoints where environment_id = $1 and endpoint_id = $2 returning 1", endpoint),
        ])
        return counts[2].rowCount
    }

    /// An endpoint on which a worker still works is left for later.
    private static let removedStatement: PostgresStatement = """
        select e.environment_id, e.endpoint_id
        from webhook_endpoints e join webhook_progress p using (environment_id, endpoint_id)
        where e.deleted_at is not null and (p.leased_until is null or p.leased_until < clock_timestamp())
        order by e.deleted_at limit 1
        """

    private static let removeDeliveries: PostgresStatement = """
        with found as (
            select environment_id, delivery_id from webhook_deliveries
            where environment_id = $1 and endpoint_id = $2 order by delivery_id limit $3
            for update skip locked
        ), deleted as (
            delete from webhook_deliveries d using found f
            where d.environment_id = f.environment_id and d.delivery_id = f.delivery_id
            returning 1
        )
        select count(*) from deleted
        """

    private static let removeLines: PostgresStatement = """
        with deleted as (
            delete from webhook_lines l
            where l.environment_id = $1 and l.endpoint_id = $2 and l.account_id in (
                select account_id from webhook_lines where environment_id = $1 and endpoint_id = $2 limit $3)
            returning 1
        )
        select count(*) from deleted
        """

    /// The number of open deliveries, up to a bound, and how long the longest due one has waited, in seconds.
    package static func backlog(
        upTo limit: Int, on connection: PostgresConnection
    ) async throws -> (lines: Int64, oldestSeconds: Double) {
        let result = try await connection.run(PostgresQuery(backlogStatement, [.int64(Int64(limit))]))
        guard let row = result.first else { return (0, 0) }
        return (try row.int64(0), Double(try row.int64(1)) / 1_000)
    }

    private static let backlogStatement: PostgresStatement = """
        select count(*),
            coalesce((extract(epoch from clock_timestamp() - min(due_at)) * 1000)::bigint, 0)
        from (
            select l.due_at from webhook_lines l
            join webhook_endpoints e using (environment_id, endpoint_id)
            where e.disabled_at is null and e.deleted_at is null and l.due_at <= clock_timestamp()
            limit $1
        ) due
        """
}
