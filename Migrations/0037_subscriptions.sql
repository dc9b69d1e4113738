-- Subscriptions. A live one is a part of its account and is written with it; one that has ended stays as it was. `state` is
-- canonical JSON: what has no column of its own.
create table subscriptions (
    environment_id integer not null,
    account_id bigint not null,
    number integer not null,
    status text not null,
    slot text not null,
    plan_id uuid not null,
    variant_id uuid not null,
    variant_version integer not null,
    quantity integer not null,
    state text not null,
    created_at timestamptz not null,
    ended_at timestamptz,
    metadata text,
    constraint subscriptions_pkey primary key (environment_id, account_id, number),
    constraint subscriptions_account_fkey foreign key (environment_id, account_id)
        references accounts (environment_id, account_id),
    constraint subscriptions_number_positive check (number > 0),
    constraint subscriptions_quantity_in_range check (quantity between 1 and 1000000),
    constraint subscriptions_status_known check (status in (
        'scheduled', 'trialing', 'active', 'past_due', 'paused', 'canceled', 'expired')),
    constraint subscriptions_ended_when_final check ((ended_at is null) = (status not in ('canceled', 'expired')))
) with (fillfactor = 70);
-- A replica needs the whole row of a subscription that it does not have, such as one that has ended.
alter table subscriptions alter column state set storage main;

-- An end user has at most one live subscription per slot.
create unique index subscriptions_live on subscriptions (environment_id, account_id, slot) where ended_at is null;
-- Whether a plan has live subscriptions, and those of a variant that are to be moved.
create index subscriptions_of_variant on subscriptions (environment_id, variant_id, account_id, number)
    where ended_at is null;
create index subscriptions_of_plan on subscriptions (environment_id, plan_id) where ended_at is null;

select protect_table('subscriptions');
grant update (status, variant_id, variant_version, quantity, state, ended_at, metadata)
    on subscriptions to quotastack_ledger;
select replicate_table('subscriptions', array['environment_id', 'account_id', 'number', 'status', 'slot', 'plan_id',
    'variant_id', 'variant_version', 'quantity', 'state', 'created_at', 'ended_at']);

alter table accounts add column subscription_count integer not null default 0;
grant update (subscription_count) on accounts to quotastack_ledger;

-- The blocks that subscriptions give: the subscription, the place of the line in its variant (null for a trial's credits),
-- the period, and whether the block ends with it. Only their expiry moves.
alter table blocks
    add column subscription integer,
    add column line smallint,
    add column period_index integer,
    add column ends_with_period boolean not null default false;
grant update (expires_at) on blocks to quotastack_ledger;
select replicate_table('blocks', array['environment_id', 'account_id', 'number', 'original', 'remaining', 'held',
    'priority', 'expires_at', 'price_paid', 'feature_keys', 'open', 'revoked_at', 'created_at', 'starts_at',
    'scheduled', 'subscription', 'line', 'period_index', 'ends_with_period']);

alter table entries
    drop constraint entries_type_known,
    add constraint entries_type_known check (type in (
        'grant', 'use', 'reserve', 'commit', 'release', 'expire', 'refund', 'revoke', 'adjust', 'transfer', 'settle',
        'rollover')) not valid;
