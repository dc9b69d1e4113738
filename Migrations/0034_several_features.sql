-- A reservation over several features: the use of each one, as JSON; null for a reservation of one feature, whose use is in
-- the other columns. `feature_key` is the first of several, and `charged` is the sum.
alter table reservations add column parts text;
grant update (parts) on reservations to quotastack_ledger;
select replicate_table('reservations', array['environment_id', 'account_id', 'number', 'feature_key', 'status', 'rule_id',
    'estimate', 'estimated_cost', 'hold_blocks', 'hold_amounts', 'uncovered', 'watermark', 'charged', 'expires_at',
    'created_at', 'counts', 'parts']);
