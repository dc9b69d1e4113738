-- A unique key that begins with the environment can serve a look-up by account, at the cost of a walk over every end
-- user of the environment. Where the table was not analysed yet, the planner took it for the foreign keys to accounts,
-- and a session keeps such a plan: 66,000 look-ups read 14 million rows. This key begins with what only its own
-- statements know.

alter table accounts
    drop constraint accounts_end_user_unique,
    add constraint accounts_end_user_unique unique (end_user_id, environment_id);
