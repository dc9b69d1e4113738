-- The books: tenants, their catalogue, accounts, blocks, entries and the commands that changed them.
-- Amounts are millicredits. Every table of the ledger carries the distribution key (environment_id, account_id).

create table installation (
    singleton boolean not null default true,
    shard_count integer not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint installation_pkey primary key (singleton),
    constraint installation_is_one check (singleton),
    constraint installation_shard_count_positive check (shard_count > 0)
);

create table tenants (
    tenant_id uuid not null,
    name text not null,
    created_at timestamptz not null,
    constraint tenants_pkey primary key (tenant_id)
);

-- One side of a tenant: the unit of isolation. catalogue_version rises with every change of what the environment sells
-- and of its keys; its row is the lock of the catalogue.
create table environments (
    environment_id integer not null generated always as identity,
    tenant_id uuid not null,
    kind text not null,
    catalogue_version bigint not null default 0,
    constraint environments_pkey primary key (environment_id),
    constraint environments_tenant_fkey foreign key (tenant_id) references tenants (tenant_id),
    constraint environments_kind_known check (kind in ('live', 'test')),
    constraint environments_one_of_a_kind unique (tenant_id, kind)
);

create table api_keys (
    environment_id integer not null,
    key_id uuid not null,
    name text not null,
    key_hash bytea not null,
    hint text not null,
    created_at timestamptz not null,
    revoked_at timestamptz,
    constraint api_keys_pkey primary key (environment_id, key_id),
    constraint api_keys_environment_fkey foreign key (environment_id) references environments (environment_id),
    constraint api_keys_hash_is_sha256 check (octet_length(key_hash) = 32),
    constraint api_keys_hash_unique unique (key_hash)
);

create table features (
    environment_id integer not null,
    feature_key text not null,
    name text not null,
    unit_name text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    archived_at timestamptz,
    constraint features_pkey primary key (environment_id, feature_key),
    constraint features_environment_fkey foreign key (environment_id) references environments (environment_id)
);

-- Versions of a feature's price; a row is never edited.
create table metering_rules (
    environment_id integer not null,
    rule_id uuid not null,
    feature_key text not null,
    version integer not null,
    model text not null,
    amount bigint,
    unit_cost bigint,
    per_units bigint,
    effective_from timestamptz not null,
    created_at timestamptz not null,
    constraint metering_rules_pkey primary key (environment_id, rule_id),
    constraint metering_rules_version_unique unique (environment_id, feature_key, version),
    constraint metering_rules_feature_fkey foreign key (environment_id, feature_key)
        references features (environment_id, feature_key),
    constraint metering_rules_model_complete check (
        case model
            when 'flat' then amount >= 0 and unit_cost is null and per_units is null
            when 'per_unit' then amount is null and unit_cost >= 0 and per_units > 0
            else false
        end)
);

-- One end user. The row is the lock of the account, and holds the sums that its entries prove.
create table accounts (
    environment_id integer not null,
    account_id bigint not null generated always as identity,
    end_user_id text not null,
    version bigint not null default 0,
    revision bigint not null default 0,
    balance bigint not null default 0,
    reserved bigint not null default 0,
    overage bigint not null default 0,
    lifetime_granted bigint not null default 0,
    block_count integer not null default 0,
    last_hash bytea not null default decode(repeat('00', 32), 'hex'),
    advanced_to timestamptz not null default '-infinity',
    due_at timestamptz,
    name text,
    metadata text,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    constraint accounts_pkey primary key (environment_id, account_id),
    constraint accounts_environment_fkey foreign key (environment_id) references environments (environment_id),
    constraint accounts_end_user_unique unique (environment_id, end_user_id),
    constraint accounts_end_user_length check (octet_length(end_user_id) between 1 and 256),
    constraint accounts_amounts_in_range check (
        abs(balance) <= 9007199254740991 and reserved between 0 and 9007199254740991
        and overage between 0 and 9007199254740991 and lifetime_granted between 0 and 9007199254740991),
    constraint accounts_balance_covered check (balance >= -overage),
    constraint accounts_hash_is_sha256 check (octet_length(last_hash) = 32)
) with (fillfactor = 70);

