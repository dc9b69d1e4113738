import Credits
import Logging
import Postgres
import Storage
import Testing

/// Environments of two tenants. Each has a row under the same name in every table with environments, so that only the
/// environment tells their rows apart.
struct TwoEnvironments {
    static let first = EnvironmentID(1)
    static let second = EnvironmentID(2)

    let configuration: PostgresConfiguration

    init(_ connection: PostgresConnection, _ configuration: PostgresConfiguration) async throws {
        self.configuration = configuration
        for number in 1...2 { try await connection.script(Self.rows(number)) }
    }

    /// Runs the body on a connection of a role.
    func acting<Value: Sendable>(
        as role: DatabaseRole, _ body: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await PostgresConnection.connect(configuration.acting(as: role))
        defer { connection.close() }
        return try await body(connection)
    }

    /// Runs the body as the API does, on behalf of an environment.
    func reading<Value: Sendable>(
        _ environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let reads = TenantReads(postgres: configuration, connections: 1)
        let result: Result<Value, any Error>
        do {
            result = .success(try await reads.read(of: environmentID, .small, body))
        } catch {
            result = .failure(error)
        }
        await reads.close()
        return try result.get()
    }

    /// The id with a number in its low bits.
    static func id(_ number: Int32) -> Bits128 { Bits128(high: 0, low: UInt64(number)) }

    private static func rows(_ number: Int) -> String {
        let id = "'00000000-0000-0000-0000-00000000000\(number)'"
        return """
            insert into tenants values (\(id), 'Tenant \(number)', now());
            insert into environments (tenant_id, kind) values (\(id), 'live');
            insert into api_keys values (\(number), \(id), 'key', decode(repeat('0\(number)', 32), 'hex'), 'hint', now());
            insert into features (environment_id, feature_key, name, type, created_at, updated_at)
                values (\(number), 'calls', 'Calls', 'metered', now(), now());
            insert into test_clocks values (\(number), \(id), now(), now(), now());
            insert into metering_rules (environment_id, rule_id, feature_key, version, price, effective_from,
                created_at) values (\(number), \(id), 'calls', 1, '{"amount":10,"model":"flat"}', now(), now());
            insert into topup_packages (environment_id, package_key, name, credits, price, currency, created_at,
                updated_at) values (\(number), 'small', 'Small', 100, 1, 'EUR', now(), now());
            insert into plans (environment_id, plan_id, plan_key, name, slot, created_at, updated_at)
                values (\(number), \(id), 'pro', 'Pro', 'base', now(), now());
            insert into plan_variants (environment_id, variant_id, version, plan_id, variant_key, name, terms, created_at,
                updated_at) values (\(number), \(id), 1, \(id), 'monthly', 'Monthly',
                    '{"billing_interval":{"unit":"month"}}', now(), now());
            insert into accounts (environment_id, end_user_id, revision, version) values (\(number), 'alice', 1, 1);
            insert into blocks (environment_id, account_id, number, original, remaining, held, priority, feature_keys,
                open, source, created_at) values (\(number), \(number), 1, 5, 5, 0, 50, '{}', true, 'topup', now());
            insert into entries (environment_id, account_id, sequence, type, amount, reserved_delta, overage_delta,
                balance_after, reserved_after, allocation_blocks, allocation_amounts, feature_key, units, reservation,
                hold_blocks, hold_amounts, effective_at, recorded_at, hash)
                values (\(number), \(number), 1, 'use', 5, 0, 0, 5, 0, '{1}', '{5}', 'calls', 1, 1, '{1}', '{2}', now(),
                    now(), decode(repeat('00', 32), 'hex'));
            insert into reservations (environment_id, account_id, number, feature_key, status, estimate, estimated_cost,
                hold_blocks, hold_amounts, held, uncovered, charged, expires_at, created_at) values (\(number), \(number),
                    1, 'calls', 'active', '{"credits":2}', 2, '{1}', '{0}', 0, 2, 0, now(), now());
            insert into payments (environment_id, external_payment_id, account_id, block_number, fingerprint, status,
                response, command_id, created_at) values (\(number), 'pay_1', \(number), 1, \(id), 201, '', \(id), now());
            insert into commands (environment_id, command_id, account_id, revision, status, sequence, decided_at,
                request_id, action) values (\(number), \(id), \(number), 1, 201, 1, now(), 'req_1', 'credits.grant');
            insert into checkpoints (environment_id, account_id, sequence, lifetime_granted, open_blocks, held_reservations)
                values (\(number), \(number), 1, 0, '{1}', '{1}');
            insert into checkpoint_blocks values (\(number), \(number), 1, 1, '{use}', '{5}', '{2}', '{1}', '{1}', '{1}');
            insert into checkpoint_reservations values (\(number), \(number), 1, 1, 'calls', 1, '{1}', '{2}', '{1}', '{1}');
            insert into checkpoint_usage values (\(number), \(number), '', 'calls', 1, 1, null, 1, 1, 5, now(), now(),
                array[now()], '{1}', '{1}', '{5}');
            insert into counters (environment_id, account_id, counter_id, window_start, window_end, used)
                values (\(number), \(number), \(id), now(), 'infinity', 3);
            insert into events (environment_id, account_id, sequence, type, data, at, recorded_at)
                values (\(number), \(number), 1, 'topup.requested', '{}', now(), now());
            insert into subscriptions (environment_id, account_id, number, status, slot, plan_id, variant_id,
                variant_version, quantity, state, created_at) values (\(number), \(number), 1, 'active', 'base', \(id),
                    \(id), 1, 1, '{"anchor":0,"period":[0,1],"period_index":1,"starts_at":0,"terms_since":0}', now());
            insert into variant_migrations (environment_id, migration_id, variant_id, to_variant_id, to_version, effective,
                proration, created_at) values (\(number), \(id), \(id), \(id), 1, 'now', 'credits', now());
            insert into topup_requests (environment_id, account_id, number, credits, requested_at, status)
                values (\(number), \(number), 1, 5, now(), 'open');
            insert into checkpoint_requests values (\(number), \(number), 1);
            insert into webhook_endpoints (environment_id, endpoint_id, url, secret, created_at, updated_at, enabled_at)
                values (\(number), \(id), 'https://example.com/', '', now(), now(), now());
            insert into webhook_progress (environment_id, endpoint_id) values (\(number), \(id));
            insert into webhook_deliveries (environment_id, endpoint_id, account_id, event_sequence, event_type)
                values (\(number), \(id), \(number), 1, 'topup.requested');
            insert into webhook_lines values (\(number), \(id), \(number), now());
            insert into webhook_replays (environment_id, endpoint_id, from_at, to_at, seen_transaction, created_at)
                values (\(number), \(id), now() - interval '1 hour', now(), '0', now());
            insert into ledger_feed (environment_id, account_ids, first_sequences, last_sequences)
                values (\(number), '{\(number)}', '{1}', '{1}');
            insert into environment_events (environment_id, sequence, type, data, at, recorded_at)
                values (\(number), 1, 'webhook_endpoint.disabled', '{}', now(), now());
            insert into erasures (environment_id, account_id, end_user_id, salt, up_to, revision)
                values (\(number), \(number), 'eve', sha256(''), 0, 1);
            insert into parked_commands (queue, environment_id, command_id, error, message)
                values ('', \(number), \(id), 'broken', '');
            """
    }
}

extension PostgresConnection {
    /// The SQLSTATE with which the server refuses a statement; nil when it accepts the statement.
    func refusal(of sql: String) async throws -> String? {
        do {
            try await script(sql)
            return nil
        } catch let error as PostgresError {
            return error.sqlState
        }
    }
}
