-- The usage under limits and in period tiers: a row for each window that is counted. A batch loads the rows that its
-- commands name, so an account with ten thousand of them costs a use no more than one with ten.
create table counters (
    environment_id integer not null,
    account_id bigint not null,
    counter_id uuid not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    used bigint not null,
    is_on_test_clock boolean not null default false,
    constraint counters_pkey primary key (environment_id, account_id, counter_id),
    constraint counters_account_fkey foreign key (environment_id, account_id)
        references accounts (environment_id, account_id),
    constraint counters_used_not_negative check (used >= 0),
    constraint counters_window_not_empty check (window_start < window_end)
) with (fillfactor = 80);

-- The ends of windows, so that the scheduler deletes ended counters without a walk over the accounts.
create index counters_ended on counters (window_end) where not is_on_test_clock;

select protect_table('counters');
grant update, delete on counters to quotastack_ledger;
create policy scheduler on counters to quotastack_scheduler using (true) with check (true);
-- A right to update is what `for update` asks for.
grant select (environment_id, account_id, counter_id, window_end, is_on_test_clock), update (window_end), delete
    on counters to quotastack_scheduler;
select replicate_table('counters', array['environment_id', 'account_id', 'counter_id', 'window_start', 'window_end',
    'used']);

-- `counter_count` counts at least the account's rows; `counters_end_at` is not after the first end of their windows.
alter table accounts
    add column counter_count integer not null default 0,
    add column counters_end_at timestamptz;
alter table reservations add column counts text;
grant update (counter_count, counters_end_at) on accounts to quotastack_ledger;
grant update (counts) on reservations to quotastack_ledger;

-- The counts of before, which were one document for each account. A counter's id is the first half of the SHA-256 of all
-- that it belongs to; see `CounterID`. The workers must be stopped during this migration, because those of the earlier
-- release count in the document.
create function counter_id(variadic parts text[]) returns uuid language sql immutable as $$
    select substr(encode(sha256(convert_to(string_agg(octet_length(part) || ':' || part, '' order by place), 'UTF8')), 'hex'),
        1, 32)::uuid
    from unnest(parts) with ordinality as p (part, place)
$$;

set local role quotastack_ledger;
create temporary table moved on commit drop as
select a.environment_id, a.account_id, counter_id('cap:' || c.key, 'credits', cap.value ->> 'window', 'calendar', '0') as id,
    'cap' as kind, c.key as name, c.value as counter
from accounts a
cross join lateral jsonb_each(a.counters::jsonb -> 'caps') c
join lateral jsonb_array_elements(a.settings::jsonb -> 'caps') cap on cap.value ->> 'number' = c.key
where a.counters is not null
union all
select a.environment_id, a.account_id, counter_id('quota:' || q.key, 'units', t.terms ->> 'window', t.terms ->> 'anchor', '0'),
    'quota', q.key, q.value
from accounts a
cross join lateral jsonb_each(a.counters::jsonb -> 'quotas') q
left join features f on f.environment_id = a.environment_id and f.feature_key = q.key
cross join lateral (
    select coalesce(a.settings::jsonb -> 'overrides' -> q.key -> 'quota', f.quota::jsonb) as terms) t
where a.counters is not null and t.terms is not null
union all
select a.environment_id, a.account_id, counter_id('period', p.key, d.key), 'period', p.key, d.value
from accounts a
cross join lateral jsonb_each(a.counters::jsonb -> 'periods') p
cross join lateral jsonb_each(p.value) d
where a.counters is not null;

insert into counters (environment_id, account_id, counter_id, window_start, window_end, used, is_on_test_clock)
select m.environment_id, m.account_id, m.id,
    timestamptz '1970-01-01 00:00Z' + (m.counter ->> 'start')::bigint * interval '1 microsecond',
    timestamptz '1970-01-01 00:00Z' + (m.counter ->> 'end')::bigint * interval '1 microsecond',
    greatest(0, (m.counter ->> 'used')::bigint), a.test_clock_id is not null
from moved m
join accounts a using (environment_id, account_id);

update accounts a set counter_count = c.count, counters_end_at = c.end_at
from (
    select environment_id, account_id, count(*), min(window_end) as end_at from counters group by 1, 2
) as c
where a.environment_id = c.environment_id and a.account_id = c.account_id;

-- An active reservation counts on in the windows in which it was made.
update reservations r set counts = c.counts
from (
    select r.environment_id, r.account_id, r.number,
        jsonb_agg(jsonb_build_array(replace(m.id::text, '-', ''), case m.kind when 'cap' then 'credits' else 'units' end,
            (m.counter ->> 'start')::bigint, (m.counter ->> 'end')::bigint))::text as counts
    from reservations r
    join moved m on m.environment_id = r.environment_id and m.account_id = r.account_id
        and (m.kind = 'cap' and r.windows::jsonb -> 'caps' -> m.name = m.counter -> 'start'
            or m.kind = 'quota' and m.name = r.feature_key and r.windows::jsonb -> 'quota' = m.counter -> 'start')
    where r.status = 'active' and r.windows is not null
    group by 1, 2, 3
) as c
where r.environment_id = c.environment_id and r.account_id = c.account_id and r.number = c.number;
reset role;

drop function counter_id(text[]);

select replicate_table('accounts', array['environment_id', 'account_id', 'end_user_id', 'version', 'revision', 'balance',
    'reserved', 'overage', 'lifetime_granted', 'reservation_count', 'settings']);
select replicate_table('reservations', array['environment_id', 'account_id', 'number', 'feature_key', 'status', 'rule_id',
    'estimate', 'estimated_cost', 'hold_blocks', 'hold_amounts', 'uncovered', 'watermark', 'charged', 'expires_at',
    'created_at', 'counts']);
alter table accounts drop column counters;
alter table reservations drop column windows;
