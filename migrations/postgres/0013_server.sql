-- What had left although the database does not say so: the server became another one that lacks the last writes. Each node tells it from
-- its `sent.log` (`engine/reconcile.rs`), as the same keys.
create table sent_earlier (
    key     text collate "C" not null primary key,
    -- sent, or doubtful
    what    text collate "C" not null,
    node    text collate "C" not null,
    told_ms bigint           not null
);

-- Of a node that lived when the server became another one: it still has to tell what left after this batch.
alter table nodes add column owed bigint;
