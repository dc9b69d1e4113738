-- Plans and their variants, prices of a variant's own, and the default and the fallback of an environment.

create table plans (
    environment_id integer not null,
    plan_id uuid not null,
    plan_key text,
    name text not null,
    slot text not null,
    metadata text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    archived_at timestamptz,
    constraint plans_pkey primary key (environment_id, plan_id),
    constraint plans_environment_fkey foreign key (environment_id) references environments (environment_id),
    constraint plans_key_unique unique (environment_id, plan_key)
);

-- Versions of variants; a row is never edited. The terms are canonical JSON.
create table plan_variants (
    environment_id integer not null,
    variant_id uuid not null,
    version integer not null,
    plan_id uuid not null,
    variant_key text,
    name text not null,
    terms text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    archived_at timestamptz,
    -- The bytes of an environment's variants are bounded.
    terms_bytes integer not null generated always as (octet_length(terms)) stored,
    constraint plan_variants_pkey primary key (environment_id, variant_id, version),
    constraint plan_variants_plan_fkey foreign key (environment_id, plan_id) references plans (environment_id, plan_id),
    constraint plan_variants_version_positive check (version > 0)
);

-- All versions of a variant have its key, so only the first one takes part.
create unique index plan_variants_key_unique on plan_variants (environment_id, variant_key) where version = 1;
create index plan_variants_of_plan on plan_variants (environment_id, plan_id, variant_id);
create index plan_variants_by_key on plan_variants (environment_id, variant_key, version)
    where variant_key is not null;

select version_catalogue_table(name), protect_table(name)
from unnest(array['plans', 'plan_variants']::regclass[]) as name;
grant update (name, slot, metadata, updated_at, archived_at) on plans to quotastack_ledger;

select replicate_table('plans', array['environment_id', 'plan_id', 'plan_key', 'name', 'slot', 'metadata', 'created_at',
    'updated_at', 'archived_at']);
select replicate_table('plan_variants', array['environment_id', 'variant_id', 'version', 'plan_id', 'variant_key', 'name',
    'terms', 'created_at', 'updated_at', 'archived_at']);

-- The variant to whose subscribers a rule belongs; null for a rule for all others. Versions count for each of them.
alter table metering_rules
    add column plan_variant_id uuid,
    drop constraint metering_rules_version_unique,
    add constraint metering_rules_version_unique
        unique nulls not distinct (environment_id, feature_key, plan_variant_id, version);
select replicate_table('metering_rules', array['environment_id', 'rule_id', 'feature_key', 'version', 'price',
    'effective_from', 'created_at', 'plan_variant_id']);

alter table environments
    add column default_variant_id uuid,
    add column fallback_variant_id uuid;
grant update (default_variant_id, fallback_variant_id) on environments to quotastack_ledger;
select replicate_table('environments', array['environment_id', 'tenant_id', 'kind', 'catalogue_version',
    'rate_limit_per_second', 'fail_closed_over_ms', 'overage_policy', 'overage_limit', 'timezone', 'zone_starts',
    'zone_offsets', 'operator_rate_limit', 'create_end_users', 'default_variant_id', 'fallback_variant_id']);
