-- No table with an environment is open, and the scheduler cannot look past its policy.
do $$
declare
    found text;
begin
    select c.relname into found
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'environment_id' and not a.attisdropped
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
        and not (c.relrowsecurity and c.relforcerowsecurity);
    if found is not null then
        raise exception 'row-level security is not forced on the table %', found;
    end if;
    if exists (
        select from pg_roles where rolname = 'quotastack_scheduler' and (rolsuper or rolbypassrls)) then
        raise exception
            'the role quotastack_scheduler is a superuser or bypasses row-level security, so its policy means nothing';
    end if;
end
$$;
