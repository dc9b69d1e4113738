-- An index that begins with the environment can serve a lookup by account, at the cost of a walk over every live
-- subscription of the environment. Where a table was not analysed yet, the planner chose that: 6,000 entries were read
-- for each account. These indexes begin with what only their own statements know.

drop index subscriptions_of_plan;
drop index subscriptions_of_variant;

create index subscriptions_of_plan on subscriptions (plan_id, environment_id) where ended_at is null;

create index subscriptions_of_variant on subscriptions (variant_id, environment_id, account_id, number)
    where ended_at is null;
