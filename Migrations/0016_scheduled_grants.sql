-- Grants that start later. `starts_at` is the start that the grant stated. `scheduled` is true until the credits of a
-- block that starts after its creation land or are revoked: such a block has no remaining credits, and it is loaded and
-- replicated like an open one.
alter table blocks
    add column starts_at timestamptz,
    add column scheduled boolean not null default false,
    drop constraint blocks_open_while_remaining,
    add constraint blocks_open_while_remaining check (open = (remaining > 0 or scheduled)) not valid,
    add constraint blocks_scheduled_before_start check (
        not scheduled or (starts_at > created_at and remaining = 0 and revoked_at is null)) not valid,
    add constraint blocks_expire_after_start check (expires_at > starts_at) not valid;
alter table blocks validate constraint blocks_open_while_remaining;
alter table blocks validate constraint blocks_scheduled_before_start;
alter table blocks validate constraint blocks_expire_after_start;

grant update (scheduled) on blocks to quotastack_ledger;
select replicate_table('blocks', array['environment_id', 'account_id', 'number', 'original', 'remaining', 'held',
    'priority', 'expires_at', 'price_paid', 'feature_keys', 'open', 'revoked_at', 'created_at', 'starts_at',
    'scheduled']);

-- Closed blocks are listed in burn order, in which the age of a block counts from its start.
drop index blocks_closed;
create index blocks_closed on blocks (environment_id, account_id, priority, (coalesce(expires_at, 'infinity')),
    (coalesce(price_paid, 0) > 0), (greatest(created_at, starts_at)), (coalesce(starts_at <= created_at, true)), number)
    where not open;
