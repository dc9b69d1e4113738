-- Settings of events: the thresholds of the balance as JSON, the hours before an expiry, and the names of the recorded types
-- with commas between them. Null means the default.
alter table environments
    add column balance_low_thresholds text,
    add column expiring_soon_hours integer,
    add column recorded_event_types text,
    add constraint environments_expiring_soon_hours_range check (expiring_soon_hours between 1 and 8784) not valid;
grant update (balance_low_thresholds, expiring_soon_hours, recorded_event_types) on environments to quotastack_ledger;
select replicate_table('environments', array['environment_id', 'tenant_id', 'kind', 'catalogue_version',
    'rate_limit_per_second', 'fail_closed_over_ms', 'overage_policy', 'overage_limit', 'timezone', 'zone_starts',
    'zone_offsets', 'operator_rate_limit', 'create_end_users', 'default_variant_id', 'fallback_variant_id',
    'balance_low_thresholds', 'expiring_soon_hours', 'recorded_event_types']);
alter table environments validate constraint environments_expiring_soon_hours_range;

-- The limits that were exhausted in windows which are still open, as JSON; null for none. The tenant is told when the next
-- window begins.
alter table accounts add column exhausted_limits text;
grant update (exhausted_limits) on accounts to quotastack_ledger;

-- The highest percentage of a limit that the tenant was told of in the window; 101 after its exhaustion.
alter table counters add column told integer not null default 0;
