-- What the blast guard holds. `hold` names why a reminder waits: the id of a row of `holds`, or a rule that lets it go on by itself
-- (`cap`, `text:…`). `approved` names the hold that two people have released it from.
alter table reminders add column hold text collate "C";
alter table reminders add column approved text collate "C";
create index reminders_hold on reminders (hold, state) where hold is not null and state in ('held', 'queued');
create index reminders_hold_until on reminders (not_before_ms) where state = 'held' and hold is not null;
-- What a resident or relative was told, by whatever way: counted against the caps of the day. It takes the place of the index of SMS.
drop index reminders_sms;
create index reminders_told on reminders (recipient, sent_ms)
    where sent_ms is not null and substr(recipient, 1, 7) = 'person:';

-- One hold of many messages, until two people have released it.
create table holds (
    id             text collate "C" not null primary key,
    kind           text collate "C" not null,
    -- the way or the fingerprint of the text it is about; '' for all
    key            text collate "C" not null,
    opened_ms      bigint           not null,
    reason_zh      text collate "C" not null,
    reason_en      text collate "C" not null,
    -- the first of the two
    first_ms       bigint,
    first_by       text collate "C",
    first_reason   text collate "C",
    -- the second
    released_ms    bigint,
    released_by    text collate "C",
    release_reason text collate "C"
);
create index holds_open on holds (opened_ms) where released_ms is null;

-- What left on a local day: `sent` is history, `run` counts against the limit since the last release, `ended` and `failed` are the
-- outcomes of the first messages of the day.
create table guard_days (
    day    text collate "C" not null,
    way    text collate "C" not null,
    sent   bigint           not null,
    run    bigint           not null,
    ended  bigint           not null,
    failed bigint           not null,
    primary key (day, way)
);

-- How many residents have been sent the very same words on a day.
create table guard_alike (
    day  text collate "C" not null,
    sum  text collate "C" not null,
    told bigint           not null,
    primary key (day, sum)
);

-- The texts as this database has seen them: a changed one is tried on a few before it goes on.
create table guard_texts (
    text     text collate "C" not null primary key,
    sum      text collate "C" not null,
    sent     bigint           not null,
    first_ms bigint,
    trusted  bigint           not null
);
