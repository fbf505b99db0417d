-- The first schema of xixin. Conventions: instants are epoch milliseconds (`_ms`), local days are ISO texts, JSON is text, flags are
-- 0 or 1. Only additive migrations follow; this file is never edited once shipped.

-- One row per case: everything known, as one document, and the columns that are searched.
create table cases (
    id          text   not null primary key,
    facts       text   not null,
    version     bigint not null,
    -- the next instant at which planning can decide something; null: the case asks for nothing more
    wake_ms     bigint,
    -- the generation of rules this case was last planned by
    rules_gen   bigint not null,
    -- a fingerprint of its agenda entries, so that an unchanged agenda is not rewritten
    agenda_sum  bigint not null,
    unit        text   not null,
    owner       text   not null,
    matter      text   not null,
    resident    text   not null,
    status      text   not null,
    priority    bigint not null,
    opened_ms   bigint not null
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
    id          text not null primary key,
    record      text not null,
    relative_of text,
    -- digits; a resident who comes again is recognised by number and name
    phone       text
);
create index people_relative on people (relative_of) where relative_of is not null;
create index people_phone on people (phone) where phone is not null and relative_of is null;

-- The open, dated items of each case: a projection, rewritten with its case.
create table agenda (
    case_id  text   not null,
    item     text   not null,
    kind     text   not null,
    unit     text   not null,
    assignee text   not null,
    -- null: the date has to be found first
    day      text,
    start_ms bigint,
    primary key (case_id, item)
);
create index agenda_assignee on agenda (assignee, day);
create index agenda_unit on agenda (unit, day);

-- Ledger and queue: one decision for one recipient over one way.
create table reminders (
    id             text   not null primary key,
    -- '' for messages that belong to no case (digests)
    case_id        text   not null,
    -- item|anchor|ladder|rung|occurrence|audience
    mark           text   not null,
    recipient      text   not null,
    -- email, sms, phone, or none when nobody is told
    way            text   not null,
    text           text   not null,
    state          text   not null,
    reason_zh      text   not null,
    reason_en      text   not null,
    priority       bigint not null,
    due_ms         bigint not null,
    decided_ms     bigint not null,
    not_before_ms  bigint not null,
    valid_until_ms bigint not null,
    fallback       text   not null,
    assignee       text,
    tries          bigint not null default 0,
    epoch          bigint not null default 0,
    holder         text,
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
    id          text   not null primary key,
    reminder_id text   not null,
    epoch       bigint not null,
    way         text   not null,
    started_ms  bigint not null,
    wire_id     text   not null,
    wire_sha256 text   not null,
    ended_ms    bigint,
    -- attempting, accepted, refused, deferred, uncertain, delivered, bounced, no_receipt
    outcome     text   not null,
    blame       text,
    reference   text,
    reason      text
);
create index attempts_reminder on attempts (reminder_id, started_ms);
create index attempts_ended on attempts (ended_ms) where ended_ms is not null;

-- What happened to cases: append-only, each row sealed with the hash of the one before.
create table events (
    seq     integer primary key autoincrement,
    at_ms   bigint not null,
    case_id text   not null,
    actor   text   not null,
    body    text   not null,
    hash    text   not null
);
create index events_case on events (case_id, seq);

-- The slots of named schedules that have been claimed: a digest or a sweep happens once.
create table runs (
    name       text   not null,
    slot       text   not null,
    claimed_ms bigint not null,
    holder     text   not null,
    primary key (name, slot)
);

-- Receipts, bounces and replies, kept to recognise redelivered ones.
create table inbound (
    id          text   not null primary key,
    received_ms bigint not null,
    provider    text   not null,
    body        text   not null,
    handled_ms  bigint
);

-- Ways that are paused, and the hold on everything ('all').
create table switches (
    name     text   not null primary key,
    since_ms bigint not null,
    who      text   not null,
    reason   text   not null
);

-- Single values: the generation of rules and its fingerprint, the next case number of each year.
create table meta (
    name  text not null primary key,
    value text not null
);
