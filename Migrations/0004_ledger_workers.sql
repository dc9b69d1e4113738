-- The ledger workers that are alive, among whom the shards are divided. Who takes the most from it is the operator who
-- looks at it: it decides who works and never what happens, since an account's commands are safe with any number of
-- workers at once.
create table ledger_workers (
    worker_number integer not null generated always as identity,
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    constraint ledger_workers_pkey primary key (worker_number)
);

grant select, insert, delete on ledger_workers to quotastack_ledger;
grant update (seen_at) on ledger_workers to quotastack_ledger;
grant select on ledger_workers to quotastack_operator;
