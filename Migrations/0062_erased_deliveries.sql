-- The answer of a webhook's receiver may repeat what it was sent. An erasure removes the answers about the end user from the
-- attempts, and a worker keeps none about an erased one.
grant update (attempts) on webhook_deliveries to quotastack_ledger;
create index webhook_deliveries_answered on webhook_deliveries (environment_id, account_id)
    where attempts ~ '"response":"[^"]';
