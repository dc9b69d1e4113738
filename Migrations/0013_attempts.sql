-- The number of the sending that decided a command. A reply that was lost is found in this table, and it is a replay
-- exactly when another sending decided the command. Null for the commands of before and for those of the scheduler.
alter table commands add column attempt bigint;
