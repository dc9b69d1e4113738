-- The complete ledger on the side of the accounts: reservations, settings and counters, payments, and the entries that
-- refund, revoke, adjust, transfer, hold and settle.

-- `settings` and `counters` are canonical JSON, null when empty; `test_clock_id` repeats the settings' clock for the
-- index. An account on a test clock is due by no real instant, so its `due_at` is null.
alter table accounts
    add column reservation_count integer not null default 0,
    add column settings text,
    add column counters text,
    add column test_clock_id uuid,
    add constraint accounts_test_clock_fkey foreign key (environment_id, test_clock_id)
        references test_clocks (environment_id, clock_id);

create index accounts_test_clock on accounts (environment_id, test_clock_id) where test_clock_id is not null;

alter table blocks
    add column revoked_at timestamptz,
    add column currency text,
    add column external_payment_id text,
    add constraint blocks_price_paid_in_range check (price_paid between 0 and 9007199254740991),
    -- A refund opens a closed block again, and replicas must be told its features although they did not change: the log
    -- repeats what stands in the row.
    alter column feature_keys set storage main;

-- `hold_blocks` and `hold_amounts` are null where an entry changes no hold. `refunds` is the sequence of the charge
-- that a refund reverses, `details` canonical JSON of what few entries have.
alter table entries
    add column reservation integer,
    add column refunds bigint,
    add column hold_blocks integer[],
    add column hold_amounts bigint[],
    add column overage_after bigint not null default 0,
    add column details text,
    drop constraint entries_type_known,
    add constraint entries_type_known check (type in (
        'grant', 'use', 'reserve', 'commit', 'release', 'expire', 'refund', 'revoke', 'adjust', 'transfer', 'settle'));

-- What a refund looks for: the charges of one reservation, and what has become of an overage or a charge since.
create index entries_reservation on entries (environment_id, account_id, reservation) where reservation is not null;
create index entries_settling on entries (environment_id, account_id, sequence)
    where overage_delta < 0 or refunds is not null;

-- What had been granted by then: the one sum of a past balance that no entry holds.
create index entries_granting on entries (environment_id, account_id, sequence) include (amount)
    where amount > 0 and type in ('grant', 'adjust', 'transfer');

-- Which blocks have expired, and are not just spent.
create index entries_expired on entries (environment_id, account_id) where type = 'expire';

-- Credits put aside for jobs. `estimate`, `watermark` and `windows` are canonical JSON; `held` is the sum of
-- `hold_amounts`.
create table reservations (
    environment_id integer not null,
    account_id bigint not null,
    number integer not null,
    feature_key text not null,
    status text not null,
    rule_id uuid,
    estimate text not null,
    estimated_cost bigint not null,
    hold_blocks integer[] not null,
    hold_amounts bigint[] not null,
    held bigint not null,
    uncovered bigint not null,
    watermark text,
    charged bigint not null,
    expires_at timestamptz not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    windows text,
    metadata text,
    constraint reservations_pkey primary key (environment_id, account_id, number),
    constraint reservations_account_fkey foreign key (environment_id, account_id)
        references accounts (environment_id, account_id),
    constraint reservations_status_known check (status in ('active', 'committed', 'released', 'expired')),
    constraint reservations_amounts_in_range check (
        estimated_cost between 0 and 9007199254740991 and held between 0 and 9007199254740991
        and uncovered between 0 and 9007199254740991 and charged between 0 and 9007199254740991),
    constraint reservations_holds_paired check (cardinality(hold_blocks) = cardinality(hold_amounts)),
    constraint reservations_final_hold_nothing check (status = 'active' or held = 0),
    constraint reservations_finished_when_final check ((finished_at is null) = (status = 'active'))
) with (fillfactor = 70);

create index reservations_active on reservations (environment_id, account_id) where status = 'active';

-- Payments that were turned into credits, for ever: each once. A repetition gets the first one's answer.
create table payments (
    environment_id integer not null,
    external_payment_id text not null,
    account_id bigint not null,
    block_number integer not null,
    fingerprint uuid not null,
    status smallint not null,
    response bytea not null,
    command_id uuid not null,
    created_at timestamptz not null,
    constraint payments_pkey primary key (environment_id, external_payment_id),
    constraint payments_block_fkey foreign key (environment_id, account_id, block_number)
        references blocks (environment_id, account_id, number)
);

grant select, insert on reservations, payments to quotastack_ledger;
grant update (status, hold_blocks, hold_amounts, held, uncovered, watermark, charged, expires_at, finished_at)
    on reservations to quotastack_ledger;
grant update (reservation_count, settings, counters, test_clock_id) on accounts to quotastack_ledger;
grant update (revoked_at) on blocks to quotastack_ledger;

grant select on reservations to quotastack_api;
grant select (environment_id, external_payment_id, account_id, block_number, created_at) on payments to quotastack_api;
grant select on reservations, payments to quotastack_operator;

alter publication quotastack drop table accounts, blocks;
alter publication quotastack add table
    accounts (environment_id, account_id, end_user_id, version, revision, balance, reserved, overage,
        lifetime_granted, reservation_count, settings, counters),
    blocks (environment_id, account_id, number, original, remaining, held, priority, expires_at, price_paid,
        feature_keys, open, revoked_at),
    reservations (environment_id, account_id, number, feature_key, status, rule_id, estimate, estimated_cost,
        hold_blocks, hold_amounts, uncovered, watermark, charged, expires_at, created_at, windows);

grant select (reservation_count, settings, counters) on accounts to quotastack_replica;
grant select (revoked_at) on blocks to quotastack_replica;
grant select (environment_id, account_id, number, feature_key, status, rule_id, estimate, estimated_cost, hold_blocks,
    hold_amounts, uncovered, watermark, charged, expires_at, created_at, windows) on reservations
    to quotastack_replica;
create policy replica on reservations for select to quotastack_replica using (true);

do $$
declare
    table_name text;
begin
    foreach table_name in array array['reservations', 'payments'] loop
        execute format('alter table %I enable row level security, force row level security', table_name);
        execute format('create policy ledger on %I to quotastack_ledger using (true) with check (true)', table_name);
        execute format('create policy operator on %I for select to quotastack_operator using (true)', table_name);
        execute format('create policy api on %I for select to quotastack_api '
            'using (environment_id = current_environment())', table_name);
    end loop;
end
$$;
