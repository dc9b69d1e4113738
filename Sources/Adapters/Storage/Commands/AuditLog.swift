package import Commands
package import Credits
package import Postgres

/// The mutations that a page of the audit log shows, newest first.
package struct AuditFilter: Sendable {
    /// The caller of a mutation: an API key, or the root key.
    package enum Actor: Hashable, Sendable {
        case root
        case key(Bits128)
    }

    package var actor: Actor?
    package var action: AuditAction?
    /// Only mutations decided at or after this instant.
    package var from: Instant?
    /// Only mutations decided before this instant.
    package var to: Instant?
    /// The last mutation of the previous page.
    package var after: (decidedAt: Instant, commandID: Bits128)?
    package var limit: Int

    package init(limit: Int) {
        self.limit = limit
    }
}

/// Reads the decided commands as the record of who changed what.
package enum AuditLog {
    /// A page of mutations.
    ///
    /// Without an actor it costs as many rows per action as the page takes. With an actor it costs the commands of all
    /// actors between the page's two ends.
    package static func list(
        environmentID: EnvironmentID, _ filter: AuditFilter, on connection: PostgresConnection
    ) async throws -> [AuditRecord] {
        let result = try await connection.run(
            PostgresQuery(listStatement, parameters(environmentID: environmentID, filter)))
        return try result.map { row in
            AuditRecord(
                commandID: Bits128(try row.uuid(0)), keyID: try row.uuidOrNil(1).map { Bits128($0) },
                clientAddress: try row.textOrNil(2), action: try row.text(3),
                endUserID: try row.textOrNil(4).flatMap { EndUserID($0) },
                decidedAt: Instant(microseconds: try row.timestamp(5)), requestID: try row.text(6),
                status: UInt16(try row.int16(7)))
        }
    }

    static func parameters(environmentID: EnvironmentID, _ filter: AuditFilter) -> [PostgresValue] {
        let actions = filter.action.map { [$0] } ?? AuditAction.all
        var keyID = PostgresValue.null
        if case .key(let id) = filter.actor { keyID = .uuid(high: id.high, low: id.low) }
        return [
            .int32(environmentID.rawValue), .texts(actions.map(\.name)), .bool(filter.actor != nil), keyID,
            .instant(filter.from ?? Instant(microseconds: .min)), .instant(filter.to ?? Instant(microseconds: .max)),
            .instant(filter.after?.decidedAt ?? Instant(microseconds: .max)),
            .uuid(high: filter.after?.commandID.high ?? .max, low: filter.after?.commandID.low ?? .max),
            .int64(Int64(filter.limit)),
        ]
    }

    /// 1. Reads as many rows as the page takes, from the end of each action's range in the index. The commands of a
    ///    batch share an instant, so only these are sorted by id. The bounds are never null: a condition with `coalesce`
    ///    is evaluated after the policy of row-level security, and so for every row of the action.
    /// 2. Takes the newest rows of all actions.
    static let listStatement: PostgresStatement = """
        select c.command_id, c.key_id, c.client_address, c.action, a.end_user_id, c.decided_at, c.request_id, c.status
        from (
            select newest.*
            from unnest($2::text[]) as asked (action)
            cross join lateral (
                select d.environment_id, d.command_id, d.key_id, d.client_address, d.action, d.account_id, d.decided_at,
                    d.request_id, d.status
                from commands d
                where d.environment_id = $1 and d.action = asked.action
                    and d.decided_at >= $5::timestamptz and d.decided_at < $6::timestamptz
                    and d.decided_at <= $7::timestamptz and (d.decided_at, d.command_id) < ($7, $8::uuid)
                    and (not $3::boolean or d.key_id is not distinct from $4::uuid)
                order by d.decided_at desc, d.command_id desc
                limit $9
            ) as newest
            order by newest.decided_at desc, newest.command_id desc
            limit $9
        ) as c
        left join accounts a using (environment_id, account_id)
        order by c.decided_at desc, c.command_id desc
        """
}
