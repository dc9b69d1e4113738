-- The way in which an environment's end users come into being: by the first mutation that names them, or by a call of their
-- own only.
alter table environments
    add column create_end_users text,
    add constraint environments_create_end_users_known check (create_end_users in ('implicit', 'explicit'));
grant update (create_end_users) on environments to quotastack_ledger;
select replicate_table('environments', array['environment_id', 'tenant_id', 'kind', 'catalogue_version',
    'rate_limit_per_second', 'fail_closed_over_ms', 'overage_policy', 'overage_limit', 'timezone', 'zone_starts',
    'zone_offsets', 'operator_rate_limit', 'create_end_users']);

-- A refusal by a quota or a spend cap is remembered until the window ends, by the end user's clock. Null means for ever.
-- The ledger deletes such a decision when a later one takes its place, and it knows the clock.
alter table commands add column remembered_until timestamptz;
drop policy only_malformed on commands;
create policy only_forgotten on commands as restrictive for delete to quotastack_ledger
    using (status = 400 or remembered_until is not null);
