-- Messages and commands in whose company ledger workers have died, and how often they were tried since. A row goes when
-- its command is decided, and that of a parked one when its message is acknowledged.
create table suspects (
    suspect_id uuid not null,
    attempts integer not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    constraint suspects_pkey primary key (suspect_id)
);

grant select, insert, delete on suspects to quotastack_ledger;
grant update (attempts) on suspects to quotastack_ledger;
grant select on suspects to quotastack_operator;

-- An operation asks whether its command is parked.
create index parked_commands_command on parked_commands (environment_id, command_id);
