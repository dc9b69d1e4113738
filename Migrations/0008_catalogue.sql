-- Kinds of feature and their quotas, what an environment says of overage and of its days, test clocks, and the role of
-- the scheduler.

-- The features of before are metered. A quota is `{"anchor", "limit", "window"}` in its one spelling.
alter table features
    add column type text not null default 'metered',
    add column quota text,
    add constraint features_type_known check (type in ('metered', 'boolean', 'limit')),
    add constraint features_quota_is_of_metered check (quota is null or type = 'metered');
alter table features alter column type drop default;

-- Null is the default: no overage, without limit where there may be one, and UTC. What the clocks of the time zone show
-- is found out once, here, so that every node has the same days whatever it knows of time zones itself.
-- zone_offsets[1] holds before zone_starts[1], zone_offsets[n + 1] from zone_starts[n] on, in seconds east of UTC.
alter table environments
    add column overage_policy text,
    add column overage_limit bigint,
    add column timezone text,
    add column zone_starts timestamptz[],
    add column zone_offsets integer[],
    add constraint environments_overage_policy_known check (overage_policy in ('block', 'allow', 'notify')),
    add constraint environments_overage_limit_in_range check (overage_limit between 0 and 9007199254740991),
    add constraint environments_zone_complete check (
        (timezone is null) = (zone_starts is null) and (timezone is null) = (zone_offsets is null)
        and cardinality(zone_offsets) = cardinality(zone_starts) + 1),
    -- Some 3 KB. They stay in the row: the replicas' log does not repeat what is stored beside it.
    alter column zone_starts set storage main,
    alter column zone_offsets set storage main;

-- What the clocks of a zone show from 1970 to 2100: every change of the offset, found to the second. It takes some 20 ms.
-- The zone is set, and not given to AT TIME ZONE, which takes CET for an abbreviation and would never know its summers.
create function zone_transitions(zone text, out starts timestamptz[], out offsets integer[])
language plpgsql strict set timezone = 'UTC' as $$
declare
    day timestamptz;
    before timestamptz;
    low bigint;
    high bigint;
    known integer;
    found integer;
begin
    perform set_config('timezone', zone, true);
    starts := '{}';
    for day, found in
        select t, extract(timezone from t)::integer
        from generate_series(
            timestamptz '1970-01-01 00:00Z', timestamptz '2101-01-01 00:00Z', interval '24 hours') as t
    loop
        if known is null then
            offsets := array[found];
        elsif found <> known then
            low := extract(epoch from before)::bigint;
            high := extract(epoch from day)::bigint;
            while high - low > 1 loop
                if extract(timezone from to_timestamp((low + high) / 2))::integer = known then
                    low := (low + high) / 2;
                else
                    high := (low + high) / 2;
                end if;
            end loop;
            starts := starts || to_timestamp(high);
            offsets := offsets || found;
        end if;
        known := found;
        before := day;
    end loop;
end
$$;

-- Clocks that stand until somebody moves them, for the end users of a test environment.
create table test_clocks (
    environment_id integer not null,
    clock_id uuid not null,
    shows timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint test_clocks_pkey primary key (environment_id, clock_id),
    constraint test_clocks_environment_fkey foreign key (environment_id) references environments (environment_id)
);

-- What the scheduler asks: who is due. An account without anything to come, or on a test clock, has no due_at.
create index accounts_due on accounts (due_at, environment_id, account_id) where due_at is not null;

-- Finds accounts that are due and reads nothing else of them. Made as in 0003_roles.
do $$
begin
    if to_regrole('quotastack_scheduler') is null then
        begin
            create role quotastack_scheduler nologin;
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise exception 'the role quotastack_scheduler is missing, and % may not make it', current_user
                    using hint = format('as an administrator: create role quotastack_scheduler nologin; '
                        'grant quotastack_scheduler to %I;', current_user);
        end;
    end if;
    if not (select rolsuper from pg_roles where rolname = current_user) then
        begin
            grant quotastack_scheduler to current_user;
        exception
            when unique_violation then null;
            when insufficient_privilege then
                if not pg_has_role('quotastack_scheduler', 'member') then
                    raise exception '% is not a member of the role quotastack_scheduler', current_user
                        using hint = format('as an administrator: grant quotastack_scheduler to %I;', current_user);
                end if;
        end;
    end if;
    execute format('grant usage on schema %I to quotastack_scheduler', current_schema());
end
$$;

grant select on schema_migrations, installation to quotastack_scheduler;
grant select (environment_id, account_id, end_user_id, due_at) on accounts to quotastack_scheduler;
create policy scheduler on accounts for select to quotastack_scheduler using (due_at is not null);
grant select (environment_id, command_id) on parked_commands to quotastack_scheduler;
create policy scheduler on parked_commands for select to quotastack_scheduler using (true);

grant update (quota) on features to quotastack_ledger;
grant update (overage_policy, overage_limit, timezone, zone_starts, zone_offsets) on environments to quotastack_ledger;

alter table test_clocks enable row level security, force row level security;
create policy ledger on test_clocks to quotastack_ledger using (true) with check (true);
create policy operator on test_clocks for select to quotastack_operator using (true);
create policy api on test_clocks for select to quotastack_api using (environment_id = current_environment());
create policy replica on test_clocks for select to quotastack_replica using (true);
grant select, insert on test_clocks to quotastack_ledger;
grant update (shows, updated_at) on test_clocks to quotastack_ledger;
grant select on test_clocks to quotastack_api, quotastack_operator;
grant select (environment_id, clock_id, shows) on test_clocks to quotastack_replica;

grant select (overage_policy, overage_limit, timezone, zone_starts, zone_offsets) on environments to quotastack_replica;
grant select (type, quota) on features to quotastack_replica;
alter publication quotastack drop table environments, features;
alter publication quotastack add table
    environments (environment_id, tenant_id, kind, catalogue_version, rate_limit_per_second, fail_closed_over_ms,
        overage_policy, overage_limit, timezone, zone_starts, zone_offsets),
    features (environment_id, feature_key, archived_at, type, quota),
    test_clocks (environment_id, clock_id, shows);
