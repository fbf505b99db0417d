-- What a system asked for under a key of its own, and what came of it: the same request that comes again changes nothing more.
create table requests (
    actor   text collate "C" not null,
    key     text collate "C" not null,
    -- a keyed hash of the request: under one key stands one request
    sum     text collate "C" not null,
    -- the receipt as JSON: numbers and ids only
    receipt text collate "C" not null,
    at_ms   bigint           not null,
    primary key (actor, key)
);

create index requests_by_time on requests (at_ms);
