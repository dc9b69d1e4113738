-- The definition of the end user's limit that a counter belongs to, so that its counters are deleted with it; 0 for every
-- other counter, and for those that an earlier release has made.
alter table counters add column generation integer not null default 0;
