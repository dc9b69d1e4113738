package import Credits
import JSON
package import Postgres
package import Webhooks

/// The outcome of one attempt of a delivery.
package struct AttemptOutcome: Sendable {
    package let number: Int64
    package let account: AccountID
    package let attempt: DeliveryAttempt
    /// The instant of the next attempt; nil after a success and after the last failure.
    package let nextAttemptAt: Instant?

    package init(number: Int64, account: AccountID, attempt: DeliveryAttempt, nextAttemptAt: Instant?) {
        self.number = number
        self.account = account
        self.attempt = attempt
        self.nextAttemptAt = nextAttemptAt
    }

    var status: DeliveryStatus {
        if attempt.isSuccess { return .succeeded }
        return nextAttemptAt == nil ? .exhausted : .failed
    }
}

/// The state of an endpoint after outcomes were recorded.
package struct RecordedAttempts: Sendable {
    /// Whether nothing but failures has been seen for `WebhookLimits.failingSeconds`. An endpoint that was disabled meanwhile
    /// and enabled again has a right to as long again.
    package let hasFailedForLong: Bool
}

/// Records outcomes.
package enum WebhookRecords {
    /// Records the outcomes of attempts in one round trip and one transaction. The outcomes of one delivery are never in two
    /// calls at once, because one worker has the lease.
    ///
    /// - Parameters:
    ///   - circuit: The state after the outcomes. An open one pauses the endpoint.
    /// - Returns: Nil when the lease had ended and nothing was recorded. The next worker attempts the deliveries again.
    package static func record(
        _ outcomes: [AttemptOutcome], of lease: WebhookLease, circuit: Circuit, on connection: PostgresConnection
    ) async throws -> RecordedAttempts? {
        var queries = [WebhookLeases.prolong(lease)]
        if !outcomes.isEmpty {
            let byAccount = outcomes.reduce(into: [AccountID: Instant?]()) { $0[$1.account] = .some($1.nextAttemptAt) }
            let accounts = byAccount.keys.sorted()
            queries += [
                PostgresQuery(
                    deliveriesStatement,
                    lease.parameters + [
                        .int64s(outcomes.map(\.number)), .texts(outcomes.map(\.status.rawValue)),
                        .nullableTimestamps(microseconds: outcomes.map { $0.nextAttemptAt?.microseconds }),
                        .texts(outcomes.map { String(decoding: $0.attempt.json.bytes, as: UTF8.self) }),
                        .int64(Int64(WebhookLimits.rememberedAttempts)), .int64s(outcomes.map(\.account.rawValue)),
                    ]),
                PostgresQuery(closeLines, lease.parameters + [.int64s(accounts.map(\.rawValue))]),
                PostgresQuery(
                    delayLines,
                    lease.parameters + [
                        .int64s(accounts.map(\.rawValue)),
                        .nullableTimestamps(microseconds: accounts.map { byAccount[$0].flatMap(\.self)?.microseconds }),
                    ]),
            ]
        }
        let succeeded = outcomes.contains { $0.attempt.isSuccess }
        let failed = outcomes.last.map { !$0.attempt.isSuccess } ?? false
        queries.append(
            PostgresQuery(
                progressStatement,
                lease.parameters + [
                    .int32(Int32(clamping: circuit.failures)), .int32(Int32(clamping: circuit.openings)),
                    .int64(circuit.isOpen ? circuit.pauseSeconds : 0), .bool(succeeded), .bool(failed),
                    .int64(WebhookLimits.failingSeconds),
                ]))
        let results = try await connection.run(queries)
        guard results[0].rowCount > 0, let row = results.last?.first else { return nil }
        return RecordedAttempts(hasFailedForLong: try row.bool(0))
    }

    /// An expression of attempts, as JSON text, without the answers of receivers.
    static func withoutResponses(_ attempts: String) -> String {
        #"regexp_replace(\#(attempts), '"response":"([^"\\]|\\.)*"', '"response":null', 'g')"#
    }

    /// $4 numbers, $5 statuses, $6 next attempts, $7 attempts, $8 remembered attempts, $9 accounts. An attempt for an erased
    /// end user keeps no answer: the receiver may have been sent the id of before.
    static let deliveriesStatement = PostgresStatement(
        """
        update webhook_deliveries d
        set status = n.status, next_attempt_at = n.next_attempt_at, attempt_count = d.attempt_count + 1,
            finished_at = case when n.status in ('succeeded', 'exhausted') then clock_timestamp() end,
            attempts = case
                when d.attempt_count = 0 then '[' || n.attempt || ']'
                when d.attempt_count < $8 then left(d.attempts, -1) || ',' || n.attempt || ']'
                else '[' || (
                    select string_agg(k.value::text, ',' order by k.ordinality)
                    from json_array_elements(d.attempts::json) with ordinality k where k.ordinality > 1
                ) || ',' || n.attempt || ']'
            end
        from (
            select u.delivery_id, u.status, u.next_attempt_at,
                case when a.end_user_id like 'erased\\_%' then \(withoutResponses("u.attempt")) else u.attempt end as attempt
            from unnest($4::bigint[], $5::text[], $6::timestamptz[], $7::text[], $9::bigint[])
                as u (delivery_id, status, next_attempt_at, attempt, account_id)
            left join accounts a on a.environment_id = $1 and a.account_id = u.account_id
        ) n
        where d.environment_id = $1 and d.delivery_id = n.delivery_id and d.endpoint_id = $2
            and exists (select from webhook_progress p
                where p.environment_id = $1 and p.endpoint_id = $2 and p.lease = $3)
        """)

    static let closeLines: PostgresStatement = """
        delete from webhook_lines l
        using unnest($4::bigint[]) as n (account_id)
        where l.environment_id = $1 and l.endpoint_id = $2 and l.account_id = n.account_id
            and not exists (select from webhook_deliveries d
                where d.environment_id = $1 and d.endpoint_id = $2 and d.account_id = n.account_id
                    and d.finished_at is null)
            and exists (select from webhook_progress p
                where p.environment_id = $1 and p.endpoint_id = $2 and p.lease = $3)
        """

    /// The remaining lines: one whose delivery has failed waits for the next attempt, the others go behind those that have
    /// waited longer.
    static let delayLines: PostgresStatement = """
        update webhook_lines l
        set due_at = coalesce(n.due_at, clock_timestamp())
        from unnest($4::bigint[], $5::timestamptz[]) as n (account_id, due_at)
        where l.environment_id = $1 and l.endpoint_id = $2 and l.account_id = n.account_id
            and exists (select from webhook_progress p
                where p.environment_id = $1 and p.endpoint_id = $2 and p.lease = $3)
        """

    /// $4 failures, $5 openings, $6 pause, $7 whether an attempt succeeded, $8 whether the last one failed, $9 the seconds of
    /// failures after which an endpoint is disabled.
    static let progressStatement: PostgresStatement = """
        update webhook_progress
        set failures = $4, openings = $5,
            failing_since = case
                when $8 then case when $7 then clock_timestamp() else coalesce(failing_since, clock_timestamp()) end
                when $7 then null
                else failing_since
            end,
            resume_at = case when $6 > 0 then clock_timestamp() + make_interval(secs => $6) else resume_at end
        where environment_id = $1 and endpoint_id = $2 and lease = $3
        returning coalesce(failing_since < clock_timestamp() - make_interval(secs => $9), false)
        """

    /// Disables an endpoint and records the event `webhook_endpoint.disabled`, if the worker has the lease and the endpoint
    /// is enabled. Without a reason of the receiver's own it is disabled only when nothing but failures has been seen for
    /// `WebhookLimits.failingSeconds`, since it was enabled.
    ///
    /// The event belongs to the environment: it is in the feed and is delivered to the other endpoints.
    ///
    /// - Returns: Whether the endpoint was disabled.
    package static func disable(
        _ lease: WebhookLease, reason: WebhookEndpoint.DisabledReason, on connection: PostgresConnection
    ) async throws -> Bool {
        let environmentID = lease.key.environmentID
        let id = PublicID(.webhookEndpoint, lease.key.endpointID)
        let results = try await connection.run([
            PostgresQuery("begin"),
            // The event must not disappear again after somebody has seen it.
            PostgresQuery("set local synchronous_commit = on"),
            PostgresQuery(
                "select pg_advisory_xact_lock(hashtext('webhook events'), $1)", [.int32(environmentID.rawValue)]),
            PostgresQuery(
                disableStatement,
                lease.parameters + [
                    .text(reason.rawValue), .int64(reason == .failing ? WebhookLimits.failingSeconds : 0),
                ]),
            PostgresQuery(
                disabledEventStatement,
                lease.parameters + [
                    .text(EnvironmentEventType.endpointDisabled.rawValue), .text("\(id)"),
                    .text(reason.rawValue),
                ]),
            PostgresQuery("commit"),
        ])
        return results[3].rowCount > 0
    }

    /// $4 reason, $5 seconds of failures.
    static let disableStatement: PostgresStatement = """
        update webhook_endpoints e
        set disabled_at = clock_timestamp(), disabled_reason = $4
        from webhook_progress p
        where e.environment_id = $1 and e.endpoint_id = $2 and e.disabled_at is null and e.deleted_at is null
            and p.environment_id = $1 and p.endpoint_id = $2 and p.lease = $3
            and ($5 = 0 or greatest(p.failing_since, e.enabled_at) < clock_timestamp() - make_interval(secs => $5)
                and p.failing_since is not null)
        returning 1
        """

    /// $4 type, $5 public id, $6 reason. The event is recorded if the endpoint was disabled in this transaction.
    static let disabledEventStatement: PostgresStatement = """
        insert into environment_events (environment_id, sequence, type, data, endpoint_id, at, recorded_at)
        select $1, coalesce((select max(v.sequence) from environment_events v where v.environment_id = $1), 0) + 1, $4,
            '{"failing_since":'
                || coalesce(to_json(to_char(p.failing_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'null')
                || ',"reason":' || to_json($6::text)::text || ',"url":' || to_json(e.url)::text
                || ',"webhook_endpoint_id":' || to_json($5::text)::text || '}',
            $2, e.disabled_at, clock_timestamp()
        from webhook_endpoints e join webhook_progress p using (environment_id, endpoint_id)
        where e.environment_id = $1 and e.endpoint_id = $2 and p.lease = $3
            and e.disabled_at >= transaction_timestamp() and e.disabled_reason = $6
        """
}
