-- Events of three kinds: what happened to a case (fact), who looked at what (access), and what the house itself notes (proof): a purge,
-- an erasure, a gap that was found. Rows of form 2 are hashed in two steps (the row, then its link to the one before), so that the
-- words of one can be taken away later while the chain still holds.
alter table events add column kind text collate "C" not null default 'fact';
-- What an auditor has to be able to read without any key.
alter table events add column proof text collate "C" not null default '';
alter table events add column form bigint not null default 1;
-- The hash of a row whose words were taken away; null as long as they are there.
alter table events add column leaf text collate "C";
-- By which purge.
alter table events add column purge bigint;
create index events_access on events (at_ms) where kind = 'access' and purge is null;
create index events_purge on events (purge) where purge is not null;
-- Closed cases of which nothing more can come: retention walks through them.
create index cases_done on cases (id) where status = 'closed' and live = 0 and wake_ms is null;
