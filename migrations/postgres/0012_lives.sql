-- The nodes that share this database. A node lives until `alive_until_ms`, by the clock of the server; what one has in hand that lives no
-- longer is settled by the others.
create table nodes (
    name           text collate "C" not null primary key,
    -- this run of it: the holder of its claims
    instance       text collate "C" not null,
    -- machine and data directory: whoever comes from the same place is the next run of the same node
    place          text collate "C" not null,
    version        text collate "C" not null,
    -- the fingerprint of its rules
    rules          text collate "C" not null,
    state          text collate "C" not null,
    started_ms     bigint           not null,
    seen_ms        bigint           not null,
    alive_until_ms bigint           not null,
    -- how far its clock is ahead of that of the server
    ahead_ms       bigint           not null
);

-- Counts that come near to what is allowed are looked at by one node after the other (`store/grounds.rs`).
insert into meta (name, value) values ('lock:guard', '') on conflict (name) do nothing;
