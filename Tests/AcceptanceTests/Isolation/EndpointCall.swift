import API
import Catalogue
import Credits
import JSON
import Logging
import Messaging
import Postgres
import RabbitMQ
import Replica
import Runtime
import Storage

/// A call of an endpoint with the ids of objects in another environment. There is one for every endpoint of the API.
struct EndpointCall: Sendable {
    let endpoint: Endpoint
    /// The path with the owner's ids, and the query.
    let target: @Sendable (Property) -> String
    let body: JSONValue?
    /// The body, when it contains the owner's ids.
    var bodyOf: (@Sendable (Property) -> JSONValue)?
    /// The expected status for another environment's key with every scope: 404 for the owner's objects, and success for
    /// objects that are then the stranger's own.
    let stranger: Int

    static let all: [EndpointCall] = others + ofAccounts + ofWebhooks

    private static let others: [EndpointCall] = [
        .open("/healthz"), .open("/readyz"), .open("/metrics"),
        .open("/"), .open("/docs"), .open("/docs.md"), .open("/docs/{page}", at: "/docs/quickstart"),
        .open("/openapi.json"), .open("/docs/{page}/{subpage}", at: "/docs/errors/conflict"), .open("/llms.txt"),
        .open("/llms-full.txt"),
        Self(
            endpoint: Endpoint(method: "POST", path: "/mcp", access: .anybody), target: { _ in "/mcp" },
            body: [
                "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": ["name": "balance", "arguments": ["end_user_id": "alice"]],
            ], stranger: 200),
        .root("GET", "/v1/admin/tenants"), .root("POST", "/v1/admin/tenants", ["name": "Mallory's"]),
        .root("GET", "/v1/admin/tenants/{id}") { "/v1/admin/tenants/\($0.tenantID)" },
        .root("GET", "/v1/admin/tenants/{id}/limits") { "/v1/admin/tenants/\($0.tenantID)/limits" },
        .root("PATCH", "/v1/admin/tenants/{id}/limits", ["rate_limit_per_second": 1]) {
            "/v1/admin/tenants/\($0.tenantID)/limits"
        },
        .root("POST", "/v1/admin/tenants/{id}/api-keys", ["environment": "live"]) {
            "/v1/admin/tenants/\($0.tenantID)/api-keys"
        },

        .call("POST", "/v1/api-keys", .write(.admin), ["name": "k", "scopes": ["admin:read"]], 201),
        .call("GET", "/v1/api-keys", .read(.admin), 200),
        .call("POST", "/v1/api-keys/{id}/revoke", .write(.admin), [:], 404) { "/v1/api-keys/\($0.keyID)/revoke" },
        .call("POST", "/v1/api-keys/{id}/roll", .write(.admin), [:], 404) { "/v1/api-keys/\($0.keyID)/roll" },
        .call("GET", "/v1/config", .read(.admin), 200),
        .call("PATCH", "/v1/config", .write(.admin), ["fail_closed_over_ms": 77], 200),
        .call("POST", "/v1/test-clocks", .write(.admin), ["now": "2026-01-01T00:00:00Z"], 201),
        .call("GET", "/v1/test-clocks/{id}", .read(.admin), 404) { "/v1/test-clocks/\($0.clockID)" },
        .call("POST", "/v1/test-clocks/{id}/advance", .write(.admin), ["to": "2027-01-01T00:00:00Z"], 404) {
            "/v1/test-clocks/\($0.clockID)/advance"
        },
        Self(
            endpoint: Endpoint(method: "GET", path: "/v1/audit-log", access: .scopeOrRoot(.read(.admin))),
            target: { "/v1/audit-log?actor=\($0.keyID)" }, body: nil, stranger: 200),
        Self(
            endpoint: Endpoint(method: "GET", path: "/v1/operations/{id}", access: .scopeOrRoot([])),
            target: { $0.operation }, body: nil, stranger: 200),

        .call(
            "POST", "/v1/features", .write(.catalog), ["key": "secret-feature", "name": "Mine", "type": "metered"], 201),
        .call("GET", "/v1/features", .read(.catalog), 200),
        .call("GET", "/v1/features/{key}", .read(.catalog), 404) { _ in "/v1/features/secret-other" },
        .call("PATCH", "/v1/features/{key}", .write(.catalog), ["archived": true], 404) { _ in
            "/v1/features/secret-other"
        },
        .call(
            "POST", "/v1/metering-rules", .write(.catalog),
            ["feature_key": "secret-other", "model": "flat", "amount": 0], 404),
        .call("GET", "/v1/metering-rules", .read(.catalog), 200),
        .call("GET", "/v1/metering-rules/{id}", .read(.catalog), 404) { "/v1/metering-rules/\($0.ruleID)" },
        .call(
            "POST", "/v1/metering-rules/preview", .read(.catalog), ["rule": ["model": "flat", "amount": 5]], 200),
        .call(
            "POST", "/v1/topup-packages", .write(.catalog),
            ["key": "secret-package", "name": "Mine", "credits": 1, "price": 0, "currency": "EUR"], 201),
        .call("GET", "/v1/topup-packages", .read(.catalog), 200),
        .call("GET", "/v1/topup-packages/{key}", .read(.catalog), 404) { _ in "/v1/topup-packages/secret-other" },
        .call("PATCH", "/v1/topup-packages/{key}", .write(.catalog), ["archived": true], 404) { _ in
            "/v1/topup-packages/secret-other"
        },

        .call("POST", "/v1/plans", .write(.catalog), ["key": "secret-plan", "name": "Mine"], 201),
        .call("GET", "/v1/plans", .read(.catalog), 200),
        .call("GET", "/v1/plans/{key}", .read(.catalog), 404) { _ in "/v1/plans/secret-other" },
        .call("PATCH", "/v1/plans/{key}", .write(.catalog), ["archived": true], 404) { _ in "/v1/plans/secret-other" },
        .call(
            "POST", "/v1/plans/{key}/variants", .write(.catalog),
            ["name": "Mine", "billing_interval": ["unit": "month"]], 404
        ) { _ in "/v1/plans/secret-other/variants" },
        .call("GET", "/v1/plans/{key}/variants", .read(.catalog), 404) { _ in "/v1/plans/secret-other/variants" },
        .call("GET", "/v1/variants/{key}", .read(.catalog), 404) { _ in "/v1/variants/secret-variant" },
        .call("PATCH", "/v1/variants/{key}", .write(.catalog), ["archived": true], 404) { _ in
            "/v1/variants/secret-variant"
        },
        .call("POST", "/v1/variants/{key}/migrate", .write(.catalog), [:], 404) { _ in
            "/v1/variants/secret-variant/migrate"
        },
        .call("GET", "/v1/variant-migrations/{id}", .read(.catalog), 404) {
            "/v1/variant-migrations/\($0.migrationID)"
        },

        .call("POST", "/v1/end-users", .write(.credits), ["end_user_id": "mallory"], 201),
        .call("GET", "/v1/end-users", .read(.credits), 200),
        .call("GET", "/v1/end-users/{id}", .read(.credits), 404) { _ in "/v1/end-users/alice" },
        .call("PATCH", "/v1/end-users/{id}", .write(.credits), ["name": "Mallory"], 404) { _ in "/v1/end-users/alice" },
        .call("POST", "/v1/end-users/{id}/erase", .write(.credits), [:], 404) { _ in "/v1/end-users/alice/erase" },
        .call(
            "POST", "/v1/credits/grant", .write(.credits),
            ["end_user_id": "alice", "credits": 1, "feature_keys": ["secret-other"]], 404),
        .call("GET", "/v1/credits/balance", .read(.credits), 404) { _ in "/v1/credits/balance?end_user_id=alice" },
        .call("GET", "/v1/credits/blocks", .read(.credits), 404) { _ in "/v1/credits/blocks?end_user_id=alice" },
        .call("GET", "/v1/ledger", .read(.credits), 404) { _ in "/v1/ledger?end_user_id=alice" },

        .call("GET", "/v1/entitlements/check", .read(.entitlements), 200) { _ in
            "/v1/entitlements/check?end_user_id=alice&feature_key=secret-other"
        },
        .call(
            "POST", "/v1/entitlements/check", .read(.entitlements),
            ["end_user_id": "alice", "feature_key": "secret-other"], 200),
        .call("POST", "/v1/usage", .write(.usage), ["end_user_id": "alice", "feature_key": "secret-other"], 404),
        .call(
            "POST", "/v1/credits/grant/batch", .write(.credits),
            ["grants": [["end_user_id": "alice", "credits": 1, "feature_keys": ["secret-other"]]]], 200),
        .call(
            "POST", "/v1/usage/batch", .write(.usage),
            ["events": [event("alice", "secret-other", 1, key: "owners-key")]],
            200),
    ]

