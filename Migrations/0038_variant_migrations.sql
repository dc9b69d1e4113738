-- Jobs that move the live subscriptions of a variant to one version of a variant. The ledger worker sends the commands page
-- by page. `after_account` and `after_number` name the last subscription of the finished pages; `page_accounts` and
-- `page_numbers` the subscriptions whose commands may have been sent since, so that a repetition of the page after a crash
-- counts each of them once.
create table variant_migrations (
    environment_id integer not null,
    migration_id uuid not null,
    variant_id uuid not null,
    to_variant_id uuid not null,
    to_version integer not null,
    effective text not null,
    proration text not null,
    -- Null until the subscriptions are counted.
    total bigint,
    moved bigint not null default 0,
    skipped bigint not null default 0,
    failed bigint not null default 0,
    created_at timestamptz not null,
    finished_at timestamptz,
    turn_at timestamptz not null default clock_timestamp(),
    after_account bigint not null default 0,
    after_number integer not null default 0,
    page_accounts bigint[] not null default '{}',
    page_numbers integer[] not null default '{}',
    constraint variant_migrations_pkey primary key (environment_id, migration_id),
    constraint variant_migrations_target_fkey foreign key (environment_id, to_variant_id, to_version)
        references plan_variants (environment_id, variant_id, version),
    constraint variant_migrations_effective_known check (effective in ('now', 'period_end')),
    constraint variant_migrations_proration_known check (proration in ('credits', 'restart')),
    constraint variant_migrations_page_is_pairs check (cardinality(page_accounts) = cardinality(page_numbers))
);

-- A variant has one running job at most.
create unique index variant_migrations_one_running on variant_migrations (environment_id, variant_id)
    where finished_at is null;
-- The jobs of each environment take turns. One whose page failed gets the last turn.
create index variant_migrations_turns on variant_migrations (environment_id, turn_at) where finished_at is null;

select protect_table('variant_migrations');
grant update (total, moved, skipped, failed, finished_at, turn_at, after_account, after_number, page_accounts, page_numbers)
    on variant_migrations to quotastack_ledger;
