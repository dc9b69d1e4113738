-- The order in which the entries of an environment were committed: a row for each transaction that has written some, with the
-- first and the last sequence of each account in it. Watchers of the ledger continue from a place in this order.
create table ledger_feed (
    environment_id integer not null,
    transaction_id xid8 not null default pg_current_xact_id(),
    account_ids bigint[] not null,
    first_sequences bigint[] not null,
    last_sequences bigint[] not null,
    constraint ledger_feed_pkey primary key (environment_id, transaction_id),
    constraint ledger_feed_accounts check (cardinality(account_ids) > 0
        and cardinality(first_sequences) = cardinality(account_ids)
        and cardinality(last_sequences) = cardinality(account_ids))
);

select protect_table('ledger_feed');
