-- Checkpoints: the sums of an account's entries at some sequences, so that a read of the past adds up only the entries
-- behind the nearest one. They repeat what the entries say. An account without any is read in the same way, from its
-- first entry on.

-- `previous` is the checkpoint before; the entries after it and up to `sequence` were added to its sums. Each checkpoint has
-- one successor at most, so that of two processes that continue from the same one, one does nothing. Whoever deletes a
-- checkpoint deletes all later ones of the account and all their rows, and they are made again.
--
-- `open_blocks` are the numbers of the blocks with remaining credits, at most 10,000, and `held_reservations` those of the
-- reservations that hold credits, at most 10,000.
create table checkpoints (
    environment_id integer not null,
    account_id bigint not null,
    sequence bigint not null,
    previous bigint,
    lifetime_granted bigint not null,
    open_blocks integer[] not null,
    held_reservations integer[] not null,
    made_at timestamptz not null default clock_timestamp(),
    constraint checkpoints_pkey primary key (environment_id, account_id, sequence),
    constraint checkpoints_one_successor unique nulls not distinct (environment_id, account_id, previous),
    constraint checkpoints_previous_fkey foreign key (environment_id, account_id, previous)
        references checkpoints (environment_id, account_id, sequence) on delete cascade,
    constraint checkpoints_ascend check (sequence > coalesce(previous, 0))
);

-- The entries that changed a block, summed by type: the lists have one element for each type. A row is written at a
-- checkpoint when the block has changed since the previous one. The latest row at or before a sequence holds for it.
create table checkpoint_blocks (
    environment_id integer not null,
    account_id bigint not null,
    block integer not null,
    sequence bigint not null,
    types text[] not null,
    amounts numeric[] not null,
    holds numeric[] not null,
    counts bigint[] not null,
    firsts bigint[] not null,
    lasts bigint[] not null,
    constraint checkpoint_blocks_pkey primary key (environment_id, account_id, block, sequence),
    constraint checkpoint_blocks_checkpoint_fkey foreign key (environment_id, account_id, sequence)
        references checkpoints (environment_id, account_id, sequence) on delete cascade
);

-- The entries of a reservation, summed: its units so far, and what it holds of each block. A row is written at a checkpoint
-- when the reservation has changed since the previous one and may change again.
create table checkpoint_reservations (
    environment_id integer not null,
    account_id bigint not null,
    reservation integer not null,
    sequence bigint not null,
    feature_key text,
    units numeric,
    blocks integer[] not null,
    holds bigint[] not null,
    firsts bigint[] not null,
    lasts bigint[] not null,
    constraint checkpoint_reservations_pkey primary key (environment_id, account_id, reservation, sequence),
    constraint checkpoint_reservations_checkpoint_fkey foreign key (environment_id, account_id, sequence)
        references checkpoints (environment_id, account_id, sequence) on delete cascade
);

-- The usage between a checkpoint and the previous one, summed by feature and by the quarter of an hour in which it occurred.
-- A quarter has a row for every checkpoint that found usage of it.
create table checkpoint_usage (
    environment_id integer not null,
    account_id bigint not null,
    quarter timestamptz not null,
    feature_key text,
    sequence bigint not null,
    charges bigint not null,
    units numeric not null,
    cost numeric not null,
    constraint checkpoint_usage_key unique nulls not distinct
        (environment_id, account_id, quarter, feature_key, sequence),
    constraint checkpoint_usage_checkpoint_fkey foreign key (environment_id, account_id, sequence)
        references checkpoints (environment_id, account_id, sequence) on delete cascade
);

-- The accounts that need a checkpoint, up to these sequences. The ledger inserts and never waits here, since no two commits
-- write the same row.
create table checkpoint_requests (
    environment_id integer not null,
    account_id bigint not null,
    sequence bigint not null,
    constraint checkpoint_requests_pkey primary key (environment_id, account_id, sequence)
);

do $$
declare
    table_name regclass;
begin
    foreach table_name in array array['checkpoints', 'checkpoint_blocks', 'checkpoint_reservations', 'checkpoint_usage',
        'checkpoint_requests']::regclass[]
    loop
        perform protect_table(table_name);
        execute format('create policy scheduler on %s to quotastack_scheduler using (true) with check (true)',
            table_name);
        execute format('grant select, insert on %s to quotastack_scheduler', table_name);
    end loop;
end
$$;
revoke all on checkpoints, checkpoint_blocks, checkpoint_reservations, checkpoint_usage from quotastack_ledger;
revoke select on checkpoint_requests from quotastack_ledger;
revoke insert on checkpoint_requests from quotastack_scheduler;
-- A right to update is what `for update` asks for.
grant update (sequence), delete on checkpoint_requests to quotastack_scheduler;

-- The scheduler makes the checkpoints. It reads the parts of the entries that are summed, and which reservations are over.
grant select (environment_id, account_id, sequence, type, amount, allocation_blocks, allocation_amounts, hold_blocks,
    hold_amounts, feature_key, units, reservation, details, effective_at) on entries to quotastack_scheduler;
create policy scheduler on entries for select to quotastack_scheduler using (true);
grant select (environment_id, account_id, number, status) on reservations to quotastack_scheduler;
create policy scheduler on reservations for select to quotastack_scheduler using (true);

-- The accounts of before. The owner of the tables sees no rows, so the ledger's role reads them.
set local role quotastack_ledger;
insert into checkpoint_requests (environment_id, account_id, sequence)
select environment_id, account_id, version from accounts where version >= 4096;
reset role;

-- A page of closed blocks is read in its order. Open ones are at most 10,000.
create index blocks_closed on blocks (environment_id, account_id, priority, (coalesce(expires_at, 'infinity')),
    (coalesce(price_paid, 0) > 0), number) where not open;

-- Checkpoints say how much had been granted and which blocks have expired.
drop index entries_granting, entries_expired;
