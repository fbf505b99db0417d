-- Who is bound by an item until when, and where: two cases must not send one person to two places. Closed cases may still have something
-- to follow (a call after closing, a policy that concerns the household): `live` says whether rules can still make a case ask for anything.
alter table agenda add column end_ms bigint;
alter table agenda add column office text collate "C";
create index agenda_bound on agenda (end_ms) where end_ms is not null;

alter table cases add column live bigint not null default 1;
update cases set live = 0 where status = 'closed';
create index cases_live on cases (rules_gen) where live = 1;

-- Agendas written before have no end: every open case is planned again, and its agenda written anew. What was decided stays decided.
update cases set agenda_sum = 0, rules_gen = 0 where status <> 'closed';

-- What the monthly summary counts: obstacles, feedback, closings, trips, each with its day; and who may be greeted.
create table labels (
    case_id text collate "C" not null,
    kind    text collate "C" not null,
    value   text collate "C" not null,
    -- tells two of one day apart
    number  bigint           not null,
    unit    text collate "C" not null,
    owner   text collate "C" not null,
    day     text collate "C" not null,
    primary key (case_id, kind, value, day, number)
);
create index labels_day on labels (kind, day);
create index labels_owner on labels (kind, owner);
