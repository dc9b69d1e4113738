-- Who may do what. A process takes one of these roles as it connects, whoever it has logged in as, and has what the
-- role is granted below and nothing else. Nobody can log in as one of them.
--
-- The roles belong to the server, so another installation may have made them or be making them at this moment. Where
-- the migrating user may not make roles, an administrator makes them and grants them to that user beforehand.
do $$
declare
    role_name text;
begin
    foreach role_name in array
        array['quotastack_ledger', 'quotastack_api', 'quotastack_replica', 'quotastack_operator']
    loop
        if to_regrole(role_name) is null then
            begin
                execute format('create role %I nologin', role_name);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise exception 'the role % is missing, and % may not make it', role_name, current_user
                        using hint = format('as an administrator: create role %I nologin; grant %I to %I;',
                            role_name, role_name, current_user);
            end;
        end if;
        -- A superuser may take every role. Everybody else is granted it also where he seems to be a member: from
        -- PostgreSQL 16 on, who makes a role is one without the right to take it.
        if not (select rolsuper from pg_roles where rolname = current_user) then
            begin
                execute format('grant %I to current_user', role_name);
            exception
                when unique_violation then null;
                when insufficient_privilege then
                    if not pg_has_role(current_user, role_name, 'member') then
                        raise exception '% is not a member of the role %', current_user, role_name
                            using hint = format('as an administrator: grant %I to %I;', role_name, current_user);
                    end if;
            end;
        end if;
        execute format('grant usage on schema %I to %I', current_schema(), role_name);
        execute format('grant select on schema_migrations, installation to %I', role_name);
    end loop;
    -- So that the operator sees whose transactions are open. Without it, only that is missing.
    if not pg_has_role('quotastack_operator', 'pg_read_all_stats', 'member') then
        begin
            grant pg_read_all_stats to quotastack_operator;
        exception when insufficient_privilege or unique_violation then null;
        end;
    end if;
end
$$;

-- The ledger applies commands. What is decided is never edited: entries, rules and decided commands are inserted only.
-- A malformed request alone makes room for the mended one under its key (see the policy `only_malformed`).
grant select on environments, api_keys, features, metering_rules, accounts, blocks, entries, commands
    to quotastack_ledger;
grant insert on tenants, environments, api_keys, features, metering_rules, accounts, blocks, entries, commands,
    parked_commands to quotastack_ledger;
grant update (catalogue_version, rate_limit_per_second, fail_closed_over_ms) on environments to quotastack_ledger;
grant update (revoked_at, expires_at) on api_keys to quotastack_ledger;
grant update (name, unit_name, updated_at, archived_at) on features to quotastack_ledger;
grant update (version, revision, balance, reserved, overage, lifetime_granted, block_count, last_hash, advanced_to,
    due_at, name, metadata, created_at, updated_at) on accounts to quotastack_ledger;
grant update (remaining, held, open) on blocks to quotastack_ledger;
grant delete on accounts, commands to quotastack_ledger;

-- The API reads for tenants. Keys are looked up in memory, so even their hashes are none of its business; of a parked
-- command it asks no more than whether it is one.
grant select on tenants, environments, features, metering_rules, accounts, blocks, entries, commands
    to quotastack_api;
grant select (environment_id, key_id, name, scopes, hint, created_at, expires_at, replaces, revoked_at) on api_keys
    to quotastack_api;
grant select (environment_id, command_id) on parked_commands to quotastack_api, quotastack_ledger;

-- The operator looks at everything.
grant select on tenants, environments, api_keys, features, metering_rules, accounts, blocks, entries, commands,
    parked_commands to quotastack_operator;

-- The environment on whose behalf a transaction reads, 0 for the installation itself; null when nobody has said so,
-- which is no environment at all. A setting that was local to an earlier transaction is empty, not absent.
create function current_environment() returns integer language sql stable parallel safe
    return nullif(current_setting('quotastack.environment', true), '')::integer;

-- Row-level security on everything that belongs to an environment, for the owner of the tables too.
do $$
declare
    table_name text;
    published record;
begin
    foreach table_name in array array['tenants', 'environments', 'api_keys', 'features', 'metering_rules', 'accounts',
        'blocks', 'entries', 'commands', 'parked_commands']
    loop
        execute format('alter table %I enable row level security, force row level security', table_name);
        execute format('create policy ledger on %I to quotastack_ledger using (true) with check (true)', table_name);
        execute format('create policy operator on %I for select to quotastack_operator using (true)', table_name);
    end loop;
    foreach table_name in array array['environments', 'api_keys', 'features', 'metering_rules', 'accounts', 'blocks',
        'entries', 'commands', 'parked_commands']
    loop
        execute format('create policy api on %I for select to quotastack_api '
            'using (environment_id = current_environment())', table_name);
    end loop;
    -- A replica reads what it will follow, column by column.
    for published in select tablename, attnames from pg_publication_tables where pubname = 'quotastack' loop
        execute format('grant select (%s) on %I to quotastack_replica',
            (select string_agg(quote_ident(column_name), ', ') from unnest(published.attnames) as column_name),
            published.tablename);
        execute format('create policy replica on %I for select to quotastack_replica using (true)',
            published.tablename);
    end loop;
end
$$;

create policy only_malformed on commands as restrictive for delete to quotastack_ledger using (status = 400);

-- Tenants and the list of environments belong to the installation.
create policy api on tenants for select to quotastack_api using (current_environment() = 0);
create policy api_for_installation on environments for select to quotastack_api using (current_environment() = 0);
