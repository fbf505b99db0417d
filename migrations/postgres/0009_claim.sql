-- What is claimed next, in the order in which it is claimed: ten thousand that are due at once are not sorted anew for every batch.
create index reminders_claim on reminders (way, (-priority), valid_until_ms, id, not_before_ms) where state = 'queued';
