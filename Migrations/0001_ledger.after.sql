-- The guards that everything else relies on must be there.
do $$
begin
    if (select count(*) from pg_trigger where tgname = 'entries_append_only' and tgenabled = 'O') <> 1 then
        raise exception 'the trigger that keeps the ledger append-only is missing';
    end if;
    if (select count(*) from pg_publication_tables where pubname = 'quotastack') <> 6 then
        raise exception 'the publication that replicas follow is incomplete';
    end if;
end
$$;
