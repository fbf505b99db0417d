-- The first schema of xixin for PostgreSQL: what migrations/sqlite/0001_first.sql makes, in the same words where they mean the same. Texts
-- compare by their bytes, as in SQLite, whatever the locale of the server: dates, marks and numbers are searched by ranges.

-- So that one SQL text serves both databases, what SQLite brings along and PostgreSQL lacks is made here, beside the tables, where it is
-- found without any setting of the session (a pooler in front of the server may hand out another session each time). Only what means the
-- same is made; for anything else the text of the statement is written so that both take it.

-- A list that travels as one bind: its elements in their order, texts as they are, documents as JSON. SQLite opens objects as well; here
-- only lists are.
create function json_each(list text) returns table (key bigint, value text)
    language sql immutable parallel safe
    as $$ select position - 1, element from json_array_elements_text(list::json) with ordinality as each (element, position) $$;

-- The same for a list of objects, which are read once for all their columns.
create function jsonb_each(list text) returns table (key bigint, value jsonb)
    language sql immutable parallel safe
    as $$ select position - 1, element from jsonb_array_elements(list::jsonb) with ordinality as each (element, position) $$;

-- What lies at a path of names, such as `$.attempt.id`; null when nothing does.
create function jsonb_extract(document jsonb, path text) returns jsonb
    language sql immutable strict parallel safe
    as $$ select nullif(document #> string_to_array(substr(path, 3), '.'), 'null') $$;

-- Members of a document that is a text: `->` as JSON, `->>` as a plain text, null when it is missing or null. Numbers come as texts: the
-- statement says `cast(… as bigint)`.
create function json_member(document text, name text) returns text
    language sql immutable strict parallel safe
    as $$ select (document::json -> name)::text $$;
create function json_text(document text, name text) returns text
    language sql immutable strict parallel safe
    as $$ select document::json ->> name $$;
create function json_text(list text, place integer) returns text
    language sql immutable strict parallel safe
    as $$ select list::json ->> place $$;
create operator -> (leftarg = text, rightarg = text, function = json_member);
create operator ->> (leftarg = text, rightarg = text, function = json_text);
create operator ->> (leftarg = text, rightarg = integer, function = json_text);

-- Instants are epoch milliseconds (`_ms`), local days are ISO texts, JSON is text, flags are 0 or 1. Only additive migrations follow; this
-- file is never edited once shipped.

-- One row per case: everything known, as one document, and the columns that are searched.
create table cases (
    id          text collate "C" not null primary key,
    facts       text collate "C" not null,
    version     bigint           not null,
    -- the next instant at which planning can decide something; null: the case asks for nothing more
    wake_ms     bigint,
    -- the generation of rules this case was last planned by
    rules_gen   bigint           not null,
    -- a fingerprint of its agenda entries, so that an unchanged agenda is not rewritten
    agenda_sum  bigint           not null,
    unit        text collate "C" not null,
    owner       text collate "C" not null,
    matter      text collate "C" not null,
    resident    text collate "C" not null,
    status      text collate "C" not null,
    priority    bigint           not null,
    opened_ms   bigint           not null
);
create index cases_wake on cases (wake_ms) where wake_ms is not null;
create index cases_rules on cases (rules_gen) where status <> 'closed';
create index cases_owner on cases (owner, status, opened_ms);
create index cases_unit on cases (unit, status, opened_ms);
create index cases_listed on cases (priority desc, opened_ms desc, id);
create index cases_resident on cases (resident);
create index cases_waiting on cases (owner) where status = 'waiting';

-- Residents and relatives.
create table people (
    id          text collate "C" not null primary key,
    record      text collate "C" not null,
    relative_of text collate "C",
    -- digits; a resident who comes again is recognised by number and name
    phone       text collate "C"
);
create index people_relative on people (relative_of) where relative_of is not null;
create index people_phone on people (phone) where phone is not null and relative_of is null;

-- The open, dated items of each case: a projection, rewritten with its case.
create table agenda (
    case_id  text collate "C" not null,
    item     text collate "C" not null,
    kind     text collate "C" not null,
    unit     text collate "C" not null,
    assignee text collate "C" not null,
    -- null: the date has to be found first
    day      text collate "C",
    start_ms bigint,
    primary key (case_id, item)
);
create index agenda_assignee on agenda (assignee, day);
create index agenda_unit on agenda (unit, day);

-- Ledger and queue: one decision for one recipient over one way.
create table reminders (
    id             text collate "C" not null primary key,
    -- '' for messages that belong to no case (digests)
    case_id        text collate "C" not null,
    -- item|anchor|ladder|rung|occurrence|audience
    mark           text collate "C" not null,
    recipient      text collate "C" not null,
    -- email, sms, phone, or none when nobody is told
    way            text collate "C" not null,
    text           text collate "C" not null,
    state          text collate "C" not null,
    reason_zh      text collate "C" not null,
    reason_en      text collate "C" not null,
    priority       bigint           not null,
    due_ms         bigint           not null,
    decided_ms     bigint           not null,
    not_before_ms  bigint           not null,
    valid_until_ms bigint           not null,
    fallback       text collate "C" not null,
    assignee       text collate "C",
    tries          bigint           not null default 0,
    epoch          bigint           not null default 0,
    holder         text collate "C",
    lease_until_ms bigint,
    -- when the last attempt started; caps count these
    sent_ms        bigint,
    closed_ms      bigint,
    unique (case_id, mark, recipient, way)
);
create index reminders_queue on reminders (way, not_before_ms) where state = 'queued';
create index reminders_fallback on reminders (way, not_before_ms) where state = 'queued' and priority >= 2 and fallback <> '';
create index reminders_leased on reminders (holder) where state in ('claimed', 'attempting');
create index reminders_tasks on reminders (assignee) where state = 'task';
create index reminders_trouble on reminders (decided_ms) where state in ('refused', 'uncertain', 'held', 'bounced', 'no_receipt');
create index reminders_sms on reminders (recipient, sent_ms) where way = 'sms' and sent_ms is not null;
create index reminders_decided on reminders (decided_ms);

-- One try at sending. Written before the effect; its outcome only moves forward.
create table attempts (
    id          text collate "C" not null primary key,
    reminder_id text collate "C" not null,
    epoch       bigint           not null,
    way         text collate "C" not null,
    started_ms  bigint           not null,
    wire_id     text collate "C" not null,
    wire_sha256 text collate "C" not null,
    ended_ms    bigint,
    -- attempting, accepted, refused, deferred, uncertain, delivered, bounced, no_receipt
    outcome     text collate "C" not null,
    blame       text collate "C",
    reference   text collate "C",
    reason      text collate "C"
);
create index attempts_reminder on attempts (reminder_id, started_ms);
create index attempts_ended on attempts (ended_ms) where ended_ms is not null;

-- What happened to cases: append-only, each row sealed with the hash of the one before.
create table events (
    seq     bigint           not null primary key,
    at_ms   bigint           not null,
    case_id text collate "C" not null,
    actor   text collate "C" not null,
    body    text collate "C" not null,
    hash    text collate "C" not null
);
create index events_case on events (case_id, seq);

-- The slots of named schedules that have been claimed: a digest or a sweep happens once.
create table runs (
    name       text collate "C" not null,
    slot       text collate "C" not null,
    claimed_ms bigint           not null,
    holder     text collate "C" not null,
    primary key (name, slot)
);

-- Receipts, bounces and replies, kept to recognise redelivered ones.
create table inbound (
    id          text collate "C" not null primary key,
    received_ms bigint           not null,
    provider    text collate "C" not null,
    body        text collate "C" not null,
    handled_ms  bigint
);

-- Ways that are paused, and the hold on everything ('all').
create table switches (
    name     text collate "C" not null primary key,
    since_ms bigint           not null,
    who      text collate "C" not null,
    reason   text collate "C" not null
);

-- Single values: the generation of rules and its fingerprint, the next case number of each year.
create table meta (
    name  text collate "C" not null primary key,
    value text collate "C" not null
);

-- Whoever writes what was read before holds this row, so that nothing it read can have changed when it commits.
insert into meta (name, value) values ('writer', '');
