package import Credits
package import Postgres
package import Webhooks

/// A row of `webhook_endpoints` without its secrets.
struct WebhookEndpointRow: TableRow {
    let endpoint: WebhookEndpoint

    static let table = "webhook_endpoints"
    static let columns = [
        "endpoint_id", "url", "event_types", "description", "created_at", "updated_at", "disabled_at",
        "disabled_reason", "previous_secret_until",
    ]

    init(_ fields: inout RowFields, keeping old: WebhookEndpointRow?) throws {
        let (id, url) = (try fields.bits(), try fields.parsed("url") { WebhookURL($0) })
        let (eventTypes, description) = (try fields.textsOrNil(), try fields.textOrNil())
        let (createdAt, updatedAt) = (try fields.instant(), try fields.instant())
        let disabledAt = try fields.instantOrNil()
        let reason = try fields.parsedOrNil("disabled_reason") { WebhookEndpoint.DisabledReason(rawValue: $0) }
        var disabled: WebhookEndpoint.Disabled?
        if let disabledAt, let reason { disabled = WebhookEndpoint.Disabled(at: disabledAt, reason: reason) }
        endpoint = WebhookEndpoint(
            id: id, url: url, eventTypes: eventTypes, description: description, createdAt: createdAt,
            updatedAt: updatedAt, disabled: disabled, previousSecretUntil: try fields.instantOrNil())
    }
}

/// The webhook endpoints of environments. A deleted endpoint is found by no function here.
package enum WebhookEndpointStore {
    /// A page of an environment's endpoints, newest first, with ids below `before`.
    package static func list(
        environmentID: EnvironmentID, before: Bits128?, limit: Int, on connection: PostgresConnection
    ) async throws -> [WebhookEndpoint] {
        let result = try await connection.run(
            PostgresQuery(listStatement, [.id(environmentID), .bits(before), .int64(Int64(limit))]))
        return try WebhookEndpointRow.all(result).map(\.endpoint)
    }

    private static let listStatement = WebhookEndpointRow.select(
        where: """
            t.environment_id = $1 and ($2::uuid is null or t.endpoint_id < $2) and t.deleted_at is null
            order by t.endpoint_id desc limit $3
            """)

    package static func find(
        _ id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> WebhookEndpoint? {
        let result = try await connection.run(PostgresQuery(findStatement, [.id(environmentID), .bits(id)]))
        return try WebhookEndpointRow.all(result).first?.endpoint
    }

    private static let findStatement = WebhookEndpointRow.select(
        where: "t.environment_id = $1 and t.endpoint_id = $2 and t.deleted_at is null")

    // MARK: - Changes, inside the catalogue worker's transaction

    /// The number of endpoints of an environment.
    package static func count(environmentID: EnvironmentID, on connection: PostgresConnection) async throws -> Int {
        let result = try await connection.run(
            PostgresQuery(
                "select count(*) from webhook_endpoints where environment_id = $1 and deleted_at is null",
                [.id(environmentID)]))
        return Int(try result.first?.int64(0) ?? 0)
    }

    /// Inserts an endpoint. Its deliveries begin with the events of later transactions.
    package static func insert(
        _ endpoint: WebhookEndpoint, sealedSecret: [UInt8], environmentID: EnvironmentID,
        on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run([
            PostgresQuery(
                """
                insert into webhook_endpoints (environment_id, endpoint_id, url, event_types, description, secret,
                    created_at, updated_at, enabled_at)
                values ($1, $2, $3, $4::text[], $5, $6, $7, $7, $7)
                """,
                [
                    .id(environmentID), .bits(endpoint.id), .text(endpoint.url.text),
                    endpoint.eventTypes.map { .texts($0) } ?? .null, endpoint.description.map { .text($0) } ?? .null,
                    .bytes(sealedSecret), .instant(endpoint.createdAt),
                ]),
            PostgresQuery(
                "insert into webhook_progress (environment_id, endpoint_id) values ($1, $2)",
                [.id(environmentID), .bits(endpoint.id)]),
        ])
    }

    /// Writes what a change may change. An endpoint that is enabled again fails anew for as long as it may.
    package static func update(
        _ endpoint: WebhookEndpoint, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update webhook_endpoints set url = $3, event_types = $4::text[], description = $5, updated_at = $6,
                    enabled_at = case when disabled_at is not null and $7::timestamptz is null then $6 else enabled_at end,
                    disabled_at = $7, disabled_reason = $8
                where environment_id = $1 and endpoint_id = $2
                """,
                [
                    .id(environmentID), .bits(endpoint.id), .text(endpoint.url.text),
                    endpoint.eventTypes.map { .texts($0) } ?? .null, endpoint.description.map { .text($0) } ?? .null,
                    .instant(endpoint.updatedAt), .instant(endpoint.disabled?.at),
                    endpoint.disabled.map { .text($0.reason.rawValue) } ?? .null,
                ]))
    }

    /// Replaces the secret. The one before stays valid until an instant; nil ends it at once.
    package static func rotate(
        _ id: Bits128, sealedSecret: [UInt8], previousUntil: Instant?, at now: Instant, environmentID: EnvironmentID,
        on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update webhook_endpoints set previous_secret = case when $4::timestamptz is null then null else secret end,
                    previous_secret_until = $4, secret = $3, updated_at = $5
                where environment_id = $1 and endpoint_id = $2
                """,
                [
                    .id(environmentID), .bits(id), .bytes(sealedSecret), .instant(previousUntil), .instant(now),
                ]))
    }

    /// Marks an endpoint as deleted. A worker removes its rows later, because it may have any number of deliveries.
    package static func delete(
        _ id: Bits128, at now: Instant, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                "update webhook_endpoints set deleted_at = $3 where environment_id = $1 and endpoint_id = $2",
                [.id(environmentID), .bits(id), .instant(now)]))
    }

    // MARK: - Replays

    /// The replay of an endpoint that is under way.
    package static func replay(
        of id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> WebhookReplay? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select from_at, to_at, created_at from webhook_replays where environment_id = $1 and endpoint_id = $2
                """, [.id(environmentID), .bits(id)]))
        return try result.first.map { try replay($0) }
    }

    /// The replays of an environment that are under way, by endpoint; one of each at most.
    package static func replays(
        environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [Bits128: WebhookReplay] {
        let result = try await connection.run(
            PostgresQuery(
                "select from_at, to_at, created_at, endpoint_id from webhook_replays where environment_id = $1",
                [.id(environmentID)]))
        var replays: [Bits128: WebhookReplay] = [:]
        for row in result { replays[Bits128(try row.uuid(3))] = try replay(row) }
        return replays
    }

    private static func replay(_ row: PostgresRow) throws -> WebhookReplay {
        WebhookReplay(
            from: Instant(microseconds: try row.timestamp(0)), to: Instant(microseconds: try row.timestamp(1)),
            createdAt: Instant(microseconds: try row.timestamp(2)))
    }

    /// Begins a replay, which the workers carry out page by page.
    package static func insert(
        _ replay: WebhookReplay, of id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into webhook_replays (environment_id, endpoint_id, from_at, to_at, created_at, seen_transaction)
                values ($1, $2, $3, $4, $5, webhook_replay_start($1, $3))
                """,
                [
                    .id(environmentID), .bits(id), .instant(replay.from), .instant(replay.to),
                    .instant(replay.createdAt),
                ]))
    }
}
