-- The erasures of each environment take turns. One whose slice failed gets the last turn.
alter table erasures add column turn_at timestamptz not null default clock_timestamp();
create index erasures_turns on erasures (environment_id, turn_at);
create index erasures_end_user on erasures (environment_id, end_user_id);
grant update (turn_at) on erasures to quotastack_ledger;

-- A checkpoint sums by no attribute while the end user is being erased.
grant select (environment_id, account_id) on erasures to quotastack_scheduler;
create policy scheduler on erasures for select to quotastack_scheduler using (true);

-- An event loses its reason while its account is being erased, and nothing else of it ever changes.
create or replace function refuse_event_change() returns trigger language plpgsql as $$
declare
    kept events := new;
begin
    kept.data := old.data;
    if kept is not distinct from old
        and new.data::jsonb = jsonb_set(old.data::jsonb, '{reason}', 'null', false)
        and exists (
            select from erasures x where x.environment_id = old.environment_id and x.account_id = old.account_id)
    then
        return new;
    end if;
    raise exception 'events are append-only: % is refused', tg_op
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger events_append_only before delete or truncate on events
    for each statement execute function refuse_ledger_change();

-- An account has at most one open request for a top-up.
create unique index topup_requests_one_open on topup_requests (environment_id, account_id) where status = 'open';
