-- Several nodes may work on one database (a PostgreSQL; here there is one). Whoever counts often counts in a row of its own node.
create table guard_days_by_node (
    day    text   not null,
    way    text   not null,
    sent   bigint not null,
    run    bigint not null,
    ended  bigint not null,
    failed bigint not null,
    node   text   not null default '',
    primary key (day, way, node)
);
insert into guard_days_by_node (day, way, sent, run, ended, failed) select day, way, sent, run, ended, failed from guard_days;
drop table guard_days;
alter table guard_days_by_node rename to guard_days;
