-- Personal data is sealed: people.record, cases.facts, events.body, inbound.body and the labels that name an obstacle hold
-- `v1.<cipher>.<owner>.<base64>` from now on, each opened by the key of its owner. The first start after this migration seals what was written before.

-- One random key per person, and two of the hall ('*hall' for what belongs to no person, '*index' for the blind index), each wrapped by
-- the master key, which is not in the database.
create table keys (
    owner        text collate "C" not null primary key,
    -- null: destroyed, and with it everything that was sealed by it
    wrapped      text collate "C",
    destroyed_ms bigint
);

-- By what somebody is found again: keyed hashes of the number and of the name. people.phone stays empty; it is kept because migrations
-- only add.
alter table people add column phone_index text collate "C";
alter table people add column name_index text collate "C";
drop index people_phone;
create index people_phone_index on people (phone_index) where phone_index is not null;
create index people_numberless on people (name_index) where phone_index is null and relative_of is null;
