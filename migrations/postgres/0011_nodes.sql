-- Several nodes may work on one database. Whoever counts often counts in a row of its own node, so that none waits for another.
alter table guard_days add column node text collate "C" not null default '';
alter table guard_days drop constraint guard_days_pkey;
alter table guard_days add primary key (day, way, node);

-- The time by which leases run: that of the server, the only one all nodes share.
create function now_ms() returns bigint language sql stable
as $$ select cast(extract(epoch from clock_timestamp()) * 1000 as bigint) $$;

-- Rows that stand for what no single row stands for: whoever reads it and then writes by it holds them until the commit
-- (`store/lock.rs`). The one lock of all writers is no longer.
delete from meta where name = 'writer';
insert into meta (name, value) values
    ('lock:chain', ''), ('lock:keys', ''), ('lock:purge', ''), ('lock:openings', ''), ('lock:bookings', ''), ('lock:heirs', ''), ('lock:rules', '')
on conflict (name) do nothing;
