-- The instant from which a feature's quota counts; null for quotas of before.
alter table features add column quota_since timestamptz;
grant update (quota_since) on features to quotastack_ledger;
select replicate_table('features', array['environment_id', 'feature_key', 'name', 'type', 'unit_name', 'quota',
    'report_by', 'created_at', 'updated_at', 'archived_at', 'quota_since']);
