-- Two things keep the work of one transaction of the ledger worker small: catalogues are loaded by difference, and the size
-- of an account is known before it is loaded.

-- The version of the catalogue that a change of an item belongs to: the next one, whose number the transaction of the
-- change gives to the catalogue. A trigger sets it, so that the workers of every release do.
create function stamp_catalogue_version() returns trigger language plpgsql as $$
begin
    new.changed_version := 1 + (select catalogue_version from environments where environment_id = new.environment_id);
    return new;
end
$$;

-- Gives a table of catalogue items the version of each item's latest change.
create function version_catalogue_table(name regclass) returns void language plpgsql as $$
begin
    execute format('alter table %s add column changed_version bigint not null default 0', name);
    execute format('create index on %s (environment_id, changed_version)', name);
    execute format('create trigger stamp_catalogue_version before insert or update on %s '
        'for each row execute function stamp_catalogue_version()', name);
end
$$;

select version_catalogue_table(name) from unnest(
    array['features', 'metering_rules', 'topup_packages', 'test_clocks']::regclass[]) as name;

-- The bytes of an environment's rules are bounded.
alter table metering_rules add column price_bytes integer not null generated always as (octet_length(price)) stored;

-- Replicas read the columns that they know, and no others.
select replicate_table('metering_rules', array['environment_id', 'rule_id', 'feature_key', 'version', 'price', 'effective_from',
    'created_at']);

-- The number of open blocks and active reservations, which are loaded with an account. A small number is right from the
-- next change of its account on.
alter table accounts add column open_rows integer not null default 0;
grant update (open_rows) on accounts to quotastack_ledger;
-- The owner of the tables sees no row; the ledger's role sees all.
set local role quotastack_ledger;
update accounts a set open_rows = b.count
from (
    select environment_id, account_id, count(*) from blocks where open group by environment_id, account_id
    having count(*) > 100) b
where a.environment_id = b.environment_id and a.account_id = b.account_id;
reset role;
