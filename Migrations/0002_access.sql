-- What a key may do and until when, and what an environment is set to.

-- No scopes means all of them, and those of later releases too. `replaces` is the key that this one was rolled from.
alter table api_keys
    add column scopes text[],
    add column expires_at timestamptz,
    add column replaces uuid,
    add constraint api_keys_scopes_known check (cardinality(scopes) > 0 and scopes <@ array[
        'credits:read', 'credits:write', 'usage:read', 'usage:write', 'entitlements:read', 'entitlements:write',
        'reservations:read', 'reservations:write', 'subscriptions:read', 'subscriptions:write', 'catalog:read',
        'catalog:write', 'webhooks:read', 'webhooks:write', 'admin:read', 'admin:write']),
    add constraint api_keys_replaces_fkey foreign key (environment_id, replaces)
        references api_keys (environment_id, key_id),
    add constraint api_keys_rolled_once unique (environment_id, replaces);

-- Null is the default of each setting: no limit of the rate, and checks are answered however old the memory is.
alter table environments
    add column rate_limit_per_second integer,
    add column fail_closed_over_ms integer,
    add constraint environments_rate_limit_in_range check (rate_limit_per_second between 1 and 1000000),
    add constraint environments_fail_closed_in_range check (fail_closed_over_ms between 0 and 86400000);

alter publication quotastack drop table environments, api_keys;
alter publication quotastack add table
    environments (environment_id, tenant_id, kind, catalogue_version, rate_limit_per_second, fail_closed_over_ms),
    api_keys (environment_id, key_id, key_hash, revoked_at, scopes, expires_at);