-- One grant's credits. `open` turns false once, when nothing remains; it keeps spent blocks out of the index that
-- loads accounts, without putting `remaining` into an index and so making every debit pay for it.
create table blocks (
    environment_id integer not null,
    account_id bigint not null,
    number integer not null,
    original bigint not null,
    remaining bigint not null,
    held bigint not null,
    priority smallint not null,
    expires_at timestamptz,
    price_paid bigint,
    feature_keys text[] not null,
    open boolean not null,
    source text not null,
    reason text,
    metadata text,
    created_at timestamptz not null,
    constraint blocks_pkey primary key (environment_id, account_id, number),
    constraint blocks_account_fkey foreign key (environment_id, account_id)
        references accounts (environment_id, account_id),
    constraint blocks_amounts_ordered check (
        0 <= held and held <= remaining and remaining <= original and original <= 9007199254740991),
    constraint blocks_open_while_remaining check (open = (remaining > 0)),
    constraint blocks_priority_in_range check (priority between 0 and 100),
    constraint blocks_source_known check (source in (
        'plan', 'rollover', 'recurring', 'trial', 'topup', 'promotional', 'compensation', 'adjustment', 'transfer'))
) with (fillfactor = 70);

create index blocks_open on blocks (environment_id, account_id) where open;

-- The ledger. There is no foreign key to accounts: the writer holds the account's row, and a check per row would cost
-- more than the row. `verify` looks for orphans.
create table entries (
    environment_id integer not null,
    account_id bigint not null,
    sequence bigint not null,
    type text not null,
    amount bigint not null,
    reserved_delta bigint not null,
    overage_delta bigint not null,
    balance_after bigint not null,
    reserved_after bigint not null,
    allocation_blocks integer[] not null,
    allocation_amounts bigint[] not null,
    feature_key text,
    units bigint,
    rule_id uuid,
    idempotency_key text,
    reason text,
    metadata text,
    effective_at timestamptz not null,
    recorded_at timestamptz not null,
    hash bytea not null,
    constraint entries_pkey primary key (environment_id, account_id, sequence),
    constraint entries_type_known check (type in ('grant', 'use', 'expire')),
    constraint entries_hash_is_sha256 check (octet_length(hash) = 32)
);

create function refuse_ledger_change() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only: % on % is refused', tg_op, tg_table_name
        using errcode = 'integrity_constraint_violation';
end
$$;

create trigger entries_append_only before update or delete or truncate on entries
    for each statement execute function refuse_ledger_change();

-- Every decided command, written in the transaction of its effect. A use keeps the sequence of its entry, from which
-- its answer is made again; other answers are kept as they were.
create table commands (
    environment_id integer not null,
    command_id uuid not null,
    fingerprint uuid,
    account_id bigint,
    revision bigint not null,
    status smallint not null,
    sequence bigint,
    response bytea,
    decided_at timestamptz not null,
    constraint commands_pkey primary key (environment_id, command_id),
    constraint commands_have_an_answer check ((sequence is null) <> (response is null))
);

-- Commands that could not be applied even alone. They are an alarm: somebody has to look.
create table parked_commands (
    parked_id bigint not null generated always as identity,
    queue text not null,
    environment_id integer,
    command_id uuid,
    request_id text,
    error text not null,
    message bytea not null,
    parked_at timestamptz not null default clock_timestamp(),
    constraint parked_commands_pkey primary key (parked_id)
);

-- What a replica keeps in memory, and nothing that it does not need.
create publication quotastack for table
    environments (environment_id, tenant_id, kind, catalogue_version),
    api_keys (environment_id, key_id, key_hash, revoked_at),
    features (environment_id, feature_key, archived_at),
    metering_rules,
    accounts (environment_id, account_id, end_user_id, version, revision, balance, reserved, overage,
        lifetime_granted),
    blocks (environment_id, account_id, number, original, remaining, held, priority, expires_at, price_paid,
        feature_keys, open);
