-- The operator's limit of a tenant's requests, which the tenant's own can only lower.
alter table environments
    add column operator_rate_limit integer,
    add constraint environments_operator_rate_limit_in_range check (operator_rate_limit between 1 and 1000000);
grant update (operator_rate_limit) on environments to quotastack_ledger;
select replicate_table('environments', array['environment_id', 'tenant_id', 'kind', 'catalogue_version',
    'rate_limit_per_second', 'fail_closed_over_ms', 'overage_policy', 'overage_limit', 'timezone', 'zone_starts',
    'zone_offsets', 'operator_rate_limit']);
