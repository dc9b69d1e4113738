-- The entries of one reservation. The account's id is negated so that only this index serves the condition: beside many
-- short accounts the planner takes a long one for short too, and walks all its entries by the primary key.
drop index entries_reservation;
create index entries_reservation on entries ((-account_id), reservation, sequence) where reservation is not null;
