-- By which of several gateways an SMS went, and until when its report is awaited (null: none is, or no longer).
alter table attempts add column gateway text collate "C";
alter table attempts add column receipt_ms bigint;
create index attempts_receipt on attempts (receipt_ms) where receipt_ms is not null;
create index attempts_reference on attempts (gateway, reference) where gateway is not null and reference is not null;

-- When something that came in is looked at (again); null once it is handled.
alter table inbound add column look_ms bigint;
create index inbound_waiting on inbound (look_ms) where look_ms is not null;
