-- A counter can be the remainder of a price that carries fractions: it begins at the epoch and has no end. A commit with
-- other attributes takes its progress out of a remainder. The remainder can then be negative.
alter table counters
    drop constraint counters_used_not_negative,
    add constraint counters_used_not_negative check (
        used >= 0 or window_start = timestamptz '1970-01-01 00:00:00+00' and window_end = 'infinity');

-- The part of a reservation's charges that prices which carry fractions have made, by dimension.
alter table reservations add column carried text;
grant update (carried) on reservations to quotastack_ledger;
