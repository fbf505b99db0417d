-- The nodes that share a database; here there is one, and nothing is noted of it.
create table nodes (
    name           text not null primary key,
    -- this run of it: the holder of its claims
    instance       text not null,
    -- machine and data directory: whoever comes from the same place is the next run of the same node
    place          text not null,
    version        text not null,
    -- the fingerprint of its rules
    rules          text not null,
    state          text not null,
    started_ms     bigint not null,
    seen_ms        bigint not null,
    alive_until_ms bigint not null,
    -- how far its clock is ahead of that of the server
    ahead_ms       bigint not null
);
