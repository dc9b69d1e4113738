-- Events: what the tenants are told, in the transaction of the change that they tell. Each account numbers its own without
-- gaps. A feed reads them in the order of the commits: those whose transaction is older than every open one.
create table events (
    environment_id integer not null,
    account_id bigint not null,
    sequence bigint not null,
    type text not null,
    data text not null,
    at timestamptz not null,
    recorded_at timestamptz not null,
    transaction_id xid8 not null default pg_current_xact_id(),
    constraint events_pkey primary key (environment_id, account_id, sequence),
    constraint events_account_fkey foreign key (environment_id, account_id)
        references accounts (environment_id, account_id),
    constraint events_sequence_positive check (sequence > 0)
);

create index events_feed on events (environment_id, transaction_id, account_id, sequence);

select protect_table('events');

-- An event loses the text that a tenant has given while its account is being erased, and
-- nothing else of it ever changes.
create function refuse_event_change() returns trigger language plpgsql as $$
declare
    kept events := new;
begin
    kept.data := old.data;
    if kept is not distinct from old and exists (
        select from erasures x where x.environment_id = old.environment_id and x.account_id = old.account_id)
    then
        return new;
    end if;
    raise exception 'events are append-only: % is refused', tg_op
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger events_lose_text_only before update on events
    for each row execute function refuse_event_change();
grant update (data) on events to quotastack_ledger;

-- Requests for top-ups, which the ledger makes by an end user's rule and the tenant answers. They are kept for ever, so
-- that a late answer finds its request.
create table topup_requests (
    environment_id integer not null,
    account_id bigint not null,
    number integer not null,
    credits bigint,
    package_key text,
    requested_at timestamptz not null,
    status text not null,
    answered_at timestamptz,
    constraint topup_requests_pkey primary key (environment_id, account_id, number),
    constraint topup_requests_account_fkey foreign key (environment_id, account_id)
        references accounts (environment_id, account_id),
    constraint topup_requests_number_positive check (number > 0),
    constraint topup_requests_one_amount check ((credits is null) <> (package_key is null)),
    constraint topup_requests_status_known check (status in ('open', 'paid', 'failed', 'lapsed')),
    constraint topup_requests_answered check ((status = 'open') = (answered_at is null))
);

select protect_table('topup_requests');
grant update (status, answered_at) on topup_requests to quotastack_ledger;

-- `event_count` is the sequence of the account's latest event. `auto_topup` is the rule with its state as canonical JSON,
-- null without a rule.
alter table accounts
    add column event_count bigint not null default 0,
    add column auto_topup text;
grant update (event_count, auto_topup) on accounts to quotastack_ledger;
select replicate_table('accounts', array['environment_id', 'account_id', 'end_user_id', 'version', 'revision', 'balance',
    'reserved', 'overage', 'lifetime_granted', 'reservation_count', 'settings', 'auto_topup']);
