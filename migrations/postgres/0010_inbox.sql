-- What came in from numbers that nobody knows: neither handled nor to be looked at by the program, but by a person.
create index inbound_for_people on inbound (received_ms) where handled_ms is null and look_ms is null;
