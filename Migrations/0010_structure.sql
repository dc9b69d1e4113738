-- Functions that give a new table or a new role its protection in one call, whole catalogue rows for the replicas, and
-- ledger workers of two releases side by side.

-- Protects a table whose rows belong to environments: row-level security, forced for the owner too, with a policy for each
-- role. The ledger inserts and reads, the API reads the rows of its transaction's environment, the operator reads all.
-- Rights to update or delete are granted by the migration that needs them.
create function protect_table(name regclass) returns void language plpgsql as $$
begin
    execute format('alter table %s enable row level security, force row level security', name);
    execute format('create policy ledger on %s to quotastack_ledger using (true) with check (true)', name);
    execute format('create policy operator on %s for select to quotastack_operator using (true)', name);
    execute format('create policy api on %s for select to quotastack_api using (environment_id = current_environment())',
        name);
    execute format('grant select, insert on %s to quotastack_ledger', name);
    execute format('grant select on %s to quotastack_api, quotastack_operator', name);
end
$$;

-- Lets replicas follow columns of a table: its policy, its grants and its place in the publication. A table that they
-- follow already gets this list of columns in place of the one before.
create function replicate_table(name regclass, columns text[]) returns void language plpgsql as $$
declare
    list text := (select string_agg(quote_ident(column_name), ', ') from unnest(columns) as column_name);
begin
    if exists (
        select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
        where p.pubname = 'quotastack' and r.prrelid = name)
    then
        execute format('alter publication quotastack drop table %s', name);
    else
        execute format('create policy replica on %s for select to quotastack_replica using (true)', name);
    end if;
    execute format('alter publication quotastack add table %s (%s)', name, list);
    execute format('grant select (%s) on %s to quotastack_replica', list, name);
end
$$;

select replicate_table('features', array['environment_id', 'feature_key', 'name', 'type', 'unit_name', 'quota',
    'created_at', 'updated_at', 'archived_at']);
select replicate_table('topup_packages', array['environment_id', 'package_key', 'name', 'credits', 'price', 'currency',
    'expires_after', 'priority', 'created_at', 'updated_at', 'archived_at']);
select replicate_table('test_clocks', array['environment_id', 'clock_id', 'shows', 'created_at', 'updated_at']);

-- The newest revision of the message format that a worker reads. Queues are dealt out among the workers of the highest one,
-- so that during an update no message comes to a worker that is too old for it.
alter table ledger_workers add column revision integer not null default 1;
