package import Postgres

/// The counters of windows that have ended. Nothing reads them any more; they are deleted by an index of their ends,
/// without a walk over the accounts.
package enum EndedCounters {
    /// The settings of a session that deletes them.
    package static let sessionSettings = "set enable_seqscan = off; set jit = off; set statement_timeout = '10s'"

    /// Deletes some counters whose windows ended more than a minute ago. Those of accounts on a test clock stay: their
    /// windows end by another time.
    ///
    /// - Returns: The number of deleted counters, at most `limit`. Costs as many rows, and those of test clocks.
    package static func delete(upTo limit: Int, on connection: PostgresConnection) async throws -> Int {
        let result = try await connection.run(PostgresQuery(deleteSome, [.int64(Int64(limit))]))
        return Int(try result.first?.int64(0) ?? 0)
    }

    static let deleteSome = PostgresStatement(
        """
        with ended as (
            select c.environment_id, c.account_id, c.counter_id
            from counters c
            where c.window_end < clock_timestamp() - interval '1 minute' and not c.is_on_test_clock
            order by c.window_end
            limit $1
            for update skip locked
        ), deleted as (
            delete from counters c using ended e
            where c.environment_id = e.environment_id and c.account_id = e.account_id and c.counter_id = e.counter_id
            returning 1
        )
        select count(*) from deleted
        """)
}
