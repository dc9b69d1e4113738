-- The answer of a webhook's receiver may repeat what it was sent. An erasure removes the answers about the end user from the
-- attempts, and a worker keeps none about an erased one.
grant update (attempts) on webhook_deliveries to quotastack_ledger;
create index webhook_deliveries_answered on webhook_deliveries (environment_id, account_id)
    where attempts ~ '"response":"[^"]';
create trigger webhook_deliveries_lose_answers_only before update of attempts on webhook_deliveries
    for each row when (current_user = 'quotastack_ledger') execute function refuse_text_change();
