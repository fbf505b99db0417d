-- The instant at which a message was judged and rendered: what it says was true then.
alter table attempts add column judged_ms bigint;
-- When the provider is asked next what became of it, and how often it was.
alter table attempts add column ask_ms bigint;
alter table attempts add column asked bigint not null default 0;
create index attempts_ask on attempts (ask_ms) where ask_ms is not null;

-- How many runs of the program ended while they had this reminder in hand. Such a reminder is handled alone, and after the third it waits
-- for a person.
alter table reminders add column crashes bigint not null default 0;
create index reminders_suspect on reminders (way, crashes, not_before_ms) where state = 'queued' and crashes > 0;
