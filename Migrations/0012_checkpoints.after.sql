-- No table with an environment is open.
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
end
$$;
