-- Prices of every model, and the packages in which credits are sold.

-- A rule's price is one JSON text, canonical: the members that the API shows, sorted by name. The type of a column is
-- altered instead of rows being updated, since that reaches every row: row-level security holds for the owner too.
alter table metering_rules drop constraint metering_rules_model_complete;
alter table metering_rules alter column model type text using
    case model
        when 'flat' then '{"amount":' || amount || ',"model":"flat"}'
        else '{"model":"per_unit","per_units":' || per_units || ',"unit_cost":' || unit_cost || '}'
    end;
alter table metering_rules rename column model to price;
alter table metering_rules drop column amount, drop column unit_cost, drop column per_units;

create table topup_packages (
    environment_id integer not null,
    package_key text not null,
    name text not null,
    credits bigint not null,
    price bigint not null,
    currency text not null,
    expires_after text,
    priority smallint,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    archived_at timestamptz,
    constraint topup_packages_pkey primary key (environment_id, package_key),
    constraint topup_packages_environment_fkey foreign key (environment_id) references environments (environment_id),
    constraint topup_packages_credits_in_range check (credits between 1 and 9007199254740991),
    constraint topup_packages_price_in_range check (price between 0 and 9007199254740991),
    constraint topup_packages_currency_is_a_code check (currency ~ '^[A-Z]{3}$'),
    constraint topup_packages_priority_in_range check (priority between 0 and 100)
);

alter publication quotastack add table topup_packages (environment_id, package_key, name, credits, price, currency,
    expires_after, priority, archived_at);

grant select, insert on topup_packages to quotastack_ledger;
grant update (name, credits, price, currency, expires_after, priority, updated_at, archived_at) on topup_packages
    to quotastack_ledger;
grant select on topup_packages to quotastack_api, quotastack_operator;
grant select (environment_id, package_key, name, credits, price, currency, expires_after, priority, archived_at)
    on topup_packages to quotastack_replica;

alter table topup_packages enable row level security, force row level security;
create policy ledger on topup_packages to quotastack_ledger using (true) with check (true);
create policy operator on topup_packages for select to quotastack_operator using (true);
create policy replica on topup_packages for select to quotastack_replica using (true);
create policy api on topup_packages for select to quotastack_api using (environment_id = current_environment());