    /// The endpoints that the API registers.
    static func served() throws -> Set<Endpoint> { Set(try unconnectedServer().endpoints) }

    /// A server of the API that does not run.
    static func unconnectedServer() throws -> APIServer {
        let metrics = MetricsRegistry()
        let logger = Logger(label: "test")
        let (postgres, amqp) = (
            try PostgresConfiguration(url: "postgres://nobody@127.0.0.1:1/none"),
            try AMQPConfiguration(url: "amqp://nobody:none@127.0.0.1:1/none")
        )
        let topology = Topology(prefix: "", shardCount: 1)
        let reads = TenantReads(postgres: postgres, connections: 1)
        let answers = DecidedAnswers(reads: reads)
        return try APIServer(
            address: HTTPServer.Address(host: "127.0.0.1", port: 1, identity: nil),
            limits: ConnectionLimits(
                descriptors: 1_024, reads: 1, connections: nil, perAddress: nil, idle: .seconds(1)),
            rootKey: "", secretKey: "", reads: reads,
            answers: answers, topology: topology, commandWait: .seconds(1),
            replica: Replica(postgres: postgres, metrics: metrics, logger: logger),
            gateway: try CommandGateway(
                amqp: amqp, topology: topology, answers: answers, metrics: metrics, logger: logger),
            webhooks: WebhookSetup(), metrics: metrics, logger: logger)
    }

