-- Webhooks: endpoints, the place in the feed of events that each has reached, deliveries, and replays.
--
-- The ledger's transaction writes no delivery. A worker follows the feed for each endpoint and turns events into
-- deliveries page by page, in the transaction that moves the endpoint's place.

-- The role of the webhook workers. Made as in 0003_roles.
do $$
begin
    if to_regrole('quotastack_webhooks') is null then
        begin
            create role quotastack_webhooks nologin;
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise exception 'the role quotastack_webhooks is missing, and % may not make it', current_user
                    using hint = format('as an administrator: create role quotastack_webhooks nologin; '
                        'grant quotastack_webhooks to %I;', current_user);
        end;
    end if;
    if not (select rolsuper from pg_roles where rolname = current_user) then
        begin
            grant quotastack_webhooks to current_user;
        exception
            when unique_violation then null;
            when insufficient_privilege then
                if not pg_has_role('quotastack_webhooks', 'member') then
                    raise exception '% is not a member of the role quotastack_webhooks', current_user
                        using hint = format('as an administrator: grant quotastack_webhooks to %I;', current_user);
                end if;
        end;
    end if;
    execute format('grant usage on schema %I to quotastack_webhooks', current_schema());
end
$$;
grant select on schema_migrations, installation to quotastack_webhooks;

-- The secrets are sealed under the installation's key. A deleted endpoint stays until a worker has removed its deliveries.
create table webhook_endpoints (
    environment_id integer not null,
    endpoint_id uuid not null,
    url text not null,
    event_types text[],
    description text,
    secret bytea not null,
    previous_secret bytea,
    previous_secret_until timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    enabled_at timestamptz not null,
    disabled_at timestamptz,
    disabled_reason text,
    deleted_at timestamptz,
    constraint webhook_endpoints_pkey primary key (environment_id, endpoint_id),
    constraint webhook_endpoints_environment_fkey foreign key (environment_id) references environments (environment_id),
    constraint webhook_endpoints_reason_known check (disabled_reason in ('requested', 'gone', 'failing')),
    constraint webhook_endpoints_reason_of_disabled check ((disabled_at is null) = (disabled_reason is null)),
    constraint webhook_endpoints_previous_complete check ((previous_secret is null) = (previous_secret_until is null))
);
create index webhook_endpoints_deleted on webhook_endpoints (deleted_at) where deleted_at is not null;
select protect_table('webhook_endpoints');
-- The API shows no secret, not even a sealed one.
revoke select on webhook_endpoints from quotastack_api;
grant select (environment_id, endpoint_id, url, event_types, description, created_at, updated_at, disabled_at,
    disabled_reason, previous_secret_until, deleted_at) on webhook_endpoints to quotastack_api;
grant update (url, event_types, description, secret, previous_secret, previous_secret_until, updated_at, enabled_at,
    disabled_at, disabled_reason, deleted_at) on webhook_endpoints to quotastack_ledger;

-- The place of an endpoint in the feed, and what the workers know of it. The worker whose `lease` it is works on the
-- endpoint; whoever changes deliveries or lines of the endpoint locks this row first. An endpoint begins behind the
-- transaction that has created it.
create table webhook_progress (
    environment_id integer not null,
    endpoint_id uuid not null,
    seen_transaction xid8 not null default pg_current_xact_id(),
    seen_account bigint not null default 9223372036854775807,
    seen_sequence bigint not null default 9223372036854775807,
    failures integer not null default 0,
    openings integer not null default 0,
    failing_since timestamptz,
    resume_at timestamptz not null default clock_timestamp(),
    turn_at timestamptz not null default clock_timestamp(),
    lease uuid,
    leased_until timestamptz,
    constraint webhook_progress_pkey primary key (environment_id, endpoint_id),
    constraint webhook_progress_endpoint_fkey foreign key (environment_id, endpoint_id)
        references webhook_endpoints (environment_id, endpoint_id)
) with (fillfactor = 50);
select protect_table('webhook_progress');
-- The right to lock a row is that to change one of its columns.
grant update (turn_at) on webhook_progress to quotastack_ledger;

-- Deliveries. `account_id` is 0 for an event of the environment, and `event_sequence` is 0 for a test event.
create table webhook_deliveries (
    environment_id integer not null,
    delivery_id bigint not null generated always as identity,
    endpoint_id uuid not null,
    account_id bigint not null,
    event_sequence bigint not null,
    event_type text not null,
    status text not null default 'pending',
    attempt_count integer not null default 0,
    next_attempt_at timestamptz,
    -- A JSON array of the latest attempts.
    attempts text not null default '[]',
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    constraint webhook_deliveries_pkey primary key (environment_id, delivery_id),
    constraint webhook_deliveries_status_known check (status in ('pending', 'succeeded', 'failed', 'exhausted')),
    constraint webhook_deliveries_finished check (
        (status in ('succeeded', 'exhausted')) = (finished_at is not null)),
    constraint webhook_deliveries_next_of_failed check ((status = 'failed') = (next_attempt_at is not null))
);
create index webhook_deliveries_open on webhook_deliveries (environment_id, endpoint_id, account_id, delivery_id)
    where finished_at is null;
