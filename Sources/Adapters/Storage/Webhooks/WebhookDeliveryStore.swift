package import Credits
package import Postgres
package import Webhooks

/// A row of `webhook_deliveries` as lists show it.
struct WebhookDeliveryRow: TableRow {
    let delivery: WebhookDelivery

    static let table = "webhook_deliveries"
    static let columns = [
        "delivery_id", "account_id", "event_sequence", "event_type", "endpoint_id", "status", "next_attempt_at",
        "attempts", "created_at",
    ]

    init(_ fields: inout RowFields, keeping old: WebhookDeliveryRow?) throws {
        delivery = WebhookDelivery(
            number: try fields.int64(), account: try fields.accountID(), eventSequence: try fields.int64(),
            eventType: try fields.text(), endpointID: try fields.bits(),
            status: try fields.parsed("status") { DeliveryStatus(rawValue: $0) },
            nextAttemptAt: try fields.instantOrNil(), attempts: try fields.text(),
            createdAt: try fields.instant())
    }
}

/// The deliveries of environments, for lists and for the commands of tenants.
package enum WebhookDeliveryStore {
    /// A page of deliveries, newest first, with numbers below `before`. With both filters it may walk over all deliveries
    /// of the endpoint.
    package static func list(
        environmentID: EnvironmentID, endpointID: Bits128?, status: DeliveryStatus?, before: Int64?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [WebhookDelivery] {
        var condition = "t.environment_id = $1 and t.delivery_id < $2"
        var parameters: [PostgresValue] = [.id(environmentID), .int64(before ?? .max), .int64(Int64(limit))]
        if let endpointID {
            parameters.append(.bits(endpointID))
            condition += " and t.endpoint_id = $\(parameters.count)"
        }
        if let status {
            parameters.append(.text(status.rawValue))
            condition += " and t.status = $\(parameters.count)"
        }
        let statement = WebhookDeliveryRow.select(where: condition + " order by t.delivery_id desc limit $3")
        return try WebhookDeliveryRow.all(try await connection.run(PostgresQuery(statement, parameters)))
            .map(\.delivery)
    }

    package static func find(
        _ number: Int64, account: AccountID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> WebhookDelivery? {
        let result = try await connection.run(
            PostgresQuery(findStatement, [.id(environmentID), .int64(number), .id(account)]))
        return try WebhookDeliveryRow.all(result).first?.delivery
    }

    private static let findStatement = WebhookDeliveryRow.select(
        where: "t.environment_id = $1 and t.delivery_id = $2 and t.account_id = $3")

    // MARK: - Changes, inside the catalogue worker's transaction

    /// Locks the deliveries and the lines of an endpoint until the transaction ends. A worker that records attempts takes
    /// the same lock, so it never removes a line to which a delivery is added.
    package static func lockLines(
        of endpointID: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                "select from webhook_progress where environment_id = $1 and endpoint_id = $2 for update",
                [.id(environmentID), .bits(endpointID)]))
    }

    /// Adds the delivery of a test event, which is due at once. The caller has locked the lines.
    package static func insertTest(
        of endpointID: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> WebhookDelivery {
        let results = try await connection.run([
            PostgresQuery(
                PostgresStatement(
                    """
                    insert into webhook_deliveries as t (environment_id, endpoint_id, account_id, event_sequence, event_type)
                    values ($1, $2, 0, 0, $3) returning \(WebhookDeliveryRow.columns(of: "t"))
                    """), [.id(environmentID), .bits(endpointID), .text(testEventType)]),
            PostgresQuery(insertLine, [.id(environmentID), .bits(endpointID), .int64(0)]),
        ])
        guard let delivery = try WebhookDeliveryRow.all(results[0]).first?.delivery else {
            throw StorageError.missingRow("the delivery of a test event")
        }
        return delivery
    }

    /// Makes a delivery due again: behind the open deliveries of its end user that are older, before those that are newer. The
    /// caller has locked the lines. An attempt that is under way at this moment decides by itself what follows.
    package static func reopen(
        _ delivery: WebhookDelivery, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> WebhookDelivery {
        let results = try await connection.run([
            PostgresQuery(
                PostgresStatement(
                    """
                    update webhook_deliveries t
                    set status = 'pending', finished_at = null, next_attempt_at = null
                    where t.environment_id = $1 and t.delivery_id = $2
                    returning \(WebhookDeliveryRow.columns(of: "t"))
                    """), [.id(environmentID), .int64(delivery.number)]),
            PostgresQuery(
                insertLine, [.id(environmentID), .bits(delivery.endpointID), .id(delivery.account)]),
        ])
        guard let reopened = try WebhookDeliveryRow.all(results[0]).first?.delivery else {
            throw StorageError.missingRow("a delivery")
        }
        return reopened
    }

    private static let insertLine: PostgresStatement = """
        insert into webhook_lines (environment_id, endpoint_id, account_id, due_at)
        values ($1, $2, $3, clock_timestamp())
        on conflict (environment_id, endpoint_id, account_id) do update set due_at = excluded.due_at
        """
}