    func send(_ client: Client, _ property: Property) async throws -> Answer {
        try await client.send(endpoint.method, target(property), bytes: (bodyOf?(property) ?? body)?.bytes)
    }

    private static func open(_ path: String, at target: String? = nil) -> EndpointCall {
        EndpointCall(
            endpoint: Endpoint(method: "GET", path: path, access: .anybody), target: { _ in target ?? path }, body: nil,
            stranger: 200)
    }

    private static func root(
        _ method: String, _ path: String, _ body: JSONValue? = nil,
        target: (@Sendable (Property) -> String)? = nil
    ) -> EndpointCall {
        EndpointCall(
            endpoint: Endpoint(method: method, path: path, access: .root), target: target ?? { _ in path }, body: body,
            stranger: 403)
    }

    static func call(
        _ method: String, _ path: String, _ scope: KeyScopes, _ stranger: Int,
        target: (@Sendable (Property) -> String)? = nil
    ) -> EndpointCall {
        call(method, path, scope, nil, stranger, target: target)
    }

    static func call(
        _ method: String, _ path: String, _ scope: KeyScopes, _ body: JSONValue?, _ stranger: Int,
        target: (@Sendable (Property) -> String)? = nil
    ) -> EndpointCall {
        EndpointCall(
            endpoint: Endpoint(method: method, path: path, access: .scope(scope)), target: target ?? { _ in path },
            body: body, stranger: stranger)
    }
}
