-- What had left although the database does not say so: nodes on a PostgreSQL tell it from their `sent.log`. Here nothing is noted in it.
create table sent_earlier (
    key     text   not null primary key,
    -- sent, or doubtful
    what    text   not null,
    node    text   not null,
    told_ms bigint not null
);

-- Of a node that lived when the server became another one: it still has to tell what left after this batch.
alter table nodes add column owed bigint;
