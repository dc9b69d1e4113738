package import Credits
package import Postgres
package import Webhooks

/// An endpoint of an environment.
package struct EndpointKey: Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let endpointID: Bits128

    package init(environmentID: EnvironmentID, endpointID: Bits128) {
        self.environmentID = environmentID
        self.endpointID = endpointID
    }
}

/// The right of one worker to work on an endpoint, until it gives the endpoint back or its lease ends.
package struct WebhookLease: Sendable {
    package let key: EndpointKey
    /// The random id of the lease. A worker whose lease has ended changes nothing any more, because its statements name it.
    package let id: Bits128
    /// The circuit with the numbers that the worker before has stored.
    package let circuit: Circuit

    var parameters: [PostgresValue] {
        [.id(key.environmentID), .bits(key.endpointID), .bits(id)]
    }
}

/// An endpoint as a worker needs it, with its sealed secrets.
package struct WebhookTarget: Sendable {
    package let url: WebhookURL
    package let secret: [UInt8]
    /// Nil when no earlier secret is valid any more.
    package let previousSecret: [UInt8]?
    package let kind: EnvironmentKind
}

/// The leases of endpoints.
package enum WebhookLeases {
    /// The settings of a worker's sessions. A lost commit only repeats deliveries, so no session waits for the disk, except
    /// where it says so.
    package static let sessionSettings = [
        "synchronous_commit": "off", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
        "jit": "off", "statement_timeout": "20s", "idle_in_transaction_session_timeout": "20s",
    ]

    /// Takes endpoints that have something to deliver and no worker, those first that have waited longest. Costs four
    /// look-ups by index for each endpoint of the installation that is enabled, without a worker and not paused.
    ///
    /// - Parameter id: Makes up the leases; each call needs another one.
    package static func take(
        _ limit: Int, id: Bits128, on connection: PostgresConnection
    ) async throws -> [WebhookLease] {
        let result = try await connection.run(
            PostgresQuery(
                takeStatement, [.int64(Int64(limit)), .bits(id), .int64(WebhookLimits.leaseSeconds)]))
        return try result.map { row in
            WebhookLease(
                key: EndpointKey(
                    environmentID: EnvironmentID(try row.int32(0)), endpointID: Bits128(try row.uuid(1))), id: id,
                circuit: Circuit(failures: Int(try row.int32(2)), openings: Int(try row.int32(3))))
        }
    }

    static let takeStatement: PostgresStatement = """
        with chosen as (
            select p.environment_id, p.endpoint_id
            from webhook_progress p
            join webhook_endpoints e using (environment_id, endpoint_id)
            where e.disabled_at is null and e.deleted_at is null and p.resume_at <= clock_timestamp()
                and (p.leased_until is null or p.leased_until < clock_timestamp())
                and (
                    exists (
                        select from webhook_lines l
                        where l.environment_id = p.environment_id and l.endpoint_id = p.endpoint_id
                            and l.due_at <= clock_timestamp())
                    or exists (
                        select from events v
                        where v.environment_id = p.environment_id
                            and (v.transaction_id, v.account_id, v.sequence)
                                > (p.seen_transaction, p.seen_account, p.seen_sequence)
                            and v.transaction_id < pg_snapshot_xmin(pg_current_snapshot()))
                    or exists (
                        select from environment_events v
                        where v.environment_id = p.environment_id
                            and (v.transaction_id, 0::bigint, v.sequence)
                                > (p.seen_transaction, p.seen_account, p.seen_sequence)
                            and v.transaction_id >= p.seen_transaction
                            and v.transaction_id < pg_snapshot_xmin(pg_current_snapshot()))
                    or exists (
                        select from webhook_replays r
                        where r.environment_id = p.environment_id and r.endpoint_id = p.endpoint_id))
            order by p.turn_at
            limit $1
            for update of p skip locked
        )
        update webhook_progress p
        set lease = $2, leased_until = clock_timestamp() + make_interval(secs => $3)
        from chosen c
        where p.environment_id = c.environment_id and p.endpoint_id = c.endpoint_id
        returning p.environment_id, p.endpoint_id, p.failures, p.openings
        """

    /// Gives endpoints back at once, when a worker stops.
    package static func giveBack(_ lease: WebhookLease, on connection: PostgresConnection) async throws {
        _ = try await connection.run(PostgresQuery(giveBackStatement, lease.parameters))
    }

    static let giveBackStatement: PostgresStatement = """
        update webhook_progress set lease = null, leased_until = null, turn_at = clock_timestamp()
        where environment_id = $1 and endpoint_id = $2 and lease = $3
        """

    /// The statement that locks the progress of an endpoint and prolongs the lease. It has no row when the lease has ended.
    static let prolongStatement: PostgresStatement = """
        update webhook_progress set leased_until = clock_timestamp() + make_interval(secs => $4)
        where environment_id = $1 and endpoint_id = $2 and lease = $3
        returning 1
        """

    static func prolong(_ lease: WebhookLease) -> PostgresQuery {
        PostgresQuery(prolongStatement, lease.parameters + [.int64(WebhookLimits.leaseSeconds)])
    }
}
