-- The attributes by which the usage of a feature is reported, and checkpoints that sum usage by them.

alter table features
    add column report_by text[] not null default '{}',
    add constraint features_report_by_bounded check (cardinality(report_by) <= 8),
    add constraint features_report_by_is_of_metered check (report_by = '{}' or type = 'metered');
grant update (report_by) on features to quotastack_ledger;
select replicate_table('features', array['environment_id', 'feature_key', 'name', 'type', 'unit_name', 'quota',
    'report_by', 'created_at', 'updated_at', 'archived_at']);

-- The scheduler makes the checkpoints, and sums usage by the attributes that a feature declares at that time.
grant select (environment_id, feature_key, report_by) on features to quotastack_scheduler;
create policy scheduler on features for select to quotastack_scheduler using (true);

-- The usage between a checkpoint and the previous one, summed in total and by quarter of an hour, for periods that begin or
-- end in between. A row is the usage of a feature, `attribute` is then empty, or that with one value of an attribute, as
-- canonical JSON; null is usage without the attribute. A checkpoint has rows of the attributes that the feature declared
-- when it was made, but none of an attribute with very many values.
--
-- `feature_key` is empty for usage without a feature. `number` counts the values, so that a long one is in no index.
alter table checkpoint_usage rename to checkpoint_quarters;
alter table checkpoint_quarters rename constraint checkpoint_usage_checkpoint_fkey to checkpoint_quarters_checkpoint_fkey;
create table checkpoint_usage (
    environment_id integer not null,
    account_id bigint not null,
    attribute text not null,
    feature_key text not null,
    sequence bigint not null,
    number integer not null,
    value text,
    charges bigint not null,
    units numeric not null,
    cost numeric not null,
    first_quarter timestamptz not null,
    last_quarter timestamptz not null,
    quarters timestamptz[] not null,
    quarter_charges bigint[] not null,
    quarter_units numeric[] not null,
    quarter_costs numeric[] not null,
    constraint checkpoint_usage_pkey primary key
        (environment_id, account_id, attribute, feature_key, sequence, number),
    constraint checkpoint_usage_checkpoint_fkey foreign key (environment_id, account_id, sequence)
        references checkpoints (environment_id, account_id, sequence) on delete cascade
);
select protect_table('checkpoint_usage');
create policy scheduler on checkpoint_usage to quotastack_scheduler using (true) with check (true);
grant select, insert on checkpoint_usage to quotastack_scheduler;
revoke all on checkpoint_usage from quotastack_ledger;
-- The ledger removes what names a person when an end user is erased.
grant select, delete on checkpoint_usage to quotastack_ledger;
create policy only_by_attribute on checkpoint_usage as restrictive for delete to quotastack_ledger
    using (attribute <> '');

-- The checkpoints of before had a row for each feature and quarter, and sum by no attribute. The owner of the tables sees no
-- rows, so the scheduler's role reads them.
set local role quotastack_scheduler;
insert into checkpoint_usage (environment_id, account_id, attribute, feature_key, sequence, number, charges, units, cost,
    first_quarter, last_quarter, quarters, quarter_charges, quarter_units, quarter_costs)
select environment_id, account_id, '', coalesce(feature_key, ''), sequence, 1, sum(charges), sum(units), sum(cost),
    min(quarter), max(quarter), array_agg(quarter order by quarter), array_agg(charges order by quarter),
    array_agg(units order by quarter), array_agg(cost order by quarter)
from checkpoint_quarters
group by environment_id, account_id, feature_key, sequence;
reset role;
drop table checkpoint_quarters;