create index webhook_deliveries_list on webhook_deliveries (environment_id, endpoint_id, delivery_id);
create index webhook_deliveries_status on webhook_deliveries (environment_id, status, delivery_id);
create index webhook_deliveries_finished on webhook_deliveries (finished_at) where finished_at is not null;
select protect_table('webhook_deliveries');
grant update (status, next_attempt_at, finished_at) on webhook_deliveries to quotastack_ledger;

-- The end users of an endpoint with open deliveries. The first open delivery of a line is due at `due_at`; those behind it
-- wait for it.
create table webhook_lines (
    environment_id integer not null,
    endpoint_id uuid not null,
    account_id bigint not null,
    due_at timestamptz not null,
    constraint webhook_lines_pkey primary key (environment_id, endpoint_id, account_id)
);
create index webhook_lines_due on webhook_lines (environment_id, endpoint_id, due_at);
select protect_table('webhook_lines');
grant update (due_at) on webhook_lines to quotastack_ledger;

-- The replay of a span of events that is under way: events that were recorded from `from_at` and before `to_at`, in the
-- order of the feed. `until_transaction` is the one that has begun the replay.
create table webhook_replays (
    environment_id integer not null,
    endpoint_id uuid not null,
    from_at timestamptz not null,
    to_at timestamptz not null,
    until_transaction xid8 not null default pg_current_xact_id(),
    seen_transaction xid8 not null,
    seen_account bigint not null default 0,
    seen_sequence bigint not null default 0,
    created_at timestamptz not null,
    constraint webhook_replays_pkey primary key (environment_id, endpoint_id),
    constraint webhook_replays_endpoint_fkey foreign key (environment_id, endpoint_id)
        references webhook_endpoints (environment_id, endpoint_id),
    constraint webhook_replays_span check (from_at < to_at)
);
select protect_table('webhook_replays');

-- Events of an environment that belong to no end user. They are in the feed with the account 0, and are numbered inside
-- the environment. An event about an endpoint is not delivered to that endpoint.
create table environment_events (
    environment_id integer not null,
    sequence bigint not null,
    type text not null,
    data text not null,
    endpoint_id uuid,
    at timestamptz not null,
    recorded_at timestamptz not null,
    transaction_id xid8 not null default pg_current_xact_id(),
    constraint environment_events_pkey primary key (environment_id, sequence),
    constraint environment_events_environment_fkey foreign key (environment_id) references environments (environment_id),
    constraint environment_events_sequence_positive check (sequence > 0)
);
create index environment_events_feed on environment_events (environment_id, transaction_id, sequence);
select protect_table('environment_events');

-- The transaction before which every event of an environment was recorded before an instant; found by halving, with some
-- 64 look-ups. Transactions are numbered a little before they read the clock, so the instant is moved back by more than a
-- transaction may take. An end user on a test clock has events of any time, so in a test environment it is 0.
create function webhook_replay_start(environment integer, instant timestamptz) returns xid8
language plpgsql stable as $$
declare
    low numeric := 0;
    high numeric := pg_snapshot_xmin(pg_current_snapshot())::text::numeric;
    middle numeric;
    found timestamptz;
begin
    if (select e.kind from environments e where e.environment_id = environment) = 'test' then
        return '0'::xid8;
    end if;
    while high - low > 1 loop
        middle := trunc((low + high) / 2);
        select v.recorded_at into found from events v
        where v.environment_id = environment and v.transaction_id >= middle::text::xid8
        order by v.transaction_id, v.account_id, v.sequence limit 1;
        if found is null or found >= instant - interval '10 minutes' then
            high := middle;
        else
            low := middle;
        end if;
    end loop;
    return low::text::xid8;
end
$$;

-- The rights of the workers.
do $$
declare
    table_name text;
begin
    foreach table_name in array array['webhook_endpoints', 'webhook_progress', 'webhook_deliveries', 'webhook_lines',
        'webhook_replays', 'environment_events']
    loop
        execute format('create policy webhooks on %I to quotastack_webhooks using (true) with check (true)', table_name);
        execute format('grant select on %I to quotastack_webhooks', table_name);
    end loop;
    foreach table_name in array array['environments', 'accounts', 'events'] loop
        execute format('create policy webhooks on %I for select to quotastack_webhooks using (true)', table_name);
    end loop;
end
$$;
grant select (environment_id, kind) on environments to quotastack_webhooks;
grant select (environment_id, account_id, end_user_id) on accounts to quotastack_webhooks;
grant select on events to quotastack_webhooks;
grant update (disabled_at, disabled_reason, previous_secret, previous_secret_until), delete on webhook_endpoints
    to quotastack_webhooks;
grant update, delete on webhook_progress to quotastack_webhooks;
grant insert, update, delete on webhook_deliveries, webhook_lines to quotastack_webhooks;
grant update, delete on webhook_replays to quotastack_webhooks;
grant insert on environment_events to quotastack_webhooks;
